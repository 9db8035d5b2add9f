"""How many calls of a lane may be in flight. Plain policies: told of answers and throttles, they hold a size."""

from __future__ import annotations

from typing import Protocol


class Window(Protocol):
    """A number of calls in flight, and what moves it."""

    size: int

    def answered(self, in_flight: int) -> None:
        """A call was answered while this many, it too, were in flight."""

    def throttled(self, sent: float, now: float) -> None:
        """A call sent at `sent` was answered 429 at `now`."""


class FixedWindow:
    """A size that somebody chose."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def answered(self, in_flight: int) -> None:
        pass

    def throttled(self, sent: float, now: float) -> None:
        pass


class AdaptiveWindow:
    """Grows by a call for each answer until the first throttle, then by one a round; a throttle cuts it.

    A cut counts once an episode: answers to calls that were sent before it don't cut again. It doesn't grow
    unless at least half of it is in use, since answers then say nothing about a larger one.
    """

    __slots__ = ("_ceiling", "_exact", "_last_cut", "_slow_start", "size")

    CUT = 0.7

    def __init__(self, start: int, ceiling: int) -> None:
        self.size = min(start, ceiling)
        self._exact = float(self.size)
        self._ceiling = ceiling
        self._slow_start = True
        self._last_cut = float("-inf")

    def answered(self, in_flight: int) -> None:
        if self.size >= self._ceiling or in_flight * 2 < self.size:
            return
        self._exact += 1.0 if self._slow_start else 1.0 / self._exact
        self.size = min(self._ceiling, int(self._exact))

    def throttled(self, sent: float, now: float) -> None:
        if sent <= self._last_cut:
            return
        self._last_cut = now
        self._slow_start = False
        self._exact = max(1.0, self._exact * self.CUT)
        self.size = int(self._exact)
