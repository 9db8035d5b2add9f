"""The same rows from every kind of source, and what of each can't be read."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from flowpool import Pool, read
from flowpool.data.compression import zstd
from flowpool.errors import InvalidInput

ROWS: list[dict[str, Any]] = [
    {"text": "one", "n": 1},
    {"text": None, "n": 2},
    {"text": "three", "n": 3},
]
TABLE = pa.Table.from_pylist(ROWS)


def jsonl(folder: Path) -> Any:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def zst(folder: Path) -> Any:
    path = folder / "rows.jsonl.zst"
    path.write_bytes(zstd().compress(jsonl(folder).read_bytes()))
    return path


def gz(folder: Path) -> Any:
    path = folder / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(folder).read_bytes()))
    return str(path)


def parquet(folder: Path) -> Any:
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(TABLE, path, row_group_size=2)
    return str(path)


def parquet_parts(folder: Path) -> Any:
    for name, piece in (("a", TABLE.slice(0, 1)), ("b", TABLE.slice(1))):
        pyarrow.parquet.write_table(piece, folder / f"part-{name}.parquet")
    return str(folder / "part-*.parquet")


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


def relation(folder: Path) -> Any:
    return duckdb.connect().from_arrow(TABLE)


def dataset(folder: Path) -> Any:
    parquet(folder)
    return pyarrow.dataset.dataset(folder / "rows.parquet")


def hugging_face(folder: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_list(ROWS)


KINDS: list[tuple[Callable[[Path], Any], int | None, bool]] = [
    (jsonl, None, False),
    (zst, None, False),
    (gz, None, False),
    (parquet, 3, True),
    (parquet_parts, 3, False),
    (sqlite, None, True),
    (duckdb_file, None, True),
    (relation, None, True),
    (dataset, None, True),
    (hugging_face, 3, True),
    (lambda _: pd.DataFrame(ROWS), 3, True),
    (lambda _: pl.DataFrame(ROWS), 3, True),
    (lambda _: pl.LazyFrame(ROWS), None, True),
    (lambda _: TABLE, 3, True),
    (lambda _: TABLE.to_batches()[0], 3, True),
    (lambda _: TABLE.to_reader(), None, True),
]


@pytest.mark.parametrize(("make", "length", "knows_columns"), KINDS)
def test_the_same_rows_come_from_every_kind_of_source(
    make: Callable[[Path], Any], length: int | None, knows_columns: bool, tmp_path: Path
) -> None:
    rows = read(make(tmp_path))
    assert rows.length == length
    assert rows.columns == (("text", "n") if knows_columns else None)
    assert list(rows) == ROWS
    if not rows.once:
        assert list(rows) == ROWS
    assert Pool(lambda n: n * 2, make(tmp_path), progress=False).run() == [2, 4, 6]


@pytest.mark.parametrize(("make", "length", "knows_columns"), KINDS)
def test_every_kind_of_source_is_selected_and_renamed_alike(
    make: Callable[[Path], Any], length: int | None, knows_columns: bool, tmp_path: Path
) -> None:
    rows = read(make(tmp_path), columns={"number": "n"}, where="n != 2", limit=slice(1, 5))
    assert list(rows) == [{"number": 3, "text": "three"}]
    assert rows.length is None


@pytest.mark.parametrize("make", [kind for kind, _, knows in KINDS if knows])
def test_a_column_that_is_missing_is_told_before_the_first_call(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    pool = Pool(lambda body, n: body, make(tmp_path), progress=False)
    with pytest.raises(
        InvalidInput, match=r"no column 'body'.*there are: text, n.*columns=\{'body'"
    ):
        pool.run()
    renamed = Pool(lambda body, n: body, make(tmp_path), columns={"body": "text"}, progress=False)
    assert renamed.run() == ["one", None, "three"]


@pytest.mark.parametrize("pattern", ["rows/*/*/*.csv", "rows/**/*.csv"])
def test_folders_that_are_named_as_columns_are_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for year, lang, n in (("2023", "de", 1), ("2024", "a%20b", 2), ("2024", "007", 3)):
        folder = tmp_path / f"rows/year={year}/lang={lang}"
        folder.mkdir(parents=True)
        (folder / "part=1.csv").write_text(f"n,text\n{n},x\n")
    found = [(row["year"], row["lang"], row["n"]) for row in read(pattern)]
    assert found == [(2023, "de", "1"), (2024, "007", "3"), (2024, "a b", "2")]
    assert [row["n"] for row in read(pattern, where="year == 2024 and lang == '007'")] == ["3"]


def test_a_column_of_the_file_holds_before_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "n=5"
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"n": 1}\n')
    assert list(read(str(tmp_path / "*/*.jsonl"))) == [{"n": 1}]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("reprots", r"reprots: no such file or folder\.$"),
        ("reprots/", r"reprots: no such file or folder\.$"),
        ("reprots/rows.doc", r"rows\.doc: no such file\.$"),
        ("rows.parquet", r"rows\.parquet: no such file\.$"),
        ("reprots/*.txt", r"\*\.txt: no file matches\.$"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"encoding": "cp1252"}])
def test_a_path_with_nothing_at_it_is_said_to_be_missing(
    tmp_path: Path, name: str, said: str, more: Any
) -> None:
    with pytest.raises(InvalidInput, match=said):
        read(f"{tmp_path}/{name}", **more)
