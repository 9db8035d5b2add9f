"""The rows of `flowpool run`: limits, and files read twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowpool.cli.rows import FileRows, Span, parse_limit
from flowpool.errors import InvalidInput

ROWS = '{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n'


def unchecked(row: Any, index: int) -> None:
    """Takes any row."""


@pytest.mark.parametrize(
    ("text", "span"),
    [(None, Span()), ("10", Span(0, 10)), ("10-20", Span(9, 20)), ("1-1", Span(0, 1))],
)
def test_a_limit_is_a_number_of_rows_or_a_range(text: str | None, span: Span) -> None:
    assert parse_limit(text) == span


@pytest.mark.parametrize("text", ["", "0", "-1", "5-4", "0-3", "x", "1-", "2-x"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="write 10 for the first ten rows"):
        parse_limit(text)


def test_rows_are_checked_with_their_places_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(ROWS)
    seen: list[tuple[int, Any]] = []
    rows = FileRows(str(path), Span(1, 3), lambda row, index: seen.append((index, row)))
    assert seen == [(1, {"text": "b"}), (2, {"text": "c"})]
    assert len(rows) == 2
    assert list(rows) == list(rows) == [{"text": "b"}, {"text": "c"}]


def test_stopped_rows_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(ROWS)
    rows = FileRows(str(path), Span(), unchecked)
    reading = iter(rows)
    assert next(reading) == {"text": "a"}
    rows.stop()
    assert list(reading) == []
