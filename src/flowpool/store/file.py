"""The store's file: opened, checked and written. One thread at a time uses the connection; knows no loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowpool import prices
from flowpool.encoding import decode
from flowpool.errors import StoreFailed, StoreRefused
from flowpool.record import Record
from flowpool.store.compression import Columns, Packer
from flowpool.store.lock import StoreLock
from flowpool.store.rows import Batch, RunInfo
from flowpool.store.schema import APPLICATION_ID, MIGRATIONS, VERSION
from flowpool.values import Attempt

# Seconds that another's read or checkpoint is waited for: longer than either takes on a slow disk.
BUSY = 10.0
# Pages of the write-ahead log, 32 MB: SQLite's own 1,000 would copy each page back four times as often while a run
# writes.
CHECKPOINT = 4000

_DAMAGED = "it is damaged or no SQLite file: restore it from a copy, or name another file"
_LOCKED = "another program holds a lock on it for long: close what has it open"
_MEANINGS = {
    # SQLite's code: what it means for a person
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: "it can't be written: the file or its folder is read-only",
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_IOERR: "the disk failed to write or read it: check the disk, or use another",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: is its folder there, and writable?",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}

RUN_COLUMNS = (
    "id, name, fingerprint, definition, obstacle, source, settings, steps, complete, "
    "reason, created, updated"
)


class Store:
    """A store's file, open for writing. Make one with `open_store`, which shares it within the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = StoreLock(path)
        self._turn = threading.Lock()
        self._packer = Packer()
        try:
            self._db = self._connect()
        except BaseException:
            self._lock.release()
            raise
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM items").fetchone()
        self._next_item: int = last + 1
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
            **values,
            "name": name,
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
                (name, fingerprint),
            ).fetchone()
        return run_info(row)

    def end_run(self, run: int, reason: str, now: float) -> None:
        """Writes down why the run ended before its end; nothing when it didn't."""
        with self._transaction() as db:
            db.execute("UPDATE runs SET reason = ?, updated = ? WHERE id = ?", (reason, now, run))

    def complete_run(self, run: int) -> None:
        """Every item of the run's source stands in the store."""
        with self._transaction() as db:
            db.execute("UPDATE runs SET complete = 1 WHERE id = ?", (run,))

    def write(self, run: int, batch: Batch) -> None:
        """Writes a batch, whole; it survives a power cut once this returns. Raises `StoreFailed`."""
        pack, epoch = self._packer.pack, batch.epoch
        with self._transaction() as db:
            if batch.items:
                db.executemany(
                    "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
                    [(row.id, run, row.hash, *pack(row.input)) for row in batch.items],
                )
            if batch.steps:
                db.executemany(
                    "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)",
                    [(row.item, row.step, row.call, *pack(row.output)) for row in batch.steps],
                )
            if batch.attempts:
                db.executemany(
                    "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [_attempt_columns(run, row.item, row.attempt, epoch) for row in batch.attempts],
                )
            if batch.results:
                db.executemany(
                    "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        _result_columns(row.item, row.record, pack(row.output), epoch)
                        for row in batch.results
                    ],
                )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
            except sqlite3.Error as error:
                raise StoreFailed(
                    f"{self.path}: {in_words(error)}: what was saved before is whole; "
                    "mend it and run again to go on."
                ) from None

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
    """A row of `runs`."""
    number, name, fingerprint, definition, obstacle, source, settings, steps, complete, *rest = row
    return RunInfo(
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


def in_words(error: sqlite3.Error) -> str:
    """What an SQLite error means for a person."""
    # An extended code has what it extends in its lowest byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _MEANINGS.get(code, str(error))


def _attempt_columns(run: int, item: int, attempt: Attempt, epoch: float) -> tuple[Any, ...]:
    usage = attempt.usage
    return (
        run,
        item,
        attempt.step,
        attempt.model,
        attempt.started + epoch,
        attempt.seconds,
        attempt.status,
        attempt.error,
        usage.input_tokens,
        usage.output_tokens,
        prices.cost(attempt.model, usage, attempt.prices),
        attempt.request_id,
        attempt.unknown_cost,
        attempt.unknown_tokens,
    )


def _result_columns(item: int, record: Record, output: Columns, epoch: float) -> tuple[Any, ...]:
    error, usage = record.error, record.usage
    return (
        item,
        int(record.status),
        *output,
        None if error is None else type(error).__name__,
        None if error is None else str(error),
        record.model,
        record.started + epoch,
        record.duration,
        record.attempts,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        record.cost if record.model else None,
    )


_open: dict[Path, tuple[Store, int]] = {}
_opening = threading.Lock()


@contextmanager
def open_store(path: str | Path) -> Iterator[Store]:
    """The store at `path`, made if it isn't there; runs of one process share it.

    Raises `StoreRefused` when another process holds it, or when it can't be used.
    """
    real = Path(path).resolve()
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
