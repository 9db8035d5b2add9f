from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from flowpool.simulator import Deadlock, LeakedTasks, run_virtual


def test_hours_pass_at_once_and_start_at_0() -> None:
    async def nap() -> Any:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(36_000)
        return began, asyncio.get_running_loop().time()

    assert run_virtual(nap()) == (0.0, 36_000.0)


def test_sleepers_wake_in_order_of_time() -> None:
    async def main() -> Any:
        woken = []

        async def sleeper(seconds: float) -> Any:
            await asyncio.sleep(seconds)
            woken.append((seconds, asyncio.get_running_loop().time()))

        await asyncio.gather(*map(sleeper, (3.0, 1.0, 2.0)))
        return woken

    assert run_virtual(main()) == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_timeouts_fire_in_simulated_time() -> None:
    async def main() -> Any:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 60.0


def test_waiting_for_nothing_is_a_deadlock_that_says_where() -> None:
    async def stuck_forever() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"Event\.wait"):
        run_virtual(stuck_forever())


def test_a_task_that_outlives_the_run_is_an_error() -> None:
    async def main() -> Any:
        task = asyncio.create_task(asyncio.sleep(10), name="straggler")
        await asyncio.sleep(1)
        return task

    with pytest.raises(LeakedTasks, match="straggler"):
        run_virtual(main())


def test_the_runs_own_exception_comes_first() -> None:
    async def main() -> Any:
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(1)
        raise ValueError(f"mine, not of {task.get_name()}")

    with pytest.raises(ValueError, match="mine"):
        run_virtual(main())


def test_a_threads_work_takes_real_time_and_the_clock_stands_still() -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        timer = asyncio.create_task(asyncio.sleep(5))
        done = threading.Event()
        threading.Timer(0.03, done.set).start()
        assert await asyncio.to_thread(done.wait, 10)
        passed = loop.time()
        await timer
        return passed, loop.time()

    assert run_virtual(main()) == (0.0, 5.0)
