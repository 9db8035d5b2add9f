"""Where a run's items come from: memory or a file, any other iterator, an async one. Read when asked.

A source outlives its run: what a run read and didn't start, and what is put back, the next run takes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from flowpool.errors import InvalidInput
from flowpool.threads import DaemonThreads

Entry = tuple[int, Any]
_END = object()


class Source:
    """Numbers the items of an iterator that never waits; `length` is None where only reading it tells.

    `position` says where the item that was taken last stands: `rows.jsonl, line 3`.
    """

    waits = False

    def __init__(
        self,
        items: Iterator[Any],
        length: int | None = None,
        position: Callable[[], str] = str,
    ) -> None:
        self.length = length
        self.position = str if self.waits else position  # one that reads ahead is further on by now
        self.taken = 0
        self._items: Any = items
        self._again: deque[Entry] = deque()

    @property
    def left(self) -> int | None:
        """How many items are still to be taken, where that is known."""
        return None if self.length is None else self.length - self.taken + len(self._again)

    @property
    def again(self) -> list[Entry]:
        """What was put back and not taken yet."""
        return list(self._again)

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Has these taken again, before what hasn't been taken yet. For a new run of the same source."""
        self._again = deque(sorted([*self._again, *entries], key=lambda entry: entry[0]))

    def open(self) -> None:
        """A run begins, on the running loop."""

    def take(self) -> Entry | None:
        """The next item with its index, or None at the end."""
        if self._again:
            return self._again.popleft()
        for item in self._items:
            self.taken += 1
            return self.taken - 1, item
        return None

    async def take_later(self) -> Entry | None:
        """`take` for a source that waits; None also once it was released."""
        return self.take()

    def release(self) -> None:
        """The run wants no more: whoever waits for an item stops waiting."""

    async def close(self, cut: bool) -> None:
        """The run is over; `cut` when its caller was cancelled and nothing of it may go on."""


class WaitingSource(Source):
    """Items that come when they come. Reads as many as are waited for and no more.

    An item that arrives after its run ended isn't lost: it is the next run's first.
    """

    waits = True

    def __init__(
        self, items: Any, length: int | None = None, position: Callable[[], str] = str
    ) -> None:
        super().__init__(items, length, position)
        self._read = 0
        self._over = False
        self._error: Exception | None = None
        self._ahead: deque[Entry] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._reading: asyncio.Future[None] | None = None
        self._released = False

    def open(self) -> None:
        self._released = False
        self._waiters.clear()

    async def take_later(self) -> Entry | None:
        while not self._released:
            if self._again:
                return self._again.popleft()
            if self._ahead:
                self.taken += 1
                return self._ahead.popleft()
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._over:
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._ask()
            await waiter
        return None

    def release(self) -> None:
        self._released = True
        self._wake(len(self._waiters))

    def _ask(self) -> None:
        """Starts reading, unless that is under way."""
        if self._reading is None:
            self._reading = self._start_reading()
            self._reading.add_done_callback(self._reading_ended)

    def _start_reading(self) -> asyncio.Future[None]:
        raise NotImplementedError

    def _reading_ended(self, reading: asyncio.Future[None]) -> None:
        if reading is self._reading:
            self._reading = None
        self._deliver()
        if self._waiters and not self._over:
            self._ask()

    def _deliver(self) -> None:
        self._wake(len(self._waiters) if self._over else len(self._ahead))

    def _wake(self, count: int) -> None:
        while count > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    def _arrived(self, item: Any) -> None:
        self._ahead.append((self._read, item))
        self._read += 1

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # sys.exit() in a generator must not end the loop
            error = InvalidInput(f"reading the items raised {error!r}")
        self._error = error
        self._over = True


class ThreadSource(WaitingSource):
    """An iterator that may block, or run anything: read in a thread of its own."""

    def __init__(
        self, items: Iterator[Any], length: int | None = None, position: Callable[[], str] = str
    ) -> None:
        super().__init__(items, length, position)
        self._turn = threading.Lock()
        self._thread: DaemonThreads | None = None
        self._notified = False

    def open(self) -> None:
        super().open()
        self._notified = False

    async def close(self, cut: bool) -> None:
        # A read that blocks goes on without us: the thread keeps its item for the next run.
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _start_reading(self) -> asyncio.Future[None]:
        self._thread = self._thread or DaemonThreads("flowpool-items", 1)
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, self._read_wanted, loop)

    def _read_wanted(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._turn:  # an earlier run's read may not have come back yet
            while not self._over and len(self._ahead) < len(self._waiters):
                try:
                    item = next(self._items, _END)
                except BaseException as error:
                    self._failed(error)
                    return
                if item is _END:
                    self._over = True
                    return
                self._arrived(item)
                self._tell(loop)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._notified:
            self._notified = True
            with suppress(RuntimeError):  # the loop closed in between
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._notified = False
        super()._deliver()


class AsyncSource(WaitingSource):
    """An async iterator's items."""

    def __init__(self, items: AsyncIterator[Any]) -> None:
        super().__init__(items)

    async def close(self, cut: bool) -> None:
        # Cancelling a read ends an async generator for good: only done where nothing may be left behind.
        if cut and self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _start_reading(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_task(self._read_one())

    async def _read_one(self) -> None:
        try:
            item = await anext(self._items, _END)
        except asyncio.CancelledError:
            self._failed(InvalidInput("reading the items was cancelled midway: make a new Pool."))
            raise
        except BaseException as error:
            self._failed(error)
            if _is_ctrl_c(error):
                raise
            return
        if item is _END:
            self._over = True
        else:
            self._arrived(item)


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it is the user's: only the main thread is interrupted."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main
