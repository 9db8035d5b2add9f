"""A sending rate found by 429s alone: for providers that say nothing, or not all, of their limits. Knows no clock.

A 429 says that the provider's bucket is empty. So between two of them it lost what was refilled, and from what was
sent, and when, the refill rate follows. The rate is searched by a growing pace first. Then it is held a little
below itself, tried a little above itself until the next 429 confirms it, and held for longer the surer it is. When
a trial admits more than the rate could refill, the limit has risen and the trials grow.
"""

from __future__ import annotations

from math import inf

Opening = tuple[float, float]  # units sent until the first 429, and seconds


class Tooth:
    """What was sent since a 429: enough to say, at the next one, at which rate the bucket was refilled.

    Where the pace was below the rate the bucket may have been full, and refills lost. The moments after which that
    ended are the marks: those at which the pace grew.
    """

    __slots__ = ("at", "cost", "marks", "pace", "refused", "total")

    GREW = 1.01  # the pace's growth that is marked
    MOST = 40  # marks
    SHALLOWEST = 1.0  # seconds of its rate that a provider's bucket holds at least
    LACK = 0.25  # of a call is missing from the bucket at a 429, more or less

    def __init__(self, at: float, total: float, cost: float, pace: float) -> None:
        self.at = at  # when the refused call was sent
        self.total = total  # all units sent by then, the refused call's included
        self.cost = cost  # the refused call's
        self.pace = pace  # the highest so far
        self.refused = 0.0  # units sent since and refused
        self.marks: list[tuple[float, float]] = []  # time, all units sent by then

    def mark(self, at: float, total: float) -> None:
        self.marks.append((at, total))
        if len(self.marks) > self.MOST:
            del self.marks[0]

    def admitted(self, total: float) -> float:
        return total - self.total - self.refused

    def solve(
        self, at: float, total: float, sent: float, call: float, most: float, opening: Opening
    ) -> tuple[float, float]:
        """The refill rate by a 429 for a call sent at `at`, and the units that this rests on.

        total: what had been sent before that call; sent: what has been by now; call: the units of a mean one;
        most: the rate is less; opening: from a full bucket to the first 429, which tells the bucket's size.
        """
        low, high = 0.02 * most, most
        admitted = since = self.admitted(total)
        for _ in range(14):
            rate = 0.5 * (low + high)
            full = max(call, self.SHALLOWEST * rate, opening[0] - rate * opening[1])
            level, since = rate * (at - self.at) - admitted, admitted
            for marked, before in self.marks:
                # A call had just gone then, and the refused one lacked little. What went until the refusal was
                # known counts as admitted: a rate that is too high is soon found out, one too low is not.
                rest = full - 2.0 * call + rate * (at - marked) - (sent - before)
                if rest < level:
                    level, since = rest, sent - before
            if level > -self.LACK * call:
                high = rate
            else:
                low = rate
        return low, max(since, 0.5 * call)


class Pacer:
    """Spaces calls so that `rate` units a second are sent: calls, or tokens."""

    __slots__ = (
        "_barren", "_burst", "_cut", "_hold", "_last", "_opening", "_proven", "_reserve", "_search", "_step",
        "_stepped", "_streak", "_sure", "_tooth", "_total", "call", "cap", "rate",
    )  # fmt: skip

    DEEPEST = 60.0  # seconds of its rate that a provider's bucket may hold
    SLOWEST = 0.5  # calls a second to begin with, at least
    MANY = 80.0  # calls before the first 429, after which to search from higher up: there is more to lose
    SEARCH = 0.5  # seconds in which a search doubles the pace
    SEARCH_CALL = 0.15  # of a doubling, at most, by one call
    MARGIN = 0.01  # held under the rate
    TRIAL = 0.03  # tried over the rate
    PROOF = 1.5  # calls admitted beyond what the rate refilled that prove it too low
    WIDEN = 2.0  # seconds at least until a trial that was proven too small is doubled
    ROSE = 0.25  # a trial that grew to more means that the limit itself has risen
    CUT, GENTLE = (
        0.6,
        0.02,
    )  # a refusal at the held rate leaves so much of it at least; cuts so much at least
    LOST = 0.5  # of the rate that a trial last confirmed: below it, the rate is searched anew
    OPEN = 1.0  # a rate as uncertain as this is searched anew
    FIRM = (
        6.0  # calls to hold a rate, times its uncertainty; and what part of the uncertainty to try
    )
    HOLD_SECONDS = 20.0  # to hold a sure rate: a risen limit is to be seen within a minute
    HOLD_CALLS = 300.0  # the same for slow limits, where a 429 is a larger part of the calls
    REST = 2.0  # calls' time to rest after a 429
    CATCH_UP = 0.01  # seconds that a late timer may make good
    CREDIT = 1.5  # seconds of the rate that the reserve is counted for
    RECOVER = 100.0  # calls to come back to the cap after a 429

    def __init__(self, rate: float, cost: float, total: float, now: float) -> None:
        """Begins at `rate` units a second with calls of `cost` units, when `total` units had been sent."""
        self.rate = rate
        self.cap = inf
        self.call = max(1e-9, cost)  # units of a mean call
        self._total = total
        self._tooth = Tooth(now, total, cost, rate)
        self._cut = now  # when the last 429 that counted was known
        self._last = now  # when the last call was due
        self._hold = 0.0  # calls to go at the held rate
        self._step = self.TRIAL  # of the rate, tried above it
        self._stepped = now  # when the trial was last widened
        self._search = False  # the pace grows until it is refused
        self._sure = 0.0  # calls that the rate rests on
        self._proven = rate  # by the last trial that was refused
        self._streak = 0  # refusals in a row at the held rate
        self._barren = 0  # refusals in a row without anything admitted in between
        self._reserve = 0.0  # units that the provider's bucket must hold, if the rate is right
        self._burst = (
            0.0  # seconds of the rate that may be sent at once: a full bucket is remembered
        )
        self._opening: Opening = (0.0, 0.0)

    @classmethod
    def at_first_429(
        cls, cost: float, before: float, elapsed: float, total: float, now: float
    ) -> Pacer:
        """Begins when a call of `cost` was refused, `elapsed` seconds and `before` units after the first.

        total: what has been sent by now.
        """
        # The bucket was full at first, and held no more than DEEPEST: so this rate is surely kept.
        least = max(cls.SLOWEST * cost, before / (cls.DEEPEST + elapsed))
        pacer = cls(least, cost, total, now)
        pacer._opening = (before + cost, elapsed)  # the refused one lacked little
        pacer._begin_search()
        if before > cls.MANY * cost:
            pacer._step = (
                before / elapsed / least
            ) ** 0.5 - 1.0  # in the middle of what is possible
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
    def is_searching(self) -> bool:
        """Whether the rate is still unknown."""
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
        last = max(due, now - max(self.CATCH_UP, self._burst))
        tooth, is_late = self._tooth, now > due + gap + self.CATCH_UP
        if pace > tooth.GREW * tooth.pace:
            tooth.mark(self._last, self._total)
            tooth.pace = pace
        self._total += cost
        if is_late or not tooth.marks:
            tooth.mark(last, self._total)
        passed, self._last = last - self._last, last
        self.call += 0.02 * (cost - self.call)
        if self._burst > 0.0:
            self._burst = max(0.0, min(self._burst, now - last))
            return
        reserve = self._reserve + self.rate * passed - cost
        self._reserve = min(reserve, self.CREDIT * self.rate + 3.0 * self.call)
        if self._hold > 0.0:
            self._hold -= 1.0
        elif self.cap < inf:
            self.rate = min(self.cap, self.rate * (1.0 + self.TRIAL / self.RECOVER))
        elif self._search:
            if not is_late:  # else it isn't this pace that limits
                doubled = min(self.SEARCH_CALL, passed / self.SEARCH)
                self._step = (1.0 + self._step) * 2.0**doubled - 1.0
        elif self._reserve < -self.PROOF * self.call:
            self._raise(now)

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
        tooth = self._tooth
        if sent <= self._cut:
            if sent > tooth.at:
                tooth.refused += cost
            return  # sent before the last refusal was known: it says nothing new
        self._cut, self._stepped, self._last = now, now, max(now, self._last)
        if tooth.admitted(total - cost) < 0.5 * self.call and self.cap == inf:
            tooth.refused += cost
            self._back_off()
            return
        self._judge(sent, total - cost)
        self._barren = 0
        self._tooth = Tooth(sent, total, cost, self.pace)
        self._reserve = self.rate * (self._last - now)
        self.rest(now + self.REST * self.call / self.rate)

    def _begin_search(self) -> None:
        self._search, self._step, self._sure, self._hold = True, 0.0, 0.0, 0.0

    def _raise(self, now: float) -> None:
        """More was admitted than the rate could refill: it is too low."""
        seconds = self._last - self._tooth.at
        if seconds > self.call / self.rate:
            excess = -self._reserve - 0.5 * self.call
            self.rate += excess / seconds
            self._reserve += excess
        if now - self._stepped > self.WIDEN:
            self._step, self._stepped = 2.0 * self._step, now

    def _back_off(self) -> None:
        """Nothing at all was admitted: the bucket is overdrawn, which says nothing of its rate."""
        self._barren += 1
        if self._search:
            self._step = 0.0
        self.rest(self._last + 2.0 ** min(8, self._barren) * self.call / self.rate)

    def _judge(self, sent: float, total: float) -> None:
        """What the rate is after a tooth that ends with a call sent at `sent`, when `total` had been sent."""
        pace = self.pace
        if self.cap < inf:
            self.rate = 0.97 * min(self.cap, self.rate)
            return
        rate, since = self._tooth.solve(sent, total, self._total, self.call, pace, self._opening)
        if pace < self.rate * (1.0 + 0.5 * self.TRIAL):
            # Refused at the held rate: cut by more each time that happens again.
            self._streak = min(5, self._streak + 1)
            gentle = self.GENTLE * 2.0 ** (self._streak - 1)
            rate = min(max(rate, self.CUT * pace), (1.0 - gentle) * pace)
        else:
            self._streak = 0
            if self._search:
                rate = min(max(rate, self.rate), pace)
            elif self._step <= 2.0 * self.TRIAL:
                rate = min(rate, self.rate + (pace - self.rate) / 3.0)
        # The rate lies between what was solved, give or take a call, and the pace.
        uncertain = pace / rate - 1.0
        if self._search or self._step <= self.ROSE:
            uncertain = min(uncertain, 1.5 * self.call / since)
        self.rate = rate
        self._settle(uncertain, self._tooth.admitted(total) / self.call)

    def _settle(self, uncertain: float, calls: float) -> None:
        """How long to hold the rate, and how far to try above it after."""
        is_lost = self.rate < self.LOST * self._proven
        if not self._streak or is_lost:
            self._proven = self.rate
        if uncertain > self.OPEN or is_lost:
            self._begin_search()
            return
        self._search = False
        if uncertain <= 2.0 * self.TRIAL:
            self._sure += 2.0 * calls
        else:
            self._sure = self.FIRM / uncertain
        self._step = max(self.TRIAL, uncertain / self.FIRM)
        # For slow limits 20 seconds are few calls.
        rate = self.rate / self.call
        longest = max(self.HOLD_SECONDS * rate, min(self.HOLD_CALLS, self.HOLD_CALLS / rate))
        self._hold = min(self._sure, longest)
