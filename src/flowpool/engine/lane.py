"""A lane: where calls queue because they share a limit. Decides who may go; awaits nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from flowpool.engine.bucket import Cost, Quota
from flowpool.engine.window import Window
from flowpool.errors import CallError, Signal

T = TypeVar("T")
FREE = Cost()


class Lane(Generic[T]):
    """Calls in flight up to a window and a quota; the rest wait, those nearest their item's end first.

    A caller asks `try_enter`; refused, it leaves a ticket with `wait_for`, and `admit` says whose turn it is.
    Each call that entered must `leave` with what it saw. A lane breaks when several calls in a row say that
    none can succeed (wrong key, no credit): `broken` is then how every further call fails, and nothing is sent.
    """

    __slots__ = ("_arrivals", "_hopeless", "_waiting", "broken", "in_flight", "name", "paused_until",
                 "quota", "throttles", "window")  # fmt: skip

    HOPELESS_IN_A_ROW = 3

    def __init__(self, name: str, window: Window, quota: Quota | None = None) -> None:
        self.name = name
        self.window = window
        self.quota = quota
        self.in_flight = 0
        self.paused_until = 0.0
        self.throttles = 0
        self.broken: CallError | None = None
        self._waiting: list[tuple[float, int, Cost, T]] = []
        self._arrivals = 0
        self._hopeless = 0

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.in_flight}/{self.window.size} in flight"
        return f"<Lane {self.name}: {state}, {len(self._waiting)} waiting>"

    @property
    def queued(self) -> int:
        return len(self._waiting)

    def try_enter(self, now: float, cost: Cost = FREE) -> bool:
        """Enters if a call may go now and nobody waits before it."""
        if self._waiting or self.in_flight >= self.window.size or now < self.paused_until:
            return False
        if self.quota is not None:
            if self.quota.wait(cost, now) > 0.0:
                return False
            self.quota.take(cost)
        self.in_flight += 1
        return True

    def wait_for(self, ticket: T, rank: float, cost: Cost = FREE) -> None:
        """Queues `ticket`; a lower rank goes first, the same rank in order of arrival."""
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, cost, ticket))

    def admit(self, now: float, is_gone: Callable[[T], bool]) -> list[T]:
        """The tickets whose turn has come; they are in flight from here on. Tickets that are gone are dropped."""
        admitted: list[T] = []
        waiting = self._waiting
        while waiting and (
            self.broken or (self.in_flight < self.window.size and now >= self.paused_until)
        ):
            _, _, cost, ticket = waiting[0]
            if not is_gone(ticket):
                if self.quota is not None and not self.broken:
                    if self.quota.wait(cost, now) > 0.0:
                        break
                    self.quota.take(cost)
                self.in_flight += 1
                admitted.append(ticket)
            heapq.heappop(waiting)
        return admitted

    def next_turn(self, now: float) -> float | None:
        """When `admit` should be asked again though no call ends before, or None."""
        if not self._waiting or self.in_flight >= self.window.size:
            return None
        wait = self.quota.wait(self._waiting[0][2], now) if self.quota is not None else 0.0
        return max(self.paused_until, now + wait)

    def leave(self) -> None:
        """A call ended that says nothing of the provider: cancelled, or a tool's."""
        self.in_flight -= 1

    def answered(self) -> None:
        """A call ended with an answer."""
        self.window.answered(self.in_flight)
        self.in_flight -= 1
        self._hopeless = 0

    def failed(self, error: CallError, sent: float, now: float) -> None:
        """A call sent at `sent` ended with `error` at `now`."""
        self.in_flight -= 1
        if error.signal is Signal.THROTTLE:
            self.throttles += 1
            self.window.throttled(sent, now)
            if error.retry_after:
                self.paused_until = max(self.paused_until, now + error.retry_after)
        elif error.signal is Signal.HOPELESS:
            self._hopeless += 1
            if self._hopeless >= self.HOPELESS_IN_A_ROW:
                self.broken = error
        elif error.signal is Signal.NONE and error.status is not None:
            self._hopeless = 0  # the provider looked at the call itself
