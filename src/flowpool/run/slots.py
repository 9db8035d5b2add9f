"""How many items are in progress, and who: slots for flows, which a flow gives up while it waits for a retry.

Knows no items and no calls. Side-by-side steps are branches of one flow and share its slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

# Items that were begun and haven't ended, those that wait for a retry too, for each that may be in progress.
MOST_CARRIED = 5


class Holder(Protocol):
    """What takes a slot. `branches` counts those that don't wait for a retry."""

    branches: int
    holds_slot: bool


class Slots:
    """Counts the slots that are taken, up to `size()`; `freed` is called when there may be room.

    chosen: how many the user wants, None for as many as the lanes can use. filled: gives how many calls may be in
    flight in all lanes. Those who come back from a wait go before new ones, in the order they came.
    """

    __slots__ = ("_filled", "_freed", "chosen", "returning", "taken")

    def __init__(
        self, chosen: int | None, filled: Callable[[], int], freed: Callable[[], None]
    ) -> None:
        self.taken = 0
        self.chosen = chosen
        self._filled = filled
        self._freed = freed
        # Those who came back from a wait, and wait for a slot.
        self.returning: dict[Holder, list[asyncio.Future[None]]] = {}

    def size(self) -> int:
        """How many may be in progress now: the user's number, else just above what fills the lanes."""
        if self.chosen is not None:
            return self.chosen
        filled = self._filled()
        return filled + filled // 8 + 1

    def room(self, waiting: int, carried: int) -> int:
        """How many new ones may begin beside `waiting` that have a slot to come, of `carried` in all.

        Flows that wait for a retry hold no slot, but must not pile up without end either.
        """
        size = self.size()
        return min(size - self.taken - waiting, MOST_CARRIED * size - carried)

    def yield_(self, holder: Holder) -> None:
        """Leaves the holder's slot to those who came back, and to nobody new."""
        holder.holds_slot = False
        self.taken -= 1
        self.serve()

    def park(self, holder: Holder) -> None:
        """A branch has nothing to do; the last one to pause gives up the holder's slot."""
        holder.branches -= 1
        if holder.branches == 0 and holder.holds_slot:
            holder.holds_slot = False
            self.taken -= 1
            self._freed()

    async def resume(self, holder: Holder) -> None:
        """A branch wants to go on: waits until its holder has a slot again. Counted by the caller."""
        if holder.holds_slot:
            return
        if not self.returning and self.taken < self.size():
            self.retake(holder)
            return
        turn = asyncio.get_running_loop().create_future()
        self.returning.setdefault(holder, []).append(turn)
        await turn

    def retake(self, holder: Holder) -> None:
        """Takes a slot for the holder even if there is none left."""
        if not holder.holds_slot:
            holder.holds_slot = True
            self.taken += 1

    def serve(self) -> None:
        """Gives free slots to those who came back: one for all branches of a holder."""
        while self.returning:
            holder, turns = next(iter(self.returning.items()))
            turns = [turn for turn in turns if not turn.done()]  # others were cancelled
            if turns and not holder.holds_slot and self.taken >= self.size():
                return
            del self.returning[holder]
            if turns:
                self.retake(holder)
            for turn in turns:
                turn.set_result(None)
