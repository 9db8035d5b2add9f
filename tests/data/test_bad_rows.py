"""A row that can't be read is named with its file and line, in every format; the rest goes on when told to."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

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
        ("rows.jsonl", JSONL % b'{"n": "\xe9"}', "line 2: not JSON: "),
        ("rows.jsonl", JSONL % b'{"n": NaN}', "line 2: not JSON: "),
        ("rows.jsonl", JSONL % (b'{"n": "' + b"x" * 200 + b'"}'), "line 2: longer than 0 MB."),
        ("rows.csv", CSV % b"2", "line 3: 1 cells for 2 columns."),
        ("rows.csv", CSV % b"2,b,c", "line 3: 3 cells for 2 columns."),
        ("rows.csv", CSV % b"2,\xe9", "line 3: not UTF-8: save the file as UTF-8."),
        ("rows.csv", CSV % b'2,"caf\xe9\n"', "line 3: not UTF-8: save the file as UTF-8."),
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


def test_a_csv_in_utf_16_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(InvalidInput, match="line 1: it begins like UTF-16: save the file as UTF-8"):
        list(read(path))


def test_a_quote_that_is_never_closed_takes_no_other_row_along(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('n,m\n1,"a\nb"\n2,"open\n' + "".join(f"{n},x\n" for n in range(3, 300)))
    rows = read(path, skip_bad_rows=True)
    assert [int(row["n"]) for row in rows] == [1, *range(3, 300)]
    (skipped,) = rows.first_skipped
    assert skipped.startswith(f"{path}, line 4: ")


# Parquet


def of_bytes(values: list[bytes | None]) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def test_text_in_parquet_that_is_no_utf_8_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"n": [1, 2, 3, 4], "text": of_bytes([b"a", b"\xe9", None, b"d"])})
    pq.write_table(table, path, row_group_size=3)
    with pytest.raises(InvalidInput, match=r"rows.parquet, row 2: .*utf-8"):
        list(read(path))
    rows = read(path, skip_bad_rows=True)
    assert [row["n"] for row in rows] == [1, 3, 4]
    assert Pool(lambda n, text: n, rows, progress=False).run() == [1, 3, 4]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: data[:-50], "not a whole Parquet file"),
        (lambda data: b"PAR1" + b"x" * 500, "not a whole Parquet file"),
        (lambda data: data[:100] + b"\xff" * 4000 + data[4100:], "after row 0: "),
    ],
)
def test_a_damaged_parquet_file_is_named(damage: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [f"some text {n}" for n in range(5000)]}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidInput, match=f"rows.parquet.*{says}"):
        list(read(path))


def test_parquet_without_rows_or_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), path)
    with pytest.raises(InvalidInput, match="is empty: there is nothing to run"):
        read(path)
    pq.write_table(pa.table([[1], [2]], names=["n", "n"]), path)
    with pytest.raises(InvalidInput, match="the column 'n' is there twice: rename one"):
        read(path)


def test_a_huge_cell_is_read_in_every_format(tmp_path: Path) -> None:
    text = "x" * 4_000_000
    pq.write_table(pa.table({"text": [text]}), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text(f'text\n"{text}"\n')
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "{text}"}}\n')
    for name in ("rows.parquet", "rows.csv", "rows.jsonl"):
        assert [len(row["text"]) for row in read(tmp_path / name)] == [4_000_000]
