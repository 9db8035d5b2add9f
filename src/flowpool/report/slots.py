"""Which track each span is drawn on, so that no two on one track overlap: that of the trace, and of the report."""

from __future__ import annotations

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
