from __future__ import annotations

import gzip
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool import Pool
from flowpool import read as read_rows
from flowpool.errors import InvalidInput

ROWS = [{"text": "one", "n": "1"}, {"text": "zwei, drei", "n": "2"}]
JSONL = b'{"text": "one", "n": "1"}\n{"text": "zwei, drei", "n": "2"}\n'
CSV = b'text,n\none,1\n"zwei, drei",2\n'
TSV = b"text\tn\none\t1\nzwei, drei\t2\n"
GOOD = [
    ("rows.jsonl", JSONL),
    ("rows.ndjson", JSONL),
    ("ROWS.JSONL", JSONL),
    ("rows.csv", CSV),
    ("rows.tsv", TSV),
    ("rows.v2.csv", CSV),
    # Byte order marks, other line ends, blank lines, no line end at the end.
    ("rows.jsonl", b"\xef\xbb\xbf" + JSONL),
    ("rows.csv", b"\xef\xbb\xbf" + CSV),
    ("rows.csv", CSV.replace(b"\n", b"\r\n")),
    ("rows.jsonl", JSONL.replace(b"\n", b"\r\n")),
    ("rows.jsonl", b"\n" + JSONL.replace(b"\n", b"\n  \n\n")),
    ("rows.csv", CSV.replace(b"\n", b"\n\n") + b"\n\n"),
    ("rows.tsv", TSV.strip()),
    ("rows.jsonl", JSONL.strip()),
    ("rows.json", b"[" + JSONL.strip().replace(b"\n", b",\n") + b"]\n"),
    ("rows.json", JSONL),
    ("rows.json", json.dumps(ROWS, indent=2).encode()),
    ("rows.json", (b"\n [" + JSONL.strip().replace(b"\n", b",") + b"]").decode().encode("utf-16")),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "content"), GOOD)
def test_rows_are_read_from_every_kind_of_file(
    name: str, content: bytes, packed: bool, tmp_path: Path
) -> None:
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(read_rows(path)) == ROWS
    assert list(read_rows(str(path))) == ROWS


def test_a_file_is_a_pools_items(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(CSV)
    assert Pool(lambda text, n: f"{text} {n}", path).run() == ["one 1", "zwei, drei 2"]


def test_json_rows_keep_their_types() -> None:
    line = b'{"a": [1, 2.5, null, true], "b": {"c": "\\u00e9"}, "big": 12345678901234567890}\n'
    assert list(_of_stdin(line)) == [
        {"a": [1, 2.5, None, True], "b": {"c": "é"}, "big": 12345678901234567890}
    ]


def _of_stdin(content: bytes) -> list[Any]:
    stream, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(content))
    try:
        return list(read_rows("-"))
    finally:
        sys.stdin = stream


def test_a_bad_line_of_standard_input_is_named() -> None:
    with pytest.raises(InvalidInput, match="stdin, line 2: not JSON"):
        _of_stdin(b'{"a": 1}\nnope\n')


def test_cells_may_hold_lines_quotes_and_delimiters(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,n\n"a ""b""\nc, d",\n', encoding="utf-8")
    assert list(read_rows(path)) == [{"text": 'a "b"\nc, d', "n": ""}]


def test_a_huge_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "x" * 1_000_000 + "\n")
    assert [len(row["text"]) for row in read_rows(path)] == [1_000_000]


BAD = [
    ("rows.jsonl", b'{"a": 1}\n\n{"a": \n', "rows.jsonl, line 3: not JSON: "),
    ("rows.jsonl", b'{"a": 1}\n[1]\n', 'rows.jsonl, line 2: list, not an object such as {"text"'),
    ("rows.jsonl", b'{"a": 1}\n"x"\n', "rows.jsonl, line 2: str, not an object"),
    (
        "rows.jsonl",
        b'{"a": "\xe9"}\n',
        "rows.jsonl, line 1: not UTF-8: say encoding=, where 'cp1252'",
    ),
    ("rows.jsonl", b'{"a": 1} {"a": 2}\n', "rows.jsonl, line 1: not JSON: "),
    ("rows.jsonl", b'{"a": nan}\n', "rows.jsonl, line 1: not JSON: "),
    ("rows.jsonl", b"\n \n", "rows.jsonl: no rows: there is nothing to run."),
    ("rows.csv", b"a,b\n1,2\n1\n", "rows.csv, line 3: 1 cells for 2 columns."),
    ("rows.csv", b"a,b\n1,2\n1,2,3\n", "rows.csv, line 3: 3 cells for 2 columns."),
    ("rows.csv", b"a,b,a\n1,2,3\n", "rows.csv, line 1: the column 'a' stands there twice: rename"),
    ("rows.csv", b"a,b\n", "rows.csv: no rows: there is nothing to run."),
    ("rows.csv", b",\n1,2\n", "rows.csv, line 1: no column names."),
    ("rows.csv", b"\n", "rows.csv, line 1: no column names."),
    ("rows.csv", b'a\n"x\n', "rows.csv, line 2: "),
    ("rows.csv", b'a\n"x"y\n', "rows.csv, line 2: "),
    ("rows.csv", b"a\ncaf\xe9\n", "not UTF-8: say encoding=, where 'cp1252' reads 'caf\xe9'"),
    ("rows.tsv", b"a\tb\n1,2\n", "rows.tsv, line 2: 1 cells for 2 columns."),
    ("rows.csv", b"", "rows.csv: the file is empty."),
    ("rows.doc", b"PK", "its rows can't be read: use a file that ends in .jsonl, .ndjson, .csv"),
    ("rows.json", b"[]", "rows.json: no rows: there is nothing to run."),
    ("rows.json", b'[{"a": 1} {"a": 2}]', "rows.json, row 1: not JSON: no comma after it."),
    ("rows.json", b'[{"a": 1}', "rows.json, row 1: not JSON: the array has no end."),
    ("rows.json", b'[{"a": 1}, {"a"', "rows.json, row 2: not JSON: "),
    ("rows.json", b'[{"a": 1}, 7]', "rows.json, row 2: int, not an object such as"),
    ("rows.json", b'[{"a": 1}]]', "rows.json, row 1: not JSON: more after the array."),
    ("rows.json", b'[{"a": "\xe9"}]', "rows.json: not UTF-8: say encoding=, where 'cp1252' reads"),
    ("rows.json", b"[" * 9999, "rows.json, row 1: not JSON: nested too deep."),
    ("rows", b"a\n1\n", "its rows can't be read"),
    ("rows.jsonl.gz", b"{}\n", "rows.jsonl.gz: not a whole gzip file: "),
    ("rows.csv.gz", gzip.compress(CSV * 9)[:-12], "rows.csv.gz: not a whole gzip file: "),
    ("rows.csv.gz", gzip.compress(b""), "rows.csv.gz, line 1: no column names."),
    ("rows.jsonl.gz", gzip.compress(b""), "rows.jsonl.gz: no rows: there is nothing to run."),
]


@pytest.mark.parametrize(("name", "content", "says"), BAD, ids=[f"{n}-{s}" for n, _, s in BAD])
def test_a_bad_file_is_refused_by_name_and_line(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInput, match=re.escape(says)):
        Pool(lambda row: 1, path).run()


def test_a_missing_file_is_refused_when_the_pool_is_made(tmp_path: Path) -> None:
    for items in (tmp_path / "none.csv", str(tmp_path / "none.csv"), tmp_path / "folder.csv"):
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        with pytest.raises(InvalidInput, match=r"\.csv: no such file"):
            Pool(len, items)


def test_rows_before_a_bad_one_have_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}\nnope\n')
    seen: list[int] = []
    with pytest.raises(InvalidInput, match="line 3"):
        Pool(lambda n: seen.append(n), path).run()
    assert set(seen) <= {1, 2}


def test_a_file_is_read_line_by_line_and_closed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\nnope\n')
    rows = iter(read_rows(path))
    assert next(rows) == {"n": 1}
    with pytest.raises(InvalidInput, match="line 2"):
        next(rows)  # a file left open would be a ResourceWarning


@settings(deadline=None, derandomize=True)
@given(st.lists(st.dictionaries(st.text(), st.none() | st.text() | st.integers(-(2**60), 2**60))))
def test_what_json_writes_is_read_back(rows: list) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=bool(i % 2)) + "\n" for i, row in enumerate(rows))
    assert _of_stdin(lines.encode("utf-8", "surrogatepass")) == rows
