"""JSON lines and lines of text as rows."""

from __future__ import annotations

from pathlib import Path

from flowpool import read


def test_lines_of_text_are_rows_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a\n\n http://b \n")
    assert list(read(path, format="lines", columns={"url": "line"})) == [
        {"url": "http://a"},
        {"url": "http://b"},
    ]
