"""A store with anything at all in it is refused in a line, or read: never a traceback, never a hang."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flowpool import Chain, Model, Pool, Skill
from flowpool.cli import main
from flowpool.errors import FlowpoolError, StoreRefused
from flowpool.pool import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual
from flowpool.store.compression import LARGEST, Packer, unpack
from flowpool.store.file import open_store
from flowpool.store.reading import Reader

TABLES = ("runs", "items", "results", "steps", "attempts")
ODD: list[Any] = [
    None,
    "",
    "{",
    "[1]",
    '{"$type": "nope", "value": 1}',
    '{"$type": "date", "value": 5}',
    '{"$type": []}',
    99,
    -1,
    1e400,
    b"\xff\x00",
    b"\x28\xb5\x2f\xfd\x00",
    "[" * 100_000,
]


def environment() -> Environment:
    return Environment(SimTransport(SimulatedProvider()), {}, Random(0))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that isn't complete: done, failed and open items, long and short values."""
    path = tmp_path_factory.mktemp("store") / "whole.db"
    rows = [{"text": f"row {n} " + "x" * (300 if n % 2 else 3)} for n in range(6)]
    model = Model("m", base_url="http://127.0.0.1:9/v1")
    chain = Chain(
        [(Skill(model, prompt="a {text}"), "a"), (Skill(model, prompt="b {a} {text}"), "b")]
    )
    pool = Pool(chain, rows, store=path, environment=environment(), progress=False)
    run_virtual(pool.arun())
    with closing(sqlite3.connect(path)) as store:
        store.execute("delete from results where item > 4")
        store.execute("update runs set complete = 0")
        store.execute(
            "update results set status = 3, output = null, output_zstd = null, error = 'BadRequest', "
            "message = 'm' where item = 2"
        )
        store.commit()
    return path


@pytest.mark.filterwarnings("ignore:.* have nothing in:RuntimeWarning")
@pytest.mark.parametrize("table", TABLES)
def test_no_value_of_any_column_ends_in_a_traceback(
    table: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.db"
    with closing(sqlite3.connect(whole)) as store:
        columns = [row[1] for row in store.execute(f"pragma table_info({table})")]
    for column in columns:
        for value in Random(column).sample(ODD, 5):
            shutil.copy(whole, path)
            with closing(sqlite3.connect(path)) as store:
                try:
                    store.execute(f"update {table} set {column} = ?", (value,))
                    store.commit()
                except sqlite3.Error:  # it can't be there
                    continue
            assert main(["status", str(path)]) in (0, 1, 2)
            assert main(["export", str(path), str(tmp_path / "o.jsonl"), "--force"]) in (0, 2)
            assert main(
                ["export", str(path), str(tmp_path / "o.csv"), "--force", "--attempts"]
            ) in (0, 2)
            with suppress(FlowpoolError):
                pool = Pool.load(path, environment=environment(), progress=False)
                run_virtual(pool.arun())
                assert pool.results is not None
    capsys.readouterr()


STRANGE = [
    "create view odd as with recursive r(n) as (select 1 union all select n + 1 from r) select * from r",
    "create trigger odd after insert on items begin delete from results; end",
    "create virtual table odd using fts5(a)",
]


@pytest.mark.parametrize("words", STRANGE)
def test_a_store_with_more_than_tables_is_refused(words: str, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as store:
        store.execute(words)
        store.commit()
    with pytest.raises(StoreRefused, match="views or triggers"):
        Reader(path)
    with pytest.raises(StoreRefused, match="views or triggers"), open_store(path):
        pass


def test_a_view_in_a_tables_place_never_runs(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as store:
        store.execute("alter table items rename to kept")
        store.execute(
            "create view items as with recursive r(n) as (select 1 union all select n + 1 from r) "
            "select n as id, 1 as run, x'' as hash, '1' as input, null as input_zstd from r"
        )
        store.commit()
    assert main(["status", str(path)]) == 2


def test_a_frame_that_asks_for_any_number_of_bytes_is_refused() -> None:
    _, bomb = Packer().pack(b"0" * 1_000_000)
    assert bomb is not None
    assert len(unpack(None, bomb)) == 1_000_000
    for broken in (bomb[:-3], b"", b"no frame"):
        with pytest.raises(ValueError, match="frame"):
            unpack(None, broken)
    assert LARGEST >= 1 << 30
