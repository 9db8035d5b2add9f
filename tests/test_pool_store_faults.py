"""A store whose writer fails: no answer that was told of is lost, none is paid twice, and the run says so."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Pool, Status
from flowpool.errors import StoreFailed
from flowpool.pool import FAILED
from flowpool.store import file
from flowpool.store.columns import MOST
from flowpool.store.reading import Reader
from flowpool.store.rows import AttemptRow, Batch
from flowpool.usage import Usage
from flowpool.values import Attempt

HALF = os.fsdecode(b"caf\xe9")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def kept(store: Path) -> list[Any]:
    with Reader(store) as reader:
        (run,) = reader.runs()
        return [record.output for record in reader.records(run.id) if record.status is Status.DONE]


class Failing(sqlite3.Connection):
    """A connection that can't write one row of a table: the `at`-th that comes by."""

    table = "results"
    at = 0
    error: BaseException = ValueError()
    for_ever = True
    seen = 0

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self._fail(sql, values)
        return super().execute(sql, values)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        for row in rows:
            self._fail(sql, row)
        return super().executemany(sql, rows)

    def _fail(self, sql: str, row: Any) -> None:
        kind = type(self)
        if f"INTO {kind.table} " not in sql:
            return
        if kind.at == kind.seen:
            kind.victim = row[0]
        kind.seen += 1
        if kind.victim == row[0]:
            if not kind.for_ever:
                kind.victim = None
            raise kind.error

    victim: Any = None


def failing(monkeypatch, **how: Any) -> type[Failing]:
    kind = type("Failing", (Failing,), how)
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **options: connect(path, factory=kind, **options)
    )
    return kind


def of_sqlite(kind: type[sqlite3.Error], code: int) -> sqlite3.Error:
    error = kind("it failed")
    error.sqlite_errorcode = code
    return error


ROWS = [
    *(OverflowError("Python int too large"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half")),
    *(sqlite3.InterfaceError("x"), sqlite3.ProgrammingError("x"), sqlite3.DataError("x")),
    *(of_sqlite(sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT), sqlite3.Error("x")),
    *(TypeError("x"), ValueError("x"), KeyError("x"), AttributeError("x"), RecursionError("x")),
    *(StopIteration(), StopAsyncIteration(), GeneratorExit(), KeyboardInterrupt(), SystemExit(1)),
    *(BaseException("x"), Exception("x")),
]
STORES = [
    of_sqlite(sqlite3.OperationalError, code)
    for code in (
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR | (4 << 8)),
    )
] + [MemoryError()]


def named(error: BaseException) -> str:
    code = getattr(error, "sqlite_errorcode", "")
    return f"{type(error).__name__}{code}"


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("table", ["attempts", "results"])
@pytest.mark.parametrize("error", [*ROWS, *STORES], ids=named)
def test_nothing_is_lost_or_paid_twice_whatever_the_writer_fails_with(
    simulate, store, monkeypatch, error: BaseException, table: str, at: int
) -> None:
    sim = simulate()
    with monkeypatch.context() as patched:
        failing(patched, error=error, table=table, at=at)
        pool = sim.pool(items=5, max_flows=5, store=store)
        with pytest.raises(StoreFailed, match=r"run again to go on"):
            sim.run(pool)
    seen = [record.output for record in pool.results.records if record.status is Status.DONE]
    saved = kept(store)
    assert set(seen) <= set(saved)
    if error in ROWS:  # the others' rows are written
        assert len(saved) == (5 if table == "attempts" else 4)
        assert sorted(seen) == sorted(saved)
    again = simulate()
    assert len(again.run(again.pool(items=5, store=store))) == 5
    assert sum(again.ledger.answered.values()) == 5 - len(saved)


def test_a_failure_that_passes_costs_nothing(simulate, store, monkeypatch) -> None:
    sim = simulate()
    with monkeypatch.context() as patched:
        failing(patched, error=ValueError("once"), for_ever=False)
        assert len(sim.run(sim.pool(items=5, store=store))) == 5
    assert len(kept(store)) == 5


def test_an_item_that_can_not_be_written_ends_the_run_before_it_is_asked(
    simulate, store, monkeypatch
) -> None:
    sim = simulate()
    failing(monkeypatch, error=OverflowError("no"), table="items", at=2)
    with pytest.raises(StoreFailed, match="1 rows can't be written"):
        sim.run(sim.pool(items=5, store=store))
    assert sim.ledger.requests == 0


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("no message")


def _say(text: str) -> str:
    raise Unspeakable if text == "unspeakable" else ValueError(text)


@pytest.mark.parametrize("text", [HALF, "\ud83d", "a\0b", "\ud83d\ude00", "unspeakable"])
def test_an_error_of_any_text_is_kept_beside_the_others(store, text: str) -> None:
    items = [{"text": text}, *({"text": f"fine {n}"} for n in range(20))]
    results = Pool(_say, items, store=store).run()
    assert [record.status for record in results.records] == [Status.FAILED] * 21
    with Reader(store) as reader:
        (run,) = reader.runs()
        assert reader.counts(run.id)[Status.FAILED] == 21
    again = Pool(_say, items, store=store)
    again.run()
    assert again.status[FAILED] == 21


@pytest.mark.parametrize("tokens", [2**70, 2**63, -(2**70)])
def test_a_usage_beyond_every_number_is_kept_as_the_largest(store, tokens: int) -> None:
    with file.open_store(store) as opened:
        values = {"settings": "{}", "steps": ""}
        run = opened.begin_run(f"n{HALF}", b"f", values, 0.0)
        usage = Usage(tokens, tokens)
        for _ in range(20):
            attempt = Attempt("s", "m", 0.0, float("nan"), 200, usage=usage)
            opened.write(run.id, Batch(0.0, attempts=[AttemptRow(1, attempt)] * 300))
    with Reader(store) as reader:
        assert reader.spent(run.id).tokens >= (MOST * 1000 if tokens > 0 else 0)


@pytest.mark.parametrize("key", ["id", lambda item: item["id"]])
def test_a_key_with_half_a_character_is_a_key(simulate, store, key) -> None:
    sim = simulate()
    items = [{"text": "a", "id": HALF}, {"text": "b", "id": "caf\\udce9"}, {"text": "c", "id": "é"}]
    assert len(sim.run(sim.pool(items=items, store=store, key=key))) == 3
    again = simulate()
    again.run(again.pool(items=items, store=store, key=key))
    assert again.ledger.requests == 0


def test_names_of_half_a_character_are_names(simulate, store) -> None:
    for _ in range(2):
        sim = simulate()
        chain = Chain([(sim.skill("one {text}"), HALF), (sim.skill("two {text}"), "b")])
        pool = sim.pool(chain, [{"text": "a", HALF: HALF}], store=store, name=HALF)
        (record,) = sim.run(pool).records
        assert record.error is None
    assert sim.ledger.requests == 0
