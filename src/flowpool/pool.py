"""The pool: a runner and its items, and one run of them. What a user holds; the driver does the work."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

from flowpool import wiring
from flowpool.chain import as_runner
from flowpool.data.rows import Rows, as_rows
from flowpool.data.writers import WriteOptions, Writer, open_writer
from flowpool.engine.background import LoopThread, loop_thread
from flowpool.engine.budget import Bill as Bill
from flowpool.engine.budget import Budget
from flowpool.engine.driver import Keep, Run, Sink, real_world
from flowpool.engine.driver import World as World
from flowpool.engine.lane_view import BOUNDS as BOUNDS
from flowpool.engine.lane_view import LaneView as LaneView
from flowpool.engine.plan import ItemCheck, Plan
from flowpool.engine.settings import OnError as OnError
from flowpool.engine.settings import checked, with_ceiling
from flowpool.engine.single import arun_one as arun_one
from flowpool.engine.single import run_one as run_one
from flowpool.engine.source import AsyncSource, Source, ThreadSource
from flowpool.engine.stream import Stream
from flowpool.errors import InvalidInput, NotFinished
from flowpool.results import Billed, Record, Results
from flowpool.snapshot import Snapshot as Snapshot
from flowpool.values import Limits, Status

PENDING, RUNNING, DONE, FAILED, CANCELLED = Status
T = TypeVar("T")


class Pool:
    """Runs one runner over many items at once; every item's outcome is kept.

    runner: a `Skill`, a `Chain`, a `Tool`, any plain or async function, or another framework's object with
        `ainvoke`, `acall`, `invoke` or `run`.
    items: dicts of variables: a list, any iterable or async iterable, a data frame, the path of a file or folder,
        or what `flowpool.read` gives. A lazy source is read only as fast as items end.
    max_flows: at most this many items in progress; `"auto"` adapts to what the provider takes.
    on_error: what a failed item does: `"collect"` keeps its error and goes on, `"skip"` also warns, `"stop"`
        starts no more items, `"raise"` cancels the rest and raises the error.
    timeout: seconds for one attempt, connect to last byte. [600]
    retries: further attempts after the first, for what can be retried. [5]
    limits: ceilings that you know, as `Limits(rpm=..., tpm=..., concurrent=...)`.
    deadline: seconds for the whole run, which then returns what it has. [none]
    columns, limit: as in `flowpool.read`: the prompt's variable by the data's column, and the first so many rows.
    max_cost: dollars, a ceiling that the run never exceeds: each call's worst case is set aside before it is sent.
        What has no room is cancelled and says so; `retry(max_cost=...)` with more goes on. Needs `max_tokens` in
        the options and a known price. [none]
    max_tokens_total: the same ceiling in tokens, input and output together. [none]
    progress: True shows it, False doesn't, a callable is given a `Snapshot` a few times a second. By default
        it is shown in a terminal or notebook once a run takes over a second.
    world: what tests set: the transport, the environment and chance.

    Raises `InvalidInput` for what can't work, before anything is paid.

    >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}, {"text": "two"}])
    >>> pool.run()
    ['ONE', 'TWO']
    >>> pool.status[DONE]
    2
    """

    def __init__(
        self,
        runner: Any,
        items: Any,
        max_flows: int | Literal["auto"] | None = "auto",
        on_error: OnError = "collect",
        name: str | None = None,
        description: str | None = None,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        limits: Limits | None = None,
        deadline: float | None = None,
        columns: Mapping[str, str] | None = None,
        limit: int | slice | None = None,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
        progress: bool | Callable[[Snapshot], None] | None = None,
        world: World | None = None,
    ) -> None:
        self._settings = checked(
            max_flows, on_error, timeout, retries, limits, deadline, max_cost, max_tokens_total
        )
        self.runner = as_runner(runner)
        self._rows = None
        if not isinstance(items, AsyncIterable) or columns or limit is not None:
            self._rows = as_rows(items, columns, limit)
        self.items = self._rows if columns or limit is not None else items
        self.name = name or self.runner.name
        self.description = description or ""
        self.on_error: OnError = on_error
        self.max_flows = max_flows
        self._plan = Plan(self.runner)
        self._source = _open(self._rows or items)
        self._progress = progress
        self._world = world
        self._counts = [0] * len(Status)
        self._kept: dict[int, Record] = {}
        self._earlier: list[Billed] = []
        self._lock = threading.Lock()
        self._is_running = False
        self._run: Run | None = None
        self._budget: Budget | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = float
        self._started = 0.0
        self._interrupted = False
        self._variables: Mapping[str, Any] = {}
        self._reason = ""

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status.name.lower()}" for status, n in self.status.items() if n)
        return f"Pool({self.name!r}: {counts or 'nothing started'})"

    # Running

    def run(self, variables: Mapping[str, Any] | None = None) -> Results:
        """Runs every item and returns one output an item, in order; None where an item failed.

        variables: values for every item that doesn't give its own.

        Works inside a running event loop too. Ctrl-C starts no more items, waits for those in flight and
        returns; a second Ctrl-C cancels them and raises `KeyboardInterrupt`, with what is done in `results`.
        Raises `InvalidInput` before the first call; a failed item's error only with `on_error="raise"`.
        """
        thread = self._off_loop()
        run = self._begin(variables, Keep(self._kept), thread.loop)
        return self._run_through(thread, run)

    async def arun(self, variables: Mapping[str, Any] | None = None) -> Results:
        """`run()` for async code; on the caller's loop. Cancelling it cancels the calls in flight."""
        run = self._begin(variables, Keep(self._kept), asyncio.get_running_loop())
        return await self._arun_through(run)

    def stream(
        self, variables: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> Iterator[Record]:
        """Each item's `Record` as it ends, or in the items' order with `ordered=True`.

        Records that are done are handed over and not kept, so that any number of items takes the same memory;
        the failed ones are kept for `retry()`. Leaving the loop early cancels the rest.
        """
        thread = self._off_loop()
        stream = Stream(ordered, self._keep_failed)
        run = self._begin(variables, stream, thread.loop)
        running = self._submit(thread, run)
        try:
            with self._showing_progress():
                while batch := self._interruptible(thread.submit(stream.batch())):
                    yield from batch
            self._interruptible(running)
        finally:
            if not running.done():
                self.cancel()
                with suppress(Exception):
                    running.result()
        self._raise_if_told()

    async def astream(
        self, variables: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> AsyncIterator[Record]:
        """`stream()` for async code."""
        stream = Stream(ordered, self._keep_failed)
        run = self._begin(variables, stream, asyncio.get_running_loop())
        running = asyncio.ensure_future(self._execute(run))
        try:
            with self._showing_progress():
                while batch := await stream.batch():
                    for record in batch:
                        yield record
            await running
        finally:
            if not running.done():
                self.cancel()
                with suppress(Exception):
                    await running
        self._raise_if_told()

    def writer(self, path: str | Path, **options: Unpack[WriteOptions]) -> Writer:
        """Where `stream()`'s records may be written: a context manager with `write(record)`.

        path: a .jsonl, .csv, .tsv (also .gz, .zst) or .parquet file; "-" for JSON lines on standard output.
        meta, inputs, output: which columns there are beside the answer's, as in `Results`.
        append, overwrite: what to do with a file that holds something, which is an error otherwise.
        spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
        format: "jsonl", "csv", "tsv" or "parquet", where no ending tells.

        A row is in the file when `write` returns: in a packed one within a second; in a Parquet file once the
        writer is closed, and till then in part files beside it, from which `append=True` goes on after a kill.
        """
        return open_writer(path, self._rows, self._plan.output_key, **options)

    def write(
        self,
        path: str | Path,
        variables: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
        **options: Unpack[WriteOptions],
    ) -> dict[Status, int]:
        """Runs every item and writes its row as it ends, or in the items' order; returns the `status`.

        Rows are handed over and not kept, so that any number of items takes the same memory.
        options: as in `writer`.
        """
        with self.writer(path, **options) as writer:
            records = self.stream(variables, ordered=ordered)
            with closing(records):  # type: ignore[type-var]
                for record in records:
                    writer.write(record)
        return self.status

    async def awrite(
        self,
        path: str | Path,
        variables: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
        **options: Unpack[WriteOptions],
    ) -> dict[Status, int]:
        """`write()` for async code."""
        with self.writer(path, **options) as writer:
            records = self.astream(variables, ordered=ordered)
            async with aclosing(records):  # type: ignore[type-var]
                async for record in records:
                    writer.write(record)
        return self.status

    def retry(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
    ) -> Results:
        """Runs again what failed, was cancelled or never started; returns the results of all items.

        variables: shared values, in place of those of the run before. An iterator of items goes on where it stood.
        max_cost, max_tokens_total: a ceiling in place of the pool's. What the runs before spent counts.
        """
        thread = self._off_loop()
        self._raise_ceiling(max_cost, max_tokens_total)
        run = self._begin_again(variables, Keep(self._kept), thread.loop)
        return self._run_through(thread, run)

    async def aretry(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
    ) -> Results:
        """`retry()` for async code."""
        self._raise_ceiling(max_cost, max_tokens_total)
        run = self._begin_again(variables, Keep(self._kept), asyncio.get_running_loop())
        return await self._arun_through(run)

    def stop(self) -> None:
        """Starts no more items; those in progress go on to their end. From any thread."""
        self._tell(lambda run: run.stop("the run was stopped"))

    def cancel(self) -> None:
        """Ends the run now: calls in flight are cut, what is done is kept. From any thread."""
        self._tell(lambda run: run.cancel("the run was cancelled"))

    # Looking

    @property
    def status(self) -> dict[Status, int]:
        """How many items are PENDING, RUNNING, DONE, FAILED, CANCELLED; readable from any thread."""
        counts = list(self._counts)
        total = self._source.length
        if total is not None:
            counts[PENDING] = max(0, total - sum(counts[RUNNING:]))
        return {status: counts[status] for status in Status}

    @property
    def spent(self) -> Bill:
        """What the run has spent, and may have; counted where `max_cost` or `max_tokens_total` is set."""
        return Bill() if self._budget is None else self._budget.spent

    @property
    def results(self) -> Results:
        """The results so far; also after an interrupted or failed run."""
        return Results(self._records(), self._rows, self._plan.output_key, self._earlier)

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an item: `index variables status output error duration attempts ...`, in order."""
        return [record.as_dict() for record in self._records()]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last run."""
        return self._interrupted

    @property
    def lanes(self) -> list[LaneView]:
        """How the lanes of the run stand now, or stood at its end; from any thread. See `LaneView`.

        >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}])
        >>> results = pool.run()
        >>> [(lane.name, lane.in_flight, lane.bound) for lane in pool.lanes]
        [('function', 0, 'items')]
        """
        return list(self._run.look()) if self._run is not None else []

    @property
    def snapshot(self) -> Snapshot:
        """How the run stands, as a progress callable is told it; from any thread."""
        status, now, run = self.status, self._clock(), self._run
        counts = (status[RUNNING], status[DONE], status[FAILED], status[CANCELLED])
        if run is None:
            return Snapshot(self._source.length, *counts)
        tally = run.tally
        return Snapshot(
            self._source.length,
            *counts,
            now - self._started,
            tally.rate(now),
            run.look(),
            tally.spent(),
            tally.failure,
        )

    # The course of a run

    def _begin(
        self, variables: Mapping[str, Any] | None, sink: Sink, loop: asyncio.AbstractEventLoop
    ) -> Run:
        """A run of every item, anew."""
        with self._claimed():
            if self._source.taken:
                self._source = _open_again(self._rows)
            self._check_items(variables or {})
            self._kept.clear()
            self._earlier.clear()
            self._counts[:] = [0] * len(Status)
            self._variables = dict(variables or {})
            self._budget = self._new_budget(Bill())
            return self._new_run(sink, loop)

    def _begin_again(
        self, variables: Mapping[str, Any] | None, sink: Sink, loop: asyncio.AbstractEventLoop
    ) -> Run:
        """A run of what has no output yet."""
        with self._claimed():
            if variables is not None:
                self._check_items(variables)
                self._variables = dict(variables)
            failed = [record for record in self._kept.values() if record.status is not DONE]
            for record in failed:
                del self._kept[record.index]
                self._earlier += record.calls
                self._counts[record.status] -= 1
            self._counts[CANCELLED] = 0
            self._source.put_back((record.index, record.variables) for record in failed)
            self._budget = self._new_budget(self.spent)
            return self._new_run(sink, loop)

    def _new_budget(self, spent: Bill) -> Budget | None:
        """The budget of a run, `spent` being what earlier runs of the same items cost."""
        told = self._settings
        if told.max_cost is None and told.max_tokens_total is None:
            return None
        return Budget(told.max_cost, told.max_tokens_total, spent)

    def _raise_ceiling(self, max_cost: float | None, max_tokens_total: int | None) -> None:
        self._settings = with_ceiling(self._settings, max_cost, max_tokens_total)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Refuses a second run at the same time; a run that can't begin leaves the pool free."""
        with self._lock:
            if self._is_running:
                raise InvalidInput("this pool is running: wait for its end, or make another Pool.")
            self._is_running = True
        try:
            yield
        except BaseException:
            self._is_running = False
            raise

    def _new_run(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> Run:
        run = Run(
            self._plan,
            self._source,
            self._variables,
            self._settings,
            sink,
            self._counts,
            budget=self._budget,
        )
        sink.attach(run)
        self._interrupted = False
        self._reason = ""
        self._started = loop.time()
        self._clock = loop.time
        self._loop, self._run = loop, run
        return run

    def _run_through(self, thread: LoopThread, run: Run) -> Results:
        running = self._submit(thread, run)
        with self._showing_progress():
            self._interruptible(running)
        return self._end()

    async def _arun_through(self, run: Run) -> Results:
        with self._showing_progress():
            await self._execute(run)
        return self._end()

    def _off_loop(self) -> LoopThread:
        """The thread for a synchronous caller's run; refuses a caller who is that thread."""
        thread = loop_thread()
        thread.refuse_itself()
        return thread

    def _submit(self, thread: LoopThread, run: Run) -> Future[None]:
        try:
            return thread.submit(self._execute(run))
        except BaseException:
            self._is_running = False
            raise

    def _check_items(self, variables: Mapping[str, Any]) -> None:
        """Refuses a list with an item that can't run, and columns that lack a variable.

        A lazy source's items are checked as they are read.
        """
        check = ItemCheck(self._plan, {**self._plan.variables, **variables})
        if isinstance(self.items, Sequence) and not isinstance(self.items, str):
            for index, item in enumerate(self.items):
                check.check(item, index)
        elif self._rows is not None and (columns := self._rows.columns) is not None:
            check.check_columns(columns, self._rows.name)

    async def _execute(self, run: Run) -> None:
        try:
            world = self._world or real_world()
            await run.execute(world)
        finally:
            if run.reason:
                self._reason = run.reason
                self._counts[CANCELLED] += self._source.left or 0
            ended = self._clock()
            self._clock = lambda: ended
            self._is_running = False

    def _end(self) -> Results:
        self._raise_if_told()
        results = self.results
        if self.on_error == "skip":
            for record in results.failed:
                warnings.warn(
                    f"items[{record.index}]: {record.error}", RuntimeWarning, stacklevel=3
                )
        return results

    def _raise_if_told(self) -> None:
        if self.on_error != "raise":
            return
        for record in self._kept.values():
            if record.status is FAILED and record.error is not None:
                record.error.add_note(f"items[{record.index}] failed; the rest was cancelled")
                raise record.error

    def _records(self) -> list[Record]:
        records = dict(self._kept)
        if not self._is_running:
            status = CANCELLED if self._reason else PENDING
            reason = NotFinished(self._reason or "not started: call run()")
            for index, item in self._not_started():
                records.setdefault(index, Record(index, item, status, error=reason))
        return [records[index] for index in sorted(records)]

    def _not_started(self) -> Iterator[tuple[int, Any]]:
        """What the source still holds, where that is known without reading it."""
        source = self._source
        yield from source.again
        if source.length is not None:
            known = self.items if isinstance(self.items, Sequence) else None
            for index in range(source.taken, source.length):
                yield index, None if known is None else known[index]

    def _keep_failed(self, record: Record) -> None:
        if record.status is not DONE:
            self._kept[record.index] = record

    # Threads

    def _interruptible(self, future: Future[T]) -> T:
        """The future's result. A run's first Ctrl-C stops it, the second cancels it and is raised."""
        try:
            try:
                return future.result()
            except KeyboardInterrupt:
                if self._interrupted:
                    raise
                self._interrupted = True
                self._tell(lambda run: run.stop("the run was interrupted"))
                print(
                    "\nCtrl-C: waiting for calls in flight; again to cancel them.", file=sys.stderr
                )
                return future.result()
        except KeyboardInterrupt:  # the second may also come while the first is dealt with
            self.cancel()
            with suppress(Exception):
                future.result()
            raise

    def _tell(self, order: Callable[[Run], None]) -> None:
        run, loop = self._run, self._loop
        if run is None or loop is None or not self._is_running:
            return
        with suppress(RuntimeError):  # the loop closed in between
            loop.call_soon_threadsafe(order, run)

    @contextmanager
    def _showing_progress(self) -> Iterator[None]:
        if self._progress is False:
            yield
            return
        with wiring.load("progress").showing(self, self._progress):
            yield


def _open(items: Any) -> Source:
    if isinstance(items, AsyncIterable):
        return AsyncSource(aiter(items))
    rows: Rows = items
    source = ThreadSource if rows.waits else Source
    return source(iter(rows), rows.length, lambda: rows.place)


def _open_again(rows: Rows | None) -> Source:
    if rows is None or rows.once:
        raise InvalidInput(
            "items was an iterator and is used up: pass a list, or make a new Pool. "
            "(retry() runs what it still has.)"
        )
    return _open(rows)
