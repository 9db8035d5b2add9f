"""Where the time of a run's calls went, in sum: percentiles in constant memory, with a store and without one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from math import ceil, floor, log2
from operator import mul, sub

from flowpool.calls.flow import Pending
from flowpool.run.sample import TIME_KINDS, TimeSpread
from flowpool.values import Timing

_FIELDS = Timing.__struct_fields__


class Timings:
    """The times of a run's attempts, by lane. May be asked from any thread."""

    def __init__(self) -> None:
        self._lanes: dict[str, _LaneTimes] = {}
        self._lock = threading.Lock()  # between those who sum up: to add needs none

    def open(self, lane: str, rest: str) -> Pending:
        """Where attempts of the lane are added, by one thread; it sees to it that they are summed up now and then.

        rest: of which of `TIME_KINDS` is what is left of an attempt's seconds.
        """
        with self._lock:
            if lane not in self._lanes:
                self._lanes[lane] = _LaneTimes(rest)
            return self._lanes[lane].pending

    def sum_up(self) -> None:
        """Takes what was added."""
        with self._lock:
            self._take()

    def spreads(self) -> dict[str, dict[str, TimeSpread]]:
        """How long the attempts of each lane took, by its name and the names of `TIME_KINDS`.

        What took no time in any of them is left out; else each attempt counts, with 0 too.
        """
        with self._lock:
            self._take()
            return {name: lane.spreads() for name, lane in self._lanes.items() if lane.count}

    def _take(self) -> None:
        for lane in self._lanes.values():
            lane.take()


class _LaneTimes:
    """The times of a lane's attempts: those that are `pending`, and all others by kind."""

    __slots__ = ("_kinds", "_rest", "count", "pending")

    def __init__(self, rest: str) -> None:
        self._rest = rest
        self._kinds: dict[str, Histogram] = {}
        self.pending: Pending = []
        self.count = 0

    def take(self) -> None:
        """Sums up those that are pending, many at once: one by one they would cost ten times as much."""
        length = len(self.pending)  # others may come meanwhile
        if not length:
            return
        taken = self.pending[:length]
        del self.pending[:length]
        seconds, *columns = (taken[at :: len(_FIELDS) + 1] for at in range(len(_FIELDS) + 1))
        self.count += len(seconds)
        kinds = dict(zip(_FIELDS, columns, strict=True))
        waited = map(sub, seconds, kinds["connect"])
        kinds[self._rest] = list(map(sub, waited, kinds["first_byte"]))
        for kind, spent in kinds.items():
            if any(spent):
                self._kinds.setdefault(kind, Histogram()).add(spent)

    def spreads(self) -> dict[str, TimeSpread]:
        known = self._kinds
        return {kind: known[kind].spread(self.count) for kind in TIME_KINDS if kind in known}


def nearest_rank(share: float, count: int) -> int:
    """Which of `count` in order, counted from 1, is the one that this share of all are at most.

    >>> nearest_rank(0.5, 2), nearest_rank(0.95, 10), nearest_rank(0.5, 0)
    (1, 10, 0)
    """
    return ceil(share * count)


class Histogram:
    """Counts durations on a logarithmic scale of `STEPS` steps a doubling.

    A percentile is the middle of its step, and so within 4.5 % of what it was.

        histogram = Histogram()
        histogram.add([0.5, 0.0, 1.0, 2.0])
        histogram.spread(count=4)
    """

    __slots__ = ("_counts", "_longest", "_total")

    STEPS = 8.0

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = self._longest = 0.0

    def add(self, durations: Sequence[float]) -> None:
        """Things took so many seconds; those that took none need not be added."""
        some = [seconds for seconds in durations if seconds > 0.0]
        self._counts.update(map(floor, map(mul, map(log2, some), repeat(self.STEPS))))
        self._total += sum(some)
        self._longest = max(self._longest, *some, 0.0)

    def spread(self, count: int) -> TimeSpread:
        """What was added, and as often 0 as makes `count` of them."""
        shares = (self._at(share, count) for share in (0.5, 0.95, 0.99))
        return TimeSpread(count, self._total, *shares)

    def _at(self, share: float, count: int) -> float:
        """The seconds that this share of all took at most, by the nearest rank."""
        left = nearest_rank(share, count) - (count - self._counts.total())
        if left <= 0:
            return 0.0
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                break
        return float(min(self._longest, 2.0 ** ((step + 0.5) / self.STEPS)))
