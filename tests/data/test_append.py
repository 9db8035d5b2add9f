"""Files that are added to, and mended where they were cut."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

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
    assert [found.name for found in tmp_path.iterdir()] == [name]


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
