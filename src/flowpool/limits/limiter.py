"""When a lane's next call may go, so that the provider's limits are used and not overrun. Knows no clock.

See "The limiter" in docs/rate-control.md. Four sources of knowledge: ceilings that the user set; buckets made of
limit headers; what refused calls mean, which also opens the lane while nothing is known; and a pacer where they
mean a rate of requests or tokens. A call goes when all of them let it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from typing import Literal

from msgspec import Struct, field

from flowpool.limits.ceilings import Ceilings
from flowpool.limits.demand import Demand, Estimates
from flowpool.limits.header_bucket import MEASURES, HeaderBucket
from flowpool.limits.header_trust import HeaderTrust
from flowpool.limits.pacer import Pacer
from flowpool.limits.refusals import Refusals, Trace
from flowpool.values import LimitReading, Limits

Totals = tuple[float, float, float, float, float]
INDEX = {"requests": 0, "tokens": 1, "input": 2, "output": 3}
FINISHED = 4  # output tokens of calls that ended


class Admission(Struct, frozen=True):
    """A call on its way, as the limiter needs to know it again. `totals`: what had been sent with it in all."""

    at: float
    cost: Demand
    totals: Totals
    trace: Trace
    looks: Literal["", "headers", "pause"] = ""  # against whose word it was sent


class Learned(Struct, frozen=True):
    """What is worth knowing of one dimension in the next run, in units a second and units."""

    rate: float
    burst: float = 0.0  # what a full bucket gave beyond the rate
    call: float = 1.0  # the mean call
    factor: float = 1.0
    by_headers: bool = field(default=False, name="told")  # the name that files of 0.1.0 have
    tested: int = 0  # by how many teeth, where refusals taught it


class Limiter:
    """Learns a provider's request and token rates for one lane.

    Ask `wait`, then `claim`; report each call by `sent`, and its end by `answered`, `throttled` or `failed`. Times
    are seconds on any clock that only goes forward.

        limiter = Limiter()
        cost = limiter.estimates.of("template", size=700, max_tokens=None)
        if limiter.wait(cost, now) == 0.0 and limiter.claim(cost, now):
            sent = limiter.sent(cost, now)
    """

    # fmt: off
    __slots__ = (
        "_first", "_gauges", "_known", "_last_cost", "_last_cut", "_last_refused", "_last_sent", "_lean",
        "_longest_pause", "_noise", "_overshot", "_pacers", "_paused_at", "_paused_until", "_refused_units",
        "_reopened_at", "_share", "_totals", "_trust", "_unopened", "ceilings", "estimates", "gauges", "pacers",
        "refusals", "throttles",
    )
    # fmt: on

    # Seconds after a 429 that headers explain and that doesn't say how long.
    PAUSE = 0.3
    # No Retry-After holds the lane longer: a window of a minute is over by then, and a probe costs little.
    LONGEST_PAUSE = 60.0
    # Seconds after a pause in which a refusal says that it was too short.
    AFTER_PAUSE = 1.0
    # Tokens of a mean call from which on a limit is taken for one on tokens at first.
    LARGE = 500.0
    # What refused calls' sizes must say of the dimension, as the logarithm of how much more probable it is:
    # to take one, to leave it for the other, and at most.
    LEAN, LEAN_OVER, LEAN_MOST = 1.5, 2.9, 4.0
    # Seconds that a call waits by itself after its second refusal, on average, doubling; and at most.
    OWN_WAIT, OWN_LONGEST = 0.05, 8.0
    # Seconds of a run after which its beginning says nothing of a bucket any more: none is known to hold more.
    OPENING = 120.0
    # Seconds in which what was learned before loses half its weight, and the weight from which on it is used.
    HALF_LIFE, WORTH = 3600.0, 0.1
    # Of the rate a minute that headers tell, where a shorter window is enforced behind it; and the seconds of
    # that rate which such a window may hold: where more was let in, the header isn't the minute's.
    BEHIND, HIDDEN = 0.99, 12.0

    def __init__(self, *, eager: bool = False, limits: Limits | None = None) -> None:
        self.ceilings = None if limits in (None, Limits()) else Ceilings(limits)
        self.estimates = Estimates()
        self.refusals = Refusals(eager=eager)
        self._first: float | None = None
        self._last_cost = Demand()
        self._paused_at = self._paused_until = -inf
        self._longest_pause = (
            self.LONGEST_PAUSE
        )  # seconds, as far as a look showed that less is enough
        self._last_cut = self._last_refused = -inf
        self._totals = [0.0] * 5
        self._refused_units = [0.0] * 4
        self._unopened = [0.0] * 4  # let in before the opening began
        self._overshot = -inf  # when the first of those was sent that are being refused
        self._noise = 0.0  # the share that was refused whatever the rate, when last known
        self._reopened_at = 0  # calls that had been sent when there was no rate after all
        self._trust = HeaderTrust()
        self._last_sent = -inf
        self._lean = 0.0  # how much more probable, from the refused calls' sizes, it is that tokens are limited
        self._share = 1.0
        self._known: dict[str, Learned] = {}  # from runs before, until it is put to use
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
    def totals(self) -> tuple[float, ...]:
        """What was sent so far: calls, tokens, and of these input and output."""
        return tuple(self._totals[:FINISHED])

    @property
    def share(self) -> float:
        """The part of every learned rate that is ours to use, above 0 and up to 1."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        for gauge in self._gauges:
            gauge.share = share
        for dimension, pacer in self._pacers:
            # It is measured by what we send; a first guess isn't measured.
            if not pacer.is_searching:
                pacer.rescale(share / self._share, self._totals[INDEX[dimension]])
        self._share = share
        self.refusals.is_alone = share >= 1.0
        if share < 1.0 and self.refusals.mode in ("probing", "cap"):
            # Others' calls are in flight beside ours: how many of ours are tells no cap.
            self.refusals.restart(now=self._last_sent)

    @property
    def found_pace(self) -> float:
        """Calls a second that the whole limit was found to allow by 429s alone; 0 while that isn't known."""
        pacer = self.pacers.get("requests")
        if pacer is None or self._gauges:
            return 0.0
        return pacer.published / self._share

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
                self.refusals.mode = "rate"
            pacer.follow(pace * self._share)
        elif pacer is not None and pacer.follows:
            pacer.lead(self._totals[0], now)

    def heard(self, refused: float, now: float) -> None:
        """Another run's call, sent at `refused`, was answered 429."""
        pacer = self.pacers.get("requests")
        if pacer is not None and not self._gauges:
            pacer.heard(refused, now)

    def wait(self, cost: Demand, now: float, in_flight: int = 0) -> float:
        """Seconds until a call of this cost may go; 0 for now, inf for when one of those in flight ends."""
        wait = self.refusals.wait(now, in_flight)
        if self._gauges:
            held = self._paused_until - now
            for gauge in self._gauges:
                held = max(held, gauge.wait(gauge.of(cost), now))
            if held > wait:
                if not in_flight:
                    slowest = max(g.of(cost) / g.rate for g in self._gauges if g.rate > 0.0)
                    held = min(held, self._trust.look_in(self._last_sent, slowest, now))
                wait = max(wait, held)
        for dimension, pacer in self._pacers:
            other = pacer.wait(MEASURES[dimension](cost), now)
            if other > wait:
                wait = other
        if self.ceilings is not None:
            wait = max(wait, self.ceilings.wait(cost, now))
        return wait if wait > 1e-9 else 0.0

    def claim(self, cost: Demand, now: float) -> bool:
        """Whether the ceilings, which other runs may share, let a call go; it has then taken its part."""
        return self.ceilings is None or self.ceilings.claim(cost, now)

    def try_send(self, cost: Demand, now: float, in_flight: int = 0) -> Admission | None:
        """`wait`, `claim` and `sent` at once: the call on its way, or None when it may not go yet."""
        if self.wait(cost, now, in_flight) > 0.0 or not self.claim(cost, now):
            return None
        return self.sent(cost, now, in_flight)

    def sent(self, cost: Demand, now: float, in_flight: int = 0) -> Admission:
        """A call goes, which `claim` let go."""
        if self._first is None:
            self._first = now
            refused = self._refused_units
            self._unopened = [self._totals[i] - refused[i] for i in INDEX.values()]
        looks: Literal["", "headers", "pause"] = ""
        if not in_flight and now < self._paused_until:
            looks = "pause"
        self._last_sent = now
        for gauge in self._gauges:
            if not in_flight and gauge.wait(gauge.of(cost), now) > 0.0:
                looks = "headers"
            gauge.take(gauge.of(cost), now)
        for dimension, pacer in self._pacers:
            pacer.sent(MEASURES[dimension](cost), self._totals[INDEX[dimension]], now)
        totals = self._totals
        totals[0] += 1.0
        totals[1] += MEASURES["tokens"](cost)
        totals[2] += cost.input
        totals[3] += cost.output
        self._last_cost = cost
        trace = self.refusals.sent(now, in_flight)
        return Admission(
            now, cost, (totals[0], totals[1], totals[2], totals[3], totals[4]), trace, looks
        )

    def answered(
        self, sent: Admission, now: float, readings: Sequence[LimitReading], used: Demand
    ) -> None:
        """An answer came that used so many input and output tokens (0 where that isn't known)."""
        cost = sent.cost
        self._end(cost, used if used.input or used.output else cost)
        if used.input or used.output:
            self.estimates.learn(cost, used)
            self._totals[3] += used.output - cost.output
            self._totals[FINISHED] += used.output
            output = self.gauges.get("output")
            if output is not None:
                output.take(used.output - cost.output, now)
        else:
            self._totals[FINISHED] += cost.output
        self.refusals.answered(sent.trace, now)
        if sent.looks:
            self._let_in_against(sent.looks, now)
        if readings:
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
        if sent.looks:
            self._trust.kept_out()
        # Headers that came with refusals alone say nothing that was let in: they are no fact.
        named = [
            r for r in readings if r.dimension in self.gauges and dimension in (None, r.dimension)
        ]
        explained = any(r.remaining < max(1.0, _measure(r.dimension, cost)) for r in named)
        is_news = sent.at > self._last_cut  # else it was sent before the last 429 was known
        for gauge in self._gauges:
            gauge.refuse(gauge.of(cost), foreseen=not (explained and is_news))
        self._read(sent, now, readings, False)
        if is_news:
            self._last_cut, self._last_refused = now, sent.at
        if explained:
            self._trust.refused(sent.at, self._totals[0])
            self._drop_lost_headers()
            self._hold_back(sent, now, retry_after)
            return
        if sent.at > self._overshot + 2.0 * self.refusals.latency + 0.5:
            self._overshot = sent.at
        for name, index in INDEX.items():
            self._refused_units[index] += MEASURES[name](cost)
        dimension = self._which(cost, dimension)
        if self.refusals.throttled(sent.trace, now) or self.pacers:
            self._pace(sent, now, dimension, retry_after)

    def _hold_back(self, sent: Admission, now: float, retry_after: float | None) -> None:
        pause = retry_after * 1.02 + 0.001 if retry_after else self.PAUSE
        if sent.at < self._paused_until + self.AFTER_PAUSE:
            self._longest_pause = min(self.LONGEST_PAUSE, 2.0 * self._longest_pause)
        pause = min(pause, self._longest_pause)
        self._paused_at, self._paused_until = now, max(self._paused_until, now + pause)

    def own_wait(self, retry_after: float | None, times: int, uniform: float) -> float:
        """Seconds that a call waits by itself which was refused `times` times; `uniform` is drawn from [0, 1).

        The first time it goes again at once: where that is too soon the lane lets it wait. What is refused again
        may be refused for itself, and waits longer and longer, beside the others.
        """
        if times <= 1:
            return 0.0
        return uniform * min(self.OWN_LONGEST, self.OWN_WAIT * 2.0 ** min(times, 30))

    def outage(self, now: float) -> None:
        """Nobody is answered any more: the last refusals were its beginning, and what they taught is forgotten."""
        self.pacers = {name: pacer for name, pacer in self.pacers.items() if pacer.tested}
        self._pacers = tuple(self.pacers.items())
        if not self.pacers:
            self.refusals.restart(now)

    def failed(self, sent: Admission, now: float) -> None:
        """No answer came, for a reason that teaches no rate: an outage, a timeout, a cancelled call."""
        self._end(sent.cost, sent.cost)
        self._totals[3] -= sent.cost.output
        self.refusals.gone(sent.trace)
        output = self.gauges.get("output")
        if output is not None:
            output.take(-sent.cost.output, now)

    def _end(self, cost: Demand, used: Demand) -> None:
        if self.ceilings is not None:
            self.ceilings.ended(cost, used)

    def bound(self, now: float, in_flight: int = 0) -> str:
        """What a call waits for now: a dimension's name, "limits" (the user's), "in_flight" (a cap), "paused" or
        "learning"; "" for nothing.
        """
        cost = self._last_cost
        waits = {"paused": self._paused_until - now}
        name = "in_flight" if self.refusals.cap else "learning"
        waits[name] = self.refusals.wait(now, in_flight)
        if self.ceilings is not None:
            waits["limits"] = self.ceilings.look(cost, now)
        for gauge in self._gauges:
            waits[gauge.dimension] = gauge.wait(gauge.of(cost), now)
        for dimension, pacer in self._pacers:
            name = "learning" if pacer.is_searching and not self._gauges else dimension
            wait = pacer.wait(MEASURES[dimension](cost), now)
            waits[name] = max(wait, waits.get(name, wait))
        bound = max(waits, key=waits.__getitem__)
        return bound if waits[bound] > 1e-9 else ""

    def limits(self) -> dict[str, float]:
        """What was learned so far: units a minute by dimension."""
        known = {gauge.dimension: gauge.rate * 60.0 for gauge in self._gauges if gauge.rate > 0.0}
        paced = {dimension: pacer.rate / self._share * 60.0 for dimension, pacer in self._pacers}
        return known | paced

    def chance(self) -> float:
        """The share of the calls that is refused at random, as far as is known; 0 where a limit refuses them."""
        noise = max((pacer.noise for _, pacer in self._pacers), default=0.0)
        if self.refusals.mode == "open" and not self._pacers:
            return self.refusals.refused / max(1, self.refusals.total)
        return noise

    def grounds(self) -> dict[str, str]:
        """What each of `limits()` rests on, in words."""
        paced = {
            dimension: "still being found" if pacer.is_searching else "found by refusals"
            for dimension, pacer in self._pacers
        }
        return {gauge.dimension: "by its headers" for gauge in self._gauges} | paced

    def belief(self) -> str:
        """What is believed of the provider's limits and why, in words; "" while nothing is."""
        refusals, grounds = self.refusals, self.grounds()
        share = refusals.refused / max(1, refusals.total)
        words = [
            f"{60.0 * gauge.rate:,.0f} {gauge.dimension} a minute (by its headers)"
            for gauge in self._gauges
            if gauge.rate > 0.0
        ]
        if refusals.cap:
            words.append(f"at most {refusals.cap:,} in flight (more are refused)")
        for dimension, pacer in self._pacers:
            rate = 60.0 * pacer.rate / self._share
            words.append(f"about {rate:,.0f} {dimension} a minute ({grounds[dimension]})")
            if pacer.noise:
                words.append(f"{pacer.noise:.1%} refused whatever the rate")
        if refusals.mode == "open" and refusals.refused:
            words.append(f"refusals come at random ({share:.1%}), not limited by them")
        if self._trust.is_lost:
            words.append("limit headers proved wrong and are ignored")
        return "; ".join(words)

    def snapshot(self) -> dict[str, Learned]:
        """What is worth remembering for the next run, by dimension."""
        learned = {
            gauge.dimension: Learned(
                gauge.rate, gauge.capacity, factor=gauge.factor, by_headers=True
            )
            for gauge in self._gauges
            if gauge.rate > 0.0
        }
        for dimension, pacer in self._pacers:
            if pacer.tested and not pacer.follows:
                rate = pacer.rate / self._share
                learned[dimension] = Learned(rate, call=pacer.call, tested=pacer.tested)
        return learned

    def resume(self, learned: dict[str, Learned], age: float, now: float) -> None:
        """Begins with what was learned `age` seconds ago: a start, and never a ceiling.

        A rate from headers lets the opening begin there. One that refusals taught is used once calls are
        refused: there the search begins.
        """
        weight = 0.5 ** (age / self.HALF_LIFE)
        if weight <= self.WORTH:
            return
        self._known = {name: known for name, known in learned.items() if known.tested}
        requests = learned.get("requests")
        if requests is not None and requests.by_headers:
            self.refusals.headers_rate = weight * requests.rate * self._share

    def _read(
        self, sent: Admission, now: float, readings: Sequence[LimitReading], admitted: bool
    ) -> None:
        for reading in readings:
            if reading.limit <= 0:
                continue
            gauge = self.gauges.get(reading.dimension)
            if gauge is None:
                if not admitted or self._trust.is_lost:
                    continue
                gauge = self.gauges[reading.dimension] = HeaderBucket(reading.dimension)
                gauge.share = self._share
                self._trust.header_came(self._totals[0], now)
                # What refusals taught before is in the headers now.
                self.pacers.clear()
                self._pacers = ()
                self.refusals.restart(now)
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
            if index == 0:
                self.refusals.headers_rate = gauge.rate * self._share

    def _let_in_against(self, word: str, now: float) -> None:
        """A call was let in that the headers, or only the pause that a refusal asked for, held back."""
        if word == "headers":
            self._trust.let_in()
            self._drop_lost_headers()
        if now < self._paused_until:
            self._longest_pause = max(self.PAUSE, now - self._paused_at)
            self._paused_until = -inf

    def _drop_lost_headers(self) -> None:
        if self._trust.is_lost:
            self.gauges.clear()
            self._gauges = ()
            self.refusals.headers_rate = 0.0
            # While they held calls back, what was let in said nothing of the provider's pace.
            self._first, self._paused_until = None, -inf

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
        if abs(self._lean) > (self.LEAN_OVER if self.pacers else self.LEAN):
            return "tokens" if self._lean > 0.0 else "requests"
        return next(iter(self.pacers), "tokens" if tokens > self.LARGE * calls else "requests")

    def _pace(self, sent: Admission, now: float, dimension: str, retry_after: float | None) -> None:
        """A 429 that is no chance and that no header explains: a pacer finds the rate."""
        index, cost = INDEX[dimension], MEASURES[dimension](sent.cost)
        pacer = self.pacers.get(dimension)
        if pacer is not None:
            pacer.refused(cost, sent.at, sent.totals[index], now, retry_after)
            if pacer.is_chance and self._totals[0] > 2 * self._reopened_at:
                self._reopen(pacer, now)
            return
        total = sent.totals[index]
        if self.pacers and not self._gauges:
            # It was taken for the other dimension's limit.
            known, other = self.pacers.popitem()
            rate = other.rate * self._totals[index] / self._totals[INDEX[known]]
            pacer = Pacer(rate, cost, total, sent.at, now, self._opening(sent, dimension))
        else:
            pacer = self._first_pace(sent, now, dimension)
        pacer.noise = self._noise
        self._add(dimension, pacer)

    def _first_pace(self, sent: Admission, now: float, dimension: str) -> Pacer:
        cost, total = MEASURES[dimension](sent.cost), sent.totals[INDEX[dimension]]
        gauge = self.gauges.get(dimension)
        given, seconds = self._opening(sent, dimension)
        believable = gauge is not None and given < gauge.rate * (self.HIDDEN + seconds)
        if gauge is not None and gauge.is_per_minute and believable:
            # Where headers tell the minute's rate, a shorter window is enforced behind it: the same rate.
            rate = self.BEHIND * gauge.rate * self._share
            return Pacer.known(rate, cost, total, sent.at, now, surely=True)
        known = self._known.pop(dimension, None)
        if known is not None:
            rate = known.rate * self._share
            return Pacer.known(rate, cost, total, sent.at, now, surely=False)
        return Pacer.at_first_429(cost, total, sent.at, now, (given, seconds))

    def _reopen(self, pacer: Pacer, now: float) -> None:
        """Fewer aren't refused at a lower rate: there is no rate to be found."""
        self._reopened_at = int(self._totals[0])
        self._noise = pacer.noise
        self.pacers.clear()
        self._pacers = ()
        latency = self.refusals.latency
        self.refusals.reopen(now, pacer.noise, 2.0 * pacer.pace / pacer.call * latency)

    def _opening(self, sent: Admission, dimension: str) -> tuple[float, float]:
        """What the bucket, full at the start, gave before the first refusal, and in how many seconds."""
        first = self._first if self._first is not None else self._last_sent
        seconds = self._overshot - first
        if seconds > self.OPENING:
            return 0.0, 0.0
        own = MEASURES[dimension](sent.cost)
        index = INDEX[dimension]
        units = sent.totals[index] - own - self._refused_units[index] - self._unopened[index]
        return max(0.0, units), max(0.0, seconds)

    def _add(self, dimension: str, pacer: Pacer) -> None:
        self.pacers[dimension] = pacer
        self._pacers = tuple(self.pacers.items())


def _measure(dimension: str, cost: Demand) -> float:
    return MEASURES.get(dimension, MEASURES["tokens"])(cost)
