"""The rows that `flowpool run` reads: a file, looked through before anything is paid, or standard input.

Knows no pool: it is given a check for a row.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from itertools import islice
from typing import Any, NamedTuple

from flowpool.data.rows import read
from flowpool.errors import InvalidInput

Check = Callable[[Any, int], None]
READ_AHEAD = 256
_END = object()


class Span(NamedTuple):
    """Which rows: from `start` (0 is the first) to before `stop`; None is the end."""

    start: int = 0
    stop: int | None = None

    def of(self, path: str) -> Iterator[dict[str, Any]]:
        """Those rows of a file, which is closed as soon as it was read so far."""
        rows = iter(read(path))
        with closing(rows):  # type: ignore[type-var]
            yield from islice(rows, self.start, self.stop)


def parse_limit(text: str | None) -> Span:
    """`"10"` is the first ten rows, `"10-20"` those from the tenth to the twentieth.

    >>> parse_limit("10-20")
    Span(start=9, stop=20)
    """
    if text is None:
        return Span()
    first, dash, last = text.partition("-")
    try:
        span = Span(int(first) - 1, int(last)) if dash else Span(0, int(first))
    except ValueError:
        span = Span(0, 0)
    assert span.stop is not None
    if not 0 <= span.start < span.stop:
        raise InvalidInput(f"--limit {text}: write 10 for the first ten rows, or 10-20.")
    return span


class FileRows:
    """The rows of a file, all read and checked once at the start: a bad one costs no call.

    It knows their number and doesn't keep them: each iteration reads the file again.
    """

    def __init__(self, path: str, span: Span, check: Check) -> None:
        self._path = path
        self._span = span
        self._stopped = False
        self._length = 0
        for index, row in enumerate(span.of(path), span.start):
            check(row, index)
            self._length += 1
        if not self._length:
            raise InvalidInput(f"{path}: it has no rows from {span.start + 1} on.")

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._span.of(self._path):
            if self._stopped:
                return
            yield row

    @property
    def error(self) -> InvalidInput | None:
        return None

    @property
    def is_waiting(self) -> bool:
        return False

    def stop(self) -> None:
        """Gives no more rows."""
        self._stopped = True


class StdinRows:
    """JSONL rows from standard input as they arrive, read a little ahead in a thread of its own.

    A bad line ends the input: it is in `error`, and the rows before it are still run.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._ready: deque[Any] = deque()
        self._room = threading.Semaphore(READ_AHEAD)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._stopped = False
        self._ended = False
        # A daemon: it may wait for a line that never comes.
        self._thread = threading.Thread(target=self._read, name="flowpool-stdin", daemon=True)
        self.error: InvalidInput | None = None

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        while True:
            self._arrived.clear()
            while self._ready and not self._stopped:
                row = self._ready.popleft()
                if row is _END:
                    return
                self._room.release()
                yield row
            if self._stopped:
                return
            await self._arrived.wait()

    @property
    def is_waiting(self) -> bool:
        """Whether the end of the input hasn't come, and the thread still holds standard input."""
        return not self._ended and self._thread.is_alive()

    def stop(self) -> None:
        """Gives no more rows."""
        self._stopped = True
        self._wake()

    def _read(self) -> None:
        try:
            for row in self._span.of("-"):
                self._room.acquire()
                self._ready.append(row)
                self._wake()
        except InvalidInput as error:
            self.error = error
        finally:
            self._ended = True
            self._ready.append(_END)
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop closed in between
                self._loop.call_soon_threadsafe(self._arrived.set)


Rows = FileRows | StdinRows
