"""`deadline=`: the run returns in time with what it has, whatever hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Pool, Status
from flowpool.run.deadline import Deadline
from flowpool.simulator import run_virtual

CANCELLED, DONE = Status.CANCELLED, Status.DONE
LONG = 30.0  # seconds that nothing here may wait for


class Blocked:
    """A function that blocks its thread until the test lets it go; `returned` are those that came back."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.returned: list[str] = []

    def __call__(self, text: str) -> str:
        if text != "quick":
            self.free.wait(LONG)
            self.returned.append(text)
        return text


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    blocked = Blocked()
    yield blocked
    blocked.free.set()


def items(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def test_a_provider_that_never_answers_does_not_hold_up_the_run(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=items("one", "[[sim: stall]] two"), deadline=5.0)
    results = sim.run(pool)
    assert (results[0], results.records[1].status, sim.seconds) == ("one", CANCELLED, 5.0)


def test_nor_does_a_function_that_blocks_its_thread(blocked) -> None:
    pool = Pool(blocked, items("quick", "slow"), deadline=0.3, progress=False)
    results = pool.run()
    assert [record.status for record in results.records] == [DONE, CANCELLED]
    assert blocked.returned == []


def test_nor_a_stream_of_such_a_run(blocked) -> None:
    pool = Pool(blocked, items("quick", "slow", "slow"), deadline=0.3, progress=False)
    assert sorted(record.status for record in pool.stream()) == [DONE, CANCELLED, CANCELLED]
    assert blocked.returned == []


def test_nor_a_source_that_blocks(blocked) -> None:
    def source() -> Iterator[Any]:
        yield {"text": "quick"}
        yield {"text": blocked("late")}

    pool = Pool(lambda text: text, source(), deadline=0.3, progress=False)
    assert pool.run() == ["quick"]
    assert blocked.returned == []
    blocked.free.set()
    assert pool.retry() == ["quick", "late"]  # what it gives later isn't lost


def test_a_step_that_swallows_its_cancellation_is_cancelled_again(simulate) -> None:
    sim = simulate()

    async def stubborn(text: str) -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(1000)

    sim.run(sim.pool(stubborn, 3, deadline=2.0))
    assert sim.seconds == 4.0


def test_an_async_step_that_blocks_the_loop_starts_no_more_items_after_the_deadline() -> None:
    async def rude(text: str) -> None:
        time.sleep(0.05)  # noqa: ASYNC251

    pool = Pool(rude, items(*"a" * 200), deadline=0.1, progress=False)
    pool.run()
    assert pool.status[DONE] < 20
    assert sum(pool.status.values()) == 200


def test_steps_side_by_side_are_all_cut(simulate, blocked) -> None:
    sim = simulate()
    both = Chain([[(sim.skill("[[sim: stall]] {text}"), "a"), (sim.skill("{text}"), "b")]])
    sim.run(sim.pool(both, 5, deadline=3.0))
    assert sim.seconds == 3.0


class Stubborn:
    """A step that swallows every cancellation until the test lets it go."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self.is_free = False
        self.swallowed = 0

    async def __call__(self, text: str) -> str:
        if text == "quick":
            return text
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        while not self.is_free:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                self.swallowed += 1
        return text

    async def let_go(self) -> None:
        self.is_free = True
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


@pytest.mark.parametrize("stored", [False, True])
def test_a_step_that_swallows_every_cancellation_is_given_up(
    simulate, stored: bool, tmp_path: Path
) -> None:
    sim, step, seen = simulate(), Stubborn(), []

    def after(slow: str) -> str:
        seen.append(slow)
        return slow

    store = tmp_path / "run.db" if stored else None
    chain = Chain([(step, "slow"), (after, "out")])
    pool = sim.pool(chain, items("quick", "slow", "slow"), deadline=2.0, store=store)

    async def scene() -> Any:
        results = await pool.arun()
        seconds = asyncio.get_running_loop().time()
        await step.let_go()
        return results, seconds

    sim.pools.clear()  # the lane shows what is still in it
    results, ended = sim.run(scene())
    assert [record.status for record in results.records] == [DONE, CANCELLED, CANCELLED]
    assert "swallows its cancellation" in str(results.records[1].error)
    assert seen == ["quick"]  # what it gives in the end begins no further step
    assert step.swallowed > 2 * Deadline.TRIES
    assert pool.status[CANCELLED] == 2
    assert ended < LONG


def test_while_it_is_held_the_time_stands_still() -> None:
    ends: list[float] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        deadline = Deadline(10.0, lambda reason: ends.append(loop.time()), lambda: None)
        await asyncio.sleep(4.0)
        deadline.hold()
        deadline.hold()
        await asyncio.sleep(100.0)
        assert not deadline.ends()
        deadline.go()
        deadline.go()
        await asyncio.sleep(5.5)
        assert (deadline.ends(), ends) == (False, [])
        await asyncio.sleep(1.0)
        deadline.close()
        deadline.hold()  # it ends the run already
        assert deadline.ends()

    run_virtual(scene())
    assert ends[0] == 110.0
