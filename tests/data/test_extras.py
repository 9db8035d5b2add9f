"""What isn't installed is told with the command that installs it, and standard input is rows."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flowpool import Record, Results, Status, read
from flowpool.data.writers import open_writer
from flowpool.errors import InvalidInput

RESULTS = Results([Record(0, {"n": 0}, Status.DONE, "x")])


@pytest.mark.parametrize(
    ("module", "use", "says"),
    [
        (
            "pyarrow",
            lambda folder: read(folder / "rows.parquet"),
            "pip install 'flowpool[parquet]'",
        ),
        (
            "pyarrow",
            lambda folder: open_writer(folder / "o.parquet"),
            "pip install 'flowpool[parquet]'",
        ),
        ("pyarrow", lambda folder: RESULTS.to_arrow(), "pip install 'flowpool[parquet]'"),
        ("duckdb", lambda folder: read(sql="select 1"), "pip install 'flowpool[duckdb]'"),
        ("polars", lambda folder: RESULTS.to_polars(), "pip install polars"),
        ("pandas", lambda folder: RESULTS.to_pandas(), "pip install pandas"),
    ],
)
def test_a_library_that_is_missing_is_told_with_its_command(
    module: str, use: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidInput) as caught:
        use(tmp_path)
    assert says in str(caught.value)


def test_reading_and_writing_text_loads_no_library_of_frames(tmp_path: Path) -> None:
    script = (
        "import sys; from flowpool import Pool\n"
        "Pool(lambda n: n, [{'n': 1}], progress=False).write(sys.argv[1])\n"
        "Pool(lambda n: n, sys.argv[1], progress=False).run()\n"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'duckdb', 'numpy'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_standard_input_is_rows_and_standard_output_takes_them() -> None:
    script = (
        "from flowpool import Pool\n"
        "Pool(lambda n: n * 2, '-', progress=False).write('-', ordered=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=b'{"n": 1}\n\n{"n": 2}\n',
        capture_output=True,
        check=True,
    )
    assert done.stdout == b'{"n":1,"output":2}\n{"n":2,"output":4}\n'


def test_standard_input_can_be_read_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    rows = read("-", format="lines")
    assert [row["line"] for row in rows] == ["one", "two"]
    with pytest.raises(InvalidInput, match="stdin can be read once only"):
        iter(rows)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_a_frame_is_read_piece_by_piece_and_never_copied_whole(kind: str) -> None:
    columns = {"n": range(50_000), "text": ["some words of text"] * 50_000}
    made: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
    rows = read(made[kind]({name: list(values) for name, values in columns.items()}))
    next(iter(rows))  # what is loaded at first use
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert sum(row["n"] for row in rows) == sum(range(50_000))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # the rows together are 20 MB
