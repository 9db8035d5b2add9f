"""Whether and when a failed attempt is tried again, and how much of a run may be retries.

Knows no clock and no randomness: both are passed in. See "Retries" in docs/rate-control.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flowpool.errors import CallError, Verdict

if TYPE_CHECKING:
    from flowpool.calls.decide import Wait
    from flowpool.limits.lane import Lane

DEFAULT_RETRIES = 5


class RetryPolicy(Struct, frozen=True):
    """Full jitter: the n-th wait is drawn from 0 to min(cap, base * 2^(n-1)), after any Retry-After.

    retries: further attempts after the first, for failures. Throttling (429) isn't a failure of the call:
        where retries are allowed at all, it is bounded by `patience` alone.
    of_exceptions: the same after an exception of a function's own, which may be a bug.
    base, cap: seconds of the first wait's and of any wait's upper end.
    patience: seconds since the first attempt after which nothing is tried again.
    """

    retries: int = DEFAULT_RETRIES
    base: float = 0.5
    cap: float = 60.0
    patience: float = 900.0
    of_exceptions: int = 0

    def wait(self, error: CallError, failures: int, elapsed: float, uniform: float) -> float | None:
        """Seconds until the next attempt, or None to give up.

        `failures` counts this call's failed attempts so far, this one too; `uniform` is drawn from [0, 1).
        """
        throttled = error.verdict is Verdict.THROTTLE
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

    # Seconds after which who found none left asks again: as long as `trickle` needs for one.
    ASK_AGAIN = 1.0

    def __init__(self, reserve: float = 100.0, ratio: float = 0.2, trickle: float = 1.0) -> None:
        self._reserve = reserve
        self._ratio = ratio
        self._trickle = trickle
        self._at = 0.0
        self.left = reserve

    def answered(self) -> bool:
        """A call was answered; whether all of the reserve is there again."""
        if self.left < self._reserve:
            self.left = min(self._reserve, self.left + self._ratio)
        return self.left >= self._reserve

    def take(self, now: float) -> bool:
        """Takes a retry if there is one; else ask again after `ASK_AGAIN` seconds."""
        self.left = min(self._reserve, self.left + self._trickle * (now - self._at))
        self._at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class RetryWaiter:
    """The waits between attempts, for all calls of a run.

    pause: lets a flow wait so many seconds without its slot. draw: gives a number from [0, 1). paused: the seconds
    for which the user has paused the run so far.
    """

    def __init__(
        self,
        pause: Callable[[Any, float], Awaitable[None]],
        draw: Callable[[], float],
        now: Callable[[], float],
        paused: Callable[[], float] = float,
    ) -> None:
        self._pause = pause
        self.draw = draw
        self.paused = paused
        self._now = now
        self._budget = RetryBudget()
        self.is_short = False  # whether the budget has less than it could: answers fill it up again

    def answered(self) -> None:
        """A call of the run was answered."""
        self.is_short = not self._budget.answered()

    async def wait(self, flow: Any, wait: Wait, lane: Lane[Any]) -> float | None:
        """Waits for a call's next attempt: for how many seconds, without those of a pause.

        None when its time is over before the retry budget has one for it.
        """
        now = self._now()
        began = now - self.paused()
        if wait.seconds > 0.0:
            await self._pause(flow, wait.seconds)
            now = self._now()
        while wait.rationed and lane.rations_retries() and not self._take():
            if now - self.paused() + RetryBudget.ASK_AGAIN > wait.until:
                return None
            await self._pause(flow, RetryBudget.ASK_AGAIN)
            now = self._now()
        return max(0.0, now - self.paused() - began)

    def _take(self) -> bool:
        self.is_short = True
        return self._budget.take(self._now())
