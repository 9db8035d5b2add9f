"""JSON lines and lines of text as rows."""

from __future__ import annotations

import json
import math
from pathlib import Path

from flowpool import read


def test_lines_of_text_are_rows_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a\n\n http://b \n")
    assert list(read(path, format="lines", columns={"url": "line"})) == [
        {"url": "http://a"},
        {"url": "http://b"},
    ]


def test_what_pythons_json_writes_beyond_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"n": float("inf"), "text": "half \ud83d"}, {"n": -1.5, "text": "\udc00"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"n": NaN, "text": ""}\n')
    *found, last = read(path)
    assert found == rows
    assert math.isnan(last["n"])
