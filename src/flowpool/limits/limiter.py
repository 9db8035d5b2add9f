"""When a lane's next call may go, so that the provider's limits are used and not overrun. Knows no clock.

Four sources of knowledge: ceilings that somebody told; a ramp while nothing is known; gauges made of limit
headers; and a pacer for a dimension (requests, tokens) once 429s come that no header explains. A call goes when
all of them let it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import inf, log, log2

from msgspec import Struct

from flowpool.limits.ceilings import Ceilings
from flowpool.limits.demand import Demand, Estimates
from flowpool.limits.header_bucket import MEASURES, HeaderBucket
from flowpool.limits.pacer import Pacer
from flowpool.values import LimitReading, Limits

Totals = tuple[float, float, float, float, float]
INDEX = {"requests": 0, "tokens": 1, "input": 2, "output": 3}
FINISHED = 4  # output tokens of calls that ended


class Admission(Struct, frozen=True):
    """A call on its way, as the limiter needs to know it again. `totals`: what had been sent with it in all."""

    at: float
    cost: Demand
    totals: Totals


class Learned(Struct, frozen=True):
    """What is worth knowing of one dimension in the next run, in units a second and units."""

    rate: float
    burst: float = 0.0  # what a full bucket gave beyond the rate
    call: float = 1.0  # the mean call
    factor: float = 1.0
    told: bool = False  # by headers


class Limiter:
    """Learns a provider's request and token rates for one lane.

    Ask `wait`, then `claim`; report each call by `sent`, and its end by `answered`, `throttled` or `failed`. Times
    are seconds on any clock that only goes forward.

        limiter = Limiter()
        cost = limiter.estimate("template", input_bytes=700, max_tokens=None)
        if limiter.wait(cost, now) == 0.0 and limiter.claim(cost, now):
            sent = limiter.sent(cost, now)
    """

    __slots__ = (
        "_alone",
        "_eager",
        "_estimates",
        "_first",
        "_gauges",
        "_last_cost",
        "_last_cut",
        "_last_refused",
        "_lean",
        "_next",
        "_pacers",
        "_paused_until",
        "_ramp",
        "_share",
        "_start",
        "_totals",
        "ceilings",
        "gauges",
        "pacers",
        "throttles",
    )

    RAMP_START = 8.0  # calls a second
    RAMP_DOUBLES = 0.5  # seconds, up to RAMP_STEEP
    RAMP_STEEP = 48.0  # calls a second; above it the ramp doubles more slowly
    RAMP_SLOWS = 2.5  # seconds: the faster it grows, the more calls meet the first 429
    # Of who says how many flows: so many at once, then calls a second, and seconds in which those double.
    EAGER_BURST, EAGER_START, EAGER_DOUBLES = 50, 100.0, 0.015
    RAMP_KNOWN = (2.0, 4.0)  # times the rate that headers tell: the ramp's least and most
    FULL = 0.8  # of its capacity
    QUANTUM = 0.001  # seconds: a loop's time has no finer steps
    PAUSE = 0.3  # seconds after a 429 that doesn't say how long
    CHANCE = 100  # calls between two 429s that are no sign of a limit
    LARGE = 500.0  # tokens of a mean call from which on a limit is taken for one on tokens at first
    # What refused calls' sizes must say of the dimension, as the logarithm of how much more probable it is.
    LEAN, LEAN_MOST = 1.5, 3.0
    HALF_LIFE = 3600.0  # seconds in which what was learned before loses half its weight
    BEHIND = (
        0.99  # of the rate a minute that headers tell, where a shorter window is enforced behind it
    )

    def __init__(self, *, eager: bool = False, limits: Limits | None = None) -> None:
        self.ceilings = Ceilings(limits) if limits not in (None, Limits()) else None
        self._estimates = Estimates()
        self._ramp = True
        self._eager = eager
        self._start = 0.0  # calls a second that were allowed before
        self._first: float | None = None
        self._next = 0.0
        self._totals = [0.0] * 5
        self._paused_until = -inf
        self._last_cut = self._last_refused = -inf
        self._last_cost = Demand()
        self._alone: Admission | None = (
            None  # the first of the 429s that no header explains, without those by chance
        )
        self._lean = 0.0  # how much more probable, from the refused calls' sizes, it is that tokens are limited
        self._share = 1.0
        self.gauges: dict[str, HeaderBucket] = {}
        self.pacers: dict[str, Pacer] = {}
        self._gauges: tuple[HeaderBucket, ...] = ()
        self._pacers: tuple[tuple[str, Pacer], ...] = ()
        self.throttles = 0

    @property
    def calls_sent(self) -> float:
        """Calls sent so far."""
        return self._totals[0]

    @property
    def share(self) -> float:
        """The part of every learned rate that is ours to use, above 0 and up to 1."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        for gauge in self._gauges:
            gauge.share = share
        for dimension, pacer in self._pacers:
            # It is measured by what we send.
            pacer.rescale(share / self._share, self._totals[INDEX[dimension]])
        self._share = share

    @property
    def found_pace(self) -> float:
        """Calls a second that the whole limit was found to allow by 429s alone; 0 while that isn't known."""
        pacer = self.pacers.get("requests")
        return pacer.pace / self._share if pacer is not None and not self._gauges else 0.0

    @property
    def refused_at(self) -> float:
        """When the call was sent whose 429 was last news; 0 for none."""
        return max(0.0, self._last_refused)

    def follow(self, pace: float | None, now: float) -> None:
        """Sends our share of `pace` calls a second, which another run found; None to look for it ourselves."""
        pacer = self.pacers.get("requests")
        if self._gauges or (pacer is None and (self.pacers or pace is None)):
            return
        if pace is not None:
            if pacer is None:
                pacer = Pacer(pace * self._share, 1.0, self._totals[0], now, now)
                self._add("requests", pacer)
                self._ramp = False
            pacer.follow(pace * self._share)
        elif pacer is not None and pacer.follows:
            pacer.lead(self._totals[0], now)

    def heard(self, refused: float, now: float) -> None:
        """Another run's call, sent at `refused`, was answered 429."""
        pacer = self.pacers.get("requests")
        if pacer is not None and not self._gauges:
            pacer.heard(refused, now)

    def estimate(self, key: Hashable, input_bytes: int, max_tokens: float | None) -> Demand:
        """What a call will take, learned from calls of the same `key` (model and template)."""
        return self._estimates.estimate(key, input_bytes, max_tokens)

    def wait(self, cost: Demand, now: float) -> float:
        """Seconds until a call of this cost may go; 0 for now."""
        wait = self._paused_until - now
        if self._ramp and self._next - now > max(wait, self.QUANTUM) and self._first is not None:
            wait = self._next - now
        for gauge in self._gauges:
            other = gauge.wait(gauge.of(cost), now)
            if other > wait:
                wait = other
        for dimension, pacer in self._pacers:
            other = pacer.wait(MEASURES[dimension](cost), now)
            if other > wait:
                wait = other
        if self.ceilings is not None:
            wait = max(wait, self.ceilings.wait(cost, now))
        return wait if wait > 1e-9 else 0.0

    def claim(self, cost: Demand, now: float) -> bool:
        """Whether the told ceilings, which other runs may share, let a call go; it has then taken its part."""
        return self.ceilings is None or self.ceilings.claim(cost, now)

    def sent(self, cost: Demand, now: float) -> Admission:
        """A call goes, which `claim` let go."""
        if self._first is None:
            self._first = now
        if self._ramp and not (self._eager and self._totals[0] < self.EAGER_BURST):
            self._next = max(self._next, now) + 1.0 / self._ramp_rate(now)
        for gauge in self._gauges:
            gauge.take(gauge.of(cost), now)
        for dimension, pacer in self._pacers:
            pacer.sent(MEASURES[dimension](cost), self._totals[INDEX[dimension]], now)
        totals = self._totals
        totals[0] += 1.0
        totals[1] += MEASURES["tokens"](cost)
        totals[2] += cost.input
        totals[3] += cost.output
        self._last_cost = cost
        return Admission(now, cost, (totals[0], totals[1], totals[2], totals[3], totals[4]))

    def answered(
        self, sent: Admission, now: float, readings: Sequence[LimitReading], used: Demand
    ) -> None:
        """An answer came that used so many input and output tokens (0 where that isn't known)."""
        cost = sent.cost
        self._end(cost, used if used.input or used.output else cost)
        if used.input or used.output:
            self._estimates.learn(cost, used)
            self._totals[3] += used.output - cost.output
            self._totals[FINISHED] += used.output
            output = self.gauges.get("output")
            if output is not None:
                output.take(used.output - cost.output, now)
        else:
            self._totals[FINISHED] += cost.output
        self._read(sent, now, readings, True)

    def throttled(
        self,
        sent: Admission,
        now: float,
        retry_after: float | None,
        readings: Sequence[LimitReading],
        dimension: str | None = None,
    ) -> None:
        """A 429 came. dimension: which limit it names ("requests", "tokens", "input", "output"), if it does."""
        self.throttles += 1
        cost = sent.cost
        self._totals[3] -= cost.output
        self._end(cost, Demand())
        told = [r for r in readings if dimension is None or r.dimension == dimension]
        explained = any(r.remaining < max(1.0, _measure(r.dimension, cost)) for r in told)
        is_news = sent.at > self._last_cut  # else it was sent before the last 429 was known
        for gauge in self._gauges:
            gauge.refuse(gauge.of(cost), foreseen=not (explained and is_news))
        self._read(sent, now, readings, False)
        pause = retry_after * 1.02 + 0.001 if retry_after else self.PAUSE
        self._paused_until = max(self._paused_until, now + pause)
        for _, pacer in self._pacers:
            pacer.rest(self._paused_until)
        if is_news:
            self._last_cut, self._last_refused = now, sent.at
        if not explained:
            self._pace(sent, now, self._which(sent.cost, dimension))

    def failed(self, sent: Admission, now: float) -> None:
        """No answer came, for a reason that teaches no rate: an outage, a timeout, a cancelled call."""
        self._end(sent.cost, sent.cost)
        self._totals[3] -= sent.cost.output
        output = self.gauges.get("output")
        if output is not None:
            output.take(-sent.cost.output, now)

    def bound(self, now: float) -> str:
        """What a call waits for now: a dimension's name, "limits" (told), "paused", "learning", "" (nothing)."""
        cost = self._last_cost
        waits = {"paused": self._paused_until - now}
        if self._ramp and self._first is not None:
            waits["learning"] = self._next - now
        if self.ceilings is not None:
            waits["limits"] = self.ceilings.wait(cost, now)
        for gauge in self._gauges:
            waits[gauge.dimension] = gauge.wait(gauge.of(cost), now)
        for dimension, pacer in self._pacers:
            name = "learning" if pacer.is_searching else dimension
            wait = pacer.wait(MEASURES[dimension](cost), now)
            waits[name] = max(wait, waits.get(name, wait))
        bound = max(waits, key=waits.__getitem__)
        return bound if waits[bound] > 1e-9 else ""

    def limits(self) -> dict[str, float]:
        """What was learned so far: units a minute by dimension."""
        known = {gauge.dimension: gauge.rate * 60.0 for gauge in self._gauges if gauge.rate > 0.0}
        paced = {dimension: pacer.rate / self._share * 60.0 for dimension, pacer in self._pacers}
        return known | paced

    def snapshot(self) -> dict[str, Learned]:
        """What is worth remembering for the next run, by dimension."""
        learned = {
            gauge.dimension: Learned(gauge.rate, gauge.capacity, factor=gauge.factor, told=True)
            for gauge in self._gauges
            if gauge.rate > 0.0
        }
        for dimension, pacer in self._pacers:
            if not (pacer.follows or pacer.is_searching):
                rate, burst = pacer.rate / self._share, pacer.burst / self._share
                learned[dimension] = Learned(rate, burst, pacer.call)
        return learned

    def resume(self, learned: dict[str, Learned], age: float, now: float) -> None:
        """Begins with what was learned `age` seconds ago; the older, the less it counts."""
        weight = 0.5 ** (age / self.HALF_LIFE)
        for dimension, known in learned.items():
            if known.told:
                if dimension == "requests":
                    self._start = weight * known.rate * self._share
            elif weight > 0.1 and dimension in INDEX:
                rate = known.rate * self._share * (0.5 + 0.5 * weight)
                burst = known.burst * self._share if age > Pacer.DEEPEST else 0.0
                self._add(dimension, Pacer.resumed(rate, known.call, 0.8 * burst, weight, now))

    def _end(self, cost: Demand, used: Demand) -> None:
        if self.ceilings is not None:
            self.ceilings.ended(cost, used)

    def _read(
        self, sent: Admission, now: float, readings: Sequence[LimitReading], admitted: bool
    ) -> None:
        for reading in readings:
            if reading.limit <= 0:
                continue
            gauge = self.gauges.get(reading.dimension)
            if gauge is None:
                gauge = self.gauges[reading.dimension] = HeaderBucket(reading.dimension)
                gauge.share = self._share
                self._gauges = tuple(self.gauges.values())
            index = INDEX.get(reading.dimension, 1)
            then, totals = sent.totals, self._totals
            if index == 1:
                before, total = (then[1], then[2] + then[3]), totals[1]
                if gauge.plain:
                    total = totals[2] + totals[3]
            elif index == 3:
                # Output is charged when it is produced: what had been by then is in the reading.
                before, total = (then[FINISHED], then[FINISHED]), totals[3]
            else:
                before, total = (then[index], then[index]), totals[index]
            cost = max(1e-9, gauge.of(sent.cost)) if admitted else 0.0
            gauge.read(reading, sent.at, before, total, cost, now)
            pacer = self.pacers.get(reading.dimension)
            if pacer is not None and gauge.is_per_minute:
                pacer.follow(self.BEHIND * gauge.rate * self._share)
            elif pacer is not None and pacer.follows:
                self._drop(reading.dimension)  # the limit didn't mean the rate a minute

    def _which(self, cost: Demand, dimension: str | None) -> str:
        """The dimension that a 429 speaks of: as it says, else the one nearest to its end."""
        if dimension in INDEX:
            return dimension
        known = [gauge for gauge in self._gauges if gauge.dimension in INDEX]
        if known:
            return min(known, key=lambda g: g.level(self._last_cut) / g.capacity).dimension
        # A bucket of tokens refuses a call the more probably the larger it is, one of requests doesn't care.
        calls, tokens = self._totals[:2]
        size = log(max(1.0, MEASURES["tokens"](cost)) / max(1.0, tokens / calls))
        self._lean = min(self.LEAN_MOST, max(-self.LEAN_MOST, self._lean + size))
        if abs(self._lean) > self.LEAN:
            return "tokens" if self._lean > 0.0 else "requests"
        return next(iter(self.pacers), "tokens" if tokens > self.LARGE * calls else "requests")

    def _pace(self, sent: Admission, now: float, dimension: str) -> None:
        """A 429 that no header explains: a pacer finds the rate."""
        index, cost = INDEX[dimension], MEASURES[dimension](sent.cost)
        pacer = self.pacers.get(dimension)
        if pacer is not None:
            pacer.refused(cost, sent.at, sent.totals[index], now)
            return
        total = sent.totals[index]
        if self.pacers and not self._gauges:
            # It was taken for the other dimension's limit.
            known, other = self.pacers.popitem()
            rate = other.rate * self._totals[index] / self._totals[INDEX[known]]
            pacer = Pacer(rate, cost, total, sent.at, now, self._opening(index))
        else:
            alone = self._alone.totals[0] if self._alone is not None else 0.0
            is_chance = sent.totals[0] - alone > self.CHANCE
            if is_chance or self._alone is None:
                self._alone = sent
            if is_chance:
                return  # one 429 is an event, two are a limit
            pacer = Pacer.at_first_429(cost, total, sent.at, now, self._opening(index))
        self._add(dimension, pacer)
        pacer.rest(self._paused_until - cost / pacer.pace)
        self._ramp = False
        gauge = self.gauges.get(dimension)
        if gauge is not None and gauge.is_per_minute:
            # Where headers tell the minute's rate, a shorter window is enforced behind it: the same rate.
            pacer.follow(self.BEHIND * gauge.rate * self._share)

    def _opening(self, index: int) -> tuple[float, float]:
        """What the bucket, full at the start, gave before the first refusal, and in how many seconds."""
        assert self._alone is not None
        assert self._first is not None
        dimension = next(name for name, number in INDEX.items() if number == index)
        own = MEASURES[dimension](self._alone.cost)
        return self._alone.totals[index] - own, self._alone.at - self._first

    def _add(self, dimension: str, pacer: Pacer) -> None:
        self.pacers[dimension] = pacer
        self._pacers = tuple(self.pacers.items())

    def _drop(self, dimension: str) -> None:
        del self.pacers[dimension]
        self._pacers = tuple(self.pacers.items())

    def _ramp_rate(self, now: float) -> float:
        assert self._first is not None
        steep = self.RAMP_DOUBLES * log2(self.RAMP_STEEP / self.RAMP_START)
        passed = now - self._first
        if self._eager:
            eager: float = self.EAGER_START * 2.0 ** min(20.0, passed / self.EAGER_DOUBLES)
            return eager
        rate: float
        if passed < steep:
            rate = self.RAMP_START * 2.0 ** (passed / self.RAMP_DOUBLES)
        else:
            rate = self.RAMP_STEEP * 2.0 ** min(20.0, (passed - steep) / self.RAMP_SLOWS)
        rate = max(rate, self._start)
        known = self.gauges.get("requests")
        if known is None or known.rate <= 0.0:
            return rate
        least, most = self.RAMP_KNOWN
        if known.level(now) > self.FULL * known.capacity:
            most = (
                inf  # what is told of the rate may be wrong: the bucket doesn't feel what we take
            )
        return max(min(rate, most * known.rate), least * known.rate, self.RAMP_START)


def _measure(dimension: str, cost: Demand) -> float:
    return MEASURES.get(dimension, MEASURES["tokens"])(cost)
