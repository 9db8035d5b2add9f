"""What one dimension of a limit still holds, told by headers: a model of the provider's bucket. Knows no clock.

A reading says `remaining` of `limit`, and perhaps in how many seconds the bucket is full. What `limit` means
differs between providers (the bucket's size, or the rate a minute with a smaller bucket behind it), so the refill
rate is taken from how readings relate to each other, and a plain reading of the limit only where it agrees.
"""

from __future__ import annotations

from typing import NamedTuple

from flowpool.values import Reading


class Gauge:
    """The bucket as it must stand now: the freshest reading, plus the refill, minus what was sent since."""

    __slots__ = (
        "_at", "_blur", "_fresh", "_later", "_level", "_reads", "_since", "_taken",
        "capacity", "dimension", "factor", "limit", "pending", "rate",
    )  # fmt: skip

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
        self._since: _Point | None = None
        self._later: _Point | None = None
        self._blur = 0.0  # what rounding leaves open

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
        return max(0.0, min(0.03 * self.capacity + self._blur, 0.9 * self.capacity - cost))

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
        if sent <= self._fresh:
            return
        self._fresh = sent
        if self.limit and abs(reading.limit - self.limit) > 0.01 * self.limit:
            self._since = self._later = None  # the limit itself was changed
            self.rate = self.capacity = 0.0
        self.limit = reading.limit
        self._reads += 1
        self._learn(reading, sent, taken, cost)
        since = (self._taken - taken) * self.factor
        level = reading.remaining + self.rate * (now - sent) - since
        self._refill(now)
        self._level = (
            level
            if level < self._level or self._reads < 4
            else (self._level + 0.3 * (level - self._level))
        )
        self._level = min(self.capacity, self._level)

    def _refill(self, now: float) -> None:
        self._level = min(self.capacity, self._level + self.rate * max(0.0, now - self._at))
        self._at = now

    def _learn(self, reading: Reading, sent: float, taken: float, cost: float) -> None:
        told = self._told(reading, cost)
        measured = self._measured(reading, sent, taken)
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
        self._blur = 1000.0 if reading.coarse and self.dimension != "requests" else 0.0

    def _measured(self, reading: Reading, sent: float, taken: float) -> tuple[float, float] | None:
        """The rate by two readings, and its relative error; None until they lie far enough apart."""
        if reading.reset is None or reading.coarse:
            return None
        now = _Point(sent, reading.reset, reading.remaining, taken)
        nearly_full = reading.remaining > self.capacity - max(3.0, 0.05 * self.capacity)
        since = self._since
        if since is None or nearly_full or sent - since.at > 2.0 * self.SPAN:
            # A full bucket loses what is refilled: only from here on do the sums hold.
            self._since, self._later = now, None
            return None
        result = self._by_calls(since, now) if self.dimension == "requests" else _by_units(since, now)
        if self._later is None:
            self._later = now
        elif sent - since.at > self.SPAN:
            self._since, self._later = self._later, now
        return result

    def _by_calls(self, since: _Point, now: _Point) -> tuple[float, float] | None:
        """Filling the bucket up takes `reset`: what was taken made that longer, the time that passed shorter.

        So both together are the seconds that refilling the calls taken in between lasts. Unlike the change of
        `remaining`, this isn't blurred by whole units.
        """
        seconds = now.at - since.at + now.reset - since.reset
        calls = now.taken - since.taken
        if calls < 8 or seconds <= 0.02 or self.capacity < 8:
            return None
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


class _Point(NamedTuple):
    """A reading: when its call was sent, seconds to full, what remained, and all that had been sent."""

    at: float
    reset: float
    remaining: float
    taken: float


def _by_units(since: _Point, now: _Point) -> tuple[float, float] | None:
    """How `reset` grew as `remaining` fell: exact for tokens, whose units are small."""
    units, seconds = since.remaining - now.remaining, now.reset - since.reset
    if abs(seconds) < 0.05 or units * seconds <= 0.0:
        return None
    return units / seconds, 0.001 / abs(seconds) + 1.0 / abs(units)
