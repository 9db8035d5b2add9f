"""The loop thread: shared, hard to kill, and closed in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowpool.errors import FlowpoolError
from flowpool.run.loop_thread import LoopThread, loop_thread


def test_there_is_one_and_it_is_kept() -> None:
    assert loop_thread() is loop_thread()
    assert loop_thread().thread.daemon


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_task_that_leaves_does_not_take_the_loop_with_it(kind) -> None:
    async def leaves() -> Any:
        raise kind("bye")

    async def stays() -> Any:
        return "here"

    thread = LoopThread()
    with pytest.raises(kind):
        thread.submit(leaves()).result(5)
    assert thread.submit(stays()).result(5) == "here"
    thread.close()


def test_closing_it_cancels_what_still_runs() -> None:
    ended = []

    async def sleeps() -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    thread = LoopThread()
    work = thread.submit(sleeps())
    thread.submit(asyncio.sleep(0)).result(5)
    thread.close()
    assert (ended, work.cancelled(), thread.loop.is_closed()) == ([True], True, True)


def test_waiting_for_itself_is_refused() -> None:
    async def refuses() -> Any:
        with pytest.raises(FlowpoolError, match="await arun"):
            loop_thread().refuse_itself()

    loop_thread().submit(refuses()).result(5)
    loop_thread().refuse_itself()


def test_a_closed_one_takes_no_work() -> None:
    async def never() -> Any:
        raise AssertionError

    thread = LoopThread()
    thread.close()
    with pytest.raises(RuntimeError):
        thread.submit(never())
