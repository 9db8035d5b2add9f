"""A sending rate found by 429s alone: for providers that say nothing, or not all, of their limits. Knows no clock.

A 429 says that the provider's bucket is empty. So what was admitted between two of them, over the time between
them, is the refill rate, or less than it if the bucket was full in between; and the pace that drew the second is
more than it. The rate is held a little under what these bounds leave, then tried a little over it until the next
429 confirms it, the less often the surer it is. When the trial admits more than the rate could refill, the limit
has risen: the trials grow.
"""

from __future__ import annotations

from math import inf


class Pacer:
    """Spaces calls so that `rate` units a second are sent: calls, or tokens."""

    __slots__ = (
        "_anchor",
        "_anchor_cost",
        "_anchor_total",
        "_barren",
        "_burst",
        "_cut",
        "_hold",
        "_last",
        "_marked",
        "_marks",
        "_mean",
        "_opening",
        "_proven",
        "_refused",
        "_reserve",
        "_search",
        "_step",
        "_stepped",
        "_streak",
        "_sure",
        "_units",
        "cap",
        "rate",
    )

    DEEPEST = 60.0  # seconds of its rate that a provider's bucket may hold
    SHALLOWEST = 1.0  # and that any holds, nearly
    MANY = 80.0  # calls before the first 429, after which to search from higher up: there is more to lose
    SLOWEST = 0.5  # calls a second to begin with, at least
    LONGEST = 20.0  # seconds that one refusal after another may hold everything
    CATCH_UP = 0.01  # seconds that a late timer may make good
    MARGIN = 0.01  # held under the rate
    TRIAL = 0.03  # tried over the rate
    PROOF = 1.5  # calls admitted beyond what the rate refilled that prove it too low
    WIDEN = 2.0  # seconds at least until a trial that was proven too small is doubled
    SEARCH = 0.5  # seconds in which the pace doubles while nothing is known
    SEARCH_CALL = 0.15  # and of a doubling, what one call may bring
    LOST = 0.5  # of the rate that a trial last proved: below it, the rate is searched anew
    FIRM = 8.0  #
    OPEN = 1.0  # a rate that is uncertain by as much is searched anew
    SL, TL, WS, MAXH, GAIN = 0.25, 0.3, 8.0, 300.0, 2.0
    MARKS = 40  # that are kept
    GREW = 1.01  # the pace's growth that is marked
    CUT = 0.6  # of the pace is kept at least
    HOLD_SECONDS = 20.0  # to hold a rate that is sure; a risen limit is to be seen within a minute
    REST = 2.0  # calls' time to rest after a 429
    RECOVER = 100.0  # calls to come back to the cap after a 429
    CREDIT = 1.5  # seconds of the rate that the reserve is counted for

    def __init__(self, rate: float, cost: float, total: float, now: float) -> None:
        """Begins at `rate` units a second with calls of `cost` units, of which `total` were sent before."""
        self.rate = rate
        self.cap = inf
        self._mean = max(1e-9, cost)  # units of a call
        self._proven = rate  # by the last trial that was refused
        self._barren = 0  # refusals in a row without anything admitted in between
        self._streak = 0  # refusals in a row at the held rate
        self._sure = 0.0  # calls that the rate rests on
        self._hold = 0.0  # calls to go at the held rate
        self._step = self.TRIAL  # of the rate, tried above it
        self._stepped = now  # when the trial was last widened
        self._search = False  # the pace grows until it is refused
        self._reserve = 0.0  # units that the provider's bucket must hold since the anchor
        self._burst = (
            0.0  # seconds of the rate that may be sent at once: a full bucket is remembered
        )
        # The last 429 that counted: its call's time, all that was sent by then, its cost; refused since.
        self._anchor, self._anchor_total, self._anchor_cost = now, total, cost
        self._refused = 0.0
        self._cut = now  # when it was known
        # Since then, when the pace grew: the time, and the units sent by then.
        self._marks: list[tuple[float, float]] = []
        self._marked = rate  # the pace of the last mark
        self._units = 0.0  # sent since the anchor was known
        self._last = now
        self._opening = (0.0, 0.0)  # units sent until the first 429, and seconds

    @classmethod
    def at_first_429(cls, cost: float, total: float, elapsed: float, now: float) -> Pacer:
        """Begins when a call of `cost` was refused, `elapsed` seconds and `total` units after the first."""
        # The bucket was full at first, and held no more than DEEPEST: so this rate is surely kept.
        least = max(cls.SLOWEST * cost, total / (cls.DEEPEST + elapsed))
        pacer = cls(least, cost, total, now)
        pacer._step, pacer._search = 0.0, True
        if total > cls.MANY * cost:
            pacer._step = (
                total / elapsed / least
            ) ** 0.5 - 1.0  # in the middle of what is possible
        pacer._opening = (total, elapsed)
        return pacer

    @classmethod
    def resumed(cls, rate: float, cost: float, burst: float, weight: float, now: float) -> Pacer:
        """Begins at a rate known from before, that counts for `weight` of what a measured one does."""
        pacer = cls(rate, cost, 0.0, now)
        pacer._sure = pacer._hold = 30.0 * weight
        pacer._burst = burst / rate
        pacer._last = now - pacer._burst
        pacer._opening = (burst, 0.0)
        return pacer

    @property
    def burst(self) -> float:
        """Units that the full bucket gave at first, beyond the rate."""
        units, seconds = self._opening
        return max(0.0, units - self.rate * seconds)

    @property
    def call(self) -> float:
        """The units of a mean call."""
        return self._mean

    @property
    def is_searching(self) -> bool:
        """Whether the rate is still unknown, or has risen."""
        return self.cap == inf and self._search

    @property
    def pace(self) -> float:
        """Units a second to send now."""
        if self.cap < inf:
            return min(self.cap, self.rate * (1.0 + self.TRIAL))
        return self.rate * (1.0 - self.MARGIN if self._hold > 0.0 else 1.0 + self._step)

    def wait(self, cost: float, now: float) -> float:
        return self._last + cost / self.pace - now

    def sent(self, cost: float, now: float) -> None:
        pace = self.pace
        gap = cost / pace
        due = self._last + gap
        if pace > self.GREW * self._marked:
            self._mark(self._last)
            self._marked = pace
        last = max(due, now - max(self.CATCH_UP, self._burst))
        is_first = self._units == 0.0
        self._units += cost
        if is_first or now > due + gap:
            self._mark(last)
        passed, self._last = last - self._last, last
        self._mean += 0.02 * (cost - self._mean)
        if self._burst > 0.0:
            self._burst = max(0.0, min(self._burst, now - last))
            return
        self._reserve += self.rate * passed - cost
        self._reserve = min(self._reserve, self.CREDIT * self.rate + 3.0 * self._mean)
        if self._hold > 0.0:
            self._hold -= 1.0
        elif self.cap < inf:
            self.rate = min(self.cap, self.rate * (1.0 + self.TRIAL / self.RECOVER))
        elif self._search:
            if now - due < gap + self.CATCH_UP:  # else it isn't this pace that limits
                doubled = min(self.SEARCH_CALL, passed / self.SEARCH)
                self._step = (1.0 + self._step) * 2.0**doubled - 1.0
        elif self._reserve < -self.PROOF * self._mean:
            self._raise(now)

    def _mark(self, at: float) -> None:
        self._marks.append((at, self._units))
        if len(self._marks) > self.MARKS:
            del self._marks[0]

    def _raise(self, now: float) -> None:
        """More was admitted than the rate could refill: it is too low."""
        if self._last > self._anchor + 1.0 / self.rate:
            excess = -self._reserve - 0.5 * self._mean
            self.rate += excess / (self._last - self._anchor)
            self._reserve += excess
        if now - self._stepped > self.WIDEN:
            self._step, self._stepped = 2.0 * self._step, now

    def rest(self, until: float) -> None:
        """Nothing goes before `until`, and nothing is caught up after it."""
        if until > self._last:
            self._reserve += self.rate * (until - self._last)
            self._last = until

    def follow(self, cap: float) -> None:
        """Takes `cap` for the rate, and won't grow above it."""
        if self.cap != cap:
            self.rate = self.rate * cap / self.cap if self.cap < inf else cap
            self.cap, self._hold, self._search = cap, 0.0, False

    def refused(self, cost: float, sent: float, total: float, now: float) -> None:
        """A call sent at `sent`, when `total` units had been sent with it, was refused."""
        if sent <= self._cut:
            if sent > self._anchor:
                self._refused += cost
            return  # sent before the last refusal was known: it says nothing new
        # The bucket lacked a little of the refused call's cost, now as at the anchor.
        admitted = total - self._anchor_total - self._refused - self._anchor_cost
        seconds = max(1e-3, sent - self._anchor)
        self._cut, self._last = now, max(now, self._last)
        if admitted < 0.5 * self._mean and self.cap == inf:
            self._refused += cost
            self._back_off()
            return
        self._judge(admitted, seconds)
        self._barren = 0
        self._anchor, self._anchor_total, self._anchor_cost = sent, total, cost
        self._refused, self._stepped = 0.0, now
        self._marks.clear()
        self._units, self._marked = 0.0, self.pace
        self._reserve = self.rate * (self._last - now)
        self.rest(now + self.REST * self._mean / self.rate)

    def _back_off(self) -> None:
        """Nothing at all was admitted: the bucket is overdrawn, which says nothing of its rate."""
        self._barren += 1
        if self._search:
            self._step = 0.0
        pause = 2.0 ** min(8, self._barren) * self._mean / self.rate
        self.rest(self._last + min(self.LONGEST, pause))

    def _judge(self, units: float, seconds: float) -> None:
        """What the rate is, after `units` were admitted in `seconds` between two refusals."""
        pace = self.pace
        if self.cap < inf:
            self.rate = 0.97 * self.cap
            return
        rate, since = self._solve(units, seconds, pace)
        if pace < self.rate * (1.0 + 0.5 * self.TRIAL):
            # Refused at the held rate: cut by more each time that happens again.
            self._streak = min(5, self._streak + 1)
            rate = min(max(rate, self.CUT * pace), (1.0 - 0.01 * 2.0**self._streak) * pace)
        else:
            self._streak = 0
            if self._search:
                rate = min(max(rate, self.rate), pace)
            if self._step <= 2.0 * self.TRIAL:
                rate = min(rate, self.rate + (pace - self.rate) / 3.0)
        self.rate = rate
        open_ = pace / rate - 1.0
        if self._search or self._step <= self.WS * self.TRIAL:
            open_ = min(open_, 1.5 * self._mean / since)
        # Else the limit rose on the way, and the sums are of two limits.
        self._search = open_ > self.OPEN or rate < self.LOST * self._proven
        if self._search or not self._streak:
            self._proven = rate
        if self._search:
            self._step = self._sure = 0.0
        else:
            calls = units / self._mean
            self._sure = (
                self._sure + self.GAIN * calls if open_ <= 2.0 * self.TRIAL else self.FIRM / open_
            )
            self._step = max(self.TRIAL, open_ / self.FIRM)
        self._hold = min(self._sure, self._longest_hold())

    def _solve(self, units: float, seconds: float, pace: float) -> tuple[float, float]:
        """The rate at which the bucket is empty now as at the anchor, and the units sent since it was full."""
        low, high = 0.02 * pace, pace
        # At a refusal the level is anything below a call, but just below it if the pace was near the rate.
        lack = self._mean * (self.SL if self._search else self.TL)
        since = units
        lost = units - self._units  # sent between the anchor and when it was known
        for _ in range(14):
            rate = 0.5 * (low + high)
            first, elapsed = self._opening
            full = max(self._mean, self.SHALLOWEST * rate, first - rate * elapsed)
            level, since = rate * seconds - units, units
            for at, sent in self._marks:
                gone = units - lost - sent
                rest = full - 2.0 * self._mean + rate * (self._anchor + seconds - at) - gone
                if rest < level:
                    level, since = rest, max(gone, 0.5 * self._mean)
            if level > -lack:
                high = rate
            else:
                low = rate
        return low, since

    def _longest_hold(self) -> float:
        # For slow limits 20 seconds are few calls, and a 429 is many.
        rate = self.rate / self._mean
        return max(self.HOLD_SECONDS * rate, min(self.MAXH, 300.0 / rate))
