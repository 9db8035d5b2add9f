"""Records as JSON lines, CSV and TSV."""

from __future__ import annotations

import datetime
import json
import os
import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
from tests.data.written import record, written

from flowpool.data.writers import open_writer
from flowpool.errors import BadRequest


def test_each_row_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    for name in ("out.jsonl", "out.csv"):
        path = tmp_path / name
        with open_writer(path) as writer:
            for index in range(3):
                writer.write(record(index, "x"))
                assert len(written(path)) == index + 1


def test_a_csv_gets_a_column_that_comes_up_later_in_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with open_writer(path, meta=["_status"]) as writer:
        writer.write(record(0, error=BadRequest("no")))
        writer.write(record(1, {"a": 1}))
        writer.write(record(2, {"a": 2, "b": 'x"\ny'}))
        writer.write(record(3, {"a": 3}))
    assert written(path) == [
        {"n": "0", "a": "", "_status": "failed", "b": ""},
        {"n": "1", "a": "1", "_status": "done", "b": ""},
        {"n": "2", "a": "2", "_status": "done", "b": 'x"\ny'},
        {"n": "3", "a": "3", "_status": "done", "b": ""},
    ]


def test_cells_that_a_spreadsheet_takes_for_formulas_are_made_safe_when_asked(
    tmp_path: Path,
) -> None:
    answers = ["=1+1", "+1", "-1", "@x", "\tx", "plain", -1]
    for safe in (True, False):
        path = tmp_path / f"{safe}.csv"
        with open_writer(path, spreadsheet_safe=safe) as writer:
            for index, answer in enumerate(answers):
                writer.write(record(index, answer))
        cells = [row["output"] for row in written(path)]
        marks = ["'"] * 5 + [""] * 2 if safe else [""] * 7
        assert cells == [mark + str(answer) for mark, answer in zip(marks, answers, strict=True)]


class Formula(Enum):
    SUM = "=1+1"


class Words(str):
    pass


@pytest.mark.parametrize(
    ("answer", "cell"),
    [
        *(
            (text, f"'{text}")
            for text in ("\n=1+1", "\r=1+1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x")
        ),
        (Words("=1+1"), "'=1+1"),
        (Formula.SUM, "'=1+1"),
        (b"\xfb\xff", "'+/8="),
        (datetime.timedelta(-1), "'-P1D"),
        (-1.5, "-1.5"),
        (Decimal("-1.5"), "-1.5"),
    ],
)
def test_no_cell_of_any_kind_is_a_formula(tmp_path: Path, answer: object, cell: str) -> None:
    with open_writer(tmp_path / "out.csv", spreadsheet_safe=True) as writer:
        writer.write(record(0, {"output": answer, "=name": 1}))
        writer.write(record(1, {"output": "x", "=more": 1}))
    with open_writer(tmp_path / "out.csv", spreadsheet_safe=True, append=True) as writer:
        writer.write(record(2, {"output": "y", "=name": 2}))
    first, _, last = written(tmp_path / "out.csv")
    assert first["output"] == cell
    assert list(first)[-2:] == ["'=name", "'=more"]
    assert (first["'=name"], last["'=name"]) == ("1", "2")


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("text", ["a\rb", "a\r=1+1", "\r", "a\r\nb", "a\nb", "a\r"])
def test_a_line_break_of_any_kind_in_a_cell_is_quoted(
    tmp_path: Path, text: str, ending: str
) -> None:
    path = tmp_path / f"out.{ending}"
    with open_writer(path) as writer:
        writer.write(record(0, text))
        writer.write(record(1, "next"))
    assert [row["output"] for row in written(path)] == [text, "next"]
    raw = path.read_bytes().decode()
    assert f'"{text}"' in raw
    assert raw.endswith("next\n")


def test_json_lines_hold_whatever_the_answer_is(tmp_path: Path) -> None:
    odd = {"half": "\ud800", "set": {1}, "date": datetime.date(2020, 1, 1), "nan": float("nan")}
    many = {"far": [float("inf"), {"a": -float("inf")}], "nan": float("nan"), "none": None}
    path = tmp_path / "out.jsonl"
    with open_writer(path) as writer:
        writer.write(record(0, odd))
        writer.write(record(1, object))
        writer.write(record(2, many))
        writer.write(record(3, {**many, "half": "\ud800"}))
    [first, second, *others] = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["date"] == "2020-01-01"
    assert first["set"] == [1]
    assert second["output"] == "<class 'object'>"
    for other in others:
        assert (other["nan"], other["none"]) == (None, None)
        assert other["far"] == ["Infinity", {"a": "-Infinity"}]
    assert written(path)[3]["half"] == "\ud800"


HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202e\x7f, a\tb\nc"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("encoding", [None, "utf-16", "cp1252"])
@pytest.mark.parametrize("format", ["jsonl", "csv", "tsv"])
def test_a_terminal_is_shown_what_it_would_obey_in_rows(
    format: str, encoding: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if format == "jsonl" and encoding is not None:
        return
    reader, terminal = os.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with open_writer("-", format=format, encoding=encoding) as writer:
            writer.write(record(0, HOSTILE))
        shown = os.read(reader, 10_000).decode()
    os.close(reader)
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e", "\x7f", "\0"}
    assert ("red" in shown) is (encoding != "utf-16")


def test_a_file_and_a_pipe_have_every_character_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_writer(tmp_path / "out.csv") as writer:
        writer.write(record(0, HOSTILE))
    assert written(tmp_path / "out.csv")[0]["output"] == HOSTILE
    with (tmp_path / "pipe.csv").open("w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with open_writer("-", format="csv") as writer:
            writer.write(record(0, HOSTILE))
    assert (tmp_path / "pipe.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
