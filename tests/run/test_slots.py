"""Who is in progress, and who comes back first."""

from __future__ import annotations

import asyncio
from typing import Any

from flowpool.run.slots import Slots


class Flow:
    def __init__(self, branches: int = 1) -> None:
        self.branches = branches
        self.holds_slot = True


def places_of(size: int, *flows: Flow) -> tuple[Slots, list[int]]:
    freed: list[int] = []
    slots = Slots(size, int, lambda: freed.append(slots.taken))
    slots.taken = len(flows)
    return slots, freed


async def back(slots: Slots, flow: Flow) -> None:
    flow.branches += 1
    await slots.resume(flow)


def run(scene: Any) -> None:
    asyncio.run(scene())


def test_a_flow_that_waits_gives_up_its_place_and_takes_it_again() -> None:
    async def scene() -> None:
        flow = Flow()
        slots, freed = places_of(1, flow)
        slots.park(flow)
        assert (slots.taken, freed, flow.holds_slot) == (0, [0], False)
        await back(slots, flow)
        assert (slots.taken, flow.holds_slot) == (1, True)

    run(scene)


def test_only_the_last_branch_to_wait_gives_up_the_place() -> None:
    flow = Flow(branches=2)
    slots, freed = places_of(1, flow)
    slots.park(flow)
    assert (slots.taken, freed) == (1, [])
    slots.park(flow)
    assert (slots.taken, freed) == (0, [0])


def test_those_who_come_back_queue_in_order_and_one_place_serves_a_flows_branches() -> None:
    async def scene() -> None:
        first, second, holder = Flow(), Flow(), Flow()
        slots, _ = places_of(1, holder)
        for flow in (first, second):
            flow.branches, flow.holds_slot = 0, False
        order: list[str] = []

        async def come(flow: Flow, name: str) -> None:
            await back(slots, flow)
            order.append(name)

        tasks = [
            asyncio.create_task(come(flow, name))
            for flow, name in ((first, "a"), (second, "b"), (first, "c"))
        ]
        await asyncio.sleep(0)
        assert (order, bool(slots.returning)) == ([], True)
        slots.park(holder)
        slots.serve()
        await asyncio.sleep(0)
        # Were "c" left behind "b", the first flow would wait for itself.
        assert order == ["a", "c"]
        for _ in range(first.branches):
            slots.park(first)
        slots.serve()
        await asyncio.gather(*tasks)
        assert (order, slots.taken) == (["a", "c", "b"], 1)

    run(scene)


def test_who_is_cancelled_in_the_queue_takes_nothing() -> None:
    async def scene() -> None:
        holder, gone, next_one = Flow(), Flow(), Flow()
        slots, _ = places_of(1, holder)
        for flow in (gone, next_one):
            flow.branches, flow.holds_slot = 0, False
        tasks = [asyncio.create_task(back(slots, flow)) for flow in (gone, next_one)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        slots.park(holder)
        slots.serve()
        await tasks[1]
        assert (gone.holds_slot, next_one.holds_slot, slots.taken) == (False, True, 1)

    run(scene)


def test_there_are_as_many_as_the_user_chose_or_just_more_than_fill_the_lanes() -> None:
    assert Slots(3, lambda: 64, lambda: None).size() == 3
    assert Slots(None, lambda: 64, lambda: None).size() == 73


def test_new_ones_begin_where_a_slot_is_free_and_not_too_many_wait_for_a_retry() -> None:
    slots, _ = places_of(10)
    slots.taken = 4
    assert slots.room(waiting=1, carried=4) == 5
    assert slots.room(waiting=0, carried=48) == 2  # the others hold no slot
