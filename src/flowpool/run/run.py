"""One run: items become flows, flows go through the plan's steps, records come out. The part that awaits.

Workers carry flows, one at a time each, so that there are as many coroutines as items in progress. A flow
that waits for a retry gives its slot to another worker and takes one back before it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Any

from msgspec import Struct

from flowpool.calls.budget import Budget
from flowpool.calls.budget_queue import BudgetQueue
from flowpool.calls.flow import Flow
from flowpool.calls.model_calls import ModelCalls
from flowpool.calls.retry import RetryWaiter
from flowpool.calls.tool_calls import ToolCalls
from flowpool.checkpoint.identity import Identity
from flowpool.checkpoint.journal import ItemLog, Journal, SourcePass
from flowpool.errors import FlowpoolError, InvalidItem, NotFinished
from flowpool.limits.lane_view import Bound, LaneView
from flowpool.limits.lanes import Lanes
from flowpool.plan import ItemCheck, Plan
from flowpool.results import Record
from flowpool.run.bottleneck import Look
from flowpool.run.deadline import Deadline
from flowpool.run.empties import Empties
from flowpool.run.environment import Environment
from flowpool.run.event_log import EventLog, as_json, begin_fields
from flowpool.run.monitor import Monitor
from flowpool.run.pause import Pause
from flowpool.run.progress import Progress, Snapshot
from flowpool.run.sample import Bottleneck, Sample
from flowpool.run.sink import Sink
from flowpool.run.slots import Slots
from flowpool.run.source import Entry, Source
from flowpool.run.steps import Steps
from flowpool.run.timings import Timings
from flowpool.settings import Settings
from flowpool.sharing.run_shares import RunShares
from flowpool.tracing import open_tracer
from flowpool.values import Status

# Seconds that another thread waits for a busy loop's answer: it then shows what it knew before.
LOOK_TIMEOUT = 0.5
# Workers that wait for an item, for each that has one, from which on the source is slow: between two items every
# worker waits for a moment.
WAITING_PART = 0.25
# Items found in the journal before others have their turn: some 5 ms, which nobody on the loop notices.
YIELD_EVERY = 500


class Run:
    """The execution of a plan over a source, once. Made on the loop that it runs on.

    counts: items by status, which it keeps. budget: what may be spent. identity: what the run is made of, where
    that is of use. journal: where what becomes of the items is written down. source_pass: the reading of the
    source's items that this run goes on with. caller: the context whose span is the run's parent. snapshot: gives
    how the run stands, for its monitor; None for none. events: where what happens is written for others to read.

    Raises `InvalidInput` for what is missing: nothing was paid.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        shared: Mapping[str, Any],
        settings: Settings,
        sink: Sink,
        counts: list[int],
        environment: Environment,
        *,
        budget: Budget | None = None,
        identity: Identity | None = None,
        journal: Journal | None = None,
        source_pass: SourcePass | None = None,
        caller: Context | None = None,
        snapshot: Callable[[], Snapshot] | None = None,
        events: EventLog | None = None,
        keep_history: bool = False,
    ) -> None:
        self.budget = budget
        self.reason = ""  # why it is to end, or ended, before its end
        self._plan, self._source = plan, source
        self._shared = {**plan.variables, **shared}
        self._check = ItemCheck(plan, self._shared, constant_prompt=settings.constant_prompt)
        self._settings, self._sink, self._counts = settings, sink, counts
        self._identity, self._journal = identity, journal
        self._pass, self._keep_history = source_pass or SourcePass(), keep_history
        self._events, self._snapshot = events, snapshot
        self._tell_end = self._tell if events is None else self._tell_events
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._workers: set[asyncio.Task[None]] = set()
        self._carried: dict[Flow, _Carried] = {}
        self._deadline: Deadline | None = None
        self._waiting = 0  # workers that wait for an item
        self._waits: set[asyncio.Future[None]] = set()  # of calls that are to be tried again
        self._is_over = self._stopping = self._exhausted = self._lets_go = False
        self._crash: BaseException | None = None
        self._met = 0  # items whose end was in the journal, or that it can't keep
        self._looks: tuple[LaneView, ...] = ()
        self._monitor: Monitor | None = None
        self.progress, self.timings = Progress(self._loop.time()), Timings()
        self.is_paused = False  # whether the user holds it
        self._pause = Pause(self._loop.time)
        self._tracer = open_tracer(settings.tracing, environment.environ, caller or copy_context())
        shares = RunShares(environment.sharing)
        self._lanes = Lanes(settings, shares, environment.ceilings, self._pause.seconds)
        self._slots = Slots(settings.max_flows, self._lanes.width, self._fill)
        self._budget_queue = self._queue_of(budget)
        calls = self._model_calls, self._tool_calls = self._open_calls(environment)
        self.empties = Empties(settings.on_empty, self._shared)
        self._steps = Steps(plan, settings, *calls, self._slots, self.empties)

    def _queue_of(self, budget: Budget | None) -> BudgetQueue | None:
        if budget is None:
            return None
        gives_up = self._source.length is None
        return BudgetQueue(budget, self.stop, self._pause.seconds, gives_up=gives_up)

    def _open_calls(self, environment: Environment) -> tuple[ModelCalls, ToolCalls]:
        draw, now = environment.random.random, self._loop.time
        waiter = RetryWaiter(self._wait, draw, now, self._pause.seconds)
        of_all = self._settings, self._lanes, waiter
        model_calls = ModelCalls(
            *of_all,
            environment.transport,
            environment.environ,
            self.timings,
            self._budget_queue,
            self._tracer,
        )
        is_single = self._plan.is_single
        return model_calls, ToolCalls(*of_all, self.timings, self._tracer, is_single=is_single)

    async def execute(self) -> None:
        """Runs until every item has ended.

        Raises what the source raised once what was begun has ended, `StoreFailed` when the journal can't be written
        any more, or a bug.
        """
        if self._tracer is None:
            await self._execute()
            return
        with self._tracer.run(self._plan.name, self._counts):
            await self._execute()

    async def _execute(self) -> None:
        deadline = None
        was_cut = False
        self._source.open()
        try:
            await self._open_journal()
            self._lanes.begin()
            if self._snapshot is not None:
                looks = self._snapshot, self._look_for_bottleneck
                self._monitor = Monitor(self._loop, *looks, self.happened)
            if (limit := self._settings.deadline) is not None:
                deadline = self._deadline = Deadline(limit, self.cancel, self._give_up)
                if self.is_paused:
                    deadline.hold()
            self._fill()
            self._end_if_done()
            await self._ended
        except asyncio.CancelledError:
            was_cut = True
            self.cancel("the run was cancelled")
            raise
        finally:
            try:
                if self._workers:
                    await asyncio.wait(self._workers)
                if deadline is not None:
                    deadline.close()
                await self._source.close(was_cut)
                if self._journal is not None:
                    await self._journal.flush()  # only then is known what became of each item
                if self._monitor is not None:
                    self._monitor.close()
                is_read = self._find_reason()
                if self._journal is not None:
                    self._journal.event("end", as_json({"reason": self.reason}))
                    await self._journal.close(self.reason, is_read=is_read)
            finally:
                self._close()
        if self._crash is not None:
            raise self._crash

    def _find_reason(self) -> bool:
        """Sees to the reason of the run's end; returns whether the source was read to its own."""
        if self._is_complete:
            self.reason = ""
        is_read = not self.reason
        if is_read and self._counts[Status.CANCELLED] and self._budget_queue is not None:
            self.reason = self._budget_queue.refusal  # each item's call had no room, one by one
        return is_read

    def _close(self) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        self._looks = self._look()
        self._is_over = True
        self._lanes.close()
        self._tool_calls.close()
        self._model_calls.close()

    async def _open_journal(self) -> None:
        """Lets the steps look up what they were answered before, and writes down the items that are known."""
        journal = self._journal
        if self._identity is not None:
            self._steps.tell_apart(self._identity, journal.answer if journal else None)
        if journal is not None:
            journal.attach(self._tell_end, self._lost_store, self.go_on, self._pass)
            begun = begin_fields(self._source.length, self._settings)
            journal.event("begin", as_json(begun))
            await journal.register()

    def _lost_store(self, error: Exception) -> None:
        self._crash = self._crash or error
        self.cancel(f"the store failed: {error}")

    @property
    def recalled(self) -> int:
        """Items that had ended before this run, of those that it has met."""
        return 0 if self._journal is None else self._journal.recalled

    @property
    def accumulated(self) -> dict[str, Any]:
        """All variables of the last item, where history is kept."""
        return self._steps.accumulated

    def happened(self, kind: str, data: Any) -> None:
        """Something is to be kept of the run: of which kind, and what it says, as plain data."""
        if self._journal is None and self._events is None:
            return
        said = as_json(data)
        if self._journal is not None:
            self._journal.event(kind, said)
        if self._events is not None and kind != "sample":
            self._events.happened(kind, said)

    # Control, from the loop's thread; also before `execute`

    def stop(self, reason: str) -> None:
        """Starts no more items; those in progress go on to their end."""
        if self._is_over:  # the order came late: the source may be another run's by now
            return
        self._stopping = True
        self.reason = self.reason or reason
        self._source.release()
        self._end_if_done()

    def interrupt(self, reason: str) -> None:
        """Starts no more items, and ends those that only wait: for a retry, or where nobody gets an answer."""
        self.stop(reason)
        if self._is_over:
            return
        self._lanes.let_go(reason)
        for wait in self._waits:
            if not wait.done():
                wait.set_exception(NotFinished(reason))
        self._lets_go = True

    def cancel(self, reason: str) -> None:
        """Ends the run now; calls in flight are cut and their connections closed."""
        self.stop(reason)
        for flow in self._carried:
            flow.is_cut = True
        for worker in self._workers:
            worker.cancel()

    def pause(self) -> None:
        """Sends no call and begins no item until `go`; calls in flight end, and nothing times out by it."""
        if self._is_over or self.is_paused:
            return
        self.is_paused = True
        self._pause.begin()
        self._lanes.hold()
        if self._deadline is not None:
            self._deadline.hold()
        self._look_anew()

    def go(self) -> None:
        """Goes on after `pause`."""
        if self._is_over or not self.is_paused:
            return
        self.is_paused = False
        self.progress.rested(self._pause.end())
        if self._deadline is not None:
            self._deadline.go()
        self._lanes.go()
        self.go_on()
        self._look_anew()

    def change(self, settings: Settings) -> None:
        """Keeps to other `max_flows` and ceilings from here on; what is in flight ends as it began.

        A ceiling that the run began without has no effect: see `may_limit`.
        """
        if self._is_over:
            return
        before, self._settings = self._settings, settings
        if settings.max_flows != before.max_flows:
            self._lanes.choose(settings.max_flows)
            self._slots.chosen = settings.max_flows
        if self._budget_queue is not None:
            self._budget_queue.limit(settings.max_cost, settings.max_tokens_total)
        self.go_on()
        self._look_anew()

    def _look_anew(self) -> None:
        if self._monitor is not None:
            self._monitor.changed()

    def may_limit(self, name: str) -> bool:
        """Whether this ceiling can be set: a run that began without one has no worst case of its calls."""
        if self.budget is None:
            return False
        return name != "max_cost" or self.budget.knows_prices

    def _give_up(self) -> None:
        """Ends the run without the steps that swallow every cancellation; they go on, and nobody hears of them."""
        for flow, one in list(self._carried.items()):
            error = NotFinished(f"{self.reason}, and its step swallows its cancellation")
            self._end_item(one.index, one.item, flow, one.started, Status.CANCELLED, error=error)
        self._workers.clear()
        self._end_if_done()

    def go_on(self) -> None:
        """The sink has room again."""
        self._fill()
        self._end_if_done()

    # Looking

    def look(self) -> tuple[LaneView, ...]:
        """How the lanes stand, or stood at the end. From any thread."""
        if self._is_over:
            return self._looks
        if _running_loop() is self._loop:
            return self._look()
        answer: Future[tuple[LaneView, ...]] = Future()
        try:
            self._loop.call_soon_threadsafe(lambda: answer.set_result(self._look()))
            self._looks = answer.result(LOOK_TIMEOUT)
        except (RuntimeError, TimeoutError):  # the loop is closed by now, or busy: as it was before
            pass
        return self._looks

    def _look(self) -> tuple[LaneView, ...]:
        # Deciding is for the loop's thread alone, and a look asks the lanes what they would decide.
        idle: Bound = "items"
        if self._sink.is_full:
            idle = "reader"
        elif self._slots.chosen and self._slots.taken >= self._slots.chosen:
            idle = "max_flows"
        now = self._loop.time()
        return tuple(lane.look(now, idle) for lane in self._lanes.all())

    @property
    def bottleneck(self) -> Bottleneck | None:
        """What holds the run back, or held it back at its end. From any thread."""
        return None if self._monitor is None else self._monitor.bottleneck

    @property
    def held(self) -> tuple[tuple[Bottleneck, float], ...]:
        """What held the run back so far, each with its seconds, the longest first. From any thread."""
        return () if self._monitor is None else self._monitor.held

    @property
    def samples(self) -> list[Sample]:
        """How the run stood from second to second."""
        return [] if self._monitor is None else self._monitor.samples

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """What held the run back, one after the other, each as it was when it had begun."""
        return [] if self._monitor is None else self._monitor.bottlenecks

    def _look_for_bottleneck(self, now: Snapshot) -> Look:
        slots, source = self._slots, self._source
        may_wait = not (self._exhausted or self._stopping)
        return Look(
            lanes=now.lanes,
            modes=self._tool_calls.modes(),
            chosen=slots.chosen,
            taken=slots.taken,
            source_waits=may_wait and self._waiting > WAITING_PART * slots.taken,
            read=source.taken,
            is_read=not may_wait or source.left == 0,
            reader_full=self._sink.is_full,
            store_full=self._journal is not None and self._journal.is_full,
            budget_waits=0 if self._budget_queue is None else self._budget_queue.waiting,
            ceilings=() if self.budget is None else self.budget.ceilings,
            recalled=now.recalled,
            known=now.known,
            is_held=self.is_paused,
            left=now.eta,
            running=now.running,
        )

    # Workers

    def _fill(self) -> None:
        """Gives free slots to flows that come back from a wait, then to new ones."""
        slots = self._slots
        if slots.returning:
            slots.serve()
        if self._stopping or self._exhausted or self._is_full:
            return
        room = slots.room(self._waiting, len(self._workers))
        if (left := self._source.left) is not None:
            room = min(room, left)
        for _ in range(room):
            self._start_worker()

    def _start_worker(self) -> None:
        self._slots.taken += 1
        worker = self._loop.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._slots.taken -= 1
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._crash = self._crash or error
            self.cancel("a bug ended the run")
        self._fill()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._workers or self._ended.done():
            return
        is_read = self._stopping or self._exhausted or (self.is_paused and self._source.left == 0)
        if is_read or not self._is_full:
            self._ended.set_result(None)

    @property
    def _is_complete(self) -> bool:
        """Whether every item has come to its own end, whatever was to end the run before."""
        is_read = self._source.left == 0 or (self._exhausted and not self._source.again)
        return is_read and self._crash is None and not self._counts[Status.CANCELLED]

    @property
    def _is_full(self) -> bool:
        """Whether no more items should begin: records wait to be written or taken, or the run is paused."""
        return (
            self.is_paused
            or self._sink.is_full
            or (self._journal is not None and self._journal.is_full)
        )

    async def _work(self) -> None:
        slots = self._slots
        carry = self._carry if self._tracer is None else self._carry_traced
        while (entry := await self._next_entry()) is not None:
            log = None
            if self._journal is not None:
                files = await self._journal.files_of(entry[1]) if self._journal.names_files else ()
                known = self._journal.find_or_begin(*entry, files)
                if isinstance(known, Record):
                    self._counts[Status.RUNNING] += 1
                    self._tell(known)
                    self._met += 1
                    if self._met % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                    continue
                log = known
            await carry(*entry, log)
            size = slots.chosen or slots.size()
            if slots.taken > size or slots.returning:
                return
            if slots.taken < size and not self._exhausted:
                self._fill()

    async def _next_entry(self) -> Entry | None:
        """The item that a worker is to carry next; None where it is to end."""
        if self._stopping or self._is_full:
            return None
        if self._deadline is not None and self._deadline.ends():
            return None
        source = self._source
        try:
            entry = source.take() if not source.waits else await self._await_item()
        except Exception as error:
            self._crash = self._crash or error
            self.stop(f"reading the items failed: {error}")
            return None
        if entry is None:
            self._exhausted = self._exhausted or not self._stopping
        elif self._stopping:
            source.put_back([entry])
            return None
        return entry

    async def _await_item(self) -> tuple[int, Any] | None:
        """The next item of a source that waits. Meanwhile the slot is free for those who come back."""
        coming = Flow()
        self._waiting += 1
        self._slots.yield_(coming)
        entry = None
        try:
            entry = await self._source.take_later()
            if entry is not None:
                await self._slots.resume(coming)
        except asyncio.CancelledError:
            if entry is not None:
                self._source.put_back([entry])
            raise
        finally:
            self._waiting -= 1
            self._slots.retake(coming)
        return entry

    async def _wait(self, flow: Flow, seconds: float) -> None:
        """Lets a flow wait without holding its slot among those in progress."""
        if self._lets_go:
            raise NotFinished(self.reason)
        self._slots.park(flow)
        wait: asyncio.Future[None] = self._loop.create_future()
        self._waits.add(wait)
        timer = self._loop.call_later(seconds, _wake, wait)
        try:
            await wait
        finally:
            timer.cancel()
            self._waits.discard(wait)
            flow.branches += 1
        await self._slots.resume(flow)

    # Flows

    def _tell(self, record: Record) -> None:
        """An item has ended, for all to know."""
        self._counts[Status.RUNNING] -= 1
        self._counts[record.status] += 1
        self._sink.put(record)

    def _tell_events(self, record: Record) -> None:
        assert self._events is not None
        self._events.ended(record)
        self._tell(record)

    async def _carry_traced(self, index: int, item: Any, log: ItemLog | None) -> Record:
        assert self._tracer is not None
        with self._tracer.item(index) as tell:
            record = await self._carry(index, item, log)
            if record.error is not None:
                tell(record.error)
        return record

    async def _carry(self, index: int, item: Any, log: ItemLog | None) -> Record:
        """One item from its start to its record."""
        self._counts[Status.RUNNING] += 1
        flow = Flow(log, [] if self._keep_history else None)
        if self._events is not None:
            flow.witness = self._events.witness(index)
        started = self._loop.time()
        self._carried[flow] = _Carried(index, item, started)
        try:
            output = await self._output(index, item, flow)
        except asyncio.CancelledError:
            error = NotFinished(self.reason or "cancelled")
            self._end_item(index, item, flow, started, Status.CANCELLED, error=error)
            raise
        except NotFinished as refusal:
            return self._end_item(index, item, flow, started, Status.CANCELLED, error=refusal)
        except FlowpoolError as failure:
            record = self._end_item(index, item, flow, started, Status.FAILED, error=failure)
            if self._settings.on_error in ("raise", "stop"):
                end = self.cancel if self._settings.on_error == "raise" else self.stop
                end(f"items[{index}] failed")
            return record
        except BaseException as bug:
            error = NotFinished(f"a bug ended the run: {bug!r}")
            self._end_item(index, item, flow, started, Status.CANCELLED, error=error)
            raise
        return self._end_item(index, item, flow, started, Status.DONE, output)

    async def _output(self, index: int, item: Any, flow: Flow) -> Any:
        """The plan's output for an item."""
        is_good = type(item) is dict and tuple(item) in self._check.good
        if not is_good and (problem := self._check.problem(item, index)):
            position = self._source.position()
            raise InvalidItem(f"{position}: {problem}" if position else problem)
        return await self._steps.carry({**self._shared, **item} if self._shared else item, flow)

    def _end_item(
        self,
        index: int,
        item: Any,
        flow: Flow,
        started: float,
        status: Status,
        output: Any = None,
        error: Exception | None = None,
    ) -> Record:
        """The record of an item that ended, for all to know once it is written down."""
        was_given_up = flow.is_over
        flow.is_over = True
        self._carried.pop(flow, None)
        if not flow.holds_slot:
            self._slots.retake(flow)
        ended = self._loop.time()
        record = Record(
            index,
            item,
            status,
            output,
            error,
            started,
            ended - started,
            flow.attempts,
            flow.usage,
            flow.model,
            flow.history,
            flow.bills,
        )
        if was_given_up:
            return record
        if flow.log is None:
            self._tell_end(record)
        else:
            flow.log.ended(record)
        self.progress.add(record, ended)
        return record


class _Carried(Struct, frozen=True):
    """An item in progress."""

    index: int
    item: Any
    started: float


def _wake(wait: asyncio.Future[None]) -> None:
    if not wait.done():
        wait.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
