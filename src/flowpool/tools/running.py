"""Waits for an async tool where a caller can't: `run()` of a tool whose function is a coroutine's.

Must not know tools or what they do. A pool never comes here: it awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result, waited for here: in a loop of its own, in its own thread if one runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()
