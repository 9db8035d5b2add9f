"""A lane: where calls queue because they share a limit. Decides who may go; awaits nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from flowpool.engine.breaker import Breaker
from flowpool.engine.bucket import Cost
from flowpool.engine.limiter import Limiter, Sent
from flowpool.engine.window import Window
from flowpool.errors import CallError, Signal
from flowpool.values import NO_USAGE, Reading, Usage

T = TypeVar("T")
FREE = Cost()


class Entered(Struct, frozen=True):
    """A call in flight: when it entered, as which of those in flight, and what the limiter took for it."""

    at: float
    ahead: int
    sent: Sent | None


class Lane(Generic[T]):
    """Calls in flight up to a window and within a limiter's rates; the rest wait, nearest their item's end first.

    A caller asks `try_enter`; refused, it leaves a ticket with `wait_for`, and `admit` says whose turn it is.
    Each call that entered must end in `leave`, `answered` or `failed`. A lane breaks when several calls in a row
    say that none can succeed (wrong key, no credit): `broken` is then how every further call fails, and nothing
    is sent.
    """

    __slots__ = ("_arrivals", "_hopeless", "_refusal", "_waiting", "breaker", "in_flight", "limiter",
                 "name", "throttles", "window")  # fmt: skip

    HOPELESS_IN_A_ROW = 3

    def __init__(
        self,
        name: str,
        window: Window,
        limiter: Limiter | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = name
        self.window = window
        self.limiter = limiter
        self.breaker = breaker
        self.in_flight = 0
        self.throttles = 0
        self._refusal: CallError | None = None
        self._waiting: list[tuple[float, int, Cost, T]] = []
        self._arrivals = 0
        self._hopeless = 0

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.in_flight}/{self.window.size} in flight"
        return f"<Lane {self.name}: {state}, {len(self._waiting)} waiting>"

    @property
    def broken(self) -> CallError | None:
        """How every further call fails, or None while some may succeed."""
        if self._refusal is not None:
            return self._refusal
        return self.breaker.dead if self.breaker is not None else None

    @property
    def queued(self) -> int:
        return len(self._waiting)

    def try_enter(self, now: float, cost: Cost = FREE) -> Entered | None:
        """Enters if a call may go now and nobody waits before it."""
        if self._waiting or not self._has_room(now, cost):
            return None
        return self._enter(now, cost)

    def wait_for(self, ticket: T, rank: float, cost: Cost = FREE) -> None:
        """Queues `ticket`; a lower rank goes first, the same rank in order of arrival."""
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, cost, ticket))

    def admit(self, now: float, is_gone: Callable[[T], bool]) -> tuple[T, Entered] | None:
        """The ticket whose turn has come, which is in flight from here on. Tickets that are gone are dropped."""
        waiting = self._waiting
        while waiting and is_gone(waiting[0][3]):
            heapq.heappop(waiting)
        if not waiting:
            return None
        _, _, cost, ticket = waiting[0]
        if not self._has_room(now, cost) and self.broken is None:
            return None
        heapq.heappop(waiting)
        return ticket, self._enter(now, cost)

    def next_turn(self, now: float) -> float | None:
        """When `admit` should be asked again though no call ends before, or None."""
        if not self._waiting:
            return None
        if self.breaker is not None and self.breaker.is_open:
            return self.breaker.next_probe(now)
        if self.in_flight >= self.window.size or self.limiter is None:
            return None
        return now + self.limiter.wait(self._waiting[0][2], now)

    def leave(self, entered: Entered, now: float) -> None:
        """A call ended that says nothing of the provider: cancelled, or a tool's."""
        self.in_flight -= 1
        if self.limiter is not None and entered.sent is not None:
            self.limiter.failed(entered.sent, now)

    def answered(
        self,
        entered: Entered,
        now: float,
        usage: Usage = NO_USAGE,
        readings: tuple[Reading, ...] = (),
    ) -> None:
        """A call ended with an answer, whose headers told of the limits what `readings` say."""
        self.window.answered(now, entered.at, entered.ahead, self.in_flight, usage.output_tokens)
        self.in_flight -= 1
        self._hopeless = 0
        if self.breaker is not None:
            self.breaker.answered(entered.at)
        if self.limiter is not None and entered.sent is not None:
            self.limiter.answered(entered.sent, now, readings, _used(usage))

    def failed(
        self, entered: Entered, error: CallError, now: float, readings: tuple[Reading, ...] = ()
    ) -> None:
        """A call ended with `error`."""
        self.in_flight -= 1
        if error.signal is Signal.THROTTLE:
            self.throttles += 1
            self.window.throttled(entered.at, now)
        elif error.signal is Signal.HOPELESS:
            self._hopeless += 1
            if self._hopeless >= self.HOPELESS_IN_A_ROW:
                self._refusal = error
        elif error.signal is Signal.NONE and error.status is not None:
            self._hopeless = 0  # the provider looked at the call itself
        if self.breaker is not None:
            if error.signal is Signal.OUTAGE:
                self.breaker.failed(error, now, self.in_flight)
            else:
                self.breaker.answered(entered.at)
        self._tell_limiter(entered, error, now, readings)

    def blames(self, own_failures: int) -> bool:
        """Whether an outage just told of is its call's own failure, which has failed so many times now."""
        return self.breaker is None or self.breaker.blames(own_failures)

    @property
    def rations_retries(self) -> bool:
        """Whether so many calls fail that retries could make it worse."""
        return self.breaker is not None and self.breaker.rations_retries

    def _tell_limiter(
        self, entered: Entered, error: CallError, now: float, readings: tuple[Reading, ...]
    ) -> None:
        if self.limiter is None or entered.sent is None:
            return
        if error.signal is Signal.THROTTLE:
            self.limiter.throttled(entered.sent, now, error.retry_after, readings)
        elif error.usage is not NO_USAGE or error.signal is Signal.NONE:
            self.limiter.answered(entered.sent, now, readings, _used(error.usage))  # it was let in
        else:
            self.limiter.failed(entered.sent, now)

    def _enter(self, now: float, cost: Cost) -> Entered:
        self.in_flight += 1
        if self.breaker is not None:
            self.breaker.entered(now)
        sent = self.limiter.sent(cost, now) if self.limiter is not None else None
        return Entered(now, self.in_flight, sent)

    def _has_room(self, now: float, cost: Cost) -> bool:
        if self.in_flight >= self.window.size:
            return False
        if self.breaker is not None and self.breaker.is_open and not self.breaker.may_enter(now):
            return False
        return self.limiter is None or self.limiter.wait(cost, now) <= 0.0


def _used(usage: Usage) -> Cost:
    return Cost(usage.input_tokens, usage.output_tokens)
