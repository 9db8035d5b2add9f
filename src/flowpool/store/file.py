"""The store's file: opened, checked and written. One thread at a time uses the connection; knows no loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from flowpool import prices
from flowpool.encoding import decode
from flowpool.errors import StoreFailed, StoreRefused, message_of
from flowpool.folders import local_path
from flowpool.logs import log
from flowpool.record import Record
from flowpool.store.columns import storable_number, storable_text
from flowpool.store.compression import Columns, Packer
from flowpool.store.damage import in_words, is_of_a_row, refuses_damage, why
from flowpool.store.lock import LOCK_ENDING, StoreLock
from flowpool.store.rows import Batch, ItemRow, ResultRow, RunInfo
from flowpool.store.schema import APPLICATION_ID, MIGRATIONS, VERSION
from flowpool.values import Attempt

# Seconds that another's read or checkpoint is waited for: longer than either takes on a slow disk.
BUSY = 10.0
# Pages of the write-ahead log, 32 MB: SQLite's own 1,000 would copy each page back four times as often while a run
# writes.
CHECKPOINT = 4000

# Where a file's header says how it is written.
_LOGGED_AT = 18

_Table = tuple[str, Sequence[Any], Callable[[Any], tuple[Any, ...]]]

RUN_COLUMNS = (
    "id, name, fingerprint, definition, obstacle, source, settings, steps, complete, "
    "reason, created, updated"
)


class Store:
    """A store's file, open for writing. Make one with `open_store`, which shares it within the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_copy = _lacks_log(path)
        self._lock = StoreLock(path)
        self._turn = threading.Lock()
        self._packer = Packer()
        try:
            self._db = self._connect()
        except BaseException:
            self._lock.release()
            raise
        try:
            with refuses_damage(path):
                (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM items").fetchone()
                self._next_item: int = last + 1
        except StoreRefused:
            self.close()
            raise
        self._at_work: set[int] = set()

    def close(self) -> None:
        """Ends the file's use. What was written is safe whether or not this is called."""
        with self._turn:
            try:
                self._db.close()
            finally:
                self._lock.release()

    def new_item(self) -> int:
        """The number of an item that is to be written."""
        with self._turn:
            number = self._next_item
            self._next_item += 1
            return number

    @contextmanager
    def at_work(self, run: int) -> Iterator[None]:
        """Keeps the run to whoever is in this; refuses a second one, who would pay for the same items again."""
        if run in self._at_work:
            raise StoreRefused(
                f"{self.path}: this run is at work in this process: "
                "wait for its end, or give the pool another name."
            )
        self._at_work.add(run)
        try:
            yield
        finally:
            self._at_work.discard(run)

    def begin_run(
        self, name: str, fingerprint: bytes, values: Mapping[str, Any], now: float
    ) -> RunInfo:
        """The run of this name and definition, new or known; `values` fills its columns."""
        columns = {
            **{column: storable_text(value) for column, value in values.items()},
            "name": storable_text(name),
            "fingerprint": fingerprint,
            "created": now,
            "updated": now,
        }
        updates = ", ".join(f"{name} = excluded.{name}" for name in (*values, "updated"))
        with self._transaction() as db:
            db.execute(
                f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
                f"ON CONFLICT (name, fingerprint) DO UPDATE SET {updates}, reason = '', complete = 0",
                list(columns.values()),
            )
            row = db.execute(
                f"SELECT {RUN_COLUMNS} FROM runs WHERE name = ? AND fingerprint = ?",
                (columns["name"], fingerprint),
            ).fetchone()
        return run_info(row)

    def change_run(self, run: int, name: str, fingerprint: bytes, steps: Iterable[str]) -> None:
        """Has a run known by another name or definition from now on."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET name = ?, fingerprint = ?, steps = ? WHERE id = ?",
                (storable_text(name), fingerprint, " ".join(steps), run),
            )

    def end_run(self, run: int, reason: str, now: float) -> None:
        """Writes down why the run ended before its end; nothing when it didn't."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET reason = ?, updated = ? WHERE id = ?",
                (storable_text(reason), now, run),
            )

    def complete_run(self, run: int) -> None:
        """Every item of the run's source stands in the store."""
        with self._transaction() as db:
            db.execute("UPDATE runs SET complete = 1 WHERE id = ?", (run,))

    def write(self, run: int, batch: Batch) -> None:
        """Writes a batch, whole; it survives a power cut once this returns.

        Raises `StoreFailed`. Where single rows can't be written, all others are, and its `items` are those
        whose end is not in the store.
        """
        tables = self._tables(run, batch)
        try:
            with self._transaction() as db:
                for sql, rows, columns in tables:
                    if rows:
                        db.executemany(sql, [columns(row) for row in rows])
        except StoreFailed as failure:
            if failure.items is None:
                raise
            self._write_one_by_one(tables)

    def _tables(self, run: int, batch: Batch) -> tuple[_Table, ...]:
        """What is written, by table: the statement, the rows, and the columns of one."""
        pack, epoch = self._packer.pack, batch.epoch
        return (
            (
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
                batch.items,
                lambda row: (row.id, run, row.hash, *pack(row.input)),
            ),
            (
                "UPDATE items SET hash = ? WHERE id = ?",
                batch.hashes,
                lambda row: (row.hash, row.item),
            ),
            (
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)",
                batch.steps,
                lambda row: (row.item, storable_text(row.step), row.call, *pack(row.output)),
            ),
            (
                f"INSERT INTO attempts VALUES ({', '.join('?' * 20)})",
                batch.attempts,
                lambda row: _attempt_columns(run, row.item, row.attempt, epoch),
            ),
            (
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                batch.results,
                lambda row: _result_columns(row.item, row.record, pack(row.output), epoch),
            ),
            (
                "INSERT INTO events VALUES (?, ?, ?, ?)",
                batch.events,
                lambda row: (run, row.at, row.kind, row.data.decode()),
            ),
        )

    def _write_one_by_one(self, tables: tuple[_Table, ...]) -> None:
        """Writes what can be written of a batch that can't be as a whole."""
        lost: dict[Any, BaseException] = {}
        items = set()
        with self._transaction() as db:
            for sql, rows, columns in tables:
                for row in rows:
                    item = row.id if isinstance(row, ItemRow) else row.item
                    if item in items:
                        continue
                    try:
                        db.execute(sql, columns(row))
                    except BaseException as error:
                        if not is_of_a_row(error):
                            raise
                        lost[len(lost)] = error
                        if isinstance(row, (ItemRow, ResultRow)):
                            items.add(item)
        if lost:
            raise StoreFailed(
                f"{self.path}: {len(lost)} rows can't be written ({why(lost[0])}); all others are: "
                "run again to go on.",
                frozenset(items),
            ) from lost[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises `StoreFailed` whatever goes wrong; its `items` are None where the store failed."""
        with self._turn:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except BaseException as error:
                raise StoreFailed(
                    f"{self.path}: {why(error)}: what was saved before is whole; "
                    "mend it and run again to go on.",
                    frozenset() if is_of_a_row(error) else None,
                ) from error

    def _connect(self) -> sqlite3.Connection:
        is_new = not self.path.exists() or not self.path.stat().st_size
        try:
            db = sqlite3.connect(
                self.path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreRefused(f"{self.path}: {in_words(error)}.") from None
        try:
            if is_new:
                db.execute("PRAGMA page_size = 8192")
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            version = check_version(db, self.path, is_new=is_new)
            if self._is_copy and not version:
                # No error: a disk that was full while the store was made leaves the same.
                log.warning("%s The run begins anew.", without_log(self.path))
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
            migrate(db, version)
            # Where nothing can be written it fails here, not at the first answer.
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        except sqlite3.Error as error:
            db.close()
            raise StoreRefused(f"{self.path}: {in_words(error)}.") from None
        except BaseException:
            db.close()
            raise
        return db


def _lacks_log(path: Path) -> bool:
    """Whether a file says that it is written through a log, and neither that nor a lock of a run is beside it."""
    kept, lock = (path.with_name(path.name + ending) for ending in ("-wal", LOCK_ENDING))
    if not path.is_file() or lock.exists() or (kept.exists() and kept.stat().st_size):
        return False
    with path.open("rb") as file:
        return file.read(_LOGGED_AT + 1)[_LOGGED_AT:] == b"\x02"


def without_log(path: Path) -> str:
    """What is said of a store that has nothing in it."""
    return (
        f"{path} has no runs in it: what a killed run wrote may be in {path.name}-wal, which belongs beside it; "
        "without that, delete the file and begin anew."
    )


def check_version(db: sqlite3.Connection, path: Path, *, is_new: bool = False) -> int:
    """The version of a store's tables; raises `StoreRefused` for a file that is no store, or a newer one's."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise StoreRefused(f"{path} is an SQLite file, but no flowpool store: name another file.")
    if version > VERSION:
        raise StoreRefused(
            f"{path} was written by a newer flowpool (its version is {version}, this one knows {VERSION}): "
            "pip install --upgrade flowpool"
        )
    if (
        not version
        and not is_new
        and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreRefused(f"{path} is no whole flowpool store: name another file.")
    # A view may never end, and a trigger write what nobody meant.
    (strange,) = db.execute(
        "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%'"
    ).fetchone()
    if strange:
        raise StoreRefused(
            f"{path} has views or triggers, which no flowpool store has: name another file."
        )
    return int(version)


def migrate(
    db: sqlite3.Connection, version: int, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Brings the tables to the newest version; each step whole or not at all."""
    for position, statements in enumerate(migrations[version:], version):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {position + 1}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def run_info(row: Sequence[Any]) -> RunInfo:
    """A row of `runs`; raises what `damage.ODD` has for one that flowpool didn't write."""
    number, name, fingerprint, definition, obstacle, source, settings, steps, complete, *rest = row
    info = RunInfo(
        number,
        name,
        fingerprint,
        definition,
        obstacle,
        decode(source.encode()) if source else None,
        decode(settings.encode()),
        tuple(steps.split()),
        bool(complete),
        *rest,
    )
    msgspec.convert(msgspec.structs.asdict(info), RunInfo)
    if definition is not None and not isinstance(decode(definition.encode()), dict):
        raise ValueError("a definition that is none")
    _ = info.same_definitions  # hexadecimal, or no definitions
    return info


def _attempt_columns(run: int, item: int, attempt: Attempt, epoch: float) -> tuple[Any, ...]:
    usage = attempt.usage
    return (
        run,
        item,
        storable_text(attempt.step),
        storable_text(attempt.model),
        storable_number(attempt.started + epoch),
        storable_number(attempt.seconds),
        attempt.status,
        storable_text(attempt.error),
        storable_number(usage.input_tokens),
        storable_number(usage.output_tokens),
        storable_number(prices.cost(attempt.model, usage, attempt.prices)),
        storable_text(attempt.request_id),
        storable_number(attempt.unknown_cost),
        storable_number(attempt.unknown_tokens),
        *structs.astuple(attempt.timing),
    )


def _result_columns(item: int, record: Record, output: Columns, epoch: float) -> tuple[Any, ...]:
    error, usage = record.error, record.usage
    cost = record.cost if record.model else None
    return (
        item,
        int(record.status),
        *output,
        None if error is None else storable_text(type(error).__name__),
        None if error is None else storable_text(message_of(error)),
        storable_text(record.model),
        storable_number(record.started + epoch),
        storable_number(record.duration),
        storable_number(record.attempts),
        storable_number(usage.input_tokens),
        storable_number(usage.output_tokens),
        storable_number(usage.cached_input_tokens),
        storable_number(cost),
    )


_open: dict[Path, tuple[Store, int]] = {}
_opening = threading.Lock()


@contextmanager
def open_store(path: str | Path) -> Iterator[Store]:
    """The store at `path`, made if it isn't there; runs of one process share it.

    Raises `StoreRefused` when another process holds it, or when it can't be used.
    """
    real = local_path(path).resolve()
    if real.is_dir():
        raise StoreRefused(f"{path} is a folder: name a file for the store, such as run.db.")
    with _opening:
        store, users = _open.get(real) or (Store(real), 0)
        _open[real] = store, users + 1
    try:
        yield store
    finally:
        with _opening:
            store, users = _open.pop(real)
            if users > 1:
                _open[real] = store, users - 1
            else:
                store.close()
