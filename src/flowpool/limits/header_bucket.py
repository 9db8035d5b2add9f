"""What one dimension of a limit still holds, by its headers: a model of the provider's bucket. Knows no clock.

A reading says `remaining` of `limit`, and perhaps in how many seconds the bucket is full. Nothing says whether
`limit` is the bucket's size or the rate a minute with a smaller bucket behind it. Under the first meaning each
reading bounds the rate, under the second the size; the meaning whose bounds never contradict each other holds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log

from flowpool.limits.demand import Demand
from flowpool.values import LimitReading


def produced(cost: Demand) -> float:
    """What a call takes from a bucket of tokens where only what is really produced counts."""
    return cost.input + cost.output


MEASURES: dict[str, Callable[[Demand], float]] = {
    "requests": lambda cost: 1.0,
    # The usual rule: what may be produced is reserved, if the call says how much that is.
    "tokens": lambda cost: max(cost.reserved, cost.input) if cost.reserved else produced(cost),
    "input": lambda cost: cost.input,
    "output": lambda cost: cost.output,
}  # fmt: skip


Totals = tuple[float, float]  # units sent, as reserved and as produced


class Interval:
    """Bounds of a number, narrowed by each observation. `misses`: how often observations contradict, lately."""

    __slots__ = ("high", "low", "misses")

    FORGET = 0.1

    def __init__(self) -> None:
        self.low, self.high, self.misses = 0.0, inf, 0.0

    def narrow(self, low: float, high: float) -> None:
        if low > high or low > self.high or high < self.low:
            self.misses += self.FORGET * (1.0 - self.misses)
            self.low, self.high = (low, high) if low <= high else (0.0, inf)
            return
        self.misses -= self.FORGET * self.misses
        self.low, self.high = max(low, self.low), min(high, self.high)

    @property
    def middle(self) -> float:
        return 0.5 * (self.low + self.high) if self.high < inf else self.low


class HeaderBucket:
    """The bucket as it must stand now: the freshest reading, plus the refill, minus what was sent since."""

    __slots__ = (
        "_as_minute", "_as_size", "_at", "_before", "_blur", "_fresh", "_level", "_lost", "_reads", "_slack",
        "_took", "_took_plain", "_wary", "capacity", "dimension", "factor", "limit", "of", "others", "plain",
        "rate", "share",
    )  # fmt: skip

    FLOOR = 0.03  # of the capacity, left for what we can't know
    SLACK, MOST_SLACK = (
        0.012,
        0.05,
    )  # of a call's cost, where the bucket holds no more than the call
    WARY, MOST_WARY, CALMS = (
        0.005,
        0.1,
        60.0,
    )  # added by a refusal, of the capacity; seconds to forget it
    RISE = 0.3  # the part of a rise of the level that one reading is believed for
    TRUST = 0.25  # contradictions among ten readings that refute a meaning
    LEARN_OTHERS = 0.05  # weight of a second's readings
    LEARN_FACTOR = 0.05  # weight of a second's readings
    BELIEF = 10.0  # seconds of the rate that our estimates are believed for at first
    SURER = 0.1  # nearer to what was charged, in the logarithm, must the other rule be to be taken
    FACTORS = (0.02, 4.0)

    def __init__(self, dimension: str) -> None:
        self.dimension = dimension
        self.of = MEASURES.get(dimension, MEASURES["tokens"])
        self.plain = 0  # 1 where output counts as it is produced, and isn't reserved
        self.rate = 0.0  # units a second; 0 while nothing is known
        self.capacity = 0.0
        self.limit = 0.0
        self.factor = 1.0  # how the provider's charge relates to our estimate
        self.others = 0.0  # units a second that somebody else takes
        self.share = 1.0  # the part of the rate that is ours to use
        self._level = 0.0
        self._at = 0.0
        self._fresh = -inf
        self._reads = 0
        self._slack = self.SLACK
        self._blur = 0.0  # what rounding leaves open
        self._as_size, self._as_minute = Interval(), Interval()
        # Lately lost by the readings, and taken by our estimates: what was reserved, and what was produced.
        self._lost = self._took = self._took_plain = 0.0
        self._before: tuple[float, float, float, float] | None = (
            None  # a reading's time, level, totals
        )
        self._wary = 0.0  # of the capacity, added to the floor by refusals

    @property
    def is_per_minute(self) -> bool:
        """Whether the limit is what is refilled in a minute."""
        return self.rate > 0.0 and abs(self.rate * 60.0 / self.limit - 1.0) < 0.05

    @property
    def net(self) -> float:
        """Units a second that are ours to use."""
        others = self.others
        rate = self.rate * self.share
        if others > 0.0:
            rate = min(rate, max(0.1 * self.rate, self.rate - others))
        return rate

    def level(self, now: float) -> float:
        """What may be left for us now."""
        full = self.capacity * self.share
        return min(full, self._level + self.net * max(0.0, now - self._at))

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be sent."""
        if self.rate <= 0.0:
            return 0.0
        capacity = self.capacity * self.share
        cost *= self.factor
        if cost > capacity:
            cost = capacity
        floor = (self.FLOOR + self._wary) * capacity + self._blur
        if floor > 0.9 * capacity - cost:
            # A bucket that holds little more than the call: wait a moment longer than it takes to fill.
            floor = max(self._slack * cost, 0.9 * capacity - cost)
        net = self.net
        short = cost + floor - self._level
        wait = short / net - max(0.0, now - self._at)
        return wait if wait > 1e-9 else 0.0

    def take(self, cost: float, now: float) -> None:
        if self.rate > 0.0:
            self._refill(now)
            self._level -= cost * self.factor

    def refuse(self, cost: float, *, foreseen: bool) -> None:
        """A call wasn't admitted: it took nothing."""
        self._level += cost * self.factor
        self._before = None
        if not foreseen:
            self._slack = min(self.MOST_SLACK, 1.5 * self._slack)
            self._wary = min(self.MOST_WARY, self._wary + self.WARY)

    def read(
        self,
        reading: LimitReading,
        sent: float,
        before: Totals,
        total: float,
        cost: float,
        now: float,
    ) -> None:
        """Learns from the headers of the answer to a call sent at `sent`.

        before: what had been sent in all up to it, as reserved and as produced; total: what has been by now;
        cost: the call's own, 0 if it was refused.
        """
        if self.limit and abs(reading.limit - self.limit) > 0.01 * self.limit:
            self._forget()  # the limit itself was changed
        self.limit = reading.limit
        self._learn(reading, cost, now - sent)
        if sent <= self._fresh or self.rate <= 0.0:
            return
        self._fresh = sent
        self._reads += 1
        self._compare(reading, sent, before, cost)
        level = reading.remaining * self.share + self.net * (now - sent)
        level -= (total - before[self.plain]) * self.factor
        self._refill(now)
        if level < self._level or self._reads < 4:
            self._level = level
        else:
            self._level += self.RISE * (level - self._level)
        self._level = min(self.capacity * self.share, self._level)

    def _forget(self) -> None:
        self.rate = self.capacity = 0.0
        self._as_size, self._as_minute = Interval(), Interval()
        self._before = None

    def _refill(self, now: float) -> None:
        # A little above full, so that waiting for more than the capacity ends.
        full = self.capacity * self.share * (1.0 + self._slack)
        self._level = min(full, self._level + self.net * max(0.0, now - self._at))
        self._at = now

    def _learn(self, reading: LimitReading, cost: float, took: float) -> None:
        minute = reading.limit / 60.0
        in_thousands = reading.coarse and self.dimension != "requests"
        self._blur = 500.0 if in_thousands else 0.0
        if reading.reset is None:
            self.rate = minute
            self.capacity = min(reading.limit, max(self.capacity, reading.remaining + cost, 1.0))
            return
        least, most = reading.remaining - self._blur, reading.remaining + max(1.0, self._blur)
        # Whole seconds: the moment of the reset was rounded up, and that of the answer, `took` later, down.
        soonest = max(0.0, reading.reset - (2.0 if reading.coarse else 0.001))
        latest = reading.reset + (took if reading.coarse else 0.001)
        charge = cost if self.dimension == "requests" else 0.0  # surely missing from the bucket
        used_low, used_high = max(reading.limit - most, charge), reading.limit - least
        self._as_size.narrow(
            used_low / latest if latest > 0.0 else inf,
            used_high / soonest if soonest > 0.0 else inf,
        )
        size_low = max(least + minute * soonest, charge)
        size_high = min(most + minute * latest, 1.01 * reading.limit + 1.0)
        self._as_minute.narrow(size_low, size_high if minute * latest >= charge else -inf)
        self._choose(reading, minute)

    def _choose(self, reading: LimitReading, minute: float) -> None:
        size, per_minute = self._as_size, self._as_minute
        if (per_minute.misses > self.TRUST and size.misses < per_minute.misses) or (
            per_minute.misses > 0.0 and size.misses == 0.0
        ):
            self.rate, self.capacity = size.middle, reading.limit
        else:
            self.rate = minute
            known = per_minute.misses < self.TRUST
            self.capacity = min(reading.limit, max(1.0, per_minute.low)) if known else reading.limit

    def _compare(self, reading: LimitReading, sent: float, before: Totals, cost: float) -> None:
        """What the bucket lost since the last reading, against what we took from it."""
        level = reading.remaining
        if reading.reset is not None and not reading.coarse:
            level = self.capacity - self.rate * reading.reset
        previous, self._before = self._before, (sent, level, *before)
        if previous is None or level > 0.9 * self.capacity - cost:
            self.others *= 0.99  # nearly full: nobody takes much, and a refill may be lost
            return
        seconds = sent - previous[0]
        lost = previous[1] + self.rate * seconds - level
        self._wary -= min(1.0, seconds / self.CALMS) * self._wary
        if self.dimension == "requests":
            weight = min(1.0, self.LEARN_OTHERS * seconds)
            self.others += (
                self.LEARN_OTHERS * (lost - before[0] + previous[2]) - weight * self.others
            )
            self.others = min(self.rate, max(-self.rate, self.others))
        else:
            self._weigh(lost, before[0] - previous[2], before[1] - previous[3], seconds)

    def _weigh(self, lost: float, took: float, took_plain: float, seconds: float) -> None:
        """Learns how the provider charges: what is reserved or what is produced, and how much more or less."""
        if self._took == 0.0:
            self._lost = self._took = self._took_plain = self.rate * self.BELIEF
        weight = min(0.5, self.LEARN_FACTOR * seconds)
        self._lost += lost - weight * self._lost
        self._took += took - weight * self._took
        self._took_plain += took_plain - weight * self._took_plain
        charged = max(1.0, self._lost)
        ratios = charged / max(1.0, self._took), charged / max(1.0, self._took_plain)
        if self.dimension == "tokens":
            errors = abs(log(ratios[0])), abs(log(ratios[1]))
            if errors[self.plain] > errors[1 - self.plain] + self.SURER:
                self.plain = 1 - self.plain
                self.of = produced if self.plain else MEASURES["tokens"]
        least, most = self.FACTORS
        self.factor = min(most, max(least, ratios[self.plain]))
