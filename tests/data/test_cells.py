"""Values as cells: what JSON, CSV and frames are given of them."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest

from flowpool.data.cells import as_text, encoded, typed


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("a", "a"),
        (1.5, "1.5"),
        ({"a": [1]}, '{"a":[1]}'),
        (datetime.date(2024, 2, 29), "2024-02-29"),
    ],
)
def test_a_value_is_one_text_in_csv(value: object, cell: str) -> None:
    assert str(as_text(value) if value is not None else "") == cell


def test_frames_keep_dates_and_get_records_as_dicts() -> None:
    day = datetime.date(2024, 2, 29)
    assert typed({"at": day, "point": Point(1), "path": Path("a")}) == {
        "at": day,
        "point": {"x": 1},
        "path": "a",
    }


def test_json_holds_whatever_comes() -> None:
    assert encoded({"a": "\ud800"}) == b'{"a": "\\ud800"}'
    assert encoded({"a": object}).startswith(b'{"a":')
