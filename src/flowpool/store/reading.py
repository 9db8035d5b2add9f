"""What stands in a store, read while another connection or process may write it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from flowpool import errors
from flowpool.encoding import decode
from flowpool.errors import CallError, FlowpoolError, StepFailed, StoreRefused
from flowpool.folders import local_path
from flowpool.record import CallCost, Record
from flowpool.store.compression import unpack
from flowpool.store.damage import ODD, damaged, in_words, refuses_damage
from flowpool.store.file import BUSY, RUN_COLUMNS, check_version, run_info, without_log
from flowpool.store.rows import RunInfo
from flowpool.store.schema import VERSION
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import Status, Timing

# Rows read at once: a query a row is slow, and all of a large run would fill the memory.
CHUNK = 1000
# What differs from one message to the next that says the same: quoted texts, numbers, ids.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")
# Characters of a message that tell what it says: looked at whole, a page without spaces would take minutes.
_SHAPED = 1000
_DONE = int(Status.DONE)
# Seconds at the end of a run that its rate is of: long enough to hold several answers of a slow model.
LATELY = 60.0
# Dollars: less is what is left of sums of fractions.
LEAST = 1e-9
# Seconds from 1970 to the end of the year 9999, the last that has a date.
LAST_MOMENT = 253_402_300_799
ATTEMPT = (
    *("step", "model", "started", "seconds", "status", "error", "input_tokens", "output_tokens"),
    *("cost", "request_id", *Timing.__struct_fields__),
)
# Stores of before have neither these columns of attempts nor events.
_TIMED_SINCE = 2
_RESULT = """status, output, output_zstd, error, message, model, started, seconds, attempts,
    input_tokens, output_tokens, cached_input_tokens, cost"""


class Known(Struct, frozen=True, gc=False):
    """An item that the store has; `ended` is its row of `results`, None while it is still to do."""

    id: int
    hash: bytes
    ended: tuple[Any, ...] | None

    def record(self, index: int, variables: Any, *, typed: bool = False) -> Record:
        """How the item ended, as its pool tells of it. typed: as `decode` has it."""
        try:
            return self._record(index, variables, typed)
        except ODD as error:
            raise StoreRefused(damaged("the store", error)) from None

    def _record(self, index: int, variables: Any, typed: bool) -> Record:
        assert self.ended is not None
        status, text, frame, error, message, model, started, seconds, attempts, *used = self.ended
        *tokens, cost = used
        usage = Usage(*tokens)
        done = status == _DONE
        return Record(
            index,
            variables,
            Status.DONE if done else Status(status),
            decode(unpack(text, frame), typed=typed) if done else None,
            None if error is None else restored_error(error, message),
            started,
            seconds,
            attempts,
            usage,
            model,
            bills=() if cost is None else (CallCost(model, usage, paid=float(cost)),),
        )


class StoreSpend(Struct, frozen=True):
    """What a run's attempts used so far: dollars where prices are known, and tokens.

    unknown_cost, unknown_tokens: the most that those may have used whose end was not seen. unpriced: answers whose
    price isn't known.
    """

    cost: float = 0.0
    tokens: int = 0
    unknown_cost: float = 0.0
    unknown_tokens: int = 0
    unpriced: int = 0


class Trouble(Struct, frozen=True):
    """Items that failed alike: how many, and what the last of them says."""

    error: str
    count: int
    message: str


def shape_of(message: str) -> str:
    """What is left of an error's message without what differs from item to item: quoted texts, numbers and ids."""
    return _VARYING.sub("", message[:_SHAPED])


class FailedItem(Struct, frozen=True):
    """An item that failed: its index in the run, when it ended (seconds since 1970), and why."""

    item: int
    at: float
    error: str
    message: str


class RunTiming(Struct, frozen=True):
    """What a run's attempts tell: their number, seconds since 1970 of the first and last, and items ended lately.

    rate: items a second over the last minute of work; 0 where nothing ended.
    """

    attempts: int
    began: float | None
    ended: float | None
    rate: float


class Event(Struct, frozen=True):
    """Something that happened in a run: when, in seconds since 1970; of which kind; and what it says.

    row: its number among all events of the store, in the order in which they were written.
    """

    at: float
    kind: str
    data: dict[str, Any]
    row: int = 0


def has_log(store: Path) -> bool:
    """Whether there is a log beside a store with something in it, which a run writes now or a killed one left."""
    try:
        return store.resolve().with_name(f"{store.resolve().name}-wal").stat().st_size > 0
    except OSError:
        return False


def _is_kept_out(error: sqlite3.Error) -> bool:
    """Whether SQLite can't make what it needs beside a file."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


def _unreadable_log(store: Path) -> str:
    name = store.name
    return (
        f"{store}: a part of it is in {name}-wal, and SQLite can't read that where it can't make {name}-shm: "
        "copy both files to a folder that you may write to."
    )


class Reader:
    """A store's content. Raises `StoreRefused` for a file that is no store or can't be read.

    is_frozen: its folder can't be written, and what others write to it from now on is not seen.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = local_path(path)
        self.is_frozen = False
        self._indexed: set[str] = set()
        if not self.path.is_file():
            raise StoreRefused(f"{path}: no such file.")
        # As SQLite closes what may be written, it removes the files that it made beside it; a log that somebody
        # left or writes there stays as it is.
        mode = "ro" if has_log(self.path) else "rw"
        try:
            self._version = self._open(f"mode={mode}")
        except sqlite3.Error as error:
            if not _is_kept_out(error):
                raise StoreRefused(f"{path}: {in_words(error)}.") from None
            if has_log(self.path):
                raise StoreRefused(_unreadable_log(self.path)) from None
            self._open_frozen()

    def _open(self, how: str) -> int:
        """Opens the file; the version of its tables."""
        uri = f"file:{quote(str(self.path.resolve()))}?{how}"
        self._db = sqlite3.connect(
            uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            self._db.execute("PRAGMA query_only = 1")
            version = check_version(self._db, self.path)
            if not version:
                raise StoreRefused(without_log(self.path))
        except BaseException:
            self.close()
            raise
        return version

    def _open_frozen(self) -> None:
        """Opens a file in a folder where nothing can be written: as long as it has no log, it doesn't change."""
        try:
            self._version = self._open("mode=ro&immutable=1")
        except sqlite3.Error as error:
            raise StoreRefused(f"{self.path}: {in_words(error)}.") from None
        self.is_frozen = True

    @property
    def _is_timed(self) -> bool:
        if self._version < VERSION:  # a run that goes on brings it to the newest
            self._version = int(self._one("PRAGMA user_version")[0])
        return self._version >= _TIMED_SINCE

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> int:
        """A number that is another one once somebody else has written to the store."""
        return int(self._one("PRAGMA data_version")[0])

    # Runs

    def runs(self) -> list[RunInfo]:
        """Every run, the one that was last at work first."""
        rows = self._all(f"SELECT {RUN_COLUMNS} FROM runs ORDER BY updated DESC, id DESC")
        with refuses_damage(self.path):
            return [run_info(row) for row in rows]

    def answers(self) -> int:
        """How many items have an answer, of all runs."""
        return int(self._one("SELECT count(*) FROM results WHERE status = ?", _DONE)[0])

    def has_answers(self) -> bool:
        """Whether any item, or a step of one, has an answer."""
        return bool(self.answers() or self._one("SELECT EXISTS (SELECT 1 FROM steps)")[0])

    def is_unused(self) -> bool:
        """Whether nothing was asked yet, and no item has ended."""
        tables = ("results", "steps", "attempts")
        return not any(self._one(f"SELECT EXISTS (SELECT 1 FROM {table})")[0] for table in tables)

    def counts(self, run: int) -> dict[Status, int]:
        """How many of a run's items are done, failed and still to do."""
        counts = dict.fromkeys(Status, 0)
        (items,) = self._one("SELECT count(*) FROM items WHERE run = ?", run)
        rows = self._all(
            "SELECT status, count(*) FROM results JOIN items ON items.id = item WHERE run = ? GROUP BY status",
            run,
        )
        with refuses_damage(self.path):
            counts |= {Status(status): number for status, number in rows}
        counts[Status.PENDING] = items - sum(counts.values())
        return counts

    def spent(self, run: int) -> StoreSpend:
        """What the run's attempts used."""
        sums = self._one(
            "SELECT total(cost), CAST(total(input_tokens + output_tokens) AS INTEGER), total(unknown_cost), "
            "CAST(total(unknown_tokens) AS INTEGER), "
            "count(*) FILTER (WHERE cost IS NULL AND input_tokens + output_tokens > 0) "
            "FROM attempts WHERE run = ?",
            run,
        )
        return StoreSpend(*sums)

    def unfinished(self, run: int, *, retry_failed: bool) -> list[CallCost]:
        """What a run's attempts used that its results don't count: for items that aren't done, or in earlier tries.

        retry_failed: what failed is to be tried again, and isn't done either.
        """
        kept = (int(Status.DONE),) if retry_failed else (int(Status.DONE), int(Status.FAILED))
        marks = ", ".join("?" * len(kept))
        columns = (
            "CAST(total({0}.input_tokens) AS INTEGER), CAST(total({0}.output_tokens) AS INTEGER), "
        )
        columns += "sum({0}.cost)"
        *used, cost = self._one(
            f"SELECT {columns.format('attempts')} FROM attempts WHERE run = ?", run
        )
        *counted, known = self._one(
            f"SELECT {columns.format('results')} FROM results JOIN items ON items.id = item "
            f"WHERE run = ? AND status IN ({marks})",
            run,
            *kept,
        )
        usage = Usage(*(max(0, all - part) for all, part in zip(used, counted, strict=True)))
        rest = None if cost is None else max(0.0, cost - (known or 0.0))
        if usage == NO_USAGE and (rest is None or rest < LEAST):
            return []
        return [CallCost("", usage, paid=rest)]

    def troubles(self, run: int) -> list[Trouble]:
        """Why items failed, by the error's type and what it says but for numbers and ids; the most frequent first.

        The message is that of the last one.
        """
        rows = self._all(
            "SELECT error, message FROM results JOIN items ON items.id = item "
            "WHERE run = ? AND status = ? ORDER BY started + seconds",
            run,
            int(Status.FAILED),
        )
        found: dict[tuple[str, str], Trouble] = {}
        for error, message in rows:
            kind, words = str(error or ""), str(message or "")
            alike = kind, shape_of(words)
            known = found.get(alike)
            found[alike] = Trouble(kind, 1 if known is None else known.count + 1, words)
        return sorted(found.values(), key=lambda one: (-one.count, one.error))

    def last_failures(self, run: int, most: int) -> list[FailedItem]:
        """The items that failed last, the last one first."""
        rows = self._all(
            "SELECT position, started + seconds, error, message FROM results JOIN ("
            "SELECT id, row_number() OVER (ORDER BY id) - 1 AS position FROM items WHERE run = ?"
            ") ON id = item WHERE status = ? ORDER BY 2 DESC LIMIT ?",
            run,
            int(Status.FAILED),
            most,
        )
        with refuses_damage(self.path):
            return [
                FailedItem(item, float(at), str(error or ""), str(message or ""))
                for item, at, error, message in rows
            ]

    def blocks(self, run: int, size: int) -> list[tuple[int, int, int]]:
        """The run's items in order, `size` a block: how many each has, and how many of them are done and failed."""
        rows = self._all(
            "SELECT count(*), count(*) FILTER (WHERE status = ?), count(*) FILTER (WHERE status = ?) FROM ("
            "SELECT id, row_number() OVER (ORDER BY id) - 1 AS position FROM items WHERE run = ?"
            ") LEFT JOIN results ON item = id GROUP BY position / ? ORDER BY position / ?",
            int(Status.DONE),
            int(Status.FAILED),
            run,
            size,
            size,
        )
        return [(items, done, failed) for items, done, failed in rows]

    def course(self, run: int) -> RunTiming:
        """When the run was at work, and how fast."""
        began, ended, attempts = self._one(
            "SELECT min(started), max(started + seconds), count(*) FROM attempts WHERE run = ?", run
        )
        if ended is None:
            return RunTiming(0, None, None, 0.0)
        with refuses_damage(self.path):
            since = max(began, ended - LATELY)
            if not 0 <= began <= ended <= LAST_MOMENT:
                raise ValueError(f"the time {began}")
        (lately,) = self._one(
            "SELECT count(*) FROM results JOIN items ON items.id = item "
            "WHERE run = ? AND started + results.seconds > ?",
            run,
            since,
        )
        return RunTiming(attempts, began, ended, lately / max(1e-3, ended - since))

    def _attempt_columns(self) -> list[str]:
        return [
            f"0 AS {name}" if name in Timing.__struct_fields__ and not self._is_timed else name
            for name in ATTEMPT
        ]

    def last_attempts(self, run: int, most: int) -> list[dict[str, Any]]:
        """The attempts that ended last, by the names of their columns, in no order."""
        rows = self._all(
            f"SELECT {', '.join(self._attempt_columns())} FROM attempts WHERE run = ? ORDER BY rowid DESC LIMIT ?",
            run,
            most,
        )
        return [dict(zip(ATTEMPT, row, strict=True)) for row in rows]

    def attempts(self, run: int) -> Iterator[dict[str, Any]]:
        """Each attempt by the names of its columns, in the order of the items; `item` is 0 for the first."""
        yield from self._attempts(run, "", "item, started")

    def attempts_in_time(self, run: int) -> Iterator[dict[str, Any]]:
        """The same in the order of their starts; `later`: how many attempts the item has after it."""
        order = "started {0}, attempts.rowid {0}"
        later = f"row_number() OVER (PARTITION BY item ORDER BY {order.format('DESC')}) - 1"
        yield from self._attempts(run, f", {later} AS later", order.format("ASC"))

    def _attempts(self, run: int, more: str, order: str) -> Iterator[dict[str, Any]]:
        columns = self._attempt_columns()
        cursor = self._db.execute(
            f"SELECT position AS item, {', '.join(columns)}{more} FROM attempts JOIN ("
            "SELECT id, row_number() OVER (ORDER BY id) - 1 AS position FROM items WHERE run = ?"
            f") ON id = item ORDER BY {order}",
            (run,),
        )
        names = [column[0] for column in cursor.description]
        with refuses_damage(self.path):
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def events(self, run: int, kind: str | None = None, after: int = 0) -> Iterator[Event]:
        """What happened in the run after that row, as it was written down; of one kind, if it is given."""
        if not self._is_timed:
            return
        rows = self._all(
            # By rowid alone, not by the index of the run: what is new is few, whatever there is.
            "SELECT rowid, at, kind, data FROM events "
            "WHERE +run = ? AND rowid > ? AND kind = coalesce(?, kind) ORDER BY rowid",
            run,
            after,
            kind,
        )
        with refuses_damage(self.path):
            for row, at, what, data in rows:
                yield Event(float(at), what, decode(data.encode()), row)

    # Items

    def last_item(self, run: int) -> int:
        """The number of the run's newest item, 0 while it has none."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM items WHERE run = ?", run)[0])

    def items_after(self, run: int, item: int, limit: int = CHUNK) -> list[Known]:
        """The run's items that come after `item`, in order."""
        return self._known("run = ? AND items.id > ? ORDER BY items.id LIMIT ?", run, item, limit)

    def items_like(self, run: int, hash: bytes) -> list[Known]:
        """The items of this hash that the run had at the first such call, in order."""
        self._index(
            f"hashes_{run}", "SELECT hash AS key, id AS value FROM items WHERE run = ?", run
        )
        return self._known(
            f"items.id IN (SELECT value FROM hashes_{run} WHERE key = ?) ORDER BY items.id", hash
        )

    def steps(self, item: int) -> dict[str, tuple[bytes, bytes]]:
        """The steps that an item has been through: each one's call and its output as JSON, by its path."""
        rows = self._all("SELECT step, call, output, output_zstd FROM steps WHERE item = ?", item)
        with refuses_damage(self.path):
            return {step: (call, unpack(*output)) for step, call, *output in rows}

    def answer(self, call: bytes) -> bytes | None:
        """The output, as JSON, of a call that any item had made at the first such question; None when none had."""
        self._index("calls", "SELECT call AS key, rowid AS value FROM steps")
        rows = self._all(
            "SELECT output, output_zstd FROM steps "
            "WHERE rowid IN (SELECT value FROM calls WHERE key = ?) LIMIT 1",
            call,
        )
        with refuses_damage(self.path):
            return unpack(*rows[0]) if rows else None

    def step_outputs(self, run: int) -> Iterator[tuple[int, str, Any]]:
        """The output of each step that items have been through: the item (0 for the first), the step's path, it."""
        cursor = self._db.execute(
            "SELECT position, step, output, output_zstd FROM steps JOIN ("
            "SELECT id, row_number() OVER (ORDER BY id) - 1 AS position FROM items WHERE run = ?"
            ") ON id = item ORDER BY item, step",
            (run,),
        )
        with refuses_damage(self.path):
            for item, step, *output in cursor:
                yield item, step, decode(unpack(*output))

    def variables(self, run: int) -> Iterator[Any]:
        """Each item's variables, in order."""
        for _, variables in self._inputs(run):
            yield variables

    def records(self, run: int, *, typed: bool = False) -> Iterator[Record]:
        """Each item's record, in order: those still to do are PENDING. typed: as `decode` has it."""
        for index, (one, variables) in enumerate(self.items(run)):
            if one.ended is None:
                pending = errors.NotFinished("not finished: resume the run")
                yield Record(index, variables, Status.PENDING, error=pending)
            else:
                yield one.record(index, variables, typed=typed)

    def items(self, run: int) -> Iterator[tuple[Known, Any]]:
        """Each item and its variables, in order."""
        known: list[Known] = []
        for item, variables in self._inputs(run):
            if not known:
                known = self.items_after(run, item - 1)[::-1]
            yield known.pop(), variables

    def _inputs(self, run: int) -> Iterator[tuple[int, Any]]:
        last = 0
        while rows := self._all(
            "SELECT id, input, input_zstd FROM items WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
            run,
            last,
            CHUNK,
        ):
            for number, *columns in rows:
                with refuses_damage(self.path):
                    variables = decode(unpack(*columns))
                yield number, variables
            last = rows[-1][0]

    def _index(self, name: str, pairs: str, *values: Any) -> None:
        """An index of this reader's own: most never need one, and kept in the store it would slow each write."""
        if name in self._indexed:
            return
        self._indexed.add(name)
        self._all("PRAGMA query_only = 0")
        self._all(f"CREATE TEMP TABLE {name} AS {pairs}", *values)
        self._all(f"CREATE INDEX temp.{name}_by_key ON {name} (key)")
        self._all("PRAGMA query_only = 1")

    def _known(self, where: str, *values: Any) -> list[Known]:
        rows = self._all(
            f"SELECT items.id, hash, {_RESULT} FROM items LEFT JOIN results ON item = items.id WHERE {where}",
            *values,
        )
        return [Known(row[0], row[1], None if row[2] is None else row[2:]) for row in rows]

    def _all(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreRefused(f"{self.path}: {in_words(error)}.") from None

    def _one(self, sql: str, *values: Any) -> Any:
        return self._all(sql, *values)[0]


class StoredError(FlowpoolError):
    """An error that an earlier run wrote down, of a type that isn't flowpool's."""


def restored_error(name: str, message: str) -> Exception:
    """An error as it was written down."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, FlowpoolError):
        error: FlowpoolError = kind.__new__(kind)
        if isinstance(error, CallError):
            CallError.__init__(error, message)
            error.fix = ""  # the message has it
        else:
            Exception.__init__(error, message)
        if isinstance(error, StepFailed):
            error.step = message.partition(":")[0]
        return error
    return StoredError(f"{name}: {message}")
