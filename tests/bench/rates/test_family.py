"""Both halves of the family have every mechanism, and share no variant."""

from __future__ import annotations

import pytest
from bench.rates.family import PAIRED, SAYINGS, VARIANTS, pairs, sayings, variants
from bench.rates.rows import rows

from flowpool.worlds import KINDS, draw_scene


def test_every_kind_but_the_calm_one_has_variants() -> None:
    assert set(VARIANTS) == set(KINDS) - {"calm"}


@pytest.mark.parametrize("kind", VARIANTS)
def test_each_half_has_other_variants_of_each_mechanism(kind: str) -> None:
    tune, held = variants(kind, "tune"), variants(kind, "held")
    assert not set(tune) & set(held)
    for alternatives in VARIANTS[kind]:
        assert set(alternatives) <= {*tune, *held}
        assert set(alternatives) & set(tune)
        assert set(alternatives) & set(held)


def test_each_half_pairs_every_kind_with_others() -> None:
    tune, held = pairs("tune"), pairs("held")
    assert not set(tune) & set(held)
    for half in (tune, held):
        for kind in PAIRED:
            assert sum(kind in pair for pair in half) >= 2


@pytest.mark.parametrize("name", SAYINGS)
def test_each_half_has_worlds_that_speak_so(name: str) -> None:
    tune, held = sayings(name, "tune"), sayings(name, "held")
    assert tune
    assert held
    assert not set(tune) & set(held)


def test_a_variant_stays_in_its_half() -> None:
    """By a hash of its words and of those beside it: who adds one beside these must write down where they are."""
    assert variants("gateway", "held") == (
        "gateway keys=3..4 pick=random rate=20..100",
        "gateway keys=5..7 pick=random rate=30..100 depth=4..20",
        "gateway keys=5..10 pick=turn rate=30..100",
    )


@pytest.mark.parametrize("half", ["tune", "held"])
def test_every_row_has_worlds_that_can_be_drawn(half: str) -> None:
    for row in rows(half):  # type: ignore[arg-type]
        assert row.specs
        for spec in row.specs:
            assert draw_scene(spec, 1).items > 0
