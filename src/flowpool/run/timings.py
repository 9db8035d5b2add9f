"""Where the time of a run's calls went, in sum: percentiles in constant memory, with a store and without one."""

from __future__ import annotations

import threading
from collections import deque
from math import ceil, log2
from typing import ClassVar

from msgspec.structs import astuple

from flowpool.calls.flow import Timed
from flowpool.run.sample import TIME_KINDS, TimeSpread
from flowpool.values import NO_TIMING, Timing

_WAITS = Timing.__struct_fields__


class Timings:
    """The times of a run's attempts, by lane.

    Whoever makes attempts appends them to `pending`, which costs next to nothing, and calls `sum_up` once there are
    `MOST`; `spreads` may be asked from any thread.
    """

    MOST: ClassVar[int] = 256

    def __init__(self) -> None:
        self.pending: deque[Timed] = deque()
        self._lanes: dict[str, _LaneTimes] = {}
        self._lock = threading.Lock()  # between those who sum up: appending needs none

    def sum_up(self) -> None:
        """Takes the attempts that are pending."""
        with self._lock:
            self._take()

    def spreads(self) -> dict[str, dict[str, TimeSpread]]:
        """How long the attempts of each lane took, by its name and the names of `TIME_KINDS`.

        What took no time in any of them is left out; else each attempt counts, with 0 too.
        """
        with self._lock:
            self._take()
            return {name: lane.spreads() for name, lane in self._lanes.items()}

    def _take(self) -> None:
        pending, lanes = self.pending, self._lanes
        for _ in range(len(pending)):
            name, rest, seconds, timing = pending.popleft()
            lane = lanes.get(name)
            if lane is None:
                lane = lanes[name] = _LaneTimes()
            lane.add(rest, seconds, timing)


class _LaneTimes:
    """The times of a lane's attempts."""

    __slots__ = ("_count", "_kinds")

    def __init__(self) -> None:
        self._count = 0
        self._kinds: dict[str, Histogram] = {}

    def add(self, rest: str, seconds: float, timing: Timing) -> None:
        """An attempt took so many seconds; `rest` is the kind of what `timing` leaves of them."""
        self._count += 1
        if timing is not NO_TIMING:
            for kind, spent in zip(_WAITS, astuple(timing), strict=True):
                if spent > 0.0:
                    self._add(kind, spent)
            seconds -= timing.connect + timing.first_byte
        if seconds > 0.0:
            self._add(rest, seconds)

    def _add(self, kind: str, seconds: float) -> None:
        histogram = self._kinds.get(kind)
        if histogram is None:
            histogram = self._kinds[kind] = Histogram()
        histogram.add(seconds)

    def spreads(self) -> dict[str, TimeSpread]:
        known = self._kinds
        return {kind: known[kind].spread(self._count) for kind in TIME_KINDS if kind in known}


class Histogram:
    """Counts durations on a logarithmic scale of `STEPS` steps a doubling, from a microsecond to twelve days.

    A percentile is the middle of its step, and so within 4.5 % of what it was.

        histogram = Histogram()
        for seconds in (0.5, 1.0, 2.0):
            histogram.add(seconds)
        histogram.spread(count=4)  # of four, one of which took no time
    """

    __slots__ = ("_counts", "_seen", "_total")

    STEPS, DOUBLINGS, LEAST = 8, 40, 1e-6
    _ZERO = log2(LEAST) * STEPS

    def __init__(self) -> None:
        self._counts = [0] * (self.STEPS * self.DOUBLINGS)
        self._seen = 0
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Something took so many seconds, more than 0."""
        step = int(log2(seconds) * self.STEPS - self._ZERO)
        self._counts[min(max(step, 0), len(self._counts) - 1)] += 1
        self._seen += 1
        self._total += seconds

    def spread(self, count: int) -> TimeSpread:
        """What was added, and as often 0 as makes `count` of them."""
        shares = (self._at(share, count) for share in (0.5, 0.95, 0.99))
        return TimeSpread(count, self._total, *shares)

    def _at(self, share: float, count: int) -> float:
        """The seconds that this share of all took at most, by the nearest rank."""
        left = ceil(share * count) - (count - self._seen)
        if left <= 0:
            return 0.0
        step = -1
        while left > 0:
            step += 1
            left -= self._counts[step]
        return float(self.LEAST * 2.0 ** ((step + 0.5) / self.STEPS))
