"""An async tool, waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from flowpool.tools import tool


@tool
async def shout(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def test_run_waits_for_an_async_tool_even_inside_a_running_loop() -> None:
    async def main() -> Any:
        return shout.run(text="hey")

    assert shout.run(text="hey") == "HEY"
    assert asyncio.run(main()) == "HEY"
