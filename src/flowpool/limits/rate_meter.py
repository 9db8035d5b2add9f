"""How much goes through lately, in units a second. Takes the time; reading it changes nothing."""

from __future__ import annotations

from math import exp


class RateMeter:
    """Rates of several kinds of units at once: what is `SPAN` seconds old counts a third of what is new.

    meter = Meter(2)
    meter.add(now, 1.0, 350.0)  # a call, and its tokens
    calls, tokens = meter.rates(now)
    """

    __slots__ = ("_at", "_began", "_sums")

    SPAN = 10.0  # seconds
    YOUNG = 1.0  # seconds that the first units are taken to have needed, at least

    def __init__(self, kinds: int) -> None:
        self._sums = [0.0] * kinds
        self._began: float | None = None
        self._at = 0.0

    def add(self, now: float, *units: float) -> None:
        """Counts units, in the order of the kinds."""
        if self._began is None:
            self._began = self._at = now
        if now > self._at:
            kept = exp((self._at - now) / self.SPAN)
            self._sums = [
                kept * total + more for total, more in zip(self._sums, units, strict=True)
            ]
            self._at = now
        else:
            self._sums = [total + more for total, more in zip(self._sums, units, strict=True)]

    def rates(self, now: float) -> tuple[float, ...]:
        """Units a second of each kind."""
        if self._began is None:
            return (0.0,) * len(self._sums)
        age = max(self.YOUNG, now - self._began)
        span = self.SPAN * (1.0 - exp(-age / self.SPAN))
        kept = exp(min(0.0, self._at - now) / self.SPAN)
        return tuple(kept * total / span for total in self._sums)
