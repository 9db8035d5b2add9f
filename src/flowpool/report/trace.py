"""A run as a trace that Perfetto and Chrome open: a process a lane, a thread a slot, and what happened beside.

It is written as it is read, so that a run of any length takes the memory of what is in flight. It has no prompt and
no answer.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from flowpool import __version__
from flowpool.data.compression import GZIP
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.printable import printable
from flowpool.record import Record
from flowpool.report.slots import SlotFinder
from flowpool.report.target import checked_target, files_of_run, files_of_session
from flowpool.run.own_words import event_fields
from flowpool.run.sample import TIME_KINDS, LaneSample, Sample
from flowpool.run.session import Session
from flowpool.sharing.directory import PUBLIC, draft_of
from flowpool.store.damage import refuses_damage
from flowpool.store.reading import Event, Reader
from flowpool.store.rows import RunInfo
from flowpool.values import Status

ENDINGS = (".json", ".json.gz")
# Of gzip: a higher one takes several times as long for a tenth less.
LEVEL = 4
# Events that are packed at once.
CHUNK = 2000
# Microseconds: shorter waits are left out, as nobody would find them.
SHORTEST_WAIT = 1000
# What a call waited for before it was sent, in the order in which it does.
WAITS = ("backoff", "budget_wait", "limit_wait", "slot_wait")
# Attempts of an item that its next one may follow upon: as many as its steps side by side, and seldom more.
REMEMBERED = 8
RUN = ""  # no lane is called so
Json = dict[str, Any]


def trace_of_session(session: Session, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a pool's run as a trace: from its store, where it has one."""
    checkpoint = session.checkpoint
    if checkpoint is None or checkpoint.run is None:
        samples = [(session.began + one.elapsed, one) for one in session.samples]
        kept = files_of_session(session)
        records = session.records()
        trace_of_records(records, session.name, path, samples, kept, overwrite=overwrite)
        return
    with Reader(checkpoint.path) as reader:
        run = next(one for one in reader.runs() if one.id == checkpoint.run)
        trace_of_store(reader, run, path, files_of_session(session), overwrite=overwrite)


def trace_of_store(
    reader: Reader,
    run: RunInfo,
    path: str | Path,
    kept: Iterable[Path] = (),
    *,
    overwrite: bool = False,
) -> int:
    """Writes a run of a store as a trace; returns the number of its attempts. path: ends in .json or .json.gz.

    kept: files that it may not be, beside those of the run. Raises `InvalidInput` for a path that can't be written,
    or holds something.
    """
    kept = [*kept, *files_of_run(reader.path, run)]
    with _opened(path, run.name, kept, overwrite=overwrite) as trace:
        attempts = reader.attempts_in_time(run.id)
        first = next(attempts, None)
        began = run.created if first is None else min(run.created, first["started"])
        trace.about["began"] = datetime.fromtimestamp(began, UTC).isoformat()
        tracks = _Tracks(began)
        trace.write(tracks.process(RUN, f"run {run.name}"))
        with refuses_damage(reader.path):
            for event in reader.events(run.id):
                trace.write(_of_event(tracks, event))
            calls = _Attempts(tracks)
            for attempt in chain(() if first is None else (first,), attempts):
                trace.write(calls.of(attempt))
    return calls.count


def trace_of_records(
    records: Iterable[Record],
    name: str,
    path: str | Path,
    samples: Iterable[tuple[float, Sample]] = (),
    kept: Iterable[Path] = (),
    *,
    overwrite: bool = False,
) -> int:
    """The same of a run that was kept in memory alone: its items, one track a slot; returns their number.

    samples: how it stood, each with its moment by the clock of the records. kept: files that it may not be.
    """
    ended = [one for one in records if one.status in (Status.DONE, Status.FAILED)]
    ended.sort(key=lambda record: record.started)
    began = ended[0].started if ended else 0.0
    tracks, slots = _Tracks(began), SlotFinder()
    with _opened(path, name, kept, overwrite=overwrite) as trace:
        trace.write(tracks.process(RUN, f"run {name}"))
        for at, sample in samples:
            trace.write(_of_sample(tracks, tracks.at(at), sample))
        trace.write(tracks.process("items", f"items of {name}"))
        for record in ended:
            start, end = tracks.at(record.started), tracks.at(record.started + record.duration)
            slot = slots.slot(start, end)
            args = {"item": record.index, "attempts": record.attempts, "model": record.model}
            what = "done" if record.error is None else type(record.error).__name__
            span = tracks.span("items", slot, what, start, end, args)
            trace.write([*tracks.thread("items", slot), span])
    return len(ended)


class _TraceFile:
    """Events as they are written: gathered, and packed many at once. about: what else it says, at its end."""

    def __init__(self, stream: BinaryIO, about: Json) -> None:
        self.about = about
        self._stream = stream
        self._gathered: list[bytes] = []
        self._between = b""
        stream.write(b'{"displayTimeUnit":"ms","traceEvents":[\n')

    def write(self, events: Iterable[Json]) -> None:
        self._gathered.extend(map(msgspec.json.encode, events))
        if len(self._gathered) >= CHUNK:
            self._flush()

    def end(self) -> None:
        self._flush()
        self._stream.write(b'\n],"otherData":' + msgspec.json.encode(self.about) + b"}\n")

    def _flush(self) -> None:
        if self._gathered:
            self._stream.write(self._between + b",\n".join(self._gathered))
            self._between = b",\n"
            self._gathered.clear()


@contextmanager
def _opened(
    path: str | Path, name: str, kept: Iterable[Path], *, overwrite: bool
) -> Iterator[_TraceFile]:
    """A trace that is written beside its path, and stands there once it is whole."""
    if not str(path).lower().endswith(ENDINGS):
        raise InvalidInput(f"{path}: a trace's name ends in .json.gz or .json.")
    file = checked_target(path, kept, ENDINGS, overwrite=overwrite)
    try:
        with draft_of(file, PUBLIC) as (draft, raw):
            with _packed(raw, file) as stream:
                trace = _TraceFile(stream, {"run": printable(name), "flowpool": __version__})
                yield trace
                trace.end()
            raw.close()
            draft.replace(file)
    except OSError as error:
        raise FlowpoolError(f"{path}: {error.strerror}: no trace was written.") from None


def _packed(raw: BinaryIO, file: Path) -> AbstractContextManager[BinaryIO]:
    if file.suffix.lower() != GZIP:
        return nullcontext(raw)
    return cast("BinaryIO", gzip.GzipFile("", "wb", LEVEL, raw, mtime=0))


class _Tracks:
    """Processes and threads, each named when it is first drawn on. began: the moment of 0, in seconds."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._pids: dict[str, int] = {}
        self._threads: set[tuple[int, int]] = set()

    def at(self, seconds: float) -> int:
        """A moment in microseconds. Whole ones: what ends as another begins doesn't overlap it by a rounding."""
        return max(0, round((seconds - self._began) * 1e6))

    def process(self, name: str, shown: str = "") -> list[Json]:
        """What names the process, where nothing has yet."""
        if name in self._pids:
            return []
        pid = self._pids[name] = len(self._pids) + 1
        return [
            _meta("process_name", pid, 0, name=printable(shown or name)),
            _meta("process_sort_index", pid, 0, sort_index=pid),
        ]

    def thread(self, process: str, slot: int) -> list[Json]:
        """What names the thread of a slot, where nothing has yet."""
        pid, tid = self._pids[process], slot + 1
        if (pid, tid) in self._threads:
            return []
        self._threads.add((pid, tid))
        return [
            _meta("thread_name", pid, tid, name=f"slot {tid}"),
            _meta("thread_sort_index", pid, tid, sort_index=tid),
        ]

    def span(
        self, process: str, slot: int, name: str, start: int, end: int, args: Mapping[str, Any]
    ) -> Json:
        where = {"pid": self._pids[process], "tid": slot + 1, "ts": start, "dur": end - start}
        return {"ph": "X", "name": printable(name), "cat": "call", **where, "args": args}

    def wait(self, process: str, id: int, name: str, start: int, end: int) -> list[Json]:
        """Something that others of its kind overlap."""
        both = {"cat": "waiting", "id": id, "name": name, "pid": self._pids[process], "tid": 0}
        return [{"ph": "b", **both, "ts": start}, {"ph": "e", **both, "ts": end}]

    def flow(self, process: str, slot: int, id: int, name: str, at: int, *, ends: bool) -> Json:
        """An end of an arrow: it belongs to the span that is drawn at that moment."""
        where = {"pid": self._pids[process], "tid": slot + 1, "ts": at}
        arrow = {"cat": "item", "id": id, "name": name, **where}
        return {"ph": "f", "bp": "e", **arrow} if ends else {"ph": "s", **arrow}

    def counters(
        self, process: str, at: int, figures: Iterable[tuple[str, str, float | None]]
    ) -> Iterator[Json]:
        """The figures (name, unit, value) that are known at that moment."""
        where = {"pid": self._pids[process], "tid": 0, "ts": at}
        for name, unit, value in figures:
            if value is not None:
                yield {"ph": "C", "name": name, **where, "args": {unit: value}}

    def instant(self, process: str, at: int, name: str, cat: str, args: Mapping[str, Any]) -> Json:
        where = {"pid": self._pids[process], "tid": 0, "ts": at}
        return {"ph": "i", "s": "p", "name": printable(name), "cat": cat, **where, "args": args}


class _Attempts:
    """A run's attempts in the order of their starts, each with what it waited for and what it followed upon."""

    def __init__(self, tracks: _Tracks) -> None:
        self.count = 0
        self._tracks = tracks
        self._slots: dict[str, SlotFinder] = {}
        self._before: dict[int, list[tuple[int, int, str, int, str]]] = {}

    def of(self, row: Json) -> list[Json]:
        self.count += 1
        tracks, step = self._tracks, str(row["step"])
        # A function's attempt has no model: its track is that of its step.
        lane = str(row["model"]) or f"step {step}"
        start, end = tracks.at(row["started"]), tracks.at(row["started"] + row["seconds"])
        events = tracks.process(lane)
        slot = self._slots.setdefault(lane, SlotFinder()).slot(start, end)
        events += tracks.thread(lane, slot)
        name = step if row["error"] is None else f"{step}: {row['error']}"
        events.append(tracks.span(lane, slot, name, start, end, _args(row)))
        if row["model"]:
            events += self._parts(row, lane, slot, start, end)
        events += self._waits(row, lane, start)
        events += self._follows(row, lane, slot, start, end)
        return events

    def _parts(self, row: Json, lane: str, slot: int, start: int, end: int) -> Iterator[Json]:
        """What the call did meanwhile, where that is known."""
        if not (row["connect"] or row["first_byte"]):
            return
        for kind in ("connect", "first_byte", "reading"):
            until = end
            if kind != "reading":
                until = min(end, start + round(row[kind] * 1e6))
            if until > start:
                yield self._tracks.span(lane, slot, TIME_KINDS[kind], start, until, {})
            start = until

    def _waits(self, row: Json, lane: str, until: int) -> Iterator[Json]:
        """What it waited for, one after the other, up to its start."""
        spans = [(kind, round(row[kind] * 1e6)) for kind in WAITS]
        spans = [(kind, length) for kind, length in spans if length >= SHORTEST_WAIT]
        at = max(0, until - sum(length for _, length in spans))
        for kind, length in spans:
            end = min(until, at + length)
            yield from self._tracks.wait(lane, self.count, TIME_KINDS[kind], at, end)
            at = end

    def _follows(self, row: Json, lane: str, slot: int, start: int, end: int) -> Iterator[Json]:
        """An arrow from the item's last attempt that had ended by then: of the step before, or of this one."""
        item, step = row["item"], row["step"]
        before = self._before.get(item, ())
        last = max((one for one in before if one[0] <= start), default=None)
        if last is not None:
            ended, began, whose, where, earlier = last
            name = "tried again" if earlier == step else "next step"
            at = max(began, ended - 1)  # a span's last moment is no longer within it
            yield self._tracks.flow(whose, where, self.count, name, at, ends=False)
            yield self._tracks.flow(lane, slot, self.count, name, start, ends=True)
        if not row["later"]:
            self._before.pop(item, None)
            return
        self._before[item] = [*before, (end, start, lane, slot, step)][-REMEMBERED:]


def _args(row: Json) -> Json:
    names = ("item", "status", "error", "input_tokens", "output_tokens", "cost", "request_id")
    return {name: row[name] for name in names if row[name] is not None and row[name] != ""}


def _of_event(tracks: _Tracks, event: Event) -> Iterable[Json]:
    """What happened in a run beside its calls, as counters and marks."""
    at = tracks.at(event.at)
    if event.kind == "sample":
        return _of_sample(tracks, at, msgspec.convert(event.data, Sample))
    data = event_fields(event.kind, event.data)
    if event.kind == "lane":
        lane, state = str(data.get("lane")), str(data.get("state"))
        return [*tracks.process(lane), tracks.instant(lane, at, state, event.kind, data)]
    name = {
        "bottleneck": str(data.get("words")),
        "change": f"{data.get('what')}: {data.get('from')} to {data.get('to')}",
        "end": f"end: {data['reason']}" if data.get("reason") else "end",
    }.get(event.kind, event.kind)
    return [tracks.instant(RUN, at, name, event.kind, data)]


def _of_sample(tracks: _Tracks, at: int, now: Sample) -> Iterator[Json]:
    figures = [
        ("items", "a second", now.rate),
        ("done", "items", now.done),
        ("failed", "items", now.failed),
        ("in progress", "items", now.running),
        ("dollars", "so far", now.cost),
        ("tokens", "so far", now.tokens),
        ("CPU", "cores", now.cpu),
        ("event loop", "seconds behind", now.lag),
    ]
    yield from tracks.counters(RUN, at, figures)
    for lane in now.lanes:
        yield from _of_lane(tracks, at, lane)


def _of_lane(tracks: _Tracks, at: int, lane: LaneSample) -> Iterator[Json]:
    yield from tracks.process(lane.name)
    figures = [
        ("in flight", "calls", lane.in_flight),
        ("window", "calls", lane.window),
        ("queue", "calls", lane.queued),
        ("refused", "so far", lane.throttled),
        ("used", "a minute", lane.used),
        ("limit", "a minute", lane.limit),
    ]
    yield from tracks.counters(lane.name, at, figures)


def _meta(what: str, pid: int, tid: int, **args: Any) -> Json:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": args}
