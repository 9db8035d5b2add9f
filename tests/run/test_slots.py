"""Who is in progress, and who comes back first."""

from __future__ import annotations

import asyncio
from typing import Any

from flowpool.run.slots import Slots


class Flow:
    def __init__(self, branches: int = 1) -> None:
        self.branches = branches
        self.holds_place = True


def places_of(size: int, *flows: Flow) -> tuple[Slots, list[int]]:
    freed: list[int] = []
    places = Slots(lambda: size, lambda: freed.append(places.taken))
    places.taken = len(flows)
    return places, freed


async def back(places: Slots, flow: Flow) -> None:
    flow.branches += 1
    await places.resume(flow)


def run(scene: Any) -> None:
    asyncio.run(scene())


def test_a_flow_that_waits_gives_up_its_place_and_takes_it_again() -> None:
    async def scene() -> None:
        flow = Flow()
        places, freed = places_of(1, flow)
        places.pause(flow)
        assert (places.taken, freed, flow.holds_place) == (0, [0], False)
        await back(places, flow)
        assert (places.taken, flow.holds_place) == (1, True)

    run(scene)


def test_only_the_last_branch_to_wait_gives_up_the_place() -> None:
    flow = Flow(branches=2)
    places, freed = places_of(1, flow)
    places.pause(flow)
    assert (places.taken, freed) == (1, [])
    places.pause(flow)
    assert (places.taken, freed) == (0, [0])


def test_those_who_come_back_queue_in_order_and_one_place_serves_a_flows_branches() -> None:
    async def scene() -> None:
        first, second, holder = Flow(), Flow(), Flow()
        places, _ = places_of(1, holder)
        for flow in (first, second):
            flow.branches, flow.holds_place = 0, False
        order: list[str] = []

        async def come(flow: Flow, name: str) -> None:
            await back(places, flow)
            order.append(name)

        tasks = [
            asyncio.create_task(come(flow, name))
            for flow, name in ((first, "a"), (second, "b"), (first, "c"))
        ]
        await asyncio.sleep(0)
        assert (order, places.wanted) == ([], True)
        places.pause(holder)
        places.serve()
        await asyncio.sleep(0)
        # Were "c" left behind "b", the first flow would wait for itself.
        assert order == ["a", "c"]
        for _ in range(first.branches):
            places.pause(first)
        places.serve()
        await asyncio.gather(*tasks)
        assert (order, places.taken) == (["a", "c", "b"], 1)

    run(scene)


def test_who_is_cancelled_in_the_queue_takes_nothing() -> None:
    async def scene() -> None:
        holder, gone, next_one = Flow(), Flow(), Flow()
        places, _ = places_of(1, holder)
        for flow in (gone, next_one):
            flow.branches, flow.holds_place = 0, False
        tasks = [asyncio.create_task(back(places, flow)) for flow in (gone, next_one)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        places.pause(holder)
        places.serve()
        await tasks[1]
        assert (gone.holds_place, next_one.holds_place, places.taken) == (False, True, 1)

    run(scene)
