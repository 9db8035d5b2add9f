"""Calls that wait for the run's budget: what `Budget` decides without a loop is awaited here."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import TypeVar

from flowpool.calls.budget import Amount, Budget, Reservation
from flowpool.errors import BudgetSpent

R = TypeVar("R")
_Waiter = asyncio.Future[Reservation]


class BudgetQueue:
    """A run's budget and those who wait for what is in flight to cost less than it might.

    stop: called with the reason, once the budget has no room for any call; with `gives_up`, which an endless
    source of items needs, also when it had none for the last `REFUSALS` that came. paused: the seconds for which
    the user has paused the run so far.
    """

    # Of an endless source a call that fits may still come; after so many in a row that did not, none is expected.
    REFUSALS = 1000

    def __init__(
        self,
        budget: Budget,
        stop: Callable[[str], None],
        paused: Callable[[], float] = float,
        *,
        gives_up: bool,
    ) -> None:
        self.budget = budget
        self.refusal = ""  # why the last call that had no room had none
        self._paused = paused
        self._gives_up = gives_up
        self._refused = 0
        self._smallest: Amount | None = None
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[float, int, Amount, _Waiter]] = []
        self._arrivals = 0

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    def may_cost(self, least: Amount) -> None:
        """Calls of one kind will come, whose worst case is `least` or more."""
        known = self._smallest or least
        self._smallest = Amount(min(known.cost, least.cost), min(known.tokens, least.tokens))

    async def reserve(self, worst: Amount, rank: float) -> Reservation:
        """A reservation of `worst`, once it fits; nearest their item's end first.

        Raises `BudgetSpent` when it can't fit any more.
        """
        if not self._waiting and (reservation := self.budget.reserve(worst)) is not None:
            self._refused = 0
            return reservation
        if self.budget.can_never_afford(worst):
            raise self._refusal(worst)
        began = self._loop.time() - self._paused()
        waiter: _Waiter = self._loop.create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, worst, waiter))
        self._serve()  # its rank may let it pass those who wait
        try:
            reservation = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())  # its turn came in the same moment
            elif not waiter.done():
                waiter.cancel()
            self._serve()
            raise
        reservation.waited = max(0.0, self._loop.time() - self._paused() - began)
        return reservation

    async def reserve_any(
        self, worst: Sequence[tuple[R, Amount]], rank: float
    ) -> tuple[list[R], Reservation]:
        """A reservation that does for any of those whose worst case the budget has room for, and which they are.

        Of several, those that are too dear by now are left out. Raises `BudgetSpent` when there is none.
        """
        never = self.budget.can_never_afford
        while True:
            left = [(one, most) for one, most in worst if not never(most)]
            left = left or [min(worst, key=lambda pair: pair[1])]  # left to say why
            most = Amount(max(w.cost for _, w in left), max(w.tokens for _, w in left))
            if len(left) > 1 and never(most):  # one is dear in money, another in tokens
                left, most = left[:1], left[0][1]
            try:
                return [one for one, _ in left], await self.reserve(most, rank)
            except BudgetSpent:
                if len(left) == 1:
                    raise

    def limit(self, max_cost: float | None, max_tokens: int | None) -> None:
        """Other ceilings from here on: who waits for room may have it now, or learns that none will come."""
        self.budget.limit(max_cost, max_tokens)
        self._serve()

    def settle(self, reservation: Reservation, used: Amount) -> None:
        self.budget.settle(reservation, used)
        self._serve()

    def release(self, reservation: Reservation) -> None:
        self.budget.release(reservation)
        self._serve()

    def keep(self, reservation: Reservation) -> None:
        self.budget.keep(reservation)
        self._serve()

    def _serve(self) -> None:
        """Gives what came free to those who wait, and tells those who wait in vain."""
        waiting = self._waiting
        while waiting:
            _, _, worst, waiter = waiting[0]
            if not waiter.done():
                if self.budget.can_never_afford(worst):
                    waiter.set_exception(self._refusal(worst))
                elif (reservation := self.budget.reserve(worst)) is not None:
                    self._refused = 0
                    waiter.set_result(reservation)
                else:
                    return
            heapq.heappop(waiting)

    def _refusal(self, worst: Amount) -> BudgetSpent:
        refusal = self.budget.refusal(worst)
        self._refused, self.refusal = self._refused + 1, str(refusal)
        none_fits = self._smallest is not None and self.budget.can_never_afford(self._smallest)
        if none_fits or (self._gives_up and self._refused >= self.REFUSALS):
            self._stop(self.refusal)
        return refusal
