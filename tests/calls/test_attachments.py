"""The room that the files of prompts take up: never more than there is, and in turn."""

from __future__ import annotations

import asyncio

from flowpool.calls.attachments import ByteBudget
from flowpool.simulator import run_virtual


def test_no_more_is_held_than_there_is_room_for_and_in_turn() -> None:
    async def main() -> None:
        room, order, most = ByteBudget(10), list[str](), 0

        async def hold(name: str, size: int) -> None:
            nonlocal most
            held = await room.take(size)
            order.append(name)
            most = max(most, room.size - room.free)
            await asyncio.sleep(1)
            room.give(held)

        jobs = [("a", 6), ("b", 6), ("c", 1), ("huge", 99), ("d", 2)]
        tasks = [asyncio.create_task(hold(*job)) for job in jobs]
        waiting = asyncio.create_task(room.take(5))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c", "huge", "d"]
        assert (room.free, most) == (10, 10)

    run_virtual(main())


def test_a_cancelled_wait_for_room_gives_back_what_it_got() -> None:
    async def main() -> None:
        room = ByteBudget(10)
        held = await room.take(10)
        waiting = asyncio.create_task(room.take(4))
        await asyncio.sleep(0)
        room.give(held)
        waiting.cancel()  # in the same moment
        await asyncio.gather(waiting, return_exceptions=True)
        assert room.free == 10

    run_virtual(main())
