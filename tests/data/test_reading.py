"""A row that can't be read is named with its file and line, in every format; the rest goes on when told to."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowpool import Pool, read
from flowpool.data import delimited, lines
from flowpool.errors import InvalidInput

JSONL = b'{"n": 1}\n%s\n{"n": 3}\n'
CSV = b"n,m\n1,a\n%s\n3,c\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.jsonl", JSONL % b'{"n": 2', "line 2: not JSON: "),
        ("rows.jsonl", JSONL % b"[2]", "line 2: list, not an object"),
        ("rows.jsonl", JSONL % b'{"n": "\xe9"}', "line 2: not UTF-8: say encoding="),
        ("rows.jsonl", JSONL % b'{"n": nan}', "line 2: not JSON: "),
        ("rows.jsonl", JSONL % (b'{"n": "' + b"x" * 200 + b'"}'), "line 2: longer than 0 MB."),
        ("rows.csv", CSV % b"2", "line 3: 1 cells for 2 columns."),
        ("rows.csv", CSV % b"2,b,c", "line 3: 3 cells for 2 columns."),
        ("rows.csv", CSV % b"2,\xe9", "line 3: not UTF-8: say encoding=, where 'cp1252' reads "),
        (
            "rows.csv",
            CSV % b'2,"caf\xe9\n"',
            "line 3: not UTF-8: say encoding=, where 'cp1252' reads ",
        ),
        ("rows.csv", CSV % b'2,"b"c', "line 3: "),
        ("rows.csv", CSV % b'2,"b', "line 3: "),
        ("rows.csv", CSV % b"2\rb", "line 3: a carriage return outside of quotes."),
        ("rows.csv", CSV % (b"2," + b"x" * 200), "line 3: longer than 0 MB."),
        ("rows.tsv", (CSV % b"2").replace(b",", b"\t"), "line 3: 1 cells for 2 columns."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_bad_row_is_named_and_the_rest_goes_on_when_told_to(
    name: str,
    content: bytes,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lines, "LONGEST", 100)
    monkeypatch.setattr(delimited, "LONGEST", 100)
    for packed in (False, True):
        path = tmp_path / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(content) if packed else content)
        with pytest.raises(InvalidInput, match=re.escape(f"{path}, {says}")):
            list(read(path))
        caplog.clear()
        rows = read(path, skip_bad_rows=True)
        assert [int(row["n"]) for row in rows] == [1, 3]
        assert rows.skipped == 1
        assert says in rows.first_skipped[0]
        assert f"1 bad row was skipped, the first: {path}, {says}" in caplog.text
        assert Pool(lambda n: int(n), rows, progress=False).run() == [1, 3]


def test_bad_rows_are_counted_and_the_first_few_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n' + "nope\n" * 1000)
    rows = read(path, skip_bad_rows=True)
    assert list(rows) == [{"n": 1}]
    assert rows.skipped == 1000
    assert len(rows.first_skipped) == 5
    assert "1,000 bad rows were skipped, the first: " in caplog.text


def test_a_file_of_bad_rows_alone_has_nothing_to_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("nope\n")
    with pytest.raises(InvalidInput, match=r"no rows: there is nothing.*line 1: not JSON"):
        list(read(path, skip_bad_rows=True))


def test_a_row_that_lacks_a_variable_fails_alone_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n\n{"m": 2}\n{"n": 3}\n')
    results = Pool(lone, str(path), progress=False).run()
    assert results == [1, None, 3]
    assert f"{path}, line 3: items[1] has no 'n'" in str(results.errors[0])


def lone(n: int) -> int:
    return n


def test_a_csv_without_the_column_is_refused_before_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(CSV % b"2,b")
    with pytest.raises(InvalidInput, match=r"rows.csv: no column 'text'.*there are: n, m"):
        Pool(lambda text, n: pytest.fail("it ran"), path).run()


def test_a_huge_cell_is_read_in_every_format(tmp_path: Path) -> None:
    text = "x" * 4_000_000
    pq.write_table(pa.table({"text": [text]}), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text(f'text\n"{text}"\n')
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "{text}"}}\n')
    for name in ("rows.parquet", "rows.csv", "rows.jsonl"):
        assert [len(row["text"]) for row in read(tmp_path / name)] == [4_000_000]
