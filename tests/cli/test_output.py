"""Where the records of `flowpool run` go, and how they look there."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flowpool.cli.output import Output, record_line
from flowpool.errors import InvalidInput
from flowpool.results import Record
from flowpool.values import Status, Usage


def line_of(output: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(record_line(Record(0, {}, Status.DONE, output)))
    return row


def test_a_line_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output = Output(str(path))
    output.write(b"{}")
    assert path.read_bytes() == b"{}\n"
    output.close()


def test_force_empties_the_file_at_the_first_line_not_before(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    output = Output(str(path), force=True)
    assert path.read_text() == "old\n"
    output.write(b"new")
    output.write(b"newer")
    output.close()
    assert path.read_text() == "new\nnewer\n"


def test_a_file_without_lines_is_taken_away_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    Output(str(path)).close()
    assert not path.exists()


def test_an_empty_file_holds_nothing_to_lose(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.touch()
    output = Output(str(path))
    output.write(b"{}")
    output.close()
    assert path.read_bytes() == b"{}\n"


def test_a_full_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("paid for\n")
    with pytest.raises(InvalidInput, match="--force"):
        Output(str(path))


def test_a_record_is_one_line_of_json() -> None:
    record = Record(
        3,
        {"text": "a\nb"},
        Status.FAILED,
        error=ValueError("no"),
        duration=1.23456,
        attempts=2,
        usage=Usage(10, 5),
        model="openai/gpt-5-mini",
    )
    line = record_line(record, offset=9)
    assert b"\n" not in line
    assert json.loads(line) == {
        "index": 12,
        "status": "failed",
        "output": None,
        "error": "ValueError: no",
        "variables": {"text": "a\nb"},
        "attempts": 2,
        "duration": 1.235,
        "model": "openai/gpt-5-mini",
        "input_tokens": 10,
        "output_tokens": 5,
    }


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        (date(2026, 1, 2), "2026-01-02"),
        (1j, "1j"),
        ("half \ud83d", "half \ud83d"),
    ],
)
def test_any_output_can_be_written(output: Any, written: Any) -> None:
    assert line_of(output)["output"] == written
