"""Where a run's items come from: a list, any iterator or an async one. Read one at a time, when asked."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

Entry = tuple[int, Any]
SLOW = 0.005


class Source:
    """Numbers the items of an iterator; `length` is None where only reading it tells.

    An iterator that takes long is read in a thread from then on, so that a database or a pipe that waits
    doesn't hold up the calls in flight. Items of an earlier run can be `put_back`, to be taken again.
    """

    def __init__(self, items: Iterator[Any], length: int | None = None) -> None:
        self.length = length
        self.waits = False
        self.taken = 0
        self._items = items
        self._again: deque[Entry] = deque()
        self._turn = asyncio.Lock()

    @property
    def left(self) -> int | None:
        """How many items are still to be taken, where that is known."""
        return None if self.length is None else self.length - self.taken + len(self._again)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Has these taken again, before what hasn't been read yet. For a new run of the same source."""
        self._again.extend(entries)
        self._turn = asyncio.Lock()

    def take(self) -> Entry | None:
        """The next item with its index, or None at the end."""
        if self._again:
            return self._again.popleft()
        if self.length is not None:
            return self._read()
        start = time.monotonic()
        entry = self._read()
        self.waits = time.monotonic() - start > SLOW
        return entry

    async def take_later(self) -> Entry | None:
        """`take` for a source that waits."""
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(None, self.take)

    def _read(self) -> Entry | None:
        for item in self._items:
            self.taken += 1
            return self.taken - 1, item
        return None


class AsyncSource(Source):
    """An async iterator's items."""

    def __init__(self, items: AsyncIterator[Any]) -> None:
        super().__init__(iter(()))
        self.waits = True
        self._async_items = items

    async def take_later(self) -> Entry | None:
        async with self._turn:
            if self._again:
                return self._again.popleft()
            async for item in self._async_items:
                self.taken += 1
                return self.taken - 1, item
            return None
