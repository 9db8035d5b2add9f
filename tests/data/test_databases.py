"""Databases as rows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from flowpool import read
from flowpool.errors import InvalidInput

ROWS: list[dict[str, Any]] = [
    {"text": "one", "n": 1},
    {"text": None, "n": 2},
    {"text": "three", "n": 3},
]
TABLE = pa.Table.from_pylist(ROWS)


def parquet(folder: Path) -> Any:
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(TABLE, path, row_group_size=2)
    return str(path)


def sqlite(folder: Path) -> Any:
    path = folder / "rows.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table reviews (text text, n integer)")
        database.executemany("insert into reviews values (:text, :n)", ROWS)
        database.commit()
    return path


def duckdb_file(folder: Path) -> Any:
    path = folder / "rows.duckdb"
    path.unlink(missing_ok=True)
    rows = TABLE  # noqa: F841  (DuckDB finds it by its name)
    with duckdb.connect(str(path)) as database:
        database.execute("create table reviews as select * from rows")
    return path


def test_a_database_is_asked_by_table_or_query(tmp_path: Path) -> None:
    for path in (sqlite(tmp_path), duckdb_file(tmp_path)):
        assert list(read(path, table="reviews")) == ROWS
        assert list(read(path, sql="select n + 1 as m from reviews where n > 1 order by n;")) == [
            {"m": 3},
            {"m": 4},
        ]
        cases: list[tuple[dict[str, Any], str]] = [
            ({"table": "none"}, "no table 'none' (there are: reviews)"),
            ({"sql": "select nothing from reviews"}, "nothing"),
            (
                {"sql": "select n, n from reviews"},
                "the column 'n' is there twice: rename it with AS",
            ),
        ]
        for wrong, says in cases:
            with pytest.raises(InvalidInput, match=re.escape(says)):
                list(read(path, **wrong))


def test_any_query_of_duckdb_is_a_source(tmp_path: Path) -> None:
    parquet(tmp_path)
    rows = read(sql=f"select sum(n) as total from '{tmp_path}/rows.parquet'")
    assert list(rows) == [{"total": 6}]


def test_a_database_with_several_tables_asks_which(tmp_path: Path) -> None:
    path = sqlite(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table users (id integer)")
    with pytest.raises(InvalidInput, match=r"say which rows: table=.*reviews, users"):
        read(path)


def test_a_databases_text_that_is_no_utf_8_is_a_bad_row(tmp_path: Path) -> None:
    path = sqlite(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("update reviews set text = cast(x'e9' as text) where n = 2")
        database.commit()
    with pytest.raises(InvalidInput, match=r"table reviews, row 2: a text that isn't UTF-8"):
        list(read(path))
    rows = read(path, skip_bad_rows=True)
    assert [row["n"] for row in rows] == [1, 3]
    assert rows.skipped == 1


def test_a_query_is_not_run_to_learn_its_columns(tmp_path: Path) -> None:
    endless = "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) as n from r"
    assert read(sqlite(tmp_path), sql=endless).columns == ("n",)
    assert read(duckdb_file(tmp_path), sql=endless).columns == ("n",)
    rows = read(sqlite(tmp_path), sql="select n, text as [n:x], n + 1 from reviews -- a remark")
    assert rows.columns == ("n", "n:x", "n + 1")
    for wrong in ("delete from reviews", "pragma table_info(reviews)"):
        with pytest.raises(InvalidInput, match="write a SELECT"):
            read(sqlite(tmp_path), sql=wrong)
