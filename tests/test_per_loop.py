"""One object a loop, closed with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from flowpool.per_loop import PerLoop


class Thing:
    def __init__(self) -> None:
        self.closed_on: Any = None

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed_on = asyncio.get_running_loop()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_has_one_and_closes_it_at_its_end(run: Any) -> None:
    things = PerLoop(Thing)

    async def main() -> tuple[Thing, Any]:
        first = things.get()
        await asyncio.sleep(0)
        assert things.get() is first
        assert first.closed_on is None
        return first, asyncio.get_running_loop()

    first, loop = run(main())
    second, _ = run(main())
    assert first is not second
    assert first.closed_on is loop


def test_it_closes_when_the_main_coroutine_raises() -> None:
    things, made = PerLoop(Thing), []

    async def main() -> None:
        made.append(things.get())
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        asyncio.run(main())
    assert made[0].closed_on is not None


def test_outside_a_loop_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        PerLoop(Thing).get()
