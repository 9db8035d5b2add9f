"""Records in Parquet files, whole or in parts."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.data.written import record, written

from flowpool import Pool
from flowpool.data.layout import Layout
from flowpool.data.parquet import ParquetWriter
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput


def test_parquet_that_was_killed_goes_on_from_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    clock = [0.0]
    killed = ParquetWriter(path, Layout(), now=lambda: clock[0])
    for index in range(5):
        clock[0] += 4
        killed.write(record(index, "x"))
    assert not path.exists()
    with pytest.raises(InvalidInput, match="holds rows of a run that was cut: append=True goes on"):
        open_writer(path)
    with open_writer(path, append=True) as writer:
        assert writer.rows == 3  # a part every ten seconds; the last two rows were in memory
        for index in range(3, 6):
            writer.write(record(index, "y"))
    assert [row["output"] for row in written(path)] == ["x"] * 3 + ["y"] * 3
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_that_was_killed_once_it_was_joined_has_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.parquet"
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", 2)
    killed = ParquetWriter(path, Layout())
    for index in range(6):
        killed.write(record(index, "x"))
    monkeypatch.setattr(killed, "_move_joined", lambda: None)
    killed.close()
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet.joined"]
    with open_writer(path, append=True) as writer:
        assert writer.rows == 6
        writer.write(record(6, "x"))
    assert [row["n"] for row in written(path)] == list(range(7))
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_has_row_groups_of_bounded_size_and_columns_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", 10)
    monkeypatch.setattr("flowpool.data.parquet.GROUP_ROWS", 30)
    answers = [None, 1, 2.5, {"label": "x", "more": {"a": 1}}, {"label": "y", "more": {"b": [2]}}]
    path = tmp_path / "out.parquet"
    with open_writer(path, meta=["_status"]) as writer:
        for index in range(100):
            writer.write(record(index, answers[index // 20]))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [
        30,
        30,
        30,
        10,
    ]
    assert file.schema_arrow.names == ["n", "output", "label", "more", "_status"]
    rows = written(path)
    assert [row["output"] for row in rows[::20]] == [None, 1.0, 2.5, None, None]
    assert rows[60]["more"] == {"a": 1, "b": None}
    assert rows[99]["more"] == {"a": None, "b": [2]}


def test_parquet_keeps_the_types_that_the_input_has_there(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table(
        {
            "n": pa.array([1, None], pa.int8()),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "day": pa.array([datetime.date(2020, 1, 1), None]),
            "tags": pa.array([["a"], None], pa.list_(pa.large_string())),
            "at": pa.array([5000, None], pa.timestamp("ns", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    Pool(lambda row: "x", str(tmp_path / "in.parquet"), progress=False).write(
        tmp_path / "out.parquet", ordered=True
    )
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.drop_columns("output").equals(table.cast(back.drop_columns("output").schema))
    assert back.schema.field("price").type == pa.decimal128(9, 2)
    assert back.schema.field("n").type == pa.int8()
