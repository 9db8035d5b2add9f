"""Workbooks: their rows, and records written as one."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from tests.data.written import ITEMS, pool, record, written

from flowpool import read
from flowpool.data import excel_writer
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return path


def test_a_sheet_is_rows_with_types_from_its_first_row_that_is_not_empty(tmp_path: Path) -> None:
    day = datetime.date(2024, 1, 2)
    cells: list[list[Any]] = [[], ["id", None, "when"], [1, "Größe", day], [], [2.5, None, True]]
    path = workbook(tmp_path / "rows.xlsx", one=cells)
    rows = read(path)
    assert rows.columns == ("id", "column_2", "when")
    assert list(rows) == [
        {"id": 1, "column_2": "Größe", "when": day},
        {"id": 2.5, "column_2": None, "when": True},
    ]
    assert rows.position == f"{path}, sheet one, row 5"


def test_one_of_several_sheets_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "rows.xlsx", one=[["a"], [1]], two=[["b"], ["x"]])
    assert list(read(path, table="two")) == [{"b": "x"}]
    with pytest.raises(
        InvalidInput, match=r"say which sheet: table=\.\.\. \(there are: one, two\)"
    ):
        read(path)
    with pytest.raises(InvalidInput, match=r"no sheet 'three' \(there are: one, two\)"):
        read(path, table="three")


@pytest.mark.parametrize(
    ("sheets", "says"),
    [
        ({"one": []}, "no column names"),
        ({"one": [["a", "a"], [1, 2]]}, "the column 'a' is there twice: rename one"),
        ({"one": [["a"]]}, "no rows: there is nothing to run"),
    ],
)
def test_a_sheet_without_rows_is_refused(tmp_path: Path, sheets: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        list(read(workbook(tmp_path / "rows.xlsx", **sheets)))


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(InvalidInput, match=r"rows\.xlsx: not a whole workbook: "):
        read(path)
    with pytest.raises(InvalidInput, match="encoding= is for files of text"):
        read(path, encoding="cp1252")


def test_a_run_is_written_as_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    pool().write(path, ordered=True)
    assert written(path) == [item | {"output": item["n"] * 10} for item in ITEMS]
    assert [found.name for found in tmp_path.iterdir()] == ["out.xlsx"]
    pool().run().write(path, overwrite=True)
    assert len(written(path)) == len(ITEMS)


def test_values_are_what_they_are_in_a_cell_and_never_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    zone = datetime.UTC
    values: list[tuple[Any, Any]] = [
        ("=1+1", "=1+1"),
        ("http://a.b", "http://a.b"),
        (True, True),
        (1.5, 1.5),
        (2**60 + 1, str(2**60 + 1)),
        (float("nan"), None),
        (float("inf"), "inf"),
        (datetime.date(2024, 1, 2), datetime.date(2024, 1, 2)),
        (datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.datetime(2024, 1, 2, 3, 4, 5)),
        (datetime.datetime(2024, 1, 2, tzinfo=zone), "2024-01-02T00:00:00Z"),
        (datetime.date(1800, 1, 2), "1800-01-02"),
        ([1, {"a": None}], '[1,{"a":null}]'),
        ("a\ud800\x07b", "a\\ud800\x07b"),
        (b"\xff", "/w=="),
        (object, "<class 'object'>"),
    ]
    with open_writer(path, meta=["_status"]) as writer:
        for index, (value, _) in enumerate(values):
            writer.write(record(index, {"output": value}))
        writer.write(record(99, {"later": 1}))
    *rows, last = written(path)
    assert [row["output"] for row in rows] == [cell for _, cell in values]
    assert list(last) == ["n", "output", "later", "_status"]


def test_a_run_that_was_cut_goes_on_from_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    writer = open_writer(path)
    for index in range(3):
        writer.write(record(index, "x"))
    lines = tmp_path / "out.xlsx.rows.jsonl"
    lines.write_bytes(lines.read_bytes()[:-3])  # the process is killed here
    writer.close = lambda: None  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match=r"rows\.jsonl holds rows of a run that was cut"):
        open_writer(path)
    with open_writer(path, append=True) as writer:
        assert writer.rows == 2
        writer.write(record(2, "y"))
    assert [row["output"] for row in written(path)] == ["x", "x", "y"]
    with pytest.raises(InvalidInput, match="rows can't be added to a workbook"):
        open_writer(path, append=True)


def test_no_answer_is_lost_to_the_size_of_a_cell_or_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(excel_writer, "ROWS", 2)
    path = tmp_path / "out.xlsx"
    with open_writer(path) as writer:
        for index in range(3):
            writer.write(record(index, "x" * 40_000))
    assert len(list(read(path, table="Sheet1"))) == 2
    [row] = read(path, table="Sheet2")
    assert row == {"n": 2, "output": "x" * 32_767}
    assert "longer ones are cut, and whole in" in caplog.text
    kept = list(read(tmp_path / "out.xlsx.rows.jsonl"))
    assert [row["output"] for row in kept] == ["x" * 40_000] * 3


def test_a_missing_library_is_told_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "rows.xlsx", one=[["a"], [1]])
    for module in ("python_calamine", "xlsxwriter"):
        monkeypatch.setitem(sys.modules, module, None)
    for use in (read, lambda path: open_writer(path, overwrite=True)):
        with pytest.raises(InvalidInput, match=r"pip install 'flowpool\[excel\]'"):
            use(path)
