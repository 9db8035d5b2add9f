"""A pool's run as it is watched from within its process, from another thread than the loop's."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize, ref

from msgspec import structs

from flowpool.errors import FlowpoolError, message_of
from flowpool.pool import Snapshot
from flowpool.report.reading import fix_of
from flowpool.results import Record
from flowpool.run.bottleneck import add_to
from flowpool.run.monitor import sample_of
from flowpool.run.sample import Bottleneck, Sample
from flowpool.run.session import Session
from flowpool.store.reading import FailedItem, Reader, shape_of
from flowpool.values import Status
from flowpool.views.words import COST_AFTER
from flowpool.watch.paced import Paced
from flowpool.watch.source import grid_of
from flowpool.watch.view import (
    MOST_FAILURES,
    MOST_GROUPS,
    FailureGroup,
    Grid,
    RunView,
    State,
    cell_size,
)

# Failed items whose errors are kept for their groups: a run in which all fail, fails alike.
MOST_SHAPES = 200


class PoolGone(FlowpoolError):
    """The pool that was watched is no more."""


class PoolSource:
    """The runs of a pool's session, which it doesn't keep alive.

    order: carries an order out, and says what was done in words; without it none is taken.
    """

    def __init__(
        self, session: Session, order: Callable[[Session, str, dict[str, Any]], str] | None = None
    ) -> None:
        self._session = ref(session)
        self._obey = order
        self._lock = Lock()
        self._items = _Items()
        self._bottlenecks: list[Bottleneck] = []
        self._stored: _StoredCells | None = None

    def view(self) -> RunView:
        session, at = self._held(), time.time()
        with self._lock:
            now = session.snapshot
            samples, bottleneck = tuple(session.samples), now.bottleneck
            if bottleneck is not None:
                add_to(self._bottlenecks, bottleneck)
            self._items.read(session, now)
            state, words = _state(session, now)
            return RunView(
                name=session.name,
                state=state,
                words=words,
                at=at,
                now=_sample(now, at, samples[-1] if samples else None),
                bottleneck=bottleneck if state == "running" else None,
                bottlenecks=tuple(self._bottlenecks),
                samples=samples,
                timings=now.timings,
                settings={
                    "max_flows": session.settings.max_flows,
                    "max_cost": session.settings.max_cost,
                },
                steers=self._obey is not None and state in ("running", "paused"),
                groups=self._items.groups(),
                failures=tuple(self._items.failures),
                grid=self._items.grid(now) or self._stored_grid(session, now),
            )

    def order(self, what: str, **values: Any) -> str:
        if self._obey is None:
            raise FlowpoolError("This run takes no orders.")
        return self._obey(self._held(), what, values)

    def _stored_grid(self, session: Session, now: Snapshot) -> Grid | None:
        """The cells where records are handed over, and their ends stand in a store."""
        if session.checkpoint is None or not now.ended:
            return None
        with suppress(FlowpoolError):  # it isn't there yet, or no more
            if self._stored is None or now.elapsed < self._stored.elapsed:
                self._stored = _StoredCells(session.checkpoint.path, session.name)
            return self._stored.grid(now)
        return None

    def _held(self) -> Session:
        session = self._session()
        if session is None:
            raise PoolGone("The pool is gone: its program has let go of it.")
        return session


class _StoredCells:
    """The cells of the newest run of this name in a store."""

    def __init__(self, path: Path, name: str) -> None:
        self.elapsed = 0.0
        reader = self._reader = Reader(path)
        finalize(self, reader.close)
        found = [run.id for run in reader.runs() if run.name == name]
        self._run = found[0] if found else 0
        self._items = 0
        self._cells = Paced(lambda: grid_of(reader, self._run, self._items), reader.version)

    def grid(self, now: Snapshot) -> Grid | None:
        self.elapsed, self._items = now.elapsed, max(now.total or 0, now.ended)
        return self._cells()


class _Items:
    """What became of the items that are kept, read as they come."""

    # Records that may come between a look at their number and one at the last of them.
    SLACK = 1000

    def __init__(self) -> None:
        self.failures: list[FailedItem] = []
        self._clear()

    def _clear(self) -> None:
        self.failures.clear()
        self._seen = 0
        self._last: Record | None = None
        self._elapsed = 0.0
        self._status = bytearray()
        self._kept_done = 0
        self._groups: dict[tuple[str, str], FailureGroup] = {}

    def read(self, session: Session, now: Snapshot) -> None:
        if now.elapsed < self._elapsed or session.number_kept < self._seen:  # another run has begun
            self._clear()
        self._elapsed = now.elapsed
        new = self._new(session, session.number_kept - self._seen + self.SLACK)
        if new is None:
            self._clear()
            new = session.last_kept(session.number_kept + self.SLACK)
        for record in reversed(new):
            self._take(record)
            self._seen += 1
            self._last = record

    def _new(self, session: Session, number: int) -> list[Record] | None:
        """Those after the last one that was seen, the last first; None where it is no more."""
        found = session.last_kept(number)
        if self._last is None:
            return found
        for number, record in enumerate(found):
            if record is self._last:
                return found[:number]
        return None

    def _take(self, record: Record) -> None:
        if record.index >= len(self._status):
            self._status.extend(bytes(record.index + 1 - len(self._status)))
        self._status[record.index] = record.status
        self._kept_done += record.status is Status.DONE
        if record.status is Status.FAILED and record.error is not None:
            self._fail(record, record.error)

    def _fail(self, record: Record, error: Exception) -> None:
        kind, message = type(error).__name__, message_of(error)
        self.failures.insert(0, FailedItem(record.index, 0.0, kind, message))
        del self.failures[MOST_FAILURES:]
        alike = kind, shape_of(message)
        known = self._groups.get(alike)
        if known is None and len(self._groups) >= MOST_SHAPES:
            return
        count = 1 if known is None else known.count + 1
        self._groups[alike] = FailureGroup(kind, count, message, fix_of(kind))

    def groups(self) -> list[FailureGroup]:
        found = sorted(self._groups.values(), key=lambda group: (-group.count, group.error))
        return found[:MOST_GROUPS]

    def grid(self, now: Snapshot) -> Grid | None:
        """None where what is done was handed over, and isn't kept."""
        items = max(now.total or 0, len(self._status))
        if not items or self._kept_done < 0.9 * now.done:
            return None
        size = cell_size(items)
        starts = range(0, len(self._status), size)
        return Grid(
            size,
            items,
            [self._status.count(Status.DONE, start, start + size) for start in starts],
            [self._status.count(Status.FAILED, start, start + size) for start in starts],
        )


def _sample(now: Snapshot, at: float, last: Sample | None) -> Sample:
    """A snapshot as a sample; `last` knows what the process itself takes."""
    cpu, lag = (0.0, 0.0) if last is None else (last.cpu, last.lag)
    sample = sample_of(now, at, cpu, lag)
    # In this thread the price list may be loaded: not on the run's loop.
    return structs.replace(sample, cost=now.cost) if now.elapsed >= COST_AFTER else sample


def _state(session: Session, now: Snapshot) -> tuple[State, str]:
    if session.is_running:
        if session.is_paused:
            return "paused", "Paused: no call is sent until it goes on."
        return "running", "At work."
    if now.stopped:
        return "away", f"The run ended before its end: {now.stopped}."
    if now.ended:
        return "ended", "The run has ended."
    return "away", "The run has not begun."
