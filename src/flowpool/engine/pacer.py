"""A sending rate found by 429s alone: for providers that say nothing, or not all, of their limits. Knows no clock.

At a 429 the provider's bucket is empty, so what is known then is sharp: the rate just used was too fast, and what
was admitted since the 429 before, over that time, was not. The rate is doubled until a second 429, then moves in
a saw's teeth: cut at a 429, growing until the next. A tooth's size is what the rate is still uncertain by: every
429 makes it smaller, and a long time without one larger again, since the limit must have risen.
"""

from __future__ import annotations

from math import inf


class Pacer:
    """Spaces calls evenly at `rate` a second."""

    __slots__ = (
        "_admitted", "_base", "_doubling", "_grown", "_next", "_since", "_streak", "_tooth", "cap", "rate",
    )  # fmt: skip

    CATCH_UP = 0.01  # seconds that a late timer may make good
    DEEPEST = 60.0  # seconds of its rate that a provider's bucket may hold
    SLOWEST = 0.5  # calls a second to begin with, at least
    WIDEST, FINEST = 0.5, 0.045  # a tooth, as a part of the rate
    SHARPEN, BLUNT = 0.6, 1.6
    ENOUGH = 15  # admitted calls that tell a rate
    QUICK = 0.06  # cut for a 429 soon after another, doubled for each in a row
    PERIOD = 9.0  # calls to grow by a tooth, times the tooth
    SLOW_RATE, SLOW_PERIOD = 5.0, 12.0  # the same for slow rates: there a 429 is a larger part of the calls

    def __init__(self, now: float, admitted: int, elapsed: float) -> None:
        """Begins at a first 429, `elapsed` seconds and `admitted` calls after the first call."""
        # The bucket was full at first, and held no more than that: so this rate is surely kept.
        self.rate = max(self.SLOWEST, admitted / (self.DEEPEST + elapsed))
        self.cap = inf
        self._tooth = self._base = self.WIDEST
        self._doubling = True
        self._since = now
        self._admitted = 0  # since the last 429 that counted
        self._grown = 0  # calls since the tooth or the doubling was last changed
        self._streak = 0  # 429s in a row with little admitted between them
        self._next = now

    def follow(self, cap: float) -> None:
        """Takes `cap` for the rate, and won't grow above it."""
        if self.cap != cap:
            known = self.cap < inf
            self.rate = self.rate * cap / self.cap if known else cap
            self.cap, self._doubling = cap, False
            self._tooth = self._base = self.FINEST

    def wait(self, now: float) -> float:
        return self._next - now

    def sent(self, now: float) -> None:
        gap = 1.0 / self.rate
        self._next = max(self._next, now - min(gap, self.CATCH_UP)) + gap

    def hold(self, until: float) -> None:
        """Nothing goes before `until`, and nothing is caught up after it."""
        self._next = max(self._next, until)

    def answered(self, sent: float) -> None:
        """A call sent at `sent` was admitted."""
        if sent <= self._since:
            return  # it was sent before the last 429, at another rate
        self._admitted += 1
        self._grown += 1
        if self._doubling:
            if self._grown >= max(3.0, self.rate):
                self.rate *= 2.0
                self._grown = 0
            return
        period = self._period()
        if self._admitted > 1.3 * period and self._grown > period / 4.0:
            self._tooth = min(self.WIDEST, self._tooth * self.BLUNT)
            self._grown = 0
        self.rate = min(self.cap, self.rate * (1.0 + self._tooth / period))

    def throttled(self, now: float) -> None:
        """A call was refused though this rate was kept."""
        kept = (self._admitted - 1) / max(1e-3, now - self._since)
        if self.cap < inf:
            self.rate = 0.97 * self.cap  # enough to build up a reserve against chance
        elif self._admitted >= self.ENOUGH:
            # The limit lies between what was kept (all of it, if the bucket is deep) and the rate (if it isn't).
            self._base = max(self.FINEST, self._base * self.SHARPEN)
            self._streak = 0
            self.rate = min((kept * self.rate) ** 0.5, self.rate * (1.0 - self.FINEST))
        elif self._doubling:
            self.rate *= 1.0 - self._tooth
            self._base *= self.SHARPEN
        else:
            # From an empty bucket, even one refusal within few calls says that the rate is too high.
            self._streak += 1
            cut = min(0.4, self.QUICK * 2.0 ** (self._streak - 1))
            self.rate *= 1.0 - cut
            self._base = cut
        self._doubling = False
        self._tooth = self._base
        self._since, self._admitted, self._grown = now, 0, 0
        self.hold(now + 3.0 / self.rate)

    def _period(self) -> float:
        return (self.PERIOD if self.rate >= self.SLOW_RATE else self.SLOW_PERIOD) / self._tooth
