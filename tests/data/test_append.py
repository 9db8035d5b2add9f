"""Files that are added to, and mended where they were cut."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.data.written import ITEMS, pool, record, written

from flowpool import read
from flowpool.data.append import PackedSink
from flowpool.data.compression import open_to_read
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput

NAMES = ["out.jsonl", "out.csv", "out.tsv", "out.parquet"]
PACKED = ["out.jsonl.gz", "out.csv.zst", "out.jsonl.zst", "out.tsv.gz"]


@pytest.mark.parametrize("name", NAMES + PACKED)
def test_more_is_added_only_when_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    pool().write(path, ordered=True)
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=r"exists: name another file, or say overwrite=True"):
        pool().write(path)
    assert path.read_bytes() == before
    pool(ITEMS[:2]).write(path, ordered=True, append=True)
    assert [row["text"] for row in written(path)] == [r["text"] for r in ITEMS + ITEMS[:2]]
    pool(ITEMS[:2]).write(path, ordered=True, overwrite=True)
    assert [row["text"] for row in written(path)] == [r["text"] for r in ITEMS[:2]]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.jsonl.gz", "out.csv.zst"])
def test_a_file_that_was_cut_anywhere_goes_on_after_its_last_whole_row(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    pool(ITEMS[:6]).write(path, ordered=True)
    whole = path.read_bytes()
    for cut in {0, 1, 9, *range(20, len(whole), 7), len(whole)}:
        path.write_bytes(whole[:cut])
        with open_writer(path, append=True) as writer:
            rows = writer.rows
            assert rows <= 6
            for index in range(rows, 6):
                writer.write(record(index, index * 10, **ITEMS[index]))
        assert [row["text"] for row in written(path)] == [item["text"] for item in ITEMS[:6]]


def test_a_last_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}')
    with open_writer(path, append=True) as writer:
        assert writer.rows == 2
        writer.write(record(3))
    assert [row["n"] for row in written(path)] == [1, 2, 3]


def added_to(path: Path, content: str | bytes, **options: Any) -> list[dict[str, Any]]:
    """What a file reads as once a row was added to it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_writer(path, append=True, **options) as writer:
        writer.write(record(0, "new", n=0))
    return list(read(path, encoding=options.get("encoding"), skip_bad_rows=True))


def left_aside(path: Path) -> list[bytes]:
    return [found.read_bytes() for found in sorted(path.parent.glob("*.cut*"))]


NEW = {"n": "0", "output": "new"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("stray", ['9,5" pipe', '9,"5"""', "9,''", '9,a "b" c', "9", "9,a,b"])
@pytest.mark.parametrize("place", [0, 5, 10])
def test_no_row_that_a_file_has_is_touched(
    tmp_path: Path, stray: str, place: int, end: str
) -> None:
    path = tmp_path / "out.csv"
    rows = [f"{n},x" for n in range(10)]
    rows.insert(place, stray)
    before = end.join(["n,output", *rows, ""]).encode()
    for content in (before, before.removesuffix(end.encode())):
        if content != before and stray == "9" and place == 10:
            continue  # unfinished
        found = added_to(path, content)
        assert path.read_bytes() == before + b"0,new" + end.encode()
        assert found[-1] == NEW
        assert left_aside(path) == []


@pytest.mark.parametrize(
    "tail", ["7", '7,"', '7,"open', '7,"open\nand, more\n', '7,"a ""b""\n\nc', '"7'],
)  # fmt: skip
def test_an_unfinished_last_row_is_cut_told_and_kept_aside(
    tmp_path: Path, tail: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.csv"
    found = added_to(path, f"n,note,output\n1,b,x\n{tail}")
    assert found == [
        {"n": "1", "note": "b", "output": "x"},
        {"n": "0", "note": "", "output": "new"},
    ]
    assert left_aside(path) == [tail.encode()]
    assert (
        f"out.csv, line 3: an unfinished row was cut off: it is kept in {path}.cut." in caplog.text
    )
    path.unlink()
    added_to(path, f"n,note,output\n1,b,x\n{tail}!")
    assert left_aside(path) == [tail.encode(), f"{tail}!".encode()]


def test_a_last_row_without_a_line_end_is_kept_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = added_to(tmp_path / "out.csv", "n,output\n1,x\n2,y")
    assert found == [{"n": "1", "output": "x"}, {"n": "2", "output": "y"}, NEW]
    assert "its last row had no line end: it is taken for a whole one" in caplog.text


def test_a_quote_that_is_never_closed_before_whole_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    content = 'n,output\n1,x\n2,"open\n' + "".join(f"{n},x\n" for n in range(3, 100))
    with pytest.raises(InvalidInput, match=r"out\.csv, line 3: a quote is never closed, and rows"):
        added_to(path, content)
    assert path.read_text() == content
    assert left_aside(path) == []


@pytest.mark.parametrize("sign", [";", "\t", "|", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_file_is_added_to_as_it_is_written(tmp_path: Path, sign: str, encoding: str) -> None:
    path = tmp_path / "out.csv"
    before = f"n{sign}output\r\n1{sign}é\r\n".encode(encoding)
    assert added_to(path, before) == [{"n": "1", "output": "é"}, NEW]
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().decode(encoding).endswith(f"é\r\n0{sign}new\r\n")


@pytest.mark.parametrize("encoding", ["utf-16", "cp932", "gb18030", "cp1252"])
def test_an_unfinished_row_is_cut_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "out.csv"
    text = "n;output\n1;" + {"cp932": "名前", "gb18030": "姓名"}.get(encoding, "é") + '\n2;"cut'
    found = added_to(path, text.encode(encoding), encoding=encoding)
    assert [row["n"] for row in found] == ["1", "0"]
    assert [kept.decode(encoding.replace("16", "16-le")) for kept in left_aside(path)] == ['2;"cut']


def test_text_in_another_encoding_is_refused_until_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    content = "n;output\n1;é\n2;x\n".encode("cp1252")
    with pytest.raises(InvalidInput, match=r"out\.csv, line 2: not UTF-8: say encoding="):
        added_to(path, content)
    assert path.read_bytes() == content
    assert added_to(path, content, encoding="cp1252")[0] == {"n": "1", "output": "é"}


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_columns_that_a_file_does_not_have_are_refused_before_anything_is_paid(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    pool([{"a": 1, "b": 2}], lambda a: a).write(path)
    before, asked = path.read_bytes(), []
    for items in ([{"n": 1}], [{"a": 1, "b": 2, "c": 3}]):
        with pytest.raises(InvalidInput, match=r"has the columns a, b, output, and the rows have"):
            pool(items, lambda **row: asked.append(row)).write(path, append=True)
    assert asked == []
    assert path.read_bytes() == before
    pool([{"b": 1, "a": 2}], lambda a: a).write(path, append=True)
    assert [(int(row["a"]), int(row["b"])) for row in written(path)] == [(1, 2), (2, 1)]


def test_an_answer_may_have_a_field_that_the_file_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes('sep=;\nn;a\n1;é\n2"5;x\n3\n'.encode("utf-16"))
    with open_writer(path, append=True) as writer:
        writer.write(record(4, {"a": 1, "b": 2}, n=4))
    assert path.read_bytes().decode("utf-16") == 'sep=;\nn;a;b\n1;é;\n"2""5";x;\n3\n4;1;2\n'


def test_a_header_that_was_cut_is_begun_anew_and_another_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert added_to(path, "n,out") == [NEW]
    assert added_to(path, "n,output") == [NEW]
    with pytest.raises(InvalidInput, match="has the columns n;out"):
        added_to(path, "n;out\n", delimiter=",")
    with pytest.raises(InvalidInput, match="has the columns name, and the rows have n, output"):
        added_to(path, "name")
    assert path.read_text() == "name"


def test_a_packed_file_that_is_damaged_is_kept_whole_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.gz"
    whole = gzip.compress(b'{"n": 1}\n') + gzip.compress(b'{"n": 2}\n')
    damaged = whole[: len(whole) // 2] + b"no gzip" + whole[len(whole) // 2 :]
    assert added_to(path, damaged)[-1] == {"n": 0, "output": "new"}
    assert left_aside(path) == [damaged]


def test_a_packed_file_keeps_rows_back_for_a_second_at_most() -> None:
    kept, clock = io.BytesIO(), [0.0]
    sink = PackedSink(kept, ".gz", lambda: clock[0])  # type: ignore[arg-type]
    sink.write(b"one\n")
    clock[0] = 1.5
    sink.write(b"two\n")
    unpacked = gzip.GzipFile(fileobj=io.BytesIO(kept.getvalue()))
    assert unpacked.read(8) == b"one\ntwo\n"


KILLED = """
import sys
from flowpool import Record, Status
from flowpool.data import parquet
from flowpool.data.writers import open_writer
parquet.PART_ROWS = 50
with open_writer(sys.argv[1], append=True) as writer:
    print(writer.rows, flush=True)
    for n in range(writer.rows, writer.rows + int(sys.argv[2])):
        writer.write(Record(n, {"n": n, "text": 'a "long"\\nline ' * 20}, Status.DONE, n * 2))
        if n % 100 == 99:
            print(n, flush=True)
"""


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "out.jsonl.gz"])
def test_a_process_that_is_killed_while_it_writes_leaves_whole_rows_to_go_on_from(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    command = [sys.executable, "-c", KILLED, str(path)]
    for kill_after in (2, 5):
        with subprocess.Popen([*command, "1000000"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                process.stdout.readline()
            process.kill()
    last = subprocess.run([*command, "10"], capture_output=True, text=True, check=True)
    numbers = [int(row["n"]) for row in read(path)]
    assert numbers == list(range(int(last.stdout.split()[0]) + 10))
    if not name.endswith(".gz"):  # a packed file may keep a second's rows back
        assert len(numbers) > 500
    names = [found.name for found in tmp_path.iterdir()]  # an unfinished row is kept beside it
    assert {found.partition(".cut")[0] for found in names} == {name}


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = tmp_path / "out.jsonl"
    write, room = os.write, [40]

    def short(file: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        done = write(file, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", short)
    with open_writer(path) as writer:
        writer.write(record(0, "x"))
        with pytest.raises(OSError, match="No space"):
            writer.write(record(1, "x"))
    assert path.read_bytes().endswith(b"}\n")
    with open_to_read(path) as file:
        assert len(file.readlines()) == 1
