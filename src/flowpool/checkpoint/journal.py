"""What a run writes to its store and finds in it: items, steps' answers, attempts, ends. On the run's loop.

Rows gather for a moment and are written in one transaction by the store's thread; only then does anyone learn of an
item's end. What was written by an earlier run is met again item by item.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec import Struct, field, structs

from flowpool.calls.budget import Spend
from flowpool.calls.flow import MISSING
from flowpool.checkpoint import output_codec
from flowpool.checkpoint.keys import Key, Keys, identity_of
from flowpool.encoding import CantEncode, decode, encode
from flowpool.errors import InvalidInput, InvalidItem, NotFinished, StoreFailed
from flowpool.results import CallCost, Record
from flowpool.store.claims import ItemMatcher
from flowpool.store.file import Store
from flowpool.store.reading import Known, Reader
from flowpool.store.rows import AttemptRow, Batch, ItemRow, ResultRow, RunInfo, StepRow
from flowpool.threads import DaemonThreads
from flowpool.values import Attempt, Status


class SourcePass(Struct):
    """One reading of a pool's items, from the first to the last, over any number of runs: who is which row."""

    own: ItemMatcher | None = None
    listed: array[int] | None = (
        None  # each item's row by its index, where all were written down at first
    )
    prior: ItemMatcher | None = None  # over the rows of a run whose steps may be of use
    rows: dict[int, int] = field(default_factory=dict)  # of items that aren't done, by index
    keys: Keys | None = None  # of the items so far


class JournalOptions(Struct, frozen=True):
    """How a journal takes its items.

    runner: whose outputs they get. items: all of them, where they are in memory. key: what tells them apart.
    in_order: they are the store's own rows. retry_failed: failed ones are to be tried again.
    is_whole: they are all items of the run. keeps_steps: the runner has steps worth remembering.
    """

    runner: output_codec.Runner
    items: Sequence[Any] | None = None
    key: Key | None = None
    in_order: bool = False
    retry_failed: bool = False
    is_whole: bool = True
    keeps_steps: bool = False


class ItemLog:
    """One item's part of the journal."""

    __slots__ = ("_journal", "_steps", "origins", "row")

    def __init__(self, journal: Journal, row: int, steps: dict[str, tuple[bytes, bytes]]) -> None:
        self.row = row
        self.origins = output_codec.Origins()
        self._journal = journal
        self._steps = steps

    def recall(self, step: str, call: bytes) -> Any:
        """The output that this call of the item's had before, or `MISSING`."""
        steps = self._steps
        step_path = step if step in steps and steps[step][0] == call else None
        if step_path is None:  # the chain may have been changed around it
            step_path = next((name for name, (known, _) in steps.items() if known == call), None)
        return MISSING if step_path is None else decode(steps.pop(step_path)[1], typed=True)

    def remember(self, step: str, call: bytes, output: bytes) -> None:
        """A step was answered; its output as JSON."""
        self._journal.answered(self.row, step, call, output)

    def attempted(self, attempt: Attempt) -> None:
        """A request ended, one way or the other."""
        self._journal.attempted(self.row, attempt)

    def ended(self, record: Record) -> None:
        """The item ended: its record is handed on once it is written."""
        self._journal.ended(self.row, record, self.origins)


class Journal:
    """A run's store, as its driver uses it.

    Of `attach`: `tell` is given each record once it is safe, `fail` what went wrong; `go_on` is called when there
    is room again for more items to begin.
    """

    # Seconds in which rows gather for one transaction: with synchronous=FULL a transaction a row writes 1,100 rows
    # a second, ten rows each 16,500, and nobody notices 5 ms beside a call.
    LINGER = 0.005
    # Rows that are written without waiting for more: from here on larger transactions are no quicker.
    FULL = 256
    # Ends that may wait for their transaction before no more items begin: some MB, and under a second of writing.
    BACKLOG = 4096
    # Items that are written down at once before a run: enough to be quick, and memory for no more than these.
    CHUNK = 2000

    def __init__(
        self,
        store: Store,
        reader: Reader,
        run: RunInfo,
        prior: RunInfo | None,
        options: JournalOptions,
    ) -> None:
        self.run = run
        self._store = store
        self._reader = reader
        self._prior = prior
        self._options = options
        self._pass = SourcePass()
        self._tell: Callable[[Record], None] = _nobody
        self._fail: Callable[[StoreFailed], None] = _nobody
        self._go_on: Callable[[], None] = lambda: None
        self._has_types = output_codec.has_types(options.runner)
        self._ahead: deque[Known] = deque()
        self._batch = Batch()
        self._ended: list[tuple[int, Record]] = []
        self._unsafe = 0  # ends that aren't written yet
        self.is_full = False  # whether so much waits to be written that no more items should begin
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[StoreFailed | None] | None = None
        self._failure: StoreFailed | None = None
        self.recalled = 0  # items that had ended before this run, of those that it has met
        self._warned = False
        self._threads: DaemonThreads | None = None

    def attach(
        self,
        tell: Callable[[Record], None],
        fail: Callable[[StoreFailed], None],
        go_on: Callable[[], None],
        going_on: SourcePass,
    ) -> None:
        """A run begins, on the running loop; `going_on` is the reading of its items so far."""
        self._loop = asyncio.get_running_loop()
        self._threads = DaemonThreads("flowpool-store", 1)
        self._epoch = time.time() - self._loop.time()
        self._batch.epoch = self._epoch
        self._tell, self._fail, self._go_on, self._pass = tell, fail, go_on, going_on

    async def close(self, reason: str) -> None:
        """Everything is written; `reason`: why the run ended before its end, if it did."""
        if self._threads is None:  # the run never began
            return
        await self.flush()
        if not self._is_broken:
            end = partial(self._store.end_run, self.run.id, reason, time.time())
            await self._loop.run_in_executor(self._threads, end)
            if (
                not reason and self._failure is None and self._options.is_whole
            ):  # so the source was read to its end
                complete = partial(self._store.complete_run, self.run.id)
                await self._loop.run_in_executor(self._threads, complete)
        self._threads.shutdown(wait=False)

    def spent(self) -> Spend:
        """What the run's attempts cost so far."""
        return spent_in(self._reader, self.run.id)

    def unfinished(self) -> list[CallCost]:
        """What the run's attempts used so far that no item's end counts which this run meets again."""
        return self._reader.unfinished(self.run.id, retry_failed=self._options.retry_failed)

    def ended_before(self) -> tuple[int, int]:
        """How many of the run's items are in the store, and how many of those have ended and aren't tried again."""
        counts = self._reader.counts(self.run.id)
        over = (status for status in (Status.DONE, Status.FAILED) if self._is_over(status))
        return sum(counts.values()), sum(counts[status] for status in over)

    # Items

    async def register(self) -> None:
        """Writes down the items that are new, before any is run: so the store alone can go on with them."""
        items = self._options.items
        if items is None or self._pass.listed is not None:
            return  # only reading them tells; or they were written down when this reading of them began
        claims = ItemMatcher(self.run.id, self._reader.last_item(self.run.id))
        listed = self._pass.listed = array("q")
        for index, item in enumerate(items):
            row = 0
            if isinstance(item, Mapping):
                try:
                    hash = self._hash(item)
                    self._check_key(hash, index, item)
                    known = claims.claim(hash, self._reader)
                    row = -self._add(hash, item) if known is None else known.id
                except InvalidItem as error:
                    raise InvalidInput(f"items[{index}]: {error}") from None
            listed.append(row)
            if len(self._batch.items) >= self.CHUNK:
                await self.flush()
        await self.flush()
        if self._failure is not None:
            raise self._failure
        await self._loop.run_in_executor(self._threads, self._store.complete_run, self.run.id)

    def find_or_begin(self, index: int, item: Any) -> ItemLog | Record | None:
        """The item's log; its record, where it ended before or can't be kept; None for what is no item."""
        if not isinstance(item, Mapping):
            return None  # it fails as it would without a journal
        rows = self._pass.rows
        if index in rows:  # met before, in this reading
            return ItemLog(self, rows[index], self._reader.steps(rows[index]))
        try:
            row, known, hash = self._find(index, item)
            if known is not None and known.ended is not None and self._is_over(known.ended[0]):
                if known.ended[0] != Status.DONE:
                    rows[index] = row  # a retry of this run will meet it again
                record = known.record(index, item, typed=self._has_types)
                self.recalled += 1
                return self._restored(record) if self._has_types else record
            rows[index] = row
            return ItemLog(self, row, self._steps(row if known else None, item, hash))
        except InvalidItem as error:
            return Record(index, item, Status.FAILED, error=error)

    def _find(self, index: int, item: Any) -> tuple[int, Known | None, bytes | None]:
        """The item's row, what it holds where it isn't new, and the item's hash where that was needed."""
        listed = self._pass.listed
        if listed is not None:
            row = listed[index]
            return abs(row), self._row(row) if row > 0 else None, None
        if self._pass.own is None:
            self._pass.own = ItemMatcher(self.run.id, self._reader.last_item(self.run.id))
        hash = None if self._options.in_order else self._hash(item)
        if hash is not None:
            self._check_key(hash, index, item)
        known = self._pass.own.claim(hash, self._reader)
        if known is not None:
            return known.id, known, hash
        assert hash is not None
        return self._add(hash, item), None, hash

    def _row(self, row: int) -> Known:
        """A row of the store; those that are asked for in their order are read many at once."""
        ahead = self._ahead
        while ahead and ahead[0].id < row:
            ahead.popleft()
        if not ahead or ahead[0].id != row:
            self._ahead = ahead = deque(self._reader.items_after(self.run.id, row - 1))
        return ahead.popleft()

    def _restored(self, record: Record) -> Record:
        if record.status is not Status.DONE:
            return record
        output = output_codec.restored(self._options.runner, record.output)
        return structs.replace(record, output=output)

    def _is_over(self, status: int) -> bool:
        return status == Status.DONE or not self._options.retry_failed

    def _hash(self, item: Mapping[str, Any]) -> bytes:
        """What tells the item from others."""
        return identity_of(item, self._options.key)

    def _check_key(self, hash: bytes, index: int, item: Mapping[str, Any]) -> None:
        """Raises `InvalidItem` for an item that has another one's key."""
        key = self._options.key
        if key is not None:
            self._pass.keys = self._pass.keys or Keys(key)
            self._pass.keys.add(hash, item, index)

    def _add(self, hash: bytes, item: Mapping[str, Any]) -> int:
        json = None
        with suppress(
            CantEncode
        ):  # known apart all the same, but only the script can bring it again
            json = encode(item)
        row = self._store.new_item()
        self._batch.items.append(ItemRow(row, hash, json))
        return row

    def _steps(
        self, row: int | None, item: Any, hash: bytes | None
    ) -> dict[str, tuple[bytes, bytes]]:
        """The answers that an item's steps have, in this run or in one that had the same steps."""
        if not self._options.keeps_steps:
            return {}
        steps = self._reader.steps(row) if row is not None else {}
        if steps or self._prior is None:
            return steps
        if self._pass.prior is None:
            self._pass.prior = ItemMatcher(self._prior.id, self._reader.last_item(self._prior.id))
        known = self._pass.prior.claim(hash or self._hash(item), self._reader)
        return self._reader.steps(known.id) if known is not None else {}

    def answer(self, call: bytes) -> Any:
        """The output that a call had in any item of the store, or `MISSING`."""
        output = self._reader.answer(call)
        return MISSING if output is None else decode(output, typed=True)

    # What happens

    def answered(self, row: int, step: str, call: bytes, output: bytes) -> None:
        self._batch.steps.append(StepRow(row, step, call, output))
        self._wake()

    def attempted(self, row: int, attempt: Attempt) -> None:
        self._batch.attempts.append(AttemptRow(row, attempt))
        self._wake()

    def ended(self, row: int, record: Record, origins: output_codec.Origins) -> None:
        self._unsafe += 1
        self.is_full = self._unsafe >= self.BACKLOG
        self._wake()
        output = None
        if record.status is Status.DONE:
            try:
                output = output_codec.encoded(self._options.runner, record.output, origins)
            except CantEncode as error:
                self._warn(
                    f"items[{record.index}]: its output holds {error}, which a store can't keep"
                )
                self._ended.append((row, record))
                return
        if record.status is Status.CANCELLED:
            self._ended.append((row, record))  # still to do, as far as the store is concerned
        else:
            self._batch.results.append(ResultRow(row, record, output))
            self._ended.append((row, record))
        if record.status is Status.DONE:
            self._pass.rows.pop(record.index, None)

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"{message}: a resumed run does such items again.", RuntimeWarning, 2)

    # Writing

    @property
    def _is_broken(self) -> bool:
        """Whether nothing can be written any more; it can after single rows that couldn't be."""
        return self._failure is not None and self._failure.items is None

    async def flush(self) -> None:
        """Returns when everything so far is written, or can't be."""
        while self._writing is not None or self._batch.size or self._ended:
            if self._writing is None:
                self._write()
            assert self._writing is not None
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)  # its callback

    def _wake(self) -> None:
        if self._writing is None and self._timer is None:
            self._timer = self._loop.call_later(self.LINGER, self._write)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            return
        batch, ended = self._batch, self._ended
        self._batch, self._ended = Batch(self._epoch), []
        write = _refuse if self._is_broken else self._store.write
        work = partial(_outcome, write, self.run.id, batch)
        self._writing = self._loop.run_in_executor(self._threads, work)
        self._writing.add_done_callback(lambda writing: self._written(writing, ended))

    def _written(
        self, writing: asyncio.Future[StoreFailed | None], ended: list[tuple[int, Record]]
    ) -> None:
        self._writing = None
        was_full = self.is_full
        self._unsafe -= len(ended)
        self.is_full = self._unsafe >= self.BACKLOG
        failure = (
            StoreFailed("the store's thread was cut") if writing.cancelled() else writing.result()
        )
        for row, record in ended:
            is_lost = failure is not None and (failure.items is None or row in failure.items)
            self._tell(_not_saved(record) if is_lost else record)
        if failure is not None and self._failure is None:
            self._failure = failure
            self._fail(failure)
        if was_full and not self.is_full:
            self._go_on()
        if self._batch.size >= self.FULL:
            self._write()
        elif self._batch.size or self._ended:
            self._wake()


def _not_saved(record: Record) -> Record:
    """An answer that could not be written ends as not finished: a resumed run asks for it again."""
    if record.status is Status.CANCELLED:
        return record
    failed = NotFinished("its answer could not be saved: the store failed")
    return Record(record.index, record.variables, Status.CANCELLED, error=failed)


def _outcome(work: Callable[[int, Batch], None], run: int, batch: Batch) -> StoreFailed | None:
    """How the writing went, whatever it raised: not every exception gets through a future."""
    try:
        work(run, batch)
    except StoreFailed as failure:
        return failure
    except BaseException as error:
        return StoreFailed(f"the store could not be written ({type(error).__name__}: {error})")
    return None


def _refuse(run: int, batch: Batch) -> None:
    raise StoreFailed("the store failed before")


def _nobody(_: Any) -> None:
    pass


def spent_in(reader: Reader, run: int) -> Spend:
    """What a run's attempts cost so far."""
    spent = reader.spent(run)
    return Spend(spent.cost, spent.tokens, spent.unknown_cost, spent.unknown_tokens)
