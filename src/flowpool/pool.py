"""The pool: a runner and its items, and runs of them. What a user holds; its `Session` does the work."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
)
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, Unpack, overload

from flowpool import wiring
from flowpool.calls.budget import Spend as Spend
from flowpool.chain import as_runner
from flowpool.checkpoint.checkpoint import (
    Checkpoint,
    pick_run,
    restored_items,
    restored_runner,
)
from flowpool.data.rows import as_rows
from flowpool.data.writers import WriteOptions, Writer, open_writer
from flowpool.errors import InvalidInput
from flowpool.estimate import Estimate as Estimate
from flowpool.estimate import estimate
from flowpool.folders import folders, local_path
from flowpool.limits.lane_view import BOUNDS as BOUNDS
from flowpool.limits.lane_view import LaneView as LaneView
from flowpool.record import TableList
from flowpool.results import Record, Results
from flowpool.run.environment import Environment as Environment
from flowpool.run.event_log import check_log
from flowpool.run.loop_thread import outcome
from flowpool.run.progress import Snapshot as Snapshot
from flowpool.run.session import Session, free_thread, read_stream
from flowpool.run.session import arun_one as arun_one
from flowpool.run.session import run_one as run_one
from flowpool.runner import Runner
from flowpool.sealed import Sealed
from flowpool.settings import OnEmpty as OnEmpty
from flowpool.settings import OnError as OnError
from flowpool.settings import RetryOn as RetryOn
from flowpool.settings import Settings, restored
from flowpool.store.damage import refuses_damage
from flowpool.tracing import Tracing
from flowpool.values import Limits, Output, Status

PENDING, RUNNING, DONE, FAILED, CANCELLED = Status


class PoolOptions(TypedDict, total=False):
    """What `Pool` takes beside its runner and items, for type checkers."""

    name: str | None
    description: str | None
    timeout: float | None
    retries: int | None
    retry_on: RetryOn | None
    limits: Limits | None
    deadline: float | None
    store: str | Path | Checkpoint | None
    key: str | Callable[[Any], Any] | None
    dedupe: bool
    constant_prompt: bool
    on_empty: OnEmpty
    version: str | int | None
    columns: Mapping[str, str] | None
    limit: int | slice | None
    max_cost: float | None
    max_tokens_total: int | None
    progress: bool | Callable[[Snapshot], None] | None
    watch: bool
    log: str | Path | None
    tracing: bool | Tracing | None
    environment: Environment | None


MaxFlows = int | Literal["auto"] | None


class Pool(Sealed, Generic[Output]):
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
    retry_on: exceptions of a function that are tried again too: classes, or a function of the exception that gives
        True, False, or None for those that it doesn't know. Without it those are that tell that they may pass: a
        timeout, a lost connection, an HTTP status of 408, 409, 425, 429 or 5xx, with its Retry-After.
    limits: ceilings that you know, as `Limits(rpm=..., tpm=..., concurrent=...)`.
    deadline: seconds for the whole run, which then returns what it has. [none]
    columns, limit: as in `flowpool.read`: the prompt's variable by the data's column, and the first so many rows.
    max_cost: dollars, a ceiling that the run never exceeds: each call's worst case is set aside before it is sent.
        What has no room is cancelled and says so; `retry(max_cost=...)` with more goes on. Needs `max_tokens` in
        the options and a known price. [none]
    max_tokens_total: the same ceiling in tokens, input and output together. [none]
    store: the path of an SQLite file that keeps the run: every answer is in it before anybody gets it.
        The same pool run again goes on where it stopped, also after a crash; `Pool.load` and `flowpool resume`
        do without the script. [memory alone]
    version: a text or number of your own: with another one everything is asked anew, whatever the store has. [None]
    key: what tells items apart in the store: a variable's name, or a function of the item. [their content]
    dedupe: True sends identical calls once, also those that are on their way at the same moment. [False]
    constant_prompt: True lets a prompt be the same for every item, which is refused otherwise. [False]
    on_empty: what an item does that has nothing for a variable of a prompt: `"ask"` asks all the same and tells of
        it once, `"skip"` makes no call and has None for its output, `"fail"` fails without a call.
    progress: True shows it, False doesn't, a callable is given a `Snapshot` a few times a second. By default
        it is shown in a terminal or notebook once a run takes over a second.
    watch: True serves a live page of the runs on this machine, and says its address on standard error; see
        `watch()`. [False]
    log: a file that gets a line of JSON for each item that ends, each attempt that fails and what follows it, and
        what else happens; "-" is standard error. Lines are added; no prompt or answer is in them. [none]
    tracing: True tells OpenTelemetry of the run, its items and calls, without their content;
        `Tracing(content=True)` with it. By default the environment's `FLOWPOOL_TRACING` says. [no]
    environment: what tests set: the transport, the environment and chance.

    Raises `InvalidInput` for what can't work, before anything is paid.

    >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}, {"text": "two"}])
    >>> pool.run()
    ['ONE', 'TWO']
    >>> pool.status[DONE]
    2
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            runner: Runner[Output],
            items: Any,
            max_flows: MaxFlows = "auto",
            on_error: OnError = "collect",
            **options: Unpack[PoolOptions],
        ) -> None: ...

        @overload
        def __init__(
            self,
            runner: Callable[..., Coroutine[Any, Any, Output]],
            items: Any,
            max_flows: MaxFlows = "auto",
            on_error: OnError = "collect",
            **options: Unpack[PoolOptions],
        ) -> None: ...

        @overload
        def __init__(
            self,
            runner: Callable[..., Output],
            items: Any,
            max_flows: MaxFlows = "auto",
            on_error: OnError = "collect",
            **options: Unpack[PoolOptions],
        ) -> None: ...

        @overload
        def __init__(
            self: Pool[Any],
            runner: Any,
            items: Any,
            max_flows: MaxFlows = "auto",
            on_error: OnError = "collect",
            **options: Unpack[PoolOptions],
        ) -> None: ...

    def __init__(
        self,
        runner: Any,
        items: Any,
        max_flows: MaxFlows = "auto",
        on_error: OnError = "collect",
        name: str | None = None,
        description: str | None = None,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        retry_on: RetryOn | None = None,
        limits: Limits | None = None,
        deadline: float | None = None,
        store: str | Path | Checkpoint | None = None,
        key: str | Callable[[Any], Any] | None = None,
        dedupe: bool = False,
        constant_prompt: bool = False,
        on_empty: OnEmpty = "ask",
        version: str | int | None = None,
        columns: Mapping[str, str] | None = None,
        limit: int | slice | None = None,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
        progress: bool | Callable[[Snapshot], None] | None = None,
        watch: bool = False,
        log: str | Path | None = None,
        tracing: bool | Tracing | None = None,
        environment: Environment | None = None,
    ) -> None:
        settings = Settings.checked(
            max_flows=max_flows,
            on_error=on_error,
            timeout=timeout,
            retries=retries,
            retry_on=retry_on,
            limits=limits,
            deadline=deadline,
            max_cost=max_cost,
            max_tokens_total=max_tokens_total,
            dedupe=dedupe,
            constant_prompt=constant_prompt,
            on_empty=on_empty,
            version=version,
            tracing=tracing,
        )
        _check_words(name, description, key, store, progress, log, watch)
        self.runner = as_runner(runner)
        self.items = items
        self.name = name or self.runner.name
        self.description = description or ""
        self.on_error: OnError = on_error
        rows = None
        if not isinstance(items, AsyncIterable) or columns or limit is not None:
            rows = as_rows(items, columns, limit)
        if columns or limit is not None:
            self.items = rows
        checkpoint = None
        if isinstance(store, Checkpoint):
            checkpoint = store
        elif store is not None:
            checkpoint = Checkpoint(store, self.runner, self.name, key, is_named=bool(name))
        self._session = Session(
            self.name,
            self.runner,
            self.items,
            rows,
            settings,
            checkpoint=checkpoint,
            progress=progress,
            watch=watch,
            log=log,
            environment=environment,
        )
        self._seal(Pool)

    @classmethod
    def load(
        cls,
        path: str | Path,
        runner: Any = None,
        *,
        run: str | None = None,
        trusted: bool = False,
        environment: Environment | None = None,
        **changes: Any,
    ) -> Pool[Any]:
        """The pool whose run is in a store, as it stands: `results`, `status`, `resume()`, `retry()`.

        path: the store. runner: needed where the run's own isn't all skills and named tools, such as a function
        of a script. run: the run's name or number, where the store holds several. trusted: import the Python
        functions that the run's definition names, read files outside of the store's folder, and send keys to
        other addresses than their providers'. changes: other arguments of `Pool` instead of the run's own,
        such as `max_flows`.

        Raises `InvalidInput` for a store that can't be used, or a runner that can't be made again.
        """
        info = pick_run(path, run)
        allowed = None if trusted else folders(local_path(path).parent)
        if runner is None:
            runner = restored_runner(path, info, allowed)
        with refuses_damage(path):
            settings = restored(info.settings)
        make: Any = cls  # no overload has the settings of a store
        made: Pool[Any] = make(
            runner,
            restored_items(path, info, allowed),
            name=info.name,
            store=Checkpoint(path, as_runner(runner), info.name, loaded=info),
            environment=environment,
            **{**settings, **changes},
        )
        return made

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status.name.lower()}" for status, n in self.status.items() if n)
        return f"Pool({self.name!r}: {counts or 'nothing started'})"

    def _repr_html_(self) -> str:
        table: str = wiring.load("tables").of_pool(self.name, self.snapshot)
        return table

    # Running

    def run(self, variables: Mapping[str, Any] | None = None) -> Results[Output | None]:
        """Runs every item and returns one output an item, in order; None where an item failed.

        variables: values for every item that doesn't give its own.

        Works inside a running event loop too. Ctrl-C starts no more items, waits for the calls in flight
        and returns what there is, with `interrupted` True, which `results.write` refuses to take for the whole; a
        second Ctrl-C cancels them and raises `KeyboardInterrupt`, with what is done in `results`.
        Raises `InvalidInput` before the first call; a failed item's error only with `on_error="raise"`.
        """
        thread = free_thread()
        return self._session.complete(thread, self._session.begin(variables))

    async def arun(self, variables: Mapping[str, Any] | None = None) -> Results[Output | None]:
        """`run()` for async code; on the caller's loop. Cancelling it cancels the calls in flight.

        Ctrl-C is heeded as in `run()` where the loop is the main thread's and nobody set a handler of SIGINT.
        """
        return await self._session.acomplete(self._session.begin(variables))

    def stream(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
        retry_failed: bool = False,
    ) -> Iterator[Record[Output]]:
        """Each item's `Record` as it ends, or in the items' order with `ordered=True`.

        Records that are done are handed over and not kept, so that any number of items takes the same memory;
        the failed ones are kept for `retry()`. Leaving the loop early cancels the rest.

        retry_failed: tries again what failed in an earlier run of the same `store`.
        """
        thread, session = free_thread(), self._session
        stream = session.stream_to(ordered)
        running = session.submit(
            thread, session.begin(variables, stream, retry_failed=retry_failed)
        )
        try:
            with session.showing_progress():
                while batch := session.wait_for(thread.submit(stream.batch())):
                    yield from batch
            session.wait_for(running)
        finally:
            if not running.done():
                session.cancel()
                with suppress(Exception):
                    outcome(running)
        session.raise_if_wanted()

    async def astream(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        ordered: bool = False,
        retry_failed: bool = False,
    ) -> AsyncIterator[Record[Output]]:
        """`stream()` for async code."""
        stream = self._session.stream_to(ordered)
        start = self._session.begin(variables, stream, retry_failed=retry_failed)
        records = read_stream(self._session, stream, start)
        async with aclosing(records):  # type: ignore[type-var]
            async for record in records:
                yield record

    def writer(self, path: str | Path, **options: Unpack[WriteOptions]) -> Writer:
        """Where `stream()`'s records may be written: a context manager with `write(record)`.

        path: a .jsonl, .csv, .tsv (also .gz, .zst), .parquet or .xlsx file; "-" for JSON lines on standard output.
        meta, inputs, output: which columns there are beside the answer's, as in `Results`.
        append, overwrite: what to do with a file that holds something, which is an error otherwise.
        spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
        format: "jsonl", "csv", "tsv", "parquet" or "xlsx", where no ending tells.
        delimiter, encoding: of a CSV: a comma and UTF-8, or what the file has that is added to.

        A row is in the file when `write` returns: in a packed one within a second; in a Parquet file once the
        writer is closed, and till then in part files beside it, from which `append=True` goes on after a kill.
        """
        if self._session.log is not None:
            check_log(self._session.log, local_path(path))
        writer = open_writer(path, self._session.rows, self._session.plan.answers, **options)
        checkpoint = self._session.checkpoint
        if checkpoint is not None and writer.path != "-" and not options.get("append"):
            checkpoint.written_to(path)
        return writer

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
        A run that ended before its end, as by Ctrl-C or a deadline, leaves a file with fewer rows, and warns of it.
        options: as in `writer`.
        """
        with self.writer(path, **options) as writer:
            records = self.stream(variables, ordered=ordered)
            with closing(records):  # type: ignore[type-var]
                for record in records:
                    writer.write(record)
        self._session.warn_of_stop(path)
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
        self._session.warn_of_stop(path)
        return self.status

    def estimate(self) -> Estimate:
        """What the run will take, by its prompts alone: items, tokens, cost. Asks nothing of a provider.

        Items that have ended in the `store` are `known` and take nothing more. Rows of a file are counted.

        Raises `InvalidInput` for items that can be read once only.

        >>> from flowpool import Skill
        >>> skill = Skill("gpt-5-mini", prompt="Spam? {text}", options={"max_tokens": 16})
        >>> pool = Pool(skill, [{"text": "Hello"}] * 1000)
        >>> pool.estimate().input_tokens, pool.estimate().prompts[0]
        (6750, 'Spam? Hello')
        """
        session = self._session
        if session.rows is None or session.rows.once:
            raise InvalidInput("estimate() reads the items before the run: pass a list or a file.")
        rows = session.counted_rows()
        checkpoint, known = session.checkpoint, 0
        if checkpoint is not None:
            known = checkpoint.known(session.identity(), rows)
        return estimate(session.plan, rows, session.settings.limits, known)

    def resume(self) -> Results[Output | None]:
        """Goes on with a run that is kept in a `store`; returns the results of all items.

        Nothing that has ended is asked for again; failed items stay failed until `retry()`. Raises `InvalidInput`
        for a pool without a store: there `retry()` goes on.
        """
        if self._session.checkpoint is None:
            raise InvalidInput(
                "resume() goes on with a stored run: make the pool with store='run.db'."
            )
        return self.run(self._session.last_variables)

    def retry(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
    ) -> Results[Output | None]:
        """Runs again what failed, was cancelled or never started; returns the results of all items.

        variables: shared values, instead of those of the run before. An iterator of items goes on where it stood.
        max_cost, max_tokens_total: a ceiling instead of the pool's. What the runs before spent counts.
        """
        thread, session = free_thread(), self._session
        return session.complete(thread, session.begin_again(variables, max_cost, max_tokens_total))

    async def aretry(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        max_cost: float | None = None,
        max_tokens_total: int | None = None,
    ) -> Results[Output | None]:
        """`retry()` for async code."""
        session = self._session
        return await session.acomplete(session.begin_again(variables, max_cost, max_tokens_total))

    def _changing(self) -> tuple[str, ...]:
        return ("max_flows", "max_cost", "max_tokens_total")

    @property
    def max_flows(self) -> MaxFlows:
        """The most items in progress; may be set, also while a run is at work and from any thread.

        A lower number lets calls in flight end, and starts none until there are fewer; a higher one holds at once;
        `"auto"` goes back to adapting. A step's own `max_flows` and `Limits(concurrent=...)` hold as well.

        >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}])
        >>> pool.max_flows = 5
        >>> pool.max_flows
        5
        """
        return self._session.settings.max_flows or "auto"

    @max_flows.setter
    def max_flows(self, value: MaxFlows) -> None:
        self._session.change(max_flows=value)

    @property
    def max_cost(self) -> float | None:
        """The ceiling in dollars; may be set, also while a run is at work that began with one, and from any thread.

        A higher one lets calls that wait for room go on, `None` all of them. Under a lower one calls in flight end,
        and none is sent that could exceed it.
        """
        return self._session.settings.max_cost

    @max_cost.setter
    def max_cost(self, value: float | None) -> None:
        self._session.change(max_cost=value)

    @property
    def max_tokens_total(self) -> int | None:
        """The ceiling in tokens; may be set as `max_cost` may."""
        return self._session.settings.max_tokens_total

    @max_tokens_total.setter
    def max_tokens_total(self, value: int | None) -> None:
        self._session.change(max_tokens_total=value)

    def pause(self) -> None:
        """Sends no more calls and begins no more items until `go()`; calls in flight end. From any thread.

        Nothing times out by it: the time counts neither for the run's deadline nor for anybody's patience.
        A run that is paused can be stopped and cancelled. Where none is at work, the next one waits for `go()`
        before its first call.
        """
        self._session.pause()

    def go(self) -> None:
        """Goes on after `pause()`. From any thread."""
        self._session.go()

    def stop(self) -> None:
        """Starts no more items; those in progress go on to their end, in a paused run to that of their calls. From
        any thread.
        """
        self._session.stop()

    def interrupt(self) -> None:
        """What the first Ctrl-C does: starts no more items, waits for the calls in flight, and lets go at once what
        only waits, for a retry or for a provider that lets nobody in. From any thread.
        """
        self._session.interrupt()

    def cancel(self) -> None:
        """Ends the run now: calls in flight are cut, what is done is kept. From any thread."""
        self._session.cancel()

    # Looking

    def watch(self, *, open: bool = False) -> str:
        """Serves a live page of the pool's runs, before, during or after one, and returns its address.

        It says what holds the run back, how far it is, where its time goes and what fails, and may pause, change
        and stop it. It is served on this machine alone (127.0.0.1), to whoever has the address, as long as the pool
        is held. The same address each time; open: opens it in a browser.

        >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}])
        >>> pool.watch()
        'http://127.0.0.1:...'
        """
        address: str = wiring.load("watch").serve(self._session, open)
        return address

    def report(self, path: str | Path, *, content: bool = True, overwrite: bool = False) -> Path:
        """Writes a page about the run, as it stands, and returns where it is: figures, charts, errors, each item.

        path: an HTML file, which opens anywhere and asks nothing of the network. content: False leaves out prompts,
            variables, answers, and what errors repeat of them. overwrite: True lets an existing page be replaced.

        With a `store` it has each attempt too. Raises `InvalidInput` for a file that exists, can't be written, or
        is the run's store, input, output or log.

        >>> import tempfile
        >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}])
        >>> results = pool.run()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool.report(f"{folder}/report.html").name
        'report.html'
        """
        part = wiring.load("report")
        written: Path = part.report_of_pool(
            self._session, self.runner, path, content=content, overwrite=overwrite
        )
        return written

    @property
    def status(self) -> dict[Status, int]:
        """How many items are PENDING, RUNNING, DONE, FAILED, CANCELLED; readable from any thread."""
        return self._session.status

    @property
    def results(self) -> Results[Output | None]:
        """The results so far; also after an interrupted or failed run."""
        return self._session.results

    @property
    def spent(self) -> Spend:
        """What the run has spent, and may have; counted where `max_cost` or `max_tokens_total` is set."""
        return self._session.spent

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an item: `index variables status output error duration attempts ...`, in order."""
        return [record.as_dict() for record in self._session.records()]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came during the last run."""
        return self._session.interrupted

    @property
    def lanes(self) -> list[LaneView]:
        """How the lanes of the run stand now, or stood at its end; from any thread. See `LaneView`.

        >>> pool = Pool(lambda text: text.upper(), [{"text": "one"}])
        >>> results = pool.run()
        >>> [(lane.name, lane.in_flight, lane.bound) for lane in pool.lanes]
        [('function', 0, 'items')]
        """
        return TableList(self._session.lanes)

    @property
    def snapshot(self) -> Snapshot:
        """How the run stands, as a progress callable gets it; from any thread."""
        return self._session.snapshot

    def trace(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes the run as a trace that https://ui.perfetto.dev and Chrome open: which call was where, and when.

        path: ends in .json or .json.gz. overwrite: lets a file that holds something be replaced.

        With a `store` it has each attempt, what it waited for and what the lanes did; without one, the items that
        are kept. No prompt and no answer is in it. Raises `InvalidInput` for a path that can't be written.
        """
        wiring.load("trace").trace_of_session(self._session, path, overwrite=overwrite)


def _check_words(
    name: Any, description: Any, key: Any, store: Any, progress: Any, log: Any, watch: Any
) -> None:
    """Raises `InvalidInput` for arguments of a pool that can't be meant, or that nobody would read."""
    for text in (name, description):
        if text is not None and not isinstance(text, str):
            raise InvalidInput(f"Pool: name and description are text, not {text!r}.")
    if key is not None and store is None:
        raise InvalidInput(f"key={key!r} tells items apart in a store: pass store= too.")
    if not isinstance(watch, bool):
        raise InvalidInput(f"watch={watch!r}: use True or False.")
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise InvalidInput(
            f"progress={progress!r}: use True, False or a function that is given a Snapshot."
        )
    if log is not None:
        check_log(log)
