"""A sending rate found by 429s alone: for providers that say nothing, or not all, of their limits. Knows no clock.

A 429 says that the provider's bucket is empty. So what was admitted between two of them, over the time between
them, is the rate at which it refills; unless the bucket was full in between, when only what came after that counts.
A tooth is the time from one 429 to the next: hold a little under the rate, then climb until refused, and measure.
The surer the rate, the longer the hold.
"""

from __future__ import annotations

from math import inf


class Pacer:
    """Spaces calls so that `pace` units a second are sent: calls, or tokens.

    The rate must lie between the lowest that explains what was admitted in a tooth and the highest that explains
    its refusal.
    """

    __slots__ = (
        "_anchor",
        "_anchor_cost",
        "_anchor_total",
        "_burst",
        "_cap",
        "_climbs",
        "_cut",
        "_hold",
        "_last",
        "_marks",
        "_mean",
        "_opening",
        "_refused",
        "_step",
        "is_searching",
        "rate",
    )

    DEEPEST, SHALLOWEST = 60.0, 1.0  # seconds of its rate that a provider's bucket may hold
    SLOWEST = 0.5  # calls a second to begin with, at least
    MARGIN = 0.01  # held under the rate
    CATCH_UP = 0.01  # seconds that a late timer may make good
    SEARCH = 0.5, 5.0  # seconds and calls at least in which the pace doubles while nothing is known
    TRIAL = 0.03  # a climb begins so far over the rate
    CLIMB = 4.0, 8.0  # seconds and calls at least in which that doubles
    KNOWN = 0.5  # a rate between bounds nearer than so much of it isn't searched any more
    SURE = 8.0  # calls to hold a rate, divided by what its bounds leave open
    HOLD_SECONDS = 20.0  # the longest hold: a risen limit is to be seen within a minute
    HOLD_CALLS, HOLD_SLOW = 300.0, 300.0  # or as many calls, in at most so many seconds
    REST = 2.0  # calls' time without any after a 429: what is refilled then is the reserve
    FIRST_REST, FIRST_CALLS = 1.1, 5.0  # seconds and calls' time at most after the first
    LONGEST = 20.0  # seconds that one refusal after another may hold everything
    ECHO = 0.5  # seconds in which other runs' 429s say nothing new
    MARKS = 64  # moments of a tooth that are kept

    def __init__(
        self,
        rate: float,
        cost: float,
        total: float,
        sent: float,
        now: float,
        opening: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Begins at `rate` units a second, when a call of `cost` units that was sent at `sent` was refused.

        total: units that had been sent with it. opening: what a full bucket gave at first, and in how many seconds.
        """
        self.rate = rate
        self.is_searching = True  # the rate is still unknown
        self._cap = inf
        self._mean = max(1e-9, cost)  # units of a call
        self._step = 0.0  # the pace's part above the rate, while it climbs
        self._hold = 0.0  # calls to go at the held rate
        self._last = now  # the pacing clock: when the last call was due
        self._burst = 0.0  # seconds that the clock may run behind: a full bucket is remembered
        self._cut = now  # when the last 429 was known
        # The 429 that began the tooth: its moment, all that was sent by then, its cost; and what was refused of the
        # calls that were sent after it.
        self._anchor, self._anchor_total, self._anchor_cost = sent, total, cost
        self._refused = 0.0
        self._marks: list[tuple[float, float]] = []  # moments of the tooth, and units sent by then
        self._opening = opening

    @classmethod
    def at_first_429(
        cls, cost: float, total: float, sent: float, now: float, opening: tuple[float, float]
    ) -> Pacer:
        """Begins with no rate known but what follows from the opening."""
        # The bucket was full at first. The middle of what it may have held, by ratio.
        units, elapsed = opening
        middle = ((cls.SHALLOWEST + elapsed) * (cls.DEEPEST + elapsed)) ** 0.5
        pacer = cls(max(cls.SLOWEST * cost, units / middle), cost, total, sent, now, opening)
        gap = cost / pacer.rate
        pacer.rest(now + min(cls.FIRST_REST, cls.FIRST_CALLS * gap) - gap)
        return pacer

    @classmethod
    def resumed(cls, rate: float, cost: float, burst: float, weight: float, now: float) -> Pacer:
        """Begins at a rate known from before, that counts for `weight` of what a measured one does."""
        pacer = cls(rate, cost, 0.0, now, now, (burst, 0.0))
        pacer.is_searching = False
        pacer._hold = 30.0 * weight
        pacer._burst = burst / rate
        pacer._last = now - pacer._burst
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
    def follows(self) -> bool:
        """Whether the rate is told from elsewhere."""
        return self._cap < inf

    @property
    def pace(self) -> float:
        """Units a second to send now."""
        if self._cap < inf:
            return self._cap
        return self.rate * (1.0 - self.MARGIN if self._hold > 0.0 else 1.0 + self._step)

    def wait(self, cost: float, now: float) -> float:
        """Seconds until a call of this cost is due."""
        return self._last + cost / self.pace - now

    def sent(self, cost: float, total: float, now: float) -> None:
        """A call goes; `total` units were sent before it in all."""
        gap = cost / self.pace
        due = self._last + gap
        is_late = now - due > gap + self.CATCH_UP  # then it isn't this pace that limits
        passed = max(due, now - max(self.CATCH_UP, self._burst)) - self._last
        self._last += passed
        self._mean += 0.02 * (cost - self._mean)
        if self._burst > 0.0:
            self._burst = max(0.0, min(self._burst, now - self._last))
            return
        self._mark(now, total)
        if self._hold > 0.0:
            self._hold -= 1.0
            self._step = self.TRIAL
        elif not is_late:
            self._climb(passed)

    def _climb(self, passed: float) -> None:
        seconds, calls = self.SEARCH if self.is_searching else self.CLIMB
        doubled = 2.0 ** min(passed / seconds, 1.0 / calls)
        if self.is_searching:
            self._step = (1.0 + self._step) * doubled - 1.0
        else:
            self._step *= doubled

    def _mark(self, now: float, total: float) -> None:
        self._marks.append((now, total))
        if len(self._marks) > self.MARKS:
            del self._marks[-2:1:-2]  # every second one, but not the last

    def rest(self, until: float) -> None:
        """Nothing goes before `until`, and nothing is caught up after it."""
        self._last = max(self._last, until)

    def follow(self, cap: float) -> None:
        """Takes `cap` for the rate from now on."""
        self.rate = self._cap = cap
        self.is_searching = False

    def lead(self, total: float, now: float) -> None:
        """Looks for the rate itself again, from the one that it followed; `total` units were sent so far."""
        self._cap = inf
        self._begin_tooth(now, total, self._mean)
        self._hold, self._step = self._longest_hold(), self.TRIAL

    def rescale(self, factor: float, total: float) -> None:
        """Our part of the limit is `factor` times what it was: as if the `total` units had been sent with it."""
        self.rate *= factor
        self._cap *= factor
        self._anchor_total = total - factor * (total - self._anchor_total)
        self._refused *= factor
        self._marks = [(at, total - factor * (total - sent)) for at, sent in self._marks]
        self._opening = (factor * self._opening[0], self._opening[1])

    def heard(self, refused: float, now: float) -> None:
        """Another run's call was refused, which was sent at `refused`: the bucket that we share was empty then."""
        if refused <= self._cut + self.ECHO:
            return
        if self._cap < inf:
            self._cut = now
            self.rest(now + self.REST * self._mean / self.rate)
            return
        self._marks = [mark for mark in self._marks if mark[0] <= refused]
        total = self._marks[-1][1] + self._mean if self._marks else self._anchor_total
        if total - self._anchor_total - self._refused > self._mean:
            self._mark(refused, total)
            self.refused(0.0, refused, total, now)

    def refused(
        self, cost: float, sent: float, total: float, now: float, wait: float | None = None
    ) -> None:
        """A call sent at `sent`, when `total` units had been sent with it, was refused.

        wait: in how many seconds it would have passed, if that was told.
        """
        if sent <= self._cut:
            if sent > self._anchor:
                self._refused += cost
            return  # sent before the last refusal was known: it says nothing new
        units = total - cost - self._anchor_total - self._refused
        self._cut = now
        if self._cap < inf:
            self.rest(now + self.REST * self._mean / self.rate)
        elif units < 0.5 * self._mean:
            self._refused += cost
            # Nothing was admitted since the last refusal: less than a call was refilled.
            refilled = cost / max(1e-3, sent - self._anchor)
            self.rate = max(cost / self.LONGEST, min(self.rate, refilled))
            self.is_searching, self._step, self._hold = True, 0.0, 0.0
            self.rest(now + min(self.LONGEST, self._mean / self.rate))
        else:
            self._measure(units, cost, sent)
            self._begin_tooth(sent, total, cost)
            self.rest(now + self.REST * self._mean / self.rate)

    def _begin_tooth(self, sent: float, total: float, cost: float) -> None:
        self._anchor, self._anchor_total, self._anchor_cost = sent, total, cost
        self._refused = 0.0
        self._marks.clear()

    def _measure(self, units: float, cost: float, sent: float) -> None:
        """The tooth is over: `units` were admitted until a call of `cost`, sent at `sent`, was refused."""
        pace, before, marks = self.pace, self.rate, self._marks
        del marks[-1]  # the refused call's own
        seconds = max(1e-3, sent - self._anchor)
        high = max((units + 0.5 * cost) / seconds, self._explains(pace, sent, units, marks))
        low = (units - 0.5 * self._anchor_cost) / seconds
        if len(marks) > 1:  # as the last one that was admitted
            low = max(low, self._explains(pace, marks[-1][0], units - self._mean, marks[:-1]))
        low, high = (
            min(low, high),
            max(low, high),
        )  # they contradict each other where the limit moved
        if before < low:
            self.rate = low
        elif before > high:
            self.rate = 0.5 * (low + high)
        open_ = max((high - low) / self.rate, 0.5 * self._mean / units)
        self.is_searching = open_ > self.KNOWN
        if self.is_searching:
            self._step = self._hold = 0.0
        else:
            self._step = max(self.TRIAL, 0.25 * open_)
            self._hold = min(self.SURE / open_, self._longest_hold())

    def _explains(
        self, most: float, at: float, units: float, marks: list[tuple[float, float]]
    ) -> float:
        """The least rate, up to `most`, at which a bucket that was full at any of the marks could give the units
        that went from there until `at`.
        """
        least = 0.0
        start = self._anchor_total + self._refused
        for _ in range(20):
            rate = 0.5 * (least + most)
            full = self._capacity(rate) - self._mean
            if any(full + rate * (at - mark) < units - total + start for mark, total in marks):
                least = rate
            else:
                most = rate
        return most

    def _capacity(self, rate: float) -> float:
        """What the bucket holds if it refills at this rate: it was full at the opening."""
        units, seconds = self._opening
        return max(self._mean, self.SHALLOWEST * rate, units - rate * seconds)

    def _longest_hold(self) -> float:
        # For slow limits 20 seconds are few calls, and a 429 is many.
        rate = self.rate / self._mean
        return max(self.HOLD_SECONDS * rate, min(self.HOLD_CALLS, self.HOLD_SLOW / rate))
