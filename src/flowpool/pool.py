"""The pool: a runner and its items, and one run of them. What a user holds; the driver does the work."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, Literal, get_args

from msgspec import Struct

from flowpool import wiring
from flowpool.chain import Chain, OnStepError, as_runner
from flowpool.data.items import open_rows
from flowpool.engine.background import loop_thread
from flowpool.engine.calls import Settings
from flowpool.engine.driver import Run, Sink, World
from flowpool.engine.plan import ItemCheck, Plan
from flowpool.engine.source import AsyncSource, Source
from flowpool.engine.stream import Stream
from flowpool.errors import FlowpoolError, InvalidInput, NotFinished
from flowpool.results import Record, Results
from flowpool.runner import Runner
from flowpool.transport import shared as shared_transport
from flowpool.values import Limits, Status

PENDING, RUNNING, DONE, FAILED, CANCELLED = Status
OnError = Literal["raise", "stop", "collect", "skip"]


class Snapshot(Struct, frozen=True):
    """What a progress callable is told. `total` is None for a source of unknown length; seconds."""

    total: int | None
    running: int
    done: int
    failed: int
    cancelled: int
    elapsed: float


class Pool:
    """Runs one runner over many items at once; every item's outcome is kept.

    runner: a `Skill`, a `Chain`, a `Tool`, any plain or async function, or another framework's object with
        `ainvoke`, `acall`, `invoke` or `run`.
    items: dicts of variables: a list, any iterable or async iterable, a data frame, or the path of a JSONL or
        CSV file. A lazy source is read only as fast as items end.
    max_flows: at most this many items in progress; `"auto"` adapts to what the provider takes.
    on_error: what a failed item does: `"collect"` keeps its error and goes on, `"skip"` also warns, `"stop"`
        starts no more items, `"raise"` cancels the rest and raises the error.
    timeout: seconds for one attempt, connect to last byte. [600]
    retries: further attempts after the first, for what can be retried. [5]
    limits: ceilings that you know, as `Limits(rpm=..., tpm=..., concurrent=...)`.
    deadline: seconds for the whole run, which then returns what it has. [none]
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
        progress: bool | Callable[[Snapshot], None] | None = None,
        world: World | None = None,
    ) -> None:
        _check_settings(max_flows, on_error, timeout, retries, limits, deadline)
        self.runner = as_runner(runner)
        self.items = items
        self.name = name or self.runner.name
        self.description = description or ""
        self.on_error: OnError = on_error
        self.max_flows = max_flows
        self._settings = Settings(
            max_flows if isinstance(max_flows, int) else None,
            timeout,
            retries,
            limits,
            deadline,
            on_error,
        )
        self._plan = Plan(self.runner)
        self._source = _open(items)
        self._progress = progress
        self._world = world
        self._counts = [0] * len(Status)
        self._kept: dict[int, Record] = {}
        self._run: Run | None = None
        self._started = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
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
        self._begin(variables)
        return self._run_through()

    async def arun(self, variables: Mapping[str, Any] | None = None) -> Results:
        """`run()` for async code; on the caller's loop. Cancelling it cancels the calls in flight."""
        self._begin(variables)
        return await self._arun_through()

    def stream(
        self, variables: Mapping[str, Any] | None = None, *, ordered: bool = False
    ) -> Iterator[Record]:
        """Each item's `Record` as it ends, or in the items' order with `ordered=True`.

        Records that are done are handed over and not kept, so that any number of items takes the same memory;
        the failed ones are kept for `retry()`. Leaving the loop early cancels the rest.
        """
        self._begin(variables)
        stream = Stream(ordered, self._keep_failed)
        thread = loop_thread()
        running = thread.submit(self._execute(stream))
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
        self._begin(variables)
        stream = Stream(ordered, self._keep_failed)
        running = asyncio.ensure_future(self._execute(stream))
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

    def retry(self, variables: Mapping[str, Any] | None = None) -> Results:
        """Runs again what failed, was cancelled or never started; returns the results of all items.

        variables: shared values, in place of those of the run before.
        """
        self._put_back(variables)
        return self._run_through()

    async def aretry(self, variables: Mapping[str, Any] | None = None) -> Results:
        """`retry()` for async code."""
        self._put_back(variables)
        return await self._arun_through()

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
    def results(self) -> Results:
        """The results so far; also after an interrupted or failed run."""
        return Results(self._records())

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an item: `index variables status output error duration attempts ...`, in order."""
        return [record.as_dict() for record in self._records()]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last run."""
        return self._interrupted

    @property
    def snapshot(self) -> Snapshot:
        """The counts and seconds of the run, as a progress callable is given them."""
        status = self.status
        elapsed = self._loop.time() - self._started if self._loop is not None else 0.0
        return Snapshot(
            self._source.length,
            status[RUNNING],
            status[DONE],
            status[FAILED],
            status[CANCELLED],
            elapsed,
        )

    # The course of a run

    def _begin(self, variables: Mapping[str, Any] | None) -> None:
        self._refuse_a_second_run()
        if self._source.taken:
            self._source = _open(self.items)
        self._kept.clear()
        self._counts[:] = [0] * len(Status)
        self._variables = dict(variables or {})
        self._check_items()

    def _put_back(self, variables: Mapping[str, Any] | None) -> None:
        self._refuse_a_second_run()
        failed = [record for record in self._kept.values() if record.status is not DONE]
        for record in failed:
            del self._kept[record.index]
            self._counts[record.status] -= 1
        self._counts[CANCELLED] = 0
        self._source.put_back((record.index, record.variables) for record in failed)
        if variables is not None:
            self._variables = dict(variables)
            self._check_items()

    def _refuse_a_second_run(self) -> None:
        if self._run is not None:
            raise InvalidInput("this pool is running: wait for its end, or make another Pool.")

    def _run_through(self) -> Results:
        with self._showing_progress():
            self._interruptible(loop_thread().submit(self._execute(_Keep(self._kept))))
        return self._end()

    async def _arun_through(self) -> Results:
        with self._showing_progress():
            await self._execute(_Keep(self._kept))
        return self._end()

    def _check_items(self) -> None:
        """Refuses a list with an item that can't run. A lazy source's items are checked as they are read."""
        if isinstance(self.items, Sequence) and not isinstance(self.items, str):
            check = ItemCheck(self._plan, {**self._plan.variables, **self._variables})
            for index, item in enumerate(self.items):
                check.check(item, index)

    async def _execute(self, sink: Sink) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._interrupted = False
        world = self._world or World(shared_transport(), os.environ, Random())
        run = Run(self._plan, self._source, self._variables, self._settings, sink, self._counts)
        sink.attach(run)
        self._run = run
        try:
            await run.execute(world)
        finally:
            self._run, self._reason = None, run.reason
            self._counts[CANCELLED] += self._source.left or 0
            sink.end()

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
        kept = self._kept
        if self._run is not None or not self._source.left or not isinstance(self.items, Sequence):
            return [kept[index] for index in sorted(kept)]
        status = CANCELLED if self._reason else PENDING
        reason = NotFinished(self._reason or "not started: call run()")
        return [
            kept.get(index) or Record(index, item, status, error=reason)
            for index, item in enumerate(self.items)
        ]

    def _keep_failed(self, record: Record) -> None:
        if record.status is not DONE:
            self._kept[record.index] = record

    # Threads

    def _interruptible(self, future: Any) -> Any:
        """The future's result. Ctrl-C once stops the run, twice cancels it and is raised."""
        try:
            return future.result()
        except KeyboardInterrupt:
            self._interrupted = True
            self.stop()
            print("\nCtrl-C: waiting for calls in flight; again to cancel them.", file=sys.stderr)
        try:
            return future.result()
        except KeyboardInterrupt:
            self.cancel()
            with suppress(Exception):
                future.result()
            raise

    def _tell(self, order: Callable[[Run], None]) -> None:
        run, loop = self._run, self._loop
        if run is None or loop is None:
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
    rows, length = open_rows(items)
    return AsyncSource(rows) if isinstance(rows, AsyncIterator) else Source(rows, length)


class _Keep(Sink):
    """Keeps every record."""

    def __init__(self, records: dict[int, Record]) -> None:
        self._records = records

    def put(self, record: Record) -> None:
        self._records[record.index] = record


def _check_settings(
    max_flows: Any, on_error: Any, timeout: Any, retries: Any, limits: Any, deadline: Any
) -> None:
    if max_flows not in ("auto", None) and (
        not isinstance(max_flows, int) or isinstance(max_flows, bool) or max_flows < 1
    ):
        raise InvalidInput(
            f'max_flows={max_flows!r}: use 1 or more, or "auto" to adapt to the provider.'
        )
    if on_error not in get_args(OnError):
        raise InvalidInput(
            f"on_error={on_error!r}: use one of {', '.join(map(repr, get_args(OnError)))}."
        )
    for name, value in (("timeout", timeout), ("deadline", deadline)):
        if value is not None and not (isinstance(value, (int, float)) and value > 0):
            raise InvalidInput(f"{name}={value!r}: use seconds above 0.")
    if retries is not None and not (isinstance(retries, int) and retries >= 0):
        raise InvalidInput(f"retries={retries!r}: use 0 or more.")
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidInput(f"limits={limits!r}: use Limits(rpm=..., tpm=..., concurrent=...).")


# One item


async def arun_one(
    runner: Runner,
    variables: Mapping[str, Any] | None = None,
    on_step_error: OnStepError | None = None,
    world: World | None = None,
) -> Any:
    """The output of one runner for one set of variables; raises what went wrong."""
    plan = Plan(as_runner(runner), on_step_error)
    item = dict(variables or {})
    ItemCheck(plan, plan.variables).check(item, 0)
    records: dict[int, Record] = {}
    run = Run(
        plan,
        Source(iter([item]), 1),
        {},
        Settings(),
        _Keep(records),
        [0] * len(Status),
        keep_history=isinstance(runner, Chain),
    )
    await run.execute(world or World(shared_transport(), os.environ, Random()))
    record = records[0]
    if isinstance(runner, Chain):
        runner.history, runner.accumulated = record.steps or [], run.accumulated
    if record.error is not None:
        raise record.error
    return record.output


def run_one(
    runner: Runner,
    variables: Mapping[str, Any] | None = None,
    on_step_error: OnStepError | None = None,
) -> Any:
    """`arun_one` for synchronous callers, on the loop thread."""
    thread = loop_thread()
    if threading.current_thread() is thread.thread:
        raise FlowpoolError("run() was called on flowpool's own loop: use await arun() there.")
    work = thread.submit(arun_one(runner, variables, on_step_error))
    try:
        return work.result()
    except KeyboardInterrupt:
        work.cancel()
        raise
