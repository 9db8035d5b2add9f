"""Which track each span is drawn on, so that no two on one track overlap: that of the trace, and of the report."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


class SlotFinder:
    """Gives each span the lowest slot that is free; the spans come in the order of their starts."""

    __slots__ = ("_busy", "_free")

    def __init__(self) -> None:
        self._busy: list[tuple[float, int]] = []  # by when they end
        self._free: list[int] = []

    def slot(self, start: float, end: float) -> int:
        """The slot of a span, from 0 on. One that ends as another begins shares its slot."""
        busy, free = self._busy, self._free
        while busy and busy[0][0] <= start:
            heappush(free, heappop(busy)[1])
        slot = heappop(free) if free else len(busy)
        heappush(busy, (end, slot))
        return slot


def slots_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """The slot of each span (start, end), in the spans' order, which may be any.

    >>> slots_of([(0, 5), (1, 2), (2, 3), (5, 6)])
    [0, 1, 1, 0]
    """
    slots, found = SlotFinder(), [0] * len(spans)
    for at in sorted(range(len(spans)), key=spans.__getitem__):
        found[at] = slots.slot(*spans[at])
    return found
