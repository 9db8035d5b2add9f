"""Rows of JSON arrays, however they are laid out."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool import read
from flowpool.data.dialect import Dialect
from flowpool.data.json_rows import json_rows
from flowpool.data.reading import RowCursor

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class Drops(io.BytesIO):
    """A stream that gives a few bytes at a time, as a pipe may."""

    size = 1

    def read1(self, _: int | None = -1) -> bytes:
        return super().read1(self.size)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.dictionaries(st.text(), VALUES), min_size=1), st.integers(1, 9), st.data())
def test_objects_are_read_however_they_come(rows: list[Any], size: int, data: Any) -> None:
    indent = data.draw(st.sampled_from([None, 0, 2]))
    is_array = data.draw(st.booleans())
    text = json.dumps(rows, indent=indent) if is_array else "\n".join(map(json.dumps, rows))
    stream = Drops(text.encode())
    stream.size = size
    assert list(json_rows(stream, RowCursor("rows"), Dialect())) == rows


def test_an_array_of_any_length_takes_the_memory_of_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    row = json.dumps({"id": 1, "text": "word " * 20})
    path.write_text("[" + ",\n".join([row] * 100_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in read(path)) == 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_whole_numbers_are_exact_and_a_long_value_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    rows = [{"id": 2**60 + 1, "text": "x" * 1_000_000}, {"id": 2**70, "text": ""}]
    path.write_text(json.dumps(rows))
    assert list(read(path)) == rows


def test_what_is_no_object_is_passed_over_when_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, 7, null, {"a": 2}]')
    rows = read(path, skip_bad_rows=True)
    assert list(rows) == [{"a": 1}, {"a": 2}]
    assert rows.first_skipped[0].startswith(f"{path}, row 2: int, not an object")


@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
def test_an_array_can_not_be_written_row_by_row(tmp_path: Path, name: str) -> None:
    from flowpool.data.writers import open_writer
    from flowpool.errors import InvalidInput

    with pytest.raises(InvalidInput, match=r"no such format: use a name that ends in \.jsonl"):
        open_writer(tmp_path / name)
