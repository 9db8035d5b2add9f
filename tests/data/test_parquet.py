"""Records in Parquet files, whole or in parts."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

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


HALF = "a\ud800b"
ODD: list[tuple[list[Any], list[Any]]] = [
    ([{}, {}], ["{}", "{}"]),
    ([{}, None], ["{}", None]),
    ([[], [{}]], ["[]", "[{}]"]),
    ([{"a": {}}, {"a": {}}], ['{"a":{}}', '{"a":{}}']),
    ([HALF, "x"], ["a\\ud800b", "x"]),
    ([[HALF], []], [["a\\ud800b"], []]),
    ([{"a": HALF}, {"a": "x"}], [{"a": "a\\ud800b"}, {"a": "x"}]),
    ([{HALF: 1}, {HALF: 2}], [{"a\\ud800b": 1}, {"a\\ud800b": 2}]),
    ([2**60 + 1, 0.5], ["1152921504606846977", "0.5"]),
    ([2**70, 1], ["1180591620717411303424", "1"]),
    ([float("inf"), 1.0], [float("inf"), 1.0]),
    ([{"a": 1}, {"a": "x"}], ['{"a":1}', '{"a":"x"}']),
    ([object, 1], ["<class 'object'>", "1"]),
    ([{1: 2}, {"1": 3}], [{"1": 2}, {"1": 3}]),
]


@pytest.mark.parametrize(("values", "expected"), ODD, ids=[ascii(values) for values, _ in ODD])
@pytest.mark.parametrize("size", [1, 2])
def test_no_value_ends_a_parquet_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    expected: list[Any],
    size: int,
) -> None:
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", size)
    path = tmp_path / "out.parquet"
    with open_writer(path) as writer:
        for index, value in enumerate(values):
            writer.write(record(index, {"m": value}))
    assert [row["m"] for row in written(path)] == expected


def test_a_column_that_becomes_text_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", 1)
    path = tmp_path / "out.parquet"
    with open_writer(path) as writer:
        for index, value in enumerate([{}, {}, {"a": 1}, 7]):
            writer.write(record(index, {"m": value}))
    assert [row["m"] for row in written(path)] == ["{}", "{}", '{"a":1}', "7"]
    said = "The column 'm' has values that no one type holds: it becomes text."
    assert caplog.messages == [said]


def test_a_name_that_no_file_can_hold_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with open_writer(path) as writer:
        writer.write(record(0, {HALF: 1}))
    assert list(written(path)[0]) == ["n", "a\\ud800b"]
