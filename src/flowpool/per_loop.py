"""One object for each running event loop, closed when that loop shuts down.

Connections and child processes belong to the loop they were made on. Must not know what it keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Closable(Protocol):
    """What ends with its loop."""

    def aclose(self) -> Awaitable[None]: ...


_T = TypeVar("_T", bound=Closable)


class PerLoop(Generic[_T]):
    """Makes an object on first use in a loop, and closes it as `asyncio.run` ends that loop."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._kept: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[_T, AsyncGenerator[None, None]]
        ] = WeakKeyDictionary()

    def get(self) -> _T:
        """The running loop's object. Raises `RuntimeError` outside a running loop."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            made = self._make()
            # A loop that shuts down closes the async generators left suspended on it, before it closes
            # itself: the one moment when what lives on the loop can still be closed in order.
            guard = self._guard(loop, made)
            _advance(guard)
            kept = self._kept[loop] = (made, guard)
        return kept[0]

    async def _guard(self, loop: asyncio.AbstractEventLoop, made: _T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._kept.pop(loop, None)
            await made.aclose()


def _advance(guard: AsyncGenerator[None, None]) -> None:
    """Runs `guard` to its first yield, which it reaches without awaiting."""
    try:
        guard.asend(None).send(None)
    except StopIteration:
        return
