"""Where a run's records go: kept, or handed over as they come, holding the run back when nobody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowpool.results import Record

# Records that may wait for the reader: some hundred kilobytes, and a second of the quickest runs.
BACKLOG = 2048


class Sink:
    """Where a run's records go. `is_full` holds new items back until `Run.go_on` is called."""

    is_full = False

    def put(self, record: Record) -> None:
        """Takes the record of an item that ended."""
        raise NotImplementedError

    def end(self) -> None:
        """No more records will come."""


class Keep(Sink):
    """Keeps every record, by index."""

    def __init__(self, records: dict[int, Record]) -> None:
        self._records = records

    def put(self, record: Record) -> None:
        self._records[record.index] = record


class Stream(Sink):
    """Records between a run and the reader of its stream, at most about `BACKLOG` of them.

    keep: given each record as it comes. go_on: called when there is room for more.
    """

    def __init__(
        self, ordered: bool, keep: Callable[[Record], None], go_on: Callable[[], None]
    ) -> None:
        self._ordered = ordered
        self._keep = keep
        self._ready: list[Record] = []
        self._early: dict[int, Record] = {}  # ended before one that comes before them
        self._next = 0
        self._reader: asyncio.Future[None] | None = None
        self._go_on = go_on
        self._ended = False

    def put(self, record: Record) -> None:
        self._keep(record)
        if not self._ordered:
            self._ready.append(record)
        else:
            self._early[record.index] = record
            while (following := self._early.pop(self._next, None)) is not None:
                self._ready.append(following)
                self._next += 1
        self.is_full = len(self._ready) + len(self._early) >= BACKLOG
        self._wake()

    def end(self) -> None:
        """No more records will come: those still waiting for an earlier one are let go."""
        self._ready += [self._early.pop(index) for index in sorted(self._early)]
        self._ended = True
        self._wake()

    async def batch(self) -> list[Record]:
        """The records that are ready, at least one; none at the end."""
        while not self._ready and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        batch, self._ready = self._ready, []
        was_full, self.is_full = self.is_full, len(self._early) >= BACKLOG
        if was_full and not self.is_full:
            self._go_on()
        return batch

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done() and (self._ready or self._ended):
            self._reader.set_result(None)
