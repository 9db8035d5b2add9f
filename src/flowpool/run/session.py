"""The course of a pool's runs: how one begins, goes on where another stopped, and ends; on which loop.

`Pool` adds the public face. What happens inside a run is the driver's.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from flowpool import wiring
from flowpool.calls.budget import Budget, Spend
from flowpool.chain import as_runner
from flowpool.checkpoint.checkpoint import Checkpoint, StoredItems
from flowpool.checkpoint.journal import SourcePass
from flowpool.data.rows import Rows
from flowpool.errors import InvalidInput, NotFinished
from flowpool.logs import log
from flowpool.plan import ItemCheck, Plan
from flowpool.results import CallCost, Record, Results
from flowpool.run.environment import Environment, real_world
from flowpool.run.loop_thread import LoopThread, loop_thread
from flowpool.run.run import Run
from flowpool.run.sink import Sink
from flowpool.run.snapshot import Snapshot
from flowpool.run.source import AsyncSource, Source, ThreadSource
from flowpool.settings import Settings, with_ceiling
from flowpool.values import Status

PENDING, RUNNING, DONE, FAILED, CANCELLED = Status
T = TypeVar("T")


class Session:
    """A runner, its items and their outcomes so far; at most one run of them at a time."""

    def __init__(
        self,
        runner: Any,
        items: Any,
        rows: Rows | None,
        settings: Settings,
        keeper: Checkpoint | None,
        progress: bool | Callable[[Snapshot], None] | None,
        world: Environment | None,
    ) -> None:
        self.runner = as_runner(runner)
        self.items = items
        self._rows = rows
        self._settings = settings
        self._keeper = keeper
        self._plan = Plan(self.runner)
        self._source = _open(rows or items)
        self._progress = progress
        self._world = world
        self._counts = [0] * len(Status)
        self._kept: dict[int, Record] = {}
        self._earlier: list[CallCost] = []
        self._reading = SourcePass()
        self._lock = threading.Lock()
        self._is_running = False
        self._run: Run | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = float
        self._started = 0.0
        self._interrupted = False
        self._given: Mapping[str, Any] = {}  # shared variables, where a run names none
        self._variables: Mapping[str, Any] = {}
        self._reason = ""

    @property
    def spent(self) -> Spend:
        """What the run has spent, and may have; counted where `max_cost` or `max_tokens_total` is set."""
        budget = None if self._run is None else self._run.budget
        return Spend() if budget is None else budget.spent

    @property
    def results(self) -> Results:
        """The results so far; also after an interrupted or failed run."""
        return Results(self._records(), self._rows, self._plan.output_key, self._earlier)

    def stop(self) -> None:
        """Starts no more items; those in progress go on to their end. From any thread."""
        self._tell(lambda run: run.stop("the run was stopped"))

    def cancel(self) -> None:
        """Ends the run now: calls in flight are cut, what is done is kept. From any thread."""
        self._tell(lambda run: run.cancel("the run was cancelled"))

    def _begin(
        self,
        variables: Mapping[str, Any] | None,
        sink: Sink,
        loop: asyncio.AbstractEventLoop,
        retry_failed: bool = False,
    ) -> Run:
        """A run of every item, anew."""
        with self._claimed():
            if self._source.taken:
                self._source = _open_again(self._rows)
            shared = dict(variables or self._given)
            self._check_items(shared)
            self._kept.clear()
            self._earlier.clear()
            self._counts[:] = [0] * len(Status)
            self._variables = shared
            self._reading = SourcePass()
            run = self._new_run(sink, loop, Spend())
            run.retries_failed = retry_failed
            return run

    def _begin_again(
        self, variables: Mapping[str, Any] | None, sink: Sink, loop: asyncio.AbstractEventLoop
    ) -> Run:
        """A run of what has no output yet."""
        with self._claimed():
            if variables is not None:
                self._check_items(variables)
                self._variables = dict(variables)
            if self._run is None:
                self._counts[:] = [0] * len(Status)  # of a loaded run: its items will be met again
            failed = [record for record in self._kept.values() if record.status is not DONE]
            for record in failed:
                del self._kept[record.index]
                self._earlier += record.calls
                self._counts[record.status] -= 1
            self._counts[CANCELLED] = 0
            self._source.put_back((record.index, record.variables) for record in failed)
            run = self._new_run(sink, loop, self.spent)
            run.retries_failed = True
            return run

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

    def _new_budget(self, spent: Spend) -> Budget | None:
        """The budget of a run, `spent` being what earlier runs of the same items cost."""
        told = self._settings
        if told.max_cost is None and told.max_tokens_total is None:
            return None
        return Budget(told.max_cost, told.max_tokens_total, spent)

    def _raise_ceiling(self, max_cost: float | None, max_tokens_total: int | None) -> None:
        self._settings = with_ceiling(self._settings, max_cost, max_tokens_total)

    def _new_run(self, sink: Sink, loop: asyncio.AbstractEventLoop, spent: Spend) -> Run:
        run = Run(self._plan, self._source, self._variables, self._settings, sink, self._counts)
        run.budget = self._new_budget(spent)
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

    def _told_items(self) -> Any:
        """The items as the keeper is told of them: a list as it is, what was read as rows."""
        is_list = isinstance(self.items, Sequence) and not isinstance(self.items, str)
        return self.items if is_list or isinstance(self.items, StoredItems) else self._rows

    async def _execute(self, run: Run) -> None:
        try:
            world = self._world or real_world()
            if self._keeper is None:
                await run.execute(world)
                return
            with self._keeper.open(
                self._plan,
                self._told_items(),
                self._variables,
                self._settings,
                retry_failed=run.retries_failed,
            ) as journal:
                run.budget = self._new_budget(journal.spent())
                await run.execute(world, journal, self._reading)
        finally:
            run.close()
            if run.reason:
                self._reason = run.reason
                self._counts[CANCELLED] += self._source.left or 0
            ended = self._clock()
            self._clock = lambda: ended
            self._is_running = False
            told = (self._plan.name, *self._counts[DONE:], ended - self._started)
            log.info("%s: %d done, %d failed, %d cancelled in %.1f s", *told)

    def _end(self) -> Results:
        self._raise_if_told()
        results = self.results
        if self._settings.on_error == "skip":
            for record in results.failed:
                warnings.warn(
                    f"items[{record.index}]: {record.error}", RuntimeWarning, stacklevel=3
                )
        return results

    def _raise_if_told(self) -> None:
        if self._settings.on_error != "raise":
            return
        for record in self._kept.values():
            if record.status is FAILED and record.error is not None:
                record.error.add_note(f"items[{record.index}] failed; the rest was cancelled")
                raise record.error

    def _records(self) -> list[Record]:
        if self._run is None and self._keeper is not None:
            return self._keeper.records()
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
    return source(iter(rows), rows.length, lambda: rows.position)


def _open_again(rows: Rows | None) -> Source:
    if rows is None or rows.once:
        raise InvalidInput(
            "items was an iterator and is used up: pass a list, or make a new Pool. "
            "(retry() runs what it still has.)"
        )
    return _open(rows)
