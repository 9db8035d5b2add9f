"""A sending rate found by 429s alone: for providers that say nothing, or not all, of their limits. Knows no clock.

At a 429 the provider's bucket is empty, so what is known then is sharp: the rate just used was too fast, and
what was admitted since the 429 before, over that time, was not. Between the two the rate is searched, then held
in a saw's teeth: a little under what drew the last 429, growing slowly until the next.
"""

from __future__ import annotations


class Pacer:
    """Spaces calls evenly at `rate` a second."""

    __slots__ = (
        "_admitted",
        "_ceiling",
        "_floor",
        "_next",
        "_since",
        "_searching",
        "_stage",
        "_streak",
        "cap",
        "rate",
    )

    CATCH_UP = 0.01  # seconds
    DEEPEST = 60.0  # seconds of its rate that a provider's bucket may hold
    SLOWEST = 0.5  # calls a second to begin the search with, at least
    TOOTH = 0.955  # what a 429 leaves of the rate
    GROWTH = 0.08 / 400  # of the rate, for each call that is admitted
    PATIENCE = 600  # admitted calls after which growth speeds up: the limit must have risen
    CLOSE = 1.1  # the search ends when its bounds are as close as this

    def __init__(self, now: float, admitted: int, elapsed: float) -> None:
        """Begins at a first 429, `elapsed` seconds and `admitted` calls after the first call."""
        self.rate = max(self.SLOWEST, admitted / (self.DEEPEST + elapsed))
        self.cap = float("inf")
        self._searching = True
        self._floor = 0.0
        self._ceiling = float("inf")
        self._since = now
        self._admitted = 0
        self._stage = 0
        self._streak = 0
        self._next = now

    def follow(self, cap: float) -> None:
        """Takes `cap` for the rate, and won't grow above it."""
        if self.cap != cap:
            self.rate = (
                cap if self._searching or self.cap == float("inf") else self.rate * cap / self.cap
            )
            self.cap = cap
            self._searching = False

    def wait(self, now: float) -> float:
        return self._next - now

    def sent(self, now: float) -> None:
        # A late timer may catch up a little, a pause not at all.
        gap = 1.0 / self.rate
        self._next = max(self._next, now - min(gap, self.CATCH_UP)) + gap

    def hold(self, until: float) -> None:
        """Nothing goes before `until`, and nothing is caught up after it."""
        self._next = max(self._next, until)

    def answered(self, now: float) -> None:
        self._admitted += 1
        self._stage += 1
        if self._searching:
            self._search_upwards(now)
            return
        growth = self.GROWTH if self.cap == float("inf") else 2.0 * self.GROWTH
        if self._admitted > self.PATIENCE:
            growth *= min(100.0, 2.0 ** ((self._admitted - self.PATIENCE) / 150))
        self.rate = min(self.cap, self.rate * (1.0 + growth))

    def throttled(self, now: float) -> None:
        """A call was refused though this rate was kept."""
        elapsed = max(1e-3, now - self._since)
        if self._admitted < 2 and self._searching:
            self.hold(now + 1.0 / self.rate)  # nothing was refilled yet: that says nothing of this rate
            return
        if self._searching:
            self._ceiling = min(self._ceiling, self.rate) if self._stage < 8 else self.rate
            self._floor = max(0.0, min((self._admitted - 1) / elapsed, self.rate))
            self._narrow(now)
        elif self.cap < float("inf") and self._admitted >= 3:
            self._streak = 0
            self.rate = 0.97 * self.cap  # enough to build a reserve against chance
        elif self._admitted < 15:
            self._streak += 1
            self.rate *= max(0.5, 1.0 - 0.1 * self._streak)
        else:
            self._streak = 0
            self.rate *= self.TOOTH
        self._since, self._admitted, self._stage = now, 0, 0

    def _search_upwards(self, now: float) -> None:
        if self._stage < 3 or (now - self._since) < 0.0:
            return
        elapsed = now - self._since
        if self._ceiling == float("inf"):
            if self._stage >= max(3.0, self.rate):
                self.rate *= 2.0
                self._stage = 0
        elif self._stage >= 12 and elapsed > 0:
            self._floor = max(self._floor, self.rate * 0.97)
            self._narrow(now)

    def _narrow(self, now: float) -> None:
        if self._ceiling < self._floor * self.CLOSE:
            self._searching = False
            self.rate = min(self._floor * 1.02, self._ceiling * 0.97)
        elif self._floor <= 0.0:
            self.rate = self._ceiling / 2.0
        else:
            self.rate = (self._floor * self._ceiling) ** 0.5
        self._stage = 0
