"""What one dimension of a limit still holds, told by headers: a model of the provider's bucket. Knows no clock.

A reading says `remaining` of `limit`, and perhaps in how many seconds the bucket is full. What `limit` means
differs between providers (the bucket's size, or the rate a minute with a smaller bucket behind it), so the refill
rate is taken from how readings relate to each other, and a plain reading of the limit only where it agrees.
"""

from __future__ import annotations

from msgspec import Struct


class Reading(Struct, frozen=True):
    """One dimension's limit headers on an answer.

    reset: seconds until the bucket is full again, None if the provider doesn't say. coarse: `reset` is in
    whole seconds.
    """

    dimension: str
    limit: float
    remaining: float
    reset: float | None = None
    coarse: bool = False


class Gauge:
    """The bucket as it must stand now: the freshest reading, plus the refill, minus what was sent since."""

    __slots__ = ("_at", "_fresh", "_level", "_later", "_reads", "_since", "_taken", "dimension", "capacity", "factor", "limit", "pending", "rate")

    SPAN = 20.0  # seconds over which the rate is measured

    def __init__(self, dimension: str) -> None:
        self.dimension = dimension
        self.rate = 0.0  # units a second; 0 while nothing is known
        self.capacity = 0.0
        self.limit = 0.0
        self.factor = 1.0  # how the provider's charge relates to our estimate
        self.pending = 0.0  # what calls in flight may still be charged for their output
        self._level = 0.0
        self._at = 0.0
        self._fresh = float("-inf")
        self._taken = 0.0  # all that was ever sent, by our estimate
        self._reads = 0
        self._since: tuple[float, float, float] | None = None
        self._later: tuple[float, float, float] | None = None

    @property
    def taken(self) -> float:
        return self._taken

    @property
    def is_per_minute(self) -> bool:
        """Whether the limit is what is refilled in a minute."""
        return self.rate > 0.0 and abs(self.rate * 60.0 / self.limit - 1.0) < 0.05

    def level(self, now: float) -> float:
        """What may be left now."""
        return min(self.capacity, self._level + self.rate * max(0.0, now - self._at)) - self.pending

    def floor(self, cost: float) -> float:
        """What is left untouched, against what we can't know: a little, and never so much that nothing goes."""
        return max(0.0, min(0.03 * self.capacity, self.capacity - cost))

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be sent."""
        if self.rate <= 0.0:
            return 0.0
        cost = min(cost * self.factor, self.capacity)
        short = cost + self.floor(cost) - self.level(now)
        return short / self.rate if short > 1e-9 else 0.0

    def take(self, cost: float, now: float) -> None:
        self._taken += cost
        if self.rate > 0.0:
            self._refill(now)
            self._level -= cost * self.factor

    def refuse(self, cost: float) -> None:
        """A call wasn't admitted: it took nothing."""
        self._taken -= cost
        self._level += cost * self.factor
        self._since = self._later = None

    def charge(self, amount: float) -> None:
        """Takes what was charged after the call was sent."""
        self._level -= amount

    def read(self, reading: Reading, sent: float, taken: float, cost: float, now: float) -> None:
        """Learns from the headers of the answer to a call sent at `sent`, when `taken` had been sent in all."""
        if self.limit and abs(reading.limit - self.limit) > 0.01 * self.limit:
            self._since = self._later = None  # the limit itself was changed
            self.rate = self.capacity = 0.0
        self.limit = reading.limit
        if sent <= self._fresh:
            return
        self._fresh = sent
        self._reads += 1
        self._learn(reading, sent, taken, cost)
        since = (self._taken - taken) * self.factor
        level = reading.remaining + self.rate * (now - sent) - since
        self._refill(now)
        self._level = level if level < self._level or self._reads < 4 else (
            self._level + 0.3 * (level - self._level)
        )
        self._level = min(self.capacity, self._level)

    def _refill(self, now: float) -> None:
        self._level = min(self.capacity, self._level + self.rate * max(0.0, now - self._at))
        self._at = now

    def _learn(self, reading: Reading, sent: float, taken: float, cost: float) -> None:
        told = self._told(reading, cost)
        measured = self._measured(reading, sent, taken, cost)
        if measured is not None:
            rate, error = measured
            near = [t for t in (*told, reading.limit / 86_400.0) if abs(t - rate) < max(0.02, error) * rate]
            if near:
                self.rate = min(near, key=lambda t: abs(t - rate))
            elif error < 0.05 or self.rate <= 0.0:
                self.rate = rate
        if self.rate <= 0.0:
            self.rate = min(told)
        seen = reading.remaining + cost
        if reading.reset is not None and not reading.coarse:
            seen = max(seen, reading.remaining + self.rate * reading.reset)
        self.capacity = min(reading.limit, max(self.capacity, seen, 1.0))

    def _measured(self, reading: Reading, sent: float, taken: float, cost: float) -> tuple[float, float] | None:
        """The rate by what was taken between two readings, and its relative error.

        Filling the bucket up takes `reset`; what was taken made that longer, and the time that passed shorter.
        So both together are the seconds that refilling what was taken lasts.
        """
        if self.dimension != "requests" or reading.reset is None or reading.coarse:
            return None
        if self._since is None or reading.reset * self.rate < 1.5 * cost or sent - self._since[0] > 2 * self.SPAN:
            # A full bucket loses what is refilled: only from here on does the sum hold.
            self._since = sent, reading.reset, taken
            return None
        at, reset, before = self._since
        seconds = sent - at + reading.reset - reset
        calls = taken - before
        if calls < 8 or seconds <= 0.02:
            return None
        if sent - at > self.SPAN and self._later is not None:
            self._since, self._later = self._later, (sent, reading.reset, taken)
        elif self._later is None or sent - self._later[0] > self.SPAN:
            self._later = sent, reading.reset, taken
        return calls / seconds, 0.003 / seconds + 0.3 / calls

    def _told(self, reading: Reading, cost: float) -> list[float]:
        """What the rate is by each plain reading of the headers that they don't contradict."""
        minute = reading.limit / 60.0
        if reading.coarse or not reading.reset:
            return [minute]
        rates = [minute]
        used = reading.limit - reading.remaining
        if used >= 20.0 or self.rate <= 0.0:  # fewer whole units tell little
            rates.append(used / reading.reset)
        # The call itself is missing from the bucket, so filling it takes at least as long as its cost does.
        least = 0.95 * cost / (reading.reset + 0.0005)
        return [rate for rate in rates if rate >= least] or [max(rates)]
