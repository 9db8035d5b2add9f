"""A pool's session: its items and their outcomes, over any number of runs, at most one at a time.

Begins runs, goes on where one stopped, and says how things stand. `Pool` is its public face; what happens inside
a run is `Run`'s.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context, copy_context
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import Struct, field, structs

from flowpool import wiring
from flowpool.calls.budget import Budget, Spend
from flowpool.chain import Chain, OnStepError, as_runner
from flowpool.checkpoint.checkpoint import Checkpoint, StoredItems
from flowpool.checkpoint.identity import Identity, identify
from flowpool.checkpoint.journal import Journal, SourcePass
from flowpool.data.rows import Rows
from flowpool.errors import InvalidInput, NotFinished
from flowpool.integrations import ForeignTool
from flowpool.limits.lane_view import LaneView
from flowpool.logs import log
from flowpool.plan import ItemCheck, Plan
from flowpool.printable import printable
from flowpool.results import CallCost, Record, Results
from flowpool.run.ctrl_c import WAITING, heeded_by
from flowpool.run.environment import Environment, real_environment
from flowpool.run.event_log import STDERR, EventLog, begin_fields, check_log, end_fields
from flowpool.run.loop_thread import LoopThread, loop_thread, outcome
from flowpool.run.own_words import error_fields, own_words
from flowpool.run.progress import Snapshot
from flowpool.run.run import Run
from flowpool.run.sample import Bottleneck, Sample
from flowpool.run.sink import Keep, Sink, Stream
from flowpool.run.source import AsyncSource, Source, ThreadSource
from flowpool.runner import Runner
from flowpool.settings import Settings
from flowpool.skill import Skill
from flowpool.threads import DaemonThreads
from flowpool.values import Status

PENDING, RUNNING, DONE, FAILED, CANCELLED = Status
T = TypeVar("T")
Variables = Mapping[str, Any]
By = Literal["python", "shell"]


class Start(Struct, frozen=True):
    """A run that was begun and is to be carried out. `caller` is the context of whoever began it."""

    sink: Sink
    spent: Spend
    retry_failed: bool
    caller: Context


class Change(Struct, frozen=True):
    """What somebody changed of a run at work: what it was and is now, and who, "python" or "shell"."""

    what: str
    before: Any = field(name="from")
    after: Any = field(name="to")
    by: By

    def __str__(self) -> str:
        before, after = (_in_words(self.what, value) for value in (self.before, self.after))
        return f"{self.what} from {before} to {after}"


class Session:
    """A runner, its items and their outcomes so far."""

    def __init__(
        self,
        name: str,
        runner: Any,
        items: Any,
        rows: Rows | None,
        settings: Settings,
        *,
        checkpoint: Checkpoint | None = None,
        progress: bool | Callable[[Snapshot], None] | None = None,
        watch: bool = False,
        log: str | Path | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.name = name
        self.rows = rows
        self.plan = Plan(runner)
        self.settings = settings
        self._check_ceilings(settings)
        self.plan.check_installed()
        self.checkpoint = checkpoint
        self.interrupted = False  # whether Ctrl-C came during the last run
        self._items = items
        self._source = _open(rows or items)
        self._progress = False if progress is None and log == STDERR else progress
        self.log = log
        self._events: EventLog | None = None
        self._watch = watch
        self._environment = environment
        self._counts = checkpoint.counts() if checkpoint is not None else [0] * len(Status)
        self._stored = sum(self._counts) if isinstance(items, StoredItems) else None
        self._source.length = self._source.length or self._stored
        self._kept: dict[int, Record] = {}
        self._earlier: list[CallCost] = []  # calls of items that were asked again, or never ended
        self._before = Spend()  # of the runs that the one at hand goes on with
        if checkpoint is not None:
            self._before, self._earlier = checkpoint.spent()
        self._ended_before = 0  # items that had ended when the run at hand began
        self._known = 0  # those, and such as its store has
        self._pass = SourcePass()
        self._lock = threading.Lock()
        self._is_running = False
        self._has_run = False
        self._awaited: Callable[[Run], None] | None = None  # an order for a run that is being begun
        self._holds = False  # whether it is to be paused
        self._run: Run | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clock: Callable[[], float] = float
        self._started = 0.0
        # Shared values of the items, where a run gives none.
        self._default_variables = checkpoint.variables if checkpoint is not None else {}
        self._variables: Variables = {}
        self._reason = ""
        self._rest: list[Any] | None = None

    # Looking

    @property
    def status(self) -> dict[Status, int]:
        """How many items have each status."""
        counts = list(self._counts)
        total = self._source.length
        if total is None:
            counts[CANCELLED] += len(self._unread or ())
        else:
            counts[PENDING] = max(0, total - sum(counts[RUNNING:]))
        return {status: counts[status] for status in Status}

    @property
    def spent(self) -> Spend:
        """What the last run has spent, and those that it goes on with; under a ceiling also what it may have."""
        if self._run is None:
            return self._before
        if self._run.budget is not None:
            return self._run.budget.spent
        return self._run.progress.added_to(self._before)

    @property
    def results(self) -> Results:
        """The results so far; also after an interrupted or failed run."""
        records = self.records()
        return Results(
            records,
            self.rows,
            self.plan.answers,
            self._earlier,
            self._stopped,
            interrupted=self.interrupted,
            ending=self.snapshot if self._run is not None and not self._is_running else None,
        )

    @property
    def _total(self) -> int | None:
        """How many items there are, where that is known."""
        length = self._source.length
        if length is None and self._unread is not None:
            return self._source.taken + len(self._unread)
        return length

    @property
    def _stopped(self) -> str:
        """What ended the last run before its end, and where; empty where nothing did."""
        if not self._reason or self._is_running:
            return ""
        total = self._total
        of = "an unknown number" if total is None else f"{total:,}"
        ended = self._counts[DONE] + self._counts[FAILED]
        return f"stopped at {ended:,} of {of}: {self._reason}"

    @property
    def _listed(self) -> Sequence[Any] | None:
        """The items where they are in memory, in order."""
        items = self._items
        return items if isinstance(items, Sequence) and not isinstance(items, str) else None

    @property
    def _unread(self) -> list[Any] | None:
        """The items that a run which was stopped never read, where they can be read; else None."""
        if self._is_running or not self._reason or self._listed is not None:
            return None
        rows = self.rows
        if (
            self._rest is None
            and rows is not None
            and not (rows.once or (rows.waits and not self._stored))
        ):
            self._rest = []
            with suppress(InvalidInput):  # up to a row that can't be read
                for item in islice(copy(rows), self._source.taken, None):
                    self._rest.append(item)
        return self._rest

    @property
    def lanes(self) -> list[LaneView]:
        """How the lanes of the run stand now, or stood at its end."""
        return list(self._run.look()) if self._run is not None else []

    @property
    def snapshot(self) -> Snapshot:
        """How the run stands now."""
        status, now, run = self.status, self._clock(), self._run
        counts = (status[RUNNING], status[DONE], status[FAILED], status[CANCELLED])
        if run is None:
            return Snapshot(self._total, *counts, paused=self.is_paused)
        progress = run.progress
        return Snapshot(
            self._total,
            *counts,
            now - self._started,
            progress.rate(now),
            run.look(),
            progress.spent(),
            progress.failure,
            run.empties.counts,
            self._stopped,
            self._recalled,
            max(0, self._known - self._recalled) if self._is_running else 0,
            self._before.cost,
            run.bottleneck,
            held=run.held,
            timings=run.timings.spreads(),
            paused=self.is_paused,
        )

    @property
    def began(self) -> float:
        """When the last run began, in seconds of its loop's clock."""
        return self._started

    @property
    def samples(self) -> list[Sample]:
        """How the last run stood from second to second."""
        return [] if self._run is None else self._run.samples

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """What held the last run back, one after the other."""
        return [] if self._run is None else self._run.bottlenecks

    @property
    def _recalled(self) -> int:
        """How many of the done and failed items had ended before the run at hand."""
        return self._ended_before + (0 if self._run is None else self._run.recalled)

    def records(self) -> list[Record]:
        """The items' records so far, in order; those that have not started too, where they are known."""
        if not self._has_run and self.checkpoint is not None:
            return self.checkpoint.records()
        records = dict(self._kept)
        if not self._is_running:
            status = CANCELLED if self._reason else PENDING
            reason = NotFinished(self._reason or "not started: call run()")
            for index, item in self._not_started():
                records.setdefault(index, Record(index, item, status, error=reason))
        return [records[index] for index in sorted(records)]

    @property
    def is_running(self) -> bool:
        """Whether a run is at work."""
        return self._is_running

    @property
    def number_kept(self) -> int:
        """How many records are kept so far: all, or those that aren't done where records are handed over."""
        return len(self._kept)

    def last_kept(self, number: int) -> list[Record]:
        """The last so many of them, the last one first; from any thread."""
        try:
            # Without a step of Python in between, so that no record is put meanwhile.
            return list(islice(reversed(self._kept.values()), number))
        except RuntimeError:  # one was, where threads run side by side
            return []

    # Beginning

    def begin(
        self, variables: Variables | None, sink: Sink | None = None, *, retry_failed: bool = False
    ) -> Start:
        """A run of every item, anew. sink: where records go; by default they are kept."""
        with self._claimed():
            if self._source.taken:
                self._source = _open_again(self.rows)
                self._source.length = self._source.length or self._stored
            shared = dict(variables or self._default_variables)
            self._check_items(shared)
            self._kept.clear()
            self._earlier.clear()
            self._counts[:] = [0] * len(Status)
            self._variables = shared
            self._pass = SourcePass()
            return self._start(sink, Spend(), retry_failed)

    def begin_again(
        self,
        variables: Variables | None,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
    ) -> Start:
        """A run of what has no output yet, with other ceilings where they are given."""
        settings = self.settings.changed(max_cost=max_cost, max_tokens_total=max_tokens_total)
        self._check_ceilings(settings)
        with self._claimed():
            self.settings = settings
            if variables is not None:
                self._check_items(variables)
                self._variables = dict(variables)
            if not self._has_run:
                self._counts[:] = [0] * len(Status)  # of a loaded run: its items will be met again
            failed = [record for record in self._kept.values() if record.status is not DONE]
            for record in failed:
                del self._kept[record.index]
                self._earlier += record.calls
                self._counts[record.status] -= 1
            self._counts[CANCELLED] = 0
            self._source.put_back((record.index, record.variables) for record in failed)
            return self._start(None, self.spent, True)

    def identity(self) -> Identity:
        """What the run is made of, as it stands."""
        return Identity(self.plan, self._variables, self.settings.version)

    @property
    def last_variables(self) -> Variables:
        """The shared values of the last run."""
        return self._variables

    def stream_to(self, ordered: bool) -> Stream:
        """A sink whose records are handed over and not kept, but for those that a retry needs."""
        return Stream(ordered, self._keep_failed, self._go_on)

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

    def _start(self, sink: Sink | None, spent: Spend, retry_failed: bool) -> Start:
        if self.log is not None:
            read = None if self.rows is None else self.rows.path
            check_log(self.log, None if self.checkpoint is None else self.checkpoint.path, read)
        self.interrupted = False
        self._has_run = True
        self._run = None
        self._reason = ""
        self._rest = None
        self._awaited = None
        self._before = spent
        self._ended_before = self._counts[DONE] + self._counts[FAILED]
        self._known = self._ended_before
        return Start(sink or Keep(self._kept), spent, retry_failed, copy_context())

    def _check_ceilings(self, settings: Settings) -> None:
        """Refuses a ceiling where no step asks a model that it could hold back."""
        # A foreign runner asks models too, and is refused with its reason when its step is prepared.
        if any(isinstance(step.runner, (Skill, ForeignTool)) for step in self.plan.steps()):
            return
        for name in ("max_cost", "max_tokens_total"):
            if (value := getattr(settings, name)) is not None:
                raise InvalidInput(
                    f"{name}={value!r} bounds the calls of skills, and {self.plan.name!r} has none: leave it out."
                )
        self._check_limits()

    def _check_limits(self) -> None:
        """Refuses those that nobody would keep to where no step asks a model."""
        limits, name = self.settings.limits, self.plan.name
        if limits is None:
            return
        if not self.plan.is_single:
            raise InvalidInput(
                f"limits={limits!r} hold for models, and no step of {name!r} asks one: give its steps max_flows."
            )
        for one in ("tpm", "input_tpm", "output_tpm"):
            if (value := getattr(limits, one)) is not None:
                raise InvalidInput(
                    f"limits=Limits({one}={value!r}) counts a model's tokens, and the function {name!r} uses none: "
                    "use rpm or concurrent."
                )

    def _check_items(self, variables: Variables) -> None:
        """Refuses a list with an item that can't run, and columns that lack a variable.

        A lazy source's items are checked as they are read.
        """
        shared = {**self.plan.variables, **variables}
        check = ItemCheck(self.plan, shared, constant_prompt=self.settings.constant_prompt)
        if self._listed is not None:
            for index, item in enumerate(self._listed):
                check.check(item, index)
        elif self.rows is not None and (columns := self.rows.columns) is not None:
            check.check_columns(columns, self.rows.name)

    def counted_rows(self, is_wanted: Callable[[], bool] = lambda: True) -> Rows:
        """The rows, of a known number where reading them all tells it: as far as that is wanted."""
        assert self.rows is not None
        if self.rows.length is not None or self.rows.once or self.rows.waits:
            return self.rows
        rows = copy(self.rows)
        rows.look_through(lambda row, index: None, is_wanted)
        return rows

    async def _look_through(self) -> None:
        """Counts the rows of a file, and refuses one in which some can't be read, before anything is asked."""
        if self.rows is None or self._source.length is not None or self._source.taken:
            return
        loop, thread = asyncio.get_running_loop(), DaemonThreads("flowpool-items", 1)
        try:
            counted = loop.run_in_executor(thread, self.counted_rows, lambda: self._awaited is None)
            self._source.length = (await counted).length
        except asyncio.CancelledError:
            self._awaited = lambda run: None
            raise
        finally:
            thread.shutdown()

    # Carrying out, on a loop

    def complete(self, thread: LoopThread, start: Start) -> Results:
        """Carries a run out on the loop thread; the caller's thread takes Ctrl-C meanwhile."""
        running = self.submit(thread, start)
        with self.showing_progress():
            self.wait_for(running)
        return self._end()

    async def acomplete(self, start: Start) -> Results:
        """Carries a run out on the running loop."""
        with self.showing_progress():
            await self.execute(start)
        return self._end()

    def submit(self, thread: LoopThread, start: Start) -> Future[None]:
        try:
            return thread.submit(self.execute(start))
        except BaseException:
            self._is_running = False
            raise

    async def execute(self, start: Start) -> None:
        """The run, from its first item to its last."""
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._started = self._loop.time()
        with heeded_by(self):
            if self.log is None:
                await self._execute_counted(start)
                return
            async with self._logging(str(self.log)):
                await self._execute_counted(start)

    @asynccontextmanager
    async def _logging(self, path: str) -> AsyncIterator[None]:
        """Writes down what happens in the run, from its beginning to its end."""
        epoch = time.time() - self._clock()
        events = self._events = EventLog(path, self.name, self._clock, epoch)
        failure = ""
        try:
            yield
        except BaseException as error:
            said = error_fields(error)
            failure = f"{said['error']}: {said['message']}"
            raise
        finally:
            now = self.snapshot
            events.tell("end", end_fields(now, own_words(now.stopped) or failure))
            self._events = None
            await events.close()

    async def _execute_counted(self, start: Start) -> None:
        try:
            await self._look_through()
            self._started = self._clock()
            identity = None
            if self.checkpoint is not None or self.settings.dedupe:
                identity = await identify(self.plan, self._variables, self.settings.version)
            try:
                await self._execute(start, identity)
            finally:
                if identity is not None:
                    identity.close()
        finally:
            start.sink.end()
            if self._run is not None and self._run.reason:
                self._reason = self._run.reason
                self._counts[CANCELLED] += self._source.left or 0
            ended = self._clock()
            self._clock = lambda: ended
            self._holds = self._is_running = False
            how = (self.plan.name, *self._counts[DONE:], ended - self._started)
            log.info("%s: %d done, %d failed, %d cancelled in %.1f s", *how)
            if self._recalled:
                log.info("%s: %d of them had ended earlier", self.plan.name, self._recalled)
            if self._reason:
                log.info("%s: %s", self.plan.name, printable(self._stopped))

    async def _execute(self, start: Start, identity: Identity | None) -> None:
        if self.checkpoint is None or identity is None:
            await self._new_run(start, start.spent, identity, None).execute()
            return
        with (
            self.checkpoint.open(
                self.plan,
                self._stored_items(),
                self._variables,
                self.settings,
                identity,
                retry_failed=start.retry_failed,
            ) as journal,
            wiring.load("control").listening(self, self.checkpoint.path, journal.run.id),
        ):
            self._take_up(journal)
            await self._new_run(start, self._before, identity, journal).execute()

    def _take_up(self, journal: Journal) -> None:
        """What the store has of the run: what it spent, and what it needn't do again."""
        self._before, self._earlier = journal.spent(), journal.unfinished()
        items, ended = journal.ended_before()
        # Of fewer items than the store has, nobody knows yet which they are.
        if self._total is not None and self._total >= items:
            self._known = max(self._known, ended)

    def _new_run(
        self, start: Start, spent: Spend, identity: Identity | None, journal: Journal | None
    ) -> Run:
        settings = self.settings
        budget = None
        if settings.max_cost is not None or settings.max_tokens_total is not None:
            budget = Budget(settings.max_cost, settings.max_tokens_total, spent)
        if self._events is not None:
            self._events.tell("begin", begin_fields(self._total, settings))
        self._run = Run(
            self.plan,
            self._source,
            self._variables,
            settings,
            start.sink,
            self._counts,
            self._environment or real_environment(),
            budget=budget,
            identity=identity,
            journal=journal,
            source_pass=self._pass,
            caller=start.caller,
            snapshot=lambda: self.snapshot,
            events=self._events,
        )
        if self._holds:
            self._run.pause()
            log.warning("%s: paused before it began: pool.go() has it begin", self.plan.name)
        if self._awaited is not None:
            self._awaited(self._run)
        return self._run

    def _stored_items(self) -> Any:
        """The items as the checkpoint takes them: a list as it is, what was read as rows."""
        is_own = self._listed is not None or isinstance(self._items, StoredItems)
        return self._items if is_own else self.rows

    def _end(self) -> Results:
        self.raise_if_wanted()
        results = self.results
        if self._run is not None and self.settings.on_empty == "ask":
            for name, count in self._run.empties.counts.items():
                words = f"{count:,} of {len(results):,} items have nothing in {name!r}"
                warnings.warn(f"{words}, and were asked about (on_empty=)", RuntimeWarning, 4)
        if self.settings.on_error == "skip":
            for record in results.failed:
                words = printable(f"items[{record.index}]: {record.error}")
                warnings.warn(words, RuntimeWarning, stacklevel=4)
        return results

    def raise_if_wanted(self) -> None:
        """With `on_error="raise"`, the error of the first item that failed."""
        if self.settings.on_error != "raise":
            return
        for record in self._kept.values():
            if record.status is FAILED and record.error is not None:
                record.error.add_note(f"items[{record.index}] failed; the rest was cancelled")
                raise record.error

    def warn_of_stop(self, path: Any) -> None:
        """Says that a file lacks rows, where the run ended before its end."""
        if self._stopped:
            warnings.warn(
                f"{self._stopped}: {path} has no other rows", RuntimeWarning, stacklevel=3
            )

    def _not_started(self) -> Iterator[tuple[int, Any]]:
        """What the source still holds, where that is known without reading it."""
        source = self._source
        yield from source.again
        known = self._listed
        unread = iter(self._unread or ())
        for index in range(source.taken, source.length or source.taken):
            yield index, next(unread, None) if known is None else known[index]
        yield from enumerate(unread, max(source.taken, source.length or 0))

    def _keep_failed(self, record: Record) -> None:
        if record.status is not DONE:
            self._kept[record.index] = record

    # Control, from any thread

    def stop(self, by: By = "python") -> None:
        """Starts no more items; those in progress go on to their end, in a paused run to that of their calls."""

        def stop(run: Run) -> None:
            (run.interrupt if run.is_paused else run.stop)("the run was stopped")

        self._order(stop, "stopped", by)

    def interrupt(self) -> None:
        """Starts no more items, and ends those that only wait for a retry or at a provider that answers nobody."""
        self._order(lambda run: run.interrupt("the run was interrupted"))

    def cancel(self, by: By = "python") -> None:
        """Ends the run now: calls in flight are cut, what is done is kept."""
        self._order(lambda run: run.cancel("the run was cancelled"), "cancelled", by)

    @property
    def is_paused(self) -> bool:
        """Whether the run at work is paused, or the next one is to be held."""
        return self._holds

    def pause(self, by: By = "python") -> bool:
        """Sends no more calls and begins no more items until `go`. Returns whether it did go on.

        Where no run is at work, the next one is held from its start; another process means the one that it sees.
        """
        return self._hold(True, by)

    def go(self, by: By = "python") -> bool:
        """Goes on after `pause`. Returns whether it was paused."""
        return self._hold(False, by)

    def change(self, by: By = "python", **given: Any) -> list[Change]:
        """Other `max_flows` and ceilings from here on, for a run that is at work and for those that come.

        None is none, and "auto" for `max_flows`. Returns what is another now. Raises `InvalidInput`, and changes
        nothing, for a value that can't be meant, or a ceiling that a run at work can't keep to any more.
        """
        with self._lock:
            before = self.settings
            settings = Settings.checked(**{**structs.asdict(before), **given})
            pairs = [(name, _shown(name, before), _shown(name, settings)) for name in given]
            changes = [Change(name, old, new, by) for name, old, new in pairs if old != new]
            if any(change.what != "max_flows" for change in changes):
                self._check_ceilings(settings)
            self._refuse_new_ceilings(changes)
            self.settings = settings

        def change(run: Run) -> None:
            run.change(self.settings)
            for one in changes:
                run.happened("change", one)

        if changes and self._tell(change):
            for one in changes:
                log.info("%s: %s, by %s", self.plan.name, one, by)
        return changes

    def is_heard(self, seconds: float) -> bool:
        """Whether what was ordered has come to the run, waited for so long: its loop may be busy."""
        heard = threading.Event()
        return not self._tell(lambda run: heard.set()) or heard.wait(seconds)

    def wait_for(self, future: Future[T]) -> T:
        """The future's result. A run's first Ctrl-C stops it, the second cancels it and is raised."""
        try:
            try:
                return outcome(future)
            except KeyboardInterrupt:
                if self.interrupted:
                    raise
                self.interrupted = True
                self.interrupt()
                print(WAITING, end="", file=sys.stderr)
                return outcome(future)
        except KeyboardInterrupt:  # the second may also come while the first is dealt with
            self.cancel()
            with suppress(Exception):
                outcome(future)
            raise

    @contextmanager
    def showing_progress(self) -> Iterator[None]:
        if self._watch:
            wiring.load("watch").announce(self)
        if self._progress is False:
            yield
            return
        with wiring.load("progress").showing(self, self._progress):
            yield

    def _go_on(self) -> None:
        if self._run is not None:
            self._run.go_on()

    def _order(self, order: Callable[[Run], None], state: str = "", by: By = "python") -> None:
        """Ends the run in some way, after which it has this state."""

        def give(run: Run) -> None:
            before = "paused" if run.is_paused else "at work"
            order(run)
            if state:
                run.happened("change", Change("state", before, state, by))

        def wait() -> None:  # it looks through its rows, or opens its store
            self._awaited = give

        if self._tell(give, wait) and state:
            log.info("%s: %s, by %s", self.plan.name, state, by)

    def _hold(self, holds: bool, by: By) -> bool:
        with self._lock:
            if self._holds == holds or (by == "shell" and not self._is_running):
                return False
            self._holds = holds
        before, after = ("at work", "paused") if holds else ("paused", "at work")

        def give(run: Run) -> None:
            (run.pause if holds else run.go)()
            run.happened("change", Change("state", before, after, by))

        self._tell(give)
        log.info("%s: %s, by %s", self.plan.name, after, by)
        return True

    def _refuse_new_ceilings(self, changes: list[Change]) -> None:
        run = self._run
        if run is None or not self._is_running:
            return
        for change in changes:
            if change.what != "max_flows" and not run.may_limit(change.what):
                raise InvalidInput(
                    f"{change.what}={change.after!r}: the run at work began without one, so nobody knows what its "
                    "calls in flight may use: stop it and go on with one, by pool.retry() or `flowpool resume`; "
                    "nothing is asked twice."
                )

    def _tell(
        self, order: Callable[[Run], None], otherwise: Callable[[], None] = lambda: None
    ) -> bool:
        """Gives the run at work an order, on its loop; whether there is one. otherwise: while it is being begun."""
        loop = self._loop
        if loop is None or not self._is_running:
            return False

        def give() -> None:
            if self._run is not None:
                order(self._run)
            else:
                otherwise()

        try:
            loop.call_soon_threadsafe(give)
        except RuntimeError:  # the loop closed in between
            return False
        return True


def _shown(name: str, settings: Settings) -> Any:
    """A setting's value, as people give it."""
    value = getattr(settings, name)
    return "auto" if name == "max_flows" and value is None else value


def _in_words(what: str, value: Any) -> str:
    """The same, or a state, in words."""
    if value is None or isinstance(value, str):
        return value or "none"
    return f"${value:,.6g}" if what == "max_cost" else f"{value:,}"


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


async def arun_one(
    runner: Runner,
    variables: Variables | None = None,
    on_step_error: OnStepError | None = None,
    environment: Environment | None = None,
) -> Any:
    """The output of one runner for one set of variables; raises what went wrong."""
    plan = Plan(as_runner(runner), on_step_error)
    item = dict(variables or {})
    ItemCheck(plan, plan.variables, constant_prompt=True).check(item, 0)
    records: dict[int, Record] = {}
    run = Run(
        plan,
        Source(iter([item]), 1),
        {},
        Settings(constant_prompt=True),
        Keep(records),
        [0] * len(Status),
        environment or real_environment(),
        keep_history=isinstance(runner, Chain),
    )
    await run.execute()
    record = records[0]
    if isinstance(runner, Chain):
        runner.history, runner.accumulated = record.steps or [], run.accumulated
    if record.error is not None:
        raise record.error
    return record.output


def run_one(
    runner: Runner,
    variables: Variables | None = None,
    on_step_error: OnStepError | None = None,
) -> Any:
    """`arun_one` for synchronous callers, on the loop thread."""
    thread = free_thread()
    work = thread.submit(arun_one(runner, variables, on_step_error))
    try:
        return outcome(work)
    except KeyboardInterrupt:
        work.cancel()
        raise


def free_thread() -> LoopThread:
    """The thread for a synchronous caller's run; refuses a caller who is that thread."""
    thread = loop_thread()
    thread.refuse_itself()
    return thread


async def read_stream(session: Session, stream: Stream, start: Start) -> AsyncIterator[Record]:
    """Carries a run out on the running loop, and gives its records as they come."""
    running = asyncio.ensure_future(session.execute(start))
    try:
        with session.showing_progress():
            while batch := await stream.batch():
                for record in batch:
                    yield record
        await running
    finally:
        if not running.done():
            session.cancel()
            with suppress(Exception):
                await running
    session.raise_if_wanted()
