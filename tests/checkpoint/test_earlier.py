"""A store that flowpool 0.1.0 wrote goes on without repeating a call, and sees from there on what 0.1.0 didn't.

`stores/0.1.0.sql` is the dump of one that it made of `earlier_work`, on Python 3.11.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.checkpoint import earlier_work as work

from flowpool import Chain, Pool, Status

STORE = Path(__file__).parent / "stores" / "0.1.0.sql"
# 0.1.0 read functions as bytecode, which each version of Python has its own of.
WITH_ITS_BYTECODE = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="made by 3.11")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(work.PICTURE)
    with closing(sqlite3.connect(tmp_path / "run.db")) as db:
        db.executescript(STORE.read_text("utf-8"))
    return tmp_path / "run.db"


@pytest.fixture
def asks(simulate: Any, store: Path) -> Any:
    """How many calls a run makes of `make(sim)` over the items."""

    def asks(make: Any, items: Any, **settings: Any) -> int:
        sim = simulate()
        pool = sim.pool(make(sim), items, store=store, **settings)
        sim.run(pool)
        assert pool.status[Status.DONE] == len(items)
        return sum(sim.ledger.answered.values())

    return asks


@pytest.mark.parametrize(
    ("make", "items"),
    [
        (work.chain, work.ITEMS),
        pytest.param(work.with_function, work.ITEMS, marks=WITH_ITS_BYTECODE),
        (work.pictures, work.PHOTOS),
    ],
)
def test_nothing_is_asked_again(make: Any, items: Any, asks: Any) -> None:
    assert asks(make, items) == 0
    assert asks(make, items) == 0
    assert asks(make, items[::-1]) == 0


def test_a_changed_last_step_is_all_that_is_asked(asks: Any) -> None:
    assert asks(lambda sim: work.chain(sim, "at last: {c}"), work.ITEMS) == 3
    assert asks(lambda sim: work.chain(sim, "finally: {c}"), work.ITEMS) == 3
    assert asks(work.chain, work.ITEMS) == 0


def test_dedupe_finds_its_answers_too(asks: Any) -> None:
    def first_two(sim: Any) -> Chain:
        return Chain([step for (step,) in work.chain(sim).stages[:2]])

    more = [{**item, "more": 1} for item in work.ITEMS]
    assert asks(first_two, more, dedupe=True) == 0


def test_a_version_that_is_said_by_hand_asks_anew(asks: Any) -> None:
    assert asks(work.chain, work.ITEMS, version=2) == 9
    assert asks(work.chain, work.ITEMS, version=2) == 0


def test_nested_keys_in_another_order_are_another_item_once_the_store_went_on(asks: Any) -> None:
    reordered = [{**item, "meta": dict(sorted(item["meta"].items()))} for item in work.ITEMS]  # type: ignore[attr-defined]
    assert asks(work.chain, work.ITEMS) == 0
    assert asks(work.chain, reordered) == 9


def test_a_changed_file_is_seen_once_the_store_went_on(asks: Any) -> None:
    assert asks(work.pictures, work.PHOTOS) == 0
    Path("b.png").write_bytes(work.PICTURE + b"another")
    assert asks(work.pictures, work.PHOTOS) == 1
    Path("a.png").write_bytes(work.PICTURE + b"another")
    assert asks(work.pictures, work.PHOTOS) == 2


@WITH_ITS_BYTECODE
def test_a_changed_function_is_seen_once_the_store_went_on(
    asks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asks(work.with_function, work.ITEMS) == 0
    monkeypatch.setattr(work, "shout", lambda said: said.title())
    assert asks(work.with_function, work.ITEMS) == 3


def test_a_loaded_run_goes_on(simulate: Any, store: Path) -> None:
    sim = simulate()
    pool = Pool.load(store, run="1", trusted=True, environment=sim.environment)
    sim.run(pool)
    assert not sim.ledger.answered
    assert pool.status[Status.DONE] == len(work.ITEMS)


def test_a_store_that_is_only_read_stays_as_it_is(store: Path, tmp_path: Path) -> None:
    before = shutil.copy(store, tmp_path / "copy.db")
    assert len(Pool.load(store, run="1").results) == len(work.ITEMS)
    assert Path(before).read_bytes() == store.read_bytes()
