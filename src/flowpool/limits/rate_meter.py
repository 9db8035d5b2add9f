"""How much goes through lately, in units a second. Takes the time; reading it changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp


class RateMeter:
    """Rates of several kinds of units at once: what is `SPAN` seconds old counts a third of what is new.

    It looks at totals that somebody counts, and no oftener than it must: whoever adds to them asks first whether
    it is `due`.

        meter, totals = RateMeter(2), [0.0, 0.0]
        if now >= meter.due:
            meter.see(now, totals)
        totals = [totals[0] + 1.0, totals[1] + 350.0]  # a call, and its tokens
        calls, tokens = meter.rates(now, totals)
    """

    __slots__ = ("_at", "_began", "_seen", "_sums", "due")

    SPAN = 10.0  # seconds
    EVERY = 1.0  # seconds between two looks: what comes in between counts as of their middle
    YOUNG = 1.0  # seconds that the first units are taken to have needed, at least

    def __init__(self, kinds: int) -> None:
        self._sums = self._seen = (0.0,) * kinds
        self._began: float | None = None
        self._at = 0.0  # the moment that the sums are as of
        self.due = float("-inf")

    def see(self, now: float, totals: Sequence[float]) -> None:
        """Looks at the totals, in the order of the kinds, before more is added to them."""
        if self._began is None:
            self._began = self._at = now
        self._sums = self._as_of(now, totals)
        self._seen, self._at = tuple(totals), now
        self.due = now + self.EVERY

    def rates(self, now: float, totals: Sequence[float]) -> tuple[float, ...]:
        """Units a second of each kind."""
        if self._began is None:
            return (0.0,) * len(self._sums)
        age = max(self.YOUNG, now - self._began)
        span = self.SPAN * (1.0 - exp(-age / self.SPAN))
        return tuple(total / span for total in self._as_of(now, totals))

    def _as_of(self, now: float, totals: Sequence[float]) -> tuple[float, ...]:
        """The sums with what came since the last look, all of it before the next was due."""
        kept = exp(min(0.0, self._at - now) / self.SPAN)
        kept_new = exp(min(0.0, self.due - 0.5 * self.EVERY - now) / self.SPAN)
        return tuple(
            kept * total + kept_new * (count - seen)
            for total, count, seen in zip(self._sums, totals, self._seen, strict=True)
        )
