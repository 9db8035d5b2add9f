"""Identical calls are sent once: later ones share the first one's answer, also while it is on its way."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

from flowpool.calls.flow import MISSING, Flow
from flowpool.errors import FlowpoolError
from flowpool.run.slots import Slots


class Dedupe:
    """The answers of a run's calls, by what tells the calls apart. They stay in memory for the run."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._answers: dict[bytes, Any] = {}
        self._under_way: dict[bytes, asyncio.Future[None]] = {}

    async def once(
        self,
        call: bytes,
        flow: Flow,
        look_up: Callable[[], Any],
        send: Callable[[], Awaitable[Any]],
    ) -> Any:
        """The answer of this call: another's, or by `send` if nobody else is at it.

        look_up: the answer that it had in an earlier run, or `MISSING`.
        """
        while call in self._under_way:
            await self._follow(flow, self._under_way[call])
        answer = self._answers.get(call, MISSING)
        if answer is MISSING:
            answer = self._answers[call] = look_up()
        if answer is not MISSING:
            return answer
        turn = self._under_way[call] = asyncio.get_running_loop().create_future()
        try:
            answer = self._answers[call] = await send()
        except FlowpoolError as error:
            turn.set_exception(error)
            turn.exception()  # there may be nobody else to take it
            raise
        finally:
            if not turn.done():  # answered; or cut short, and the next one tries for itself
                turn.set_result(None)
            del self._under_way[call]
            if answer is MISSING:
                del self._answers[call]
        return answer

    async def _follow(self, flow: Flow, leader: asyncio.Future[None]) -> None:
        """Waits without a slot: the leader may need one to go on."""
        self._slots.park(flow)
        try:
            await asyncio.shield(leader)
        except FlowpoolError as error:
            failure = copy.copy(error)
            failure.__dict__.pop("__notes__", None)
            raise failure from None
        finally:
            flow.branches += 1
        await self._slots.resume(flow)
