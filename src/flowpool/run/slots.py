"""Who is in progress: places for flows, which a flow gives up while all it does is wait for a retry.

Knows no items and no calls. Side-by-side steps are branches of one flow and share its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Holder(Protocol):
    """What takes a place. `branches` counts those that don't wait for a retry."""

    branches: int
    holds_place: bool


class Slots:
    """Counts the places that are taken, up to `size()`; `freed` is called when there may be room.

    Those who come back from a wait go before new ones, in the order they came.
    """

    __slots__ = ("_freed", "_returning", "_size", "taken")

    def __init__(self, size: Callable[[], int], freed: Callable[[], None]) -> None:
        self.taken = 0
        self._size = size
        self._freed = freed
        self._returning: dict[Holder, list[asyncio.Future[None]]] = {}

    @property
    def wanted(self) -> bool:
        """Whether somebody who came back waits for a place."""
        return bool(self._returning)

    def lend(self, holder: Holder) -> None:
        """Leaves the holder's place to those who came back, and to nobody new."""
        holder.holds_place = False
        self.taken -= 1
        self.serve()

    def pause(self, holder: Holder) -> None:
        """A branch has nothing to do; the last one to pause gives up the holder's place."""
        holder.branches -= 1
        if holder.branches == 0 and holder.holds_place:
            holder.holds_place = False
            self.taken -= 1
            self._freed()

    async def resume(self, holder: Holder) -> None:
        """A branch wants to go on: waits until its holder has a place again. Counted by the caller."""
        if holder.holds_place:
            return
        if not self._returning and self.taken < self._size():
            self.reclaim(holder)
            return
        turn = asyncio.get_running_loop().create_future()
        self._returning.setdefault(holder, []).append(turn)
        await turn

    def reclaim(self, holder: Holder) -> None:
        """Takes a place for the holder even if there is none left."""
        if not holder.holds_place:
            holder.holds_place = True
            self.taken += 1

    def serve(self) -> None:
        """Gives free places to those who came back: one for all branches of a holder."""
        while self._returning:
            holder, turns = next(iter(self._returning.items()))
            turns = [turn for turn in turns if not turn.done()]  # others were cancelled
            if turns and not holder.holds_place and self.taken >= self._size():
                return
            del self._returning[holder]
            if turns:
                self.reclaim(holder)
            for turn in turns:
                turn.set_result(None)
