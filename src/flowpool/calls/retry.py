"""Whether and when a failed attempt is tried again. Knows no clock and no randomness: both are passed in."""

from __future__ import annotations

from msgspec import Struct

from flowpool.errors import CallError, Verdict

DEFAULT_RETRIES = 5


class RetryPolicy(Struct, frozen=True):
    """Full jitter: the n-th wait is drawn from 0 to min(cap, base * 2^(n-1)), after any Retry-After.

    retries: further attempts after the first, for failures. Throttling (429) isn't a failure of the call:
        where retries are allowed at all, it is bounded by `patience` alone.
    base, cap: seconds of the first wait's and of any wait's upper end.
    patience: seconds since the first attempt after which nothing is tried again.
    """

    retries: int = DEFAULT_RETRIES
    base: float = 0.5
    cap: float = 60.0
    patience: float = 900.0

    def wait(self, error: CallError, failures: int, elapsed: float, uniform: float) -> float | None:
        """Seconds until the next attempt, or None to give up.

        `failures` counts this call's failed attempts so far, this one too; `uniform` is drawn from [0, 1).
        """
        throttled = error.signal is Verdict.THROTTLE
        if not error.retryable or self.retries <= 0:
            return None
        if not throttled and failures > self.retries:
            return None
        wait = (error.retry_after or 0.0) + self.backoff(failures, uniform)
        return wait if elapsed + wait <= self.patience else None

    def backoff(self, failures: int, uniform: float) -> float:
        """Seconds drawn for the wait after this many failures."""
        ceiling: float = min(self.cap, self.base * 2.0 ** min(failures - 1, 30))
        return uniform * ceiling


class RetryBudget:
    """Keeps retries from multiplying an outage: `reserve` of them are free, then one for five answers.

    Every answered call puts `ratio` of a retry back and every second `trickle` of one, up to `reserve`, so who
    finds none left waits and asks again.
    """

    __slots__ = ("_at", "_ratio", "_reserve", "_trickle", "left")

    ASK_AGAIN = 1.0  # seconds

    def __init__(self, reserve: float = 100.0, ratio: float = 0.2, trickle: float = 1.0) -> None:
        self._reserve = reserve
        self._ratio = ratio
        self._trickle = trickle
        self._at = 0.0
        self.left = reserve

    def answered(self) -> None:
        if self.left < self._reserve:
            self.left = min(self._reserve, self.left + self._ratio)

    def take(self, now: float) -> bool:
        """Takes a retry if there is one; else ask again after `ASK_AGAIN` seconds."""
        self.left = min(self._reserve, self.left + self._trickle * (now - self._at))
        self._at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
