"""Results into files: every format, what survives a kill, and which columns there are."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool import Chain, Pool, Record, Results, Status, Usage, read
from flowpool.data.append import PackedSink
from flowpool.data.cells import as_text
from flowpool.data.compression import open_to_read
from flowpool.data.layout import Layout
from flowpool.data.parquet import ParquetWriter
from flowpool.data.writers import open_writer
from flowpool.errors import BadRequest, InvalidInput

NAMES = ["out.jsonl", "out.csv", "out.tsv", "out.parquet"]
PACKED = ["out.jsonl.gz", "out.csv.zst", "out.jsonl.zst", "out.tsv.gz"]
ITEMS: list[dict[str, Any]] = [{"text": f'line "{n}",\n{n}', "n": n} for n in range(50)]


def pool(items: Any = ITEMS, fn: Any = None, **settings: Any) -> Pool:
    return Pool(fn or (lambda n: n * 10), items, progress=False, **settings)


def record(
    index: int, output: Any = None, error: Exception | None = None, **variables: Any
) -> Record:
    status = Status.DONE if error is None else Status.FAILED
    return Record(index, variables or {"n": index}, status, output, error)


def written(path: Path) -> list[dict[str, Any]]:
    return list(read(path))


def as_read(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return row if "csv" not in name and "tsv" not in name else {k: str(v) for k, v in row.items()}


@pytest.mark.parametrize("name", NAMES + PACKED)
def test_a_run_is_written_in_order_with_the_inputs_beside_the_answers(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    status = pool().write(path, ordered=True)
    assert status[Status.DONE] == 50
    assert written(path) == [as_read(name, {**item, "output": item["n"] * 10}) for item in ITEMS]
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES + PACKED)
def test_results_are_written_alike(name: str, tmp_path: Path) -> None:
    pool().run().write(tmp_path / name)
    pool().write(tmp_path / f"streamed-{name}", ordered=True)
    assert written(tmp_path / name) == written(tmp_path / f"streamed-{name}")


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


def test_each_row_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    for name in ("out.jsonl", "out.csv"):
        path = tmp_path / name
        with open_writer(path) as writer:
            for index in range(3):
                writer.write(record(index, "x"))
                assert len(written(path)) == index + 1


def test_a_packed_file_keeps_rows_back_for_a_second_at_most() -> None:
    kept, clock = io.BytesIO(), [0.0]
    sink = PackedSink(kept, ".gz", lambda: clock[0])  # type: ignore[arg-type]
    sink.write(b"one\n")
    clock[0] = 1.5
    sink.write(b"two\n")
    unpacked = gzip.GzipFile(fileobj=io.BytesIO(kept.getvalue()))
    assert unpacked.read(8) == b"one\ntwo\n"


def test_parquet_that_was_killed_goes_on_from_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    clock = [0.0]
    killed = ParquetWriter(path, Layout(), now=lambda: clock[0])
    for index in range(5):
        clock[0] += 4
        killed.write(record(index, "x"))
    assert not path.exists()
    with pytest.raises(InvalidInput, match="holds rows of a run that was cut: append=True goes on"):
        open_writer(path)
    with open_writer(path, append=True) as writer:
        assert writer.rows == 3  # a part every ten seconds; the last two rows were in memory
        for index in range(3, 6):
            writer.write(record(index, "y"))
    assert [row["output"] for row in written(path)] == ["x"] * 3 + ["y"] * 3
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_that_was_killed_once_it_was_joined_has_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.parquet"
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", 2)
    killed = ParquetWriter(path, Layout())
    for index in range(6):
        killed.write(record(index, "x"))
    monkeypatch.setattr(killed, "_move_joined", lambda: None)
    killed.close()
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet.joined"]
    with open_writer(path, append=True) as writer:
        assert writer.rows == 6
        writer.write(record(6, "x"))
    assert [row["n"] for row in written(path)] == list(range(7))
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet"]


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


CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.lists(st.text(max_size=3), max_size=2)
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.sampled_from(["rows.csv", "rows.tsv", "rows.jsonl", "rows.jsonl.zst"]),
    st.lists(st.tuples(st.text(), CELLS), min_size=1, max_size=5),
    st.integers(0, 400),
)
def test_what_was_written_is_read_back_and_goes_on_after_any_cut(
    name: str, cells: list[tuple[str, Any]], cut: int
) -> None:
    records = [record(n, answer, n=n, text=text) for n, (text, answer) in enumerate(cells)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with open_writer(path) as writer:
            for one in records:
                writer.write(one)
        path.write_bytes(path.read_bytes()[:cut])
        with open_writer(path, append=True) as writer:
            for one in records[writer.rows :]:
                writer.write(one)
        texts = name.endswith("sv")
        expected = [
            {"n": n, "text": text, "output": answer} for n, (text, answer) in enumerate(cells)
        ]
        found = written(path)
        assert [row["text"] for row in found] == [text for text, _ in cells]
        if not texts:
            assert found == expected
        else:
            assert [row["output"] for row in found] == [as_text(answer) for _, answer in cells]


def test_parquet_has_row_groups_of_bounded_size_and_columns_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", 10)
    monkeypatch.setattr("flowpool.data.parquet.GROUP_ROWS", 30)
    answers = [None, 1, 2.5, {"label": "x", "more": {"a": 1}}, {"label": "y", "more": {"b": [2]}}]
    path = tmp_path / "out.parquet"
    with open_writer(path, meta=["_status"]) as writer:
        for index in range(100):
            writer.write(record(index, answers[index // 20]))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [
        30,
        30,
        30,
        10,
    ]
    assert file.schema_arrow.names == ["n", "output", "label", "more", "_status"]
    rows = written(path)
    assert [row["output"] for row in rows[::20]] == [None, 1.0, 2.5, None, None]
    assert rows[60]["more"] == {"a": 1, "b": None}
    assert rows[99]["more"] == {"a": None, "b": [2]}


def test_values_of_kinds_without_a_common_type_become_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for size in (2, 100):
        monkeypatch.setattr("flowpool.data.parquet.PART_ROWS", size)
        path = tmp_path / f"{size}.parquet"
        with open_writer(path) as writer:
            for index, output in enumerate([1, 2, "three", [4], None, True]):
                writer.write(record(index, output))
        assert [row["output"] for row in written(path)] == ["1", "2", "three", "[4]", None, "true"]


def test_parquet_keeps_the_types_that_the_input_has_there(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table(
        {
            "n": pa.array([1, None], pa.int8()),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "day": pa.array([datetime.date(2020, 1, 1), None]),
            "tags": pa.array([["a"], None], pa.list_(pa.large_string())),
            "at": pa.array([5000, None], pa.timestamp("ns", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    Pool(lambda row: "x", str(tmp_path / "in.parquet"), progress=False).write(
        tmp_path / "out.parquet", ordered=True
    )
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.drop_columns("output").equals(table.cast(back.drop_columns("output").schema))
    assert back.schema.field("price").type == pa.decimal128(9, 2)
    assert back.schema.field("n").type == pa.int8()


# Columns


def test_an_answer_with_fields_is_a_column_a_field(tmp_path: Path) -> None:
    rows = pool(ITEMS[:2], lambda n: {"label": "x", "score": n / 2}).run().to_arrow()
    assert rows.column_names == ["text", "n", "label", "score"]
    assert rows.column("score").to_pylist() == [0.0, 0.5]


def test_an_answer_without_fields_is_called_as_the_chains_last_key() -> None:
    chain = Chain([(lambda n: n + 1, "more"), (lambda more: f"#{more}", "tag")])
    assert pool([{"n": 1}], chain).run().to_arrow().to_pylist() == [{"n": 1, "tag": "#2"}]
    assert pool([{"n": 1}], chain).run().to_arrow(output="t").column_names == ["n", "t"]


def test_a_column_that_the_input_has_too_gets_another_name_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = pool([{"n": 1, "output": "mine"}]).run().to_arrow()
    assert found.to_pylist() == [{"n": 1, "output": "mine", "output_output": 10}]
    assert "'output' stands in the column 'output_output'" in caplog.text


def test_what_is_told_of_the_run_is_there_when_asked() -> None:
    failed = Record(
        1, {"n": 1}, Status.FAILED, error=BadRequest("too long"), duration=1.5, attempts=2,
        usage=Usage(7, 3),
    )  # fmt: skip
    results = Results([record(0, "x"), failed])
    assert results.to_arrow().column_names == ["n", "output"]
    assert results.to_arrow(meta=True).to_pylist()[1] == {
        "n": 1,
        "output": None,
        "_status": "failed",
        "_error": "BadRequest: too long",
        "_attempts": 2,
        "_seconds": 1.5,
        "_input_tokens": 7,
        "_output_tokens": 3,
        "_cost": None,
    }
    assert results.to_arrow(meta=["_index"], inputs=False).to_pylist() == [
        {"output": "x", "_index": 0},
        {"output": None, "_index": 1},
    ]
    with pytest.raises(InvalidInput, match="no '_time': there are _status"):
        results.to_arrow(meta=["_time"])


def test_a_csv_gets_a_column_that_comes_up_later_in_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with open_writer(path, meta=["_status"]) as writer:
        writer.write(record(0, error=BadRequest("no")))
        writer.write(record(1, {"a": 1}))
        writer.write(record(2, {"a": 2, "b": 'x"\ny'}))
        writer.write(record(3, {"a": 3}))
    assert written(path) == [
        {"n": "0", "a": "", "_status": "failed", "b": ""},
        {"n": "1", "a": "1", "_status": "done", "b": ""},
        {"n": "2", "a": "2", "_status": "done", "b": 'x"\ny'},
        {"n": "3", "a": "3", "_status": "done", "b": ""},
    ]


def test_cells_that_a_spreadsheet_takes_for_formulas_are_made_safe_when_asked(
    tmp_path: Path,
) -> None:
    answers = ["=1+1", "+1", "-1", "@x", "\tx", "plain", -1]
    for safe in (True, False):
        path = tmp_path / f"{safe}.csv"
        with open_writer(path, spreadsheet_safe=safe) as writer:
            for index, answer in enumerate(answers):
                writer.write(record(index, answer))
        cells = [row["output"] for row in written(path)]
        marks = ["'"] * 5 + [""] * 2 if safe else [""] * 7
        assert cells == [mark + str(answer) for mark, answer in zip(marks, answers, strict=True)]


def test_renamed_columns_go_out_under_the_names_that_they_came_with(tmp_path: Path) -> None:
    rows = read([{"body": "one", "n": 1}], columns={"text": "body"})
    assert Pool(len_of, rows, progress=False).run().to_arrow().to_pylist() == [
        {"body": "one", "n": 1, "output": 3}
    ]


def len_of(text: str) -> int:
    return len(text)


def test_a_run_that_never_starts_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(InvalidInput):
        pool([{"m": 1}], lambda n, m: n).write(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.xlsx", "no such format: use a name that ends in .jsonl"),
        ("none/out.csv", "there is no folder"),
        ("", "is a folder: name a file"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_run(
    name: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=says):
        pool(fn=lambda row: pytest.fail("it ran")).write(tmp_path / name)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv.gz", "rows.parquet"])
def test_the_input_is_never_written_to(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    pool().write(path, ordered=True)
    before = path.read_bytes()
    for options in ({"overwrite": True}, {"append": True}, {}):
        with pytest.raises(InvalidInput, match="is the input: name another file for the output"):
            pool(str(path)).write(tmp_path / "." / name, **options)  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_json_lines_hold_whatever_the_answer_is(tmp_path: Path) -> None:
    odd = {"half": "\ud800", "set": {1}, "date": datetime.date(2020, 1, 1), "nan": float("nan")}
    path = tmp_path / "out.jsonl"
    with open_writer(path) as writer:
        writer.write(record(0, odd))
        writer.write(record(1, object))
    [first, second] = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["date"] == "2020-01-01"
    assert first["set"] == [1]
    assert second["output"] == "<class 'object'>"


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
