"""Spans laid onto slots: no two on one slot overlap, and no more slots than spans at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowpool.report.slots import SlotFinder

SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda at: (at[0], at[0] + at[1])),
    max_size=40,
)


def slots_of(spans: list[tuple[int, int]]) -> list[int]:
    """The slot of each span (start, end), in the spans' order, which may be any."""
    finder, found = SlotFinder(), [0] * len(spans)
    for at in sorted(range(len(spans)), key=spans.__getitem__):
        found[at] = finder.slot(*spans[at])
    return found


def test_a_span_takes_the_lowest_slot_that_is_free() -> None:
    assert slots_of([(0, 5), (1, 4), (2, 3), (4, 6), (5, 7)]) == [0, 1, 2, 1, 0]


def test_spans_may_come_in_any_order() -> None:
    assert slots_of([(5, 7), (0, 5), (1, 4)]) == [0, 0, 1]


def test_no_spans_need_no_slot() -> None:
    assert slots_of([]) == []


@given(SPANS)
def test_no_two_spans_of_a_slot_overlap(spans: list[tuple[int, int]]) -> None:
    ends: dict[int, int] = {}
    for slot, (start, end) in sorted(
        zip(slots_of(spans), spans, strict=True), key=lambda one: one[1]
    ):
        assert start >= ends.get(slot, 0)
        ends[slot] = end


@given(SPANS)
def test_there_are_as_many_slots_as_spans_at_once_at_most(spans: list[tuple[int, int]]) -> None:
    most = max((sum(a <= at < max(b, a + 1) for a, b in spans) for at, _ in spans), default=0)
    assert len(set(slots_of(spans))) <= most
