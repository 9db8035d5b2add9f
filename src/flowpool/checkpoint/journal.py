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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct, field, structs

from flowpool.calls.budget import Spend
from flowpool.calls.flow import MISSING
from flowpool.checkpoint import earlier, output_codec
from flowpool.checkpoint.identity import Contents, Identity
from flowpool.checkpoint.keys import Key, Keys, identity_of
from flowpool.encoding import CantEncode, decode, encode
from flowpool.errors import InvalidInput, InvalidItem, InvalidOutput, NotFinished, StoreFailed
from flowpool.logs import log
from flowpool.results import CallCost, Record
from flowpool.store.claims import ItemMatcher
from flowpool.store.file import Store
from flowpool.store.reading import Known, Reader
from flowpool.store.rows import (
    AttemptRow,
    Batch,
    EventRow,
    HashRow,
    ItemRow,
    ResultRow,
    RunInfo,
    StepRow,
)
from flowpool.threads import DaemonThreads
from flowpool.values import Attempt, Status


class SourcePass(Struct):
    """One reading of a pool's items, from the first to the last, over any number of runs: who is which row."""

    own: ItemMatcher | None = None
    listed: array[int] | None = (
        None  # each item's row by its index, where all were written down at first
    )
    priors: dict[int, ItemMatcher] = field(
        default_factory=dict
    )  # over the rows of runs whose steps may be of use
    rows: dict[int, int] = field(default_factory=dict)  # of items that aren't done, by index
    keys: Keys | None = None  # of the items so far


class JournalOptions(Struct, frozen=True):
    """How a journal takes its items.

    runner: whose outputs they get. identity: what it is, and what items are. items: all of them, where they are
    in memory. key: what tells them apart.
    in_order: they are the store's own rows. retry_failed: failed ones are to be tried again.
    is_whole: they are all items of the run. keeps_steps: the runner has steps worth remembering.
    """

    runner: output_codec.Runner
    identity: Identity
    items: Sequence[Any] | None = None
    key: Key | None = None
    in_order: bool = False
    retry_failed: bool = False
    is_whole: bool = True
    keeps_steps: bool = False


class StepAnswer(NamedTuple):
    """What a step of an item was answered: its path in its chain, its call, and its output as JSON."""

    step: str
    call: bytes
    output: bytes


def _taken(answers: list[StepAnswer], step: str, calls: Sequence[bytes]) -> StepAnswer | None:
    """The answer of this call, taken out of them: the same call of another step is another sample."""
    same = [one for one in answers if one.call in calls]
    found = next((one for one in same if one.step == step), None)
    if found is None and same:  # the chain may have been changed around it
        found = same[0]
    if found is not None:
        answers.remove(found)
    return found


class ItemLog:
    """One item's part of the journal.

    steps: the answers that its steps have. priors: the same in other runs, looked for as they are asked for.
    """

    __slots__ = ("_earlier", "_journal", "_priors", "_steps", "origins", "row")

    def __init__(
        self,
        journal: Journal,
        row: int,
        steps: list[StepAnswer],
        priors: Iterator[list[StepAnswer]],
    ) -> None:
        self.row = row
        self.origins = output_codec.Origins()
        self._journal = journal
        self._steps = steps
        self._earlier: list[StepAnswer] = []  # those of other runs that were looked into
        self._priors = priors

    def recall(self, step: str, calls: Sequence[bytes]) -> Any:
        """The output that this call of the item's had before, or `MISSING`. calls: all that may stand for it."""
        known = _taken(self._steps, step, calls)
        if known is None:
            known = _taken(self._earlier, step, calls)
            while known is None:
                more = next(self._priors, None)
                if more is None:
                    return MISSING
                known = _taken(more, step, calls)
                self._earlier += more
            # A retry looks here alone, and the next run here first.
            self.remember(step, calls[0], known.output)
        return decode(known.output, typed=True)

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
        priors: Sequence[RunInfo],
        options: JournalOptions,
    ) -> None:
        self.run = run
        self._store = store
        self._reader = reader
        self._priors = priors
        self._options = options
        # Whether an item's files are part of what it is.
        self.names_files = options.identity.names_files and options.key is None
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
        self._is_closed = False

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

    async def close(self, reason: str, *, is_read: bool) -> None:
        """Everything is written; `reason`: why the run ended before its end, if it did. is_read: whether the source
        was read to its own all the same.
        """
        if self._threads is None:  # the run never began
            return
        await self.flush()
        self._is_closed = True
        if not self._is_broken:
            end = partial(self._store.end_run, self.run.id, reason, time.time())
            await self._loop.run_in_executor(self._threads, end)
            if is_read and self._failure is None and self._options.is_whole:
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
        for start in range(0, len(items), self.CHUNK):
            chunk = items[start : start + self.CHUNK]
            contents = (
                await asyncio.gather(*map(self.files_of, chunk))
                if self.names_files
                else [()] * len(chunk)
            )
            for index, (item, files) in enumerate(zip(chunk, contents, strict=True), start):
                listed.append(self._listed(index, item, files, claims))
            await self.flush()
        await self.flush()
        if self._failure is not None:
            raise self._failure
        await self._loop.run_in_executor(self._threads, self._store.complete_run, self.run.id)

    def _listed(self, index: int, item: Any, files: Contents, claims: ItemMatcher) -> int:
        """An item's row; below 0 for one that is new, 0 for what is no item."""
        if not isinstance(item, Mapping):
            return 0
        try:
            hash = self._hash(item, files)
            self._check_key(hash, index, item)
            known = self._claim(claims, item, hash)
            return known.id if known is not None else -self._add(hash, item)
        except InvalidItem as error:
            raise InvalidInput(f"items[{index}]: {error}") from None

    async def files_of(self, item: Any) -> Contents:
        """The contents of the files that an item names."""
        return await self._options.identity.files_of(item)

    def find_or_begin(self, index: int, item: Any, files: Contents) -> ItemLog | Record | None:
        """The item's log; its record, where it ended before or can't be kept; None for what is no item.

        files: what `files_of` gave for it.
        """
        if not isinstance(item, Mapping):
            return None  # it fails as it would without a journal
        rows = self._pass.rows
        if index in rows:  # met before, in this reading
            return ItemLog(self, rows[index], self._answers(rows[index]), iter(()))
        try:
            row, known = self._find(index, item, files)
            if known is not None and known.ended is not None and self._is_over(known.ended[0]):
                if known.ended[0] != Status.DONE:
                    rows[index] = row  # a retry of this run will meet it again
                record = self._restored(known.record(index, item, typed=self._has_types))
                if record is not None:
                    self.recalled += 1
                    return record
            rows[index] = row
            steps = self._answers(row) if known is not None else []
            return ItemLog(self, row, steps, self._prior_answers(item, files))
        except InvalidItem as error:
            return Record(index, item, Status.FAILED, error=error)

    def _find(self, index: int, item: Any, files: Contents) -> tuple[int, Known | None]:
        """The item's row, and what it holds where it isn't new."""
        listed = self._pass.listed
        if listed is not None:
            row = listed[index]
            return abs(row), self._row(row) if row > 0 else None
        if self._pass.own is None:
            self._pass.own = ItemMatcher(self.run.id, self._reader.last_item(self.run.id))
        if self._options.in_order and (known := self._pass.own.claim(None, self._reader)):
            return known.id, known
        hash = self._hash(item, files)
        if not self._options.in_order:
            self._check_key(hash, index, item)
            if (known := self._claim(self._pass.own, item, hash)) is not None:
                return known.id, known
        return self._add(hash, item), None

    def _claim(self, claims: ItemMatcher, item: Mapping[str, Any], hash: bytes) -> Known | None:
        """The row of an item with this hash, or with the one that flowpool 0.1.0 gave it."""
        known = claims.claim(hash, self._reader)
        if known is not None or claims.is_spent or self._options.key is not None:
            return known
        before = earlier.of_item(item)
        if before != hash and (known := claims.claim(before, self._reader)) is not None:
            self._batch.hashes.append(HashRow(known.id, hash))
        return known

    def _row(self, row: int) -> Known:
        """A row of the store; those that are asked for in their order are read many at once."""
        ahead = self._ahead
        while ahead and ahead[0].id < row:
            ahead.popleft()
        if not ahead or ahead[0].id != row:
            self._ahead = ahead = deque(self._reader.items_after(self.run.id, row - 1))
        return ahead.popleft()

    def _restored(self, record: Record) -> Record | None:
        """The record with the output as it was; None where the output's type refuses it now: it is asked again."""
        if not self._has_types or record.status is not Status.DONE:
            return record
        try:
            output = output_codec.restored(self._options.runner, record.output)
        except InvalidOutput as error:
            log.info("items[%d] is asked again: %s", record.index, error)
            return None
        return structs.replace(record, output=output)

    def _is_over(self, status: int) -> bool:
        return status == Status.DONE or not self._options.retry_failed

    def _hash(self, item: Mapping[str, Any], files: Contents) -> bytes:
        """What tells the item from others."""
        return identity_of(item, self._options.key, files)

    def _check_key(self, hash: bytes, index: int, item: Mapping[str, Any]) -> None:
        """Raises `InvalidItem` for an item that has another one's key."""
        if self._options.key is not None:
            self._pass.keys = self._pass.keys or Keys(self._options.key)
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

    def _answers(self, row: int) -> list[StepAnswer]:
        """The answers that an item's steps have."""
        if not self._options.keeps_steps:
            return []
        return [StepAnswer(step, *rest) for step, rest in self._reader.steps(row).items()]

    def _prior_answers(
        self, item: Mapping[str, Any], files: Contents
    ) -> Iterator[list[StepAnswer]]:
        """The same in each run that had some of the steps."""
        hash = self._hash(item, files)
        for run in self._priors:
            claims = self._pass.priors.get(run.id)
            if claims is None:
                claims = ItemMatcher(run.id, self._reader.last_item(run.id))
                self._pass.priors[run.id] = claims
            known = self._claim(claims, item, hash)
            if known is not None:
                yield self._answers(known.id)

    def answer(self, calls: Sequence[bytes]) -> Any:
        """The output that a call had in any item of the store, or `MISSING`. calls: all that may stand for it."""
        found = (self._reader.answer(call) for call in calls)
        output = next((one for one in found if one is not None), None)
        return MISSING if output is None else decode(output, typed=True)

    # What happens

    def event(self, kind: str, data: bytes) -> None:
        """Something happens in the run: of which kind, and what it says, as JSON. Nothing before or after it."""
        if self._threads is not None and not self._is_closed:
            self._batch.events.append(EventRow(self._epoch + self._loop.time(), kind, data))
            self._wake()

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
