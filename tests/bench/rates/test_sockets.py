"""The worlds on real sockets are those that were measured: their bounds are the oracle's times."""

from __future__ import annotations

import pytest
from bench.rates.sockets import CASES

from flowpool.worlds import draw_scene

# Seconds, by the table that was measured without any knowledge of the worlds here.
BOUNDS = {
    "nothing refuses": 1.2,
    "1 % by chance": 1.3,
    "3 % by chance": 1.4,
    "10 % by chance": 1.5,
    "at most 20 in flight": 6.0,
    "100 in each 2 s of the clock": 22.3,
    "a gateway of four keys": 23.0,
    "a shared 50 a second": 23.3,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_worlds_bound_is_the_measured_tables(case: object) -> None:
    name, spec = case.name, case.spec  # type: ignore[attr-defined]
    assert draw_scene(spec, 1).oracle() == pytest.approx(BOUNDS[name], rel=0.15)
