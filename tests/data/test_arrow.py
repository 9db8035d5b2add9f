"""Parquet files as rows, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowpool import Pool, read
from flowpool.errors import InvalidInput


def of_bytes(values: list[bytes | None]) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def test_text_in_parquet_that_is_no_utf_8_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"n": [1, 2, 3, 4], "text": of_bytes([b"a", b"\xe9", None, b"d"])})
    pq.write_table(table, path, row_group_size=3)
    with pytest.raises(InvalidInput, match=r"rows.parquet, row 2: .*utf-8"):
        list(read(path))
    rows = read(path, skip_bad_rows=True)
    assert [row["n"] for row in rows] == [1, 3, 4]
    assert Pool(lambda n, text: n, rows, progress=False).run() == [1, 3, 4]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: data[:-50], "not a whole Parquet file"),
        (lambda data: b"PAR1" + b"x" * 500, "not a whole Parquet file"),
        (lambda data: data[:100] + b"\xff" * 4000 + data[4100:], "after row 0: "),
    ],
)
def test_a_damaged_parquet_file_is_named(damage: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [f"some text {n}" for n in range(5000)]}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidInput, match=f"rows.parquet.*{says}"):
        list(read(path))


def test_parquet_without_rows_or_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), path)
    with pytest.raises(InvalidInput, match="is empty: there is nothing to run"):
        read(path)
    pq.write_table(pa.table([[1], [2]], names=["n", "n"]), path)
    with pytest.raises(InvalidInput, match="the column 'n' is there twice: rename one"):
        read(path)
