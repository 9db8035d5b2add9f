"""One item's way through the runner, and how it waits for a retry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol

from flowpool.calls.retry import RetryBudget, RetryPolicy
from flowpool.errors import CallError, Verdict
from flowpool.logs import in_short, log
from flowpool.results import CallCost
from flowpool.values import NO_USAGE, Attempt, Prices, Usage


class Log(Protocol):
    """Where a flow's steps and attempts are written down, and what it has of them from before."""

    def recall(self, step: str, call: bytes) -> Any:
        """The output that this call had before, or `MISSING`."""

    def remember(self, step: str, call: bytes, output: bytes) -> None:
        """The step was answered; its output as JSON."""

    def attempted(self, attempt: Attempt) -> None:
        """A request ended, one way or the other."""


MISSING: Any = object()


class Flow:
    """What one item's way through the runner has cost so far, and the place that it holds."""

    __slots__ = (
        *("attempts", "bills", "branches", "history", "holds_place", "log", "model", "usage"),
    )

    def __init__(self) -> None:
        self.branches = 1
        self.holds_place = True
        self.attempts = 0
        self.usage = NO_USAGE
        self.model = ""
        self.bills: tuple[CallCost, ...] = ()
        self.history: list[dict[str, Any]] | None = None
        self.log: Log | None = None

    def bill(self, model: str, usage: Usage, prices: Prices | None) -> None:
        """A call to the model used this; `prices` are those that somebody told of it."""
        if self.usage is NO_USAGE and prices is None:  # one call, which is what most items need
            self.model, self.usage = model, usage
            return
        if not self.bills and self.usage is not NO_USAGE:
            self.bills = (CallCost(self.model, self.usage),)
        self.bills = (*self.bills, CallCost(model, usage, prices))
        self.model, self.usage = model, self.usage + usage


Wait = Callable[[Flow, float], Awaitable[None]]


class RetryWaiter:
    """The waits between attempts, for all calls of a run. `wait` lets a flow wait without its place."""

    def __init__(self, wait: Wait, random: Random, now: Callable[[], float]) -> None:
        self._wait = wait
        self._random = random
        self._now = now
        self._budget = RetryBudget()

    def answered(self) -> None:
        """A call of the run was answered."""
        self._budget.answered()

    async def before_retry(
        self,
        policy: RetryPolicy,
        error: CallError,
        failures: int,
        elapsed: float,
        flow: Flow,
        *,
        rationed: Callable[[], bool] = lambda: False,
        paced: bool = True,
    ) -> None:
        """Waits for the next attempt, or raises `error` when there is none.

        rationed: whether so many calls fail that the retry also needs a part of the run's budget, and waits for it
            as long as that is so.
        paced: the lane lets nobody in after a 429 before it is time.
        """
        wait = policy.wait(error, max(1, failures), elapsed, self._random.random())
        if wait is None:
            if error.retryable:
                log.info("given up after %d failures: %s", max(1, failures), in_short(error))
            raise error
        if error.signal is Verdict.THROTTLE and paced:
            return
        await self._wait(flow, wait)
        while rationed() and not self._budget.take(self._now()):
            elapsed += RetryBudget.ASK_AGAIN
            if elapsed > policy.patience:
                raise error
            await self._wait(flow, RetryBudget.ASK_AGAIN)

    async def back_off(self, policy: RetryPolicy, failures: int, flow: Flow) -> None:
        """Waits before a function is called again."""
        await self._wait(flow, policy.backoff(failures, self._random.random()))
