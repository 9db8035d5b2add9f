"""A run as plain data: where the time of its attempts went, and the slots that they were in."""

from __future__ import annotations

import pytest

from flowpool.report.data import AttemptData, slots, time_spreads
from flowpool.run.timings import Histogram
from flowpool.values import Timing


def attempt(started: float, seconds: float, lane: str = "openai/m", **timing: float) -> AttemptData:
    model = lane if "/" in lane else ""
    return AttemptData(0, "1.result", lane, model, started, seconds, timing=Timing(**timing))


def test_what_is_left_of_a_models_attempt_is_reading_and_of_a_functions_its_own_code() -> None:
    asked = attempt(0.0, 2.0, connect=0.5, first_byte=1.0, backoff=3.0)
    assert asked.times == {"backoff": 3.0, "connect": 0.5, "first_byte": 1.0, "reading": 0.5}
    assert attempt(0.0, 2.0, "fetch").times == {"own_code": 2.0}


def test_attempts_that_had_no_part_in_a_kind_count_as_none_of_it() -> None:
    attempts = [attempt(0.0, 1.0, backoff=4.0), *(attempt(0.0, 1.0) for _ in range(9))]
    spread = time_spreads(attempts)["openai/m"]["backoff"]
    assert (spread.count, spread.total, spread.p50, spread.p95) == (10, 4.0, 0.0, 4.0)


@pytest.mark.parametrize(
    "spent", [[1.0, 3.0], [1.0, 2.0, 3.0, 4.0], [0.5 * n for n in range(1, 41)]]
)
def test_percentiles_are_those_of_a_run_that_goes_on(spent: list[float]) -> None:
    spread = time_spreads([attempt(0.0, 9.0, backoff=one) for one in spent])["openai/m"]["backoff"]
    histogram = Histogram()
    histogram.add(spent)
    live = histogram.spread(len(spent))
    for ours, other in ((spread.p50, live.p50), (spread.p95, live.p95), (spread.p99, live.p99)):
        assert ours == pytest.approx(other, rel=0.05)


def test_the_kinds_of_a_lane_come_in_the_order_in_which_time_passes() -> None:
    attempts = [attempt(0.0, 1.0, first_byte=0.5), attempt(0.0, 1.0, slot_wait=1.0)]
    assert list(time_spreads(attempts)["openai/m"]) == ["slot_wait", "first_byte", "reading"]


def test_two_attempts_of_a_slot_never_overlap() -> None:
    attempts = [attempt(at * 0.3, 1.0 + at % 3, lane) for at in range(60) for lane in ("a/a", "b")]
    busy: dict[tuple[str, int], float] = {}
    for one, slot in zip(attempts, slots(attempts), strict=True):
        assert busy.get((one.lane, slot), 0.0) <= one.started
        busy[one.lane, slot] = one.started + one.seconds
    assert len(busy) < 20
