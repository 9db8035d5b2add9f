"""Results into files: every format, what survives a kill, and which columns there are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.written import ITEMS, pool, record, written

from flowpool import Status
from flowpool.data.cells import as_text
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput

NAMES = ["out.jsonl", "out.csv", "out.tsv", "out.parquet"]
PACKED = ["out.jsonl.gz", "out.csv.zst", "out.jsonl.zst", "out.tsv.gz"]


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
        # The last cell of a row that is cut within it can't be told from a whole one.
        with open_writer(path, meta=["_status"]) as writer:
            for one in records:
                writer.write(one)
        path.write_bytes(path.read_bytes()[:cut])
        with open_writer(path, append=True, meta=["_status"]) as writer:
            for one in records[writer.rows :]:
                writer.write(one)
        texts = name.endswith("sv")
        expected = [
            {"n": n, "text": text, "output": answer, "_status": "done"}
            for n, (text, answer) in enumerate(cells)
        ]
        found = written(path)
        assert [row["text"] for row in found] == [text for text, _ in cells]
        if not texts:
            assert found == expected
        else:
            assert [row["output"] for row in found] == [as_text(answer) for _, answer in cells]


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


def test_a_run_that_never_starts_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(InvalidInput):
        pool([{"m": 1}], lambda n, m: n).write(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.doc", "no such format: use a name that ends in .jsonl"),
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
