"""Where a view has its run from, and the one that reads a store: from another process, while the run writes it.

Reads are short, so that the run's log can be folded back meanwhile, and lock nothing. What only the run's process
knows comes from its control channel.
"""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import msgspec

from flowpool.control import client
from flowpool.errors import FlowpoolError, InvalidInput, StoreRefused
from flowpool.folders import local_path
from flowpool.report.data import AttemptData, time_spreads
from flowpool.report.reading import fix_of, function_names
from flowpool.run.bottleneck import add_to
from flowpool.run.monitor import EVERY, PART
from flowpool.run.sample import Bottleneck, LiveView, Sample, TimeSpread
from flowpool.run.session import Change
from flowpool.store.damage import refuses_damage
from flowpool.store.lock import holder_of
from flowpool.store.reading import Event, FailedItem, Reader, has_log
from flowpool.store.rows import RunInfo
from flowpool.values import Status, Timing
from flowpool.watch.paced import Paced
from flowpool.watch.view import (
    MOST_CHANGES,
    MOST_FAILURES,
    MOST_GROUPS,
    FailureGroup,
    Grid,
    Happened,
    RunView,
    State,
    cell_size,
)

# Attempts at the end of a run that tell where its time went.
MOST_ATTEMPTS = 10_000
# Seconds that a sample may be late before its run is taken to say nothing.
LATE = 5.0
Timings = dict[str, dict[str, TimeSpread]]


class RunSource(Protocol):
    """A run that is watched. Both may be called from any thread."""

    def view(self) -> RunView:
        """How it stands. Raises `FlowpoolError` where that can't be read."""

    def order(self, what: str, **values: Any) -> str:
        """Has it pause, go on, stop or change; what was done, in words. Raises `FlowpoolError`."""


class StoreSource:
    """A run of a store, at work or over.

    run: its name or number; without one the run that was at work last. look, order: how its process is asked.
    Raises `InvalidInput` where the store or the run isn't there.
    """

    def __init__(
        self,
        path: str | Path,
        run: str | None = None,
        *,
        look: Callable[[Path, str], LiveView | None] = client.look,
        order: Callable[..., str] = client.order,
    ) -> None:
        self.path = local_path(path)
        self._wanted = run
        self._ask = look
        self._order = order
        self._lock = Lock()
        self._open()

    def _open(self) -> None:
        self._reader = Reader(self.path)
        self._file = self.path.stat()
        try:
            self._run = self._pick()
        except BaseException:
            self._reader.close()
            raise
        self._course = _Course()
        self._settled: RunView | None = None
        self._is_gone = False
        self._find_anew()

    def _find_anew(self) -> None:
        """What is costly to find is found at the next look, whatever it cost before."""
        reader, version = self._reader, self._reader.version
        self._info = Paced(self._pick, version)
        self._counts = Paced(lambda: reader.counts(self._run.id), version)
        self._spent = Paced(lambda: reader.spent(self._run.id), version)
        self._timing = Paced(lambda: reader.course(self._run.id), version)
        self._failed = Paced(self._find_failed, version)
        self._cells = Paced(self._find_grid, version)
        self._times = Paced(self._find_times, version)

    def close(self) -> None:
        self._reader.close()

    def view(self) -> RunView:
        with self._lock, refuses_damage(self.path):
            if not self._is_missing() or self._settled is None:
                self._settled = self._view()
            elif not self._is_gone:
                self._is_gone = True
                self._settled = self._last_view(self._settled)
            return self._settled

    def order(self, what: str, **values: Any) -> str:
        return self._order(self.path, what, str(self._run.id), **values)

    def _is_missing(self) -> bool:
        """Whether the file is gone; a new one of its name is opened."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return True
        is_another = (now.st_dev, now.st_ino) != (self._file.st_dev, self._file.st_ino)
        if is_another or (self._reader.is_frozen and self._has_changed(now.st_mtime_ns)):
            self._reader.close()
            self._open()
        return False

    def _has_changed(self, written: int) -> bool:
        return written != self._file.st_mtime_ns or has_log(self.path)

    def _last_view(self, before: RunView) -> RunView:
        """How a run stood at its end whose store has been removed: as long as it is open it can still be read."""
        self._find_anew()
        try:
            last = self._view()
        except (FlowpoolError, sqlite3.Error):
            last = before
        state: State = "ended" if last.state == "ended" else "away"
        if state == "ended":
            words = "The run ended and its store was removed."
        else:
            words = "The store was removed: this is how the run stood at last."
        return msgspec.structs.replace(
            last, state=state, words=words, fix="", steers=False, bottleneck=None, is_gone=True
        )

    def _pick(self) -> RunInfo:
        runs = self._reader.runs()
        if not runs:
            raise StoreRefused(f"{self.path}: no runs in it.")
        for one in runs:
            if self._wanted in (None, one.name, str(one.id)):
                return one
        listed = ", ".join(f"{run.id} ({run.name})" for run in runs)
        raise InvalidInput(f"{self.path}: no run {self._wanted!r}: it has {listed}.")

    def _view(self) -> RunView:
        at, run = time.time(), self._info()
        if run.id != self._run.id:  # another one of the file is at work now
            self._run, self._course = run, _Course()
        live, trouble = self._look()
        course = self._course
        course.read(self._reader.events(run.id, after=course.row))
        counts = self._counts()
        is_at_work = live is not None or self._is_at_work(course, trouble, at)
        now = live.sample if live is not None else self._last(course, counts, is_at_work)
        state, words = _state(run, counts, live, is_at_work)
        groups, failures = self._failed()
        return RunView(
            name=run.name,
            run=run.id,
            state=state,
            words=trouble or words,
            fix=self._how_to_go_on(run) if state == "away" else "",
            at=at,
            now=now,
            cost_in_all=self._spent().cost if now.recalled else None,
            bottleneck=live.bottleneck if live is not None else course.bottleneck(state),
            bottlenecks=course.bottlenecks,
            samples=course.samples,
            timings=(live.timings if live is not None else None) or self._times(),
            settings=live.settings if live is not None else {},
            steers=live is not None,
            groups=groups,
            failures=failures,
            changes=course.changes[-MOST_CHANGES:],
            grid=self._cells(),
        )

    def _look(self) -> tuple[LiveView | None, str]:
        """What its process tells, or why that isn't known."""
        try:
            return self._ask(self.path, str(self._run.id)), ""
        except FlowpoolError as error:  # it is busy, or another user's
            return None, str(error)

    def _is_at_work(self, course: _Course, trouble: str, at: float) -> bool:
        """Whether a run goes on whose process doesn't tell; trouble: why, where that is known."""
        if course.has_ended:
            return False
        if not holder_of(self.path.resolve()):
            return bool(trouble) and course.is_due(
                at
            )  # the lock of another user can't be looked at
        # Whoever holds the store may be at work on another run of it: that is the one begun last.
        return course.is_due(at) or self._reader.runs()[0].id == self._run.id

    def _how_to_go_on(self, run: RunInfo) -> str:
        if run.definition is None:
            return "run its script again, with the same store: it goes on with what is left"
        several = f" --run {run.id}" if len(self._reader.runs()) > 1 else ""
        return f"flowpool resume {shlex.quote(str(self.path))}{several} goes on with what is left"

    def _last(self, course: _Course, counts: dict[Status, int], is_now: bool) -> Sample:
        """How the run stood at last, by what the store has."""
        run, done, failed = self._info(), counts[Status.DONE], counts[Status.FAILED]
        known = course.samples[-1] if course.samples else None
        if known is not None:
            return msgspec.structs.replace(
                known,
                done=done,
                failed=failed,
                running=known.running if is_now else 0,
                rate=known.rate if is_now else 0.0,
                eta=known.eta if is_now else None,
                lanes=known.lanes if is_now else (),
            )
        spent, timing = self._spent(), self._timing()
        began, ended = timing.began or run.created, timing.ended or run.updated
        total = sum(counts.values()) if run.complete else None
        cost = spent.cost if spent.cost or not spent.unpriced else None
        elapsed = max(0.0, ended - began)
        return Sample(
            ended, elapsed, total, done, failed, 0, 0, 0, 0.0, None, cost, spent.tokens, 0.0, 0.0
        )

    def _find_failed(self) -> tuple[list[FailureGroup], list[FailedItem]]:
        run = self._run.id
        groups = [
            FailureGroup(one.error, one.count, one.message, fix_of(one.error))
            for one in self._reader.troubles(run)
        ]
        return groups[:MOST_GROUPS], self._reader.last_failures(run, MOST_FAILURES)

    def _find_grid(self) -> Grid | None:
        samples = self._course.samples
        items = sum(self._counts().values())
        items = max(items, (samples[-1].total or 0) if samples else 0)
        return grid_of(self._reader, self._run.id, items)

    def _find_times(self) -> Timings:
        rows = self._reader.last_attempts(self._run.id, MOST_ATTEMPTS)
        return time_spreads(_attempts(rows, function_names(self._run)))


def grid_of(reader: Reader, run: int, items: int) -> Grid | None:
    """A run's cells, of so many items in all."""
    if not items:
        return None
    size = cell_size(items)
    blocks = reader.blocks(run, size)
    return Grid(size, items, [done for _, done, _ in blocks], [bad for _, _, bad in blocks])


class _Course:
    """What the store's events have said so far. row: of the last one. has_ended: nobody has begun it again."""

    def __init__(self) -> None:
        self.row = 0
        self.has_ended = False
        self._until = 0.0
        self.samples: list[Sample] = []
        self.bottlenecks: list[Bottleneck] = []
        self.changes: list[Happened] = []

    def read(self, events: Iterable[Event]) -> None:
        for event in events:
            self.row, self._until = event.row, event.at
            # Another version's may have other fields: what can't be read is left out.
            with suppress(msgspec.ValidationError, KeyError):
                self._take(event)

    def _take(self, event: Event) -> None:
        match event.kind:
            case "sample":
                self.has_ended = False
                self.samples.append(msgspec.convert(event.data, Sample))
            case "bottleneck":
                add_to(self.bottlenecks, msgspec.convert(event.data, Bottleneck))
            case "change":
                self.changes.append(Happened(event.at, _change_words(event.data)))
            case "lane":
                data = event.data
                error = f": {data['error']}" if data.get("error") else ""
                self.changes.append(Happened(event.at, f"{data['lane']} {data['state']}{error}"))
            case "begin":
                self.has_ended = False
            case "end":
                self.has_ended = True

    def is_due(self, at: float) -> bool:
        """Whether the last sample is no older than that of a run at work may be."""
        elapsed = self.samples[-1].elapsed if self.samples else 0.0
        return at - self._until < LATE + max(EVERY, PART * elapsed)

    def bottleneck(self, state: State) -> Bottleneck | None:
        """What holds it back now."""
        return self.bottlenecks[-1] if state == "running" and self.bottlenecks else None


def _change_words(data: dict[str, Any]) -> str:
    change = msgspec.convert(data, Change)
    words = str(change.after) if change.what == "state" else str(change)
    return f"{words}, by {change.by}"


def _state(
    run: RunInfo, counts: dict[Status, int], live: LiveView | None, is_at_work: bool
) -> tuple[State, str]:
    if live is not None and live.paused:
        return "paused", "Paused: no call is sent until it goes on."
    if live is not None:
        return "running", f"At work: process {live.pid}."
    if run.complete and not counts[Status.PENDING]:
        return "ended", "The run has ended."
    if run.reason:
        return "away", f"The run ended before its end: {run.reason}"
    if is_at_work:
        return "running", "At work."
    return "away", "Nobody is at work on it: its process has ended or was killed."


def _attempts(rows: Iterable[dict[str, Any]], names: Mapping[str, str]) -> Iterator[AttemptData]:
    for row in rows:
        yield AttemptData(
            0,
            row["step"],
            row["model"] or names.get(row["step"], row["step"]),
            row["model"],
            row["started"],
            row["seconds"],
            timing=Timing(*(row[name] for name in Timing.__struct_fields__)),
        )
