"""Records into a Parquet file: in parts beside it while they come, joined when the writer is closed.

A part is whole or not there, so that what is in the parts outlives a kill; `append=True` goes on from them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.arrow import load_pyarrow
from flowpool.data.columns import NoCommonType, conformed, table_of, unified, with_text
from flowpool.data.layout import Layout
from flowpool.data.writer import Writer
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.record import Record

# A part is what a kill may lose and what memory holds: at most so many rows, so many characters of text and so many
# seconds of the run. Each is a file, so that smaller ones would slow down a run of many short answers.
PART_ROWS = 4096
PART_CHARACTERS = 8_000_000
PART_SECONDS = 10.0
# The most rows and bytes of a row group, which the join here and every reader later hold in memory at once.
GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 24
_JOINED = "all.unfinished"


class ParquetWriter(Writer):
    """Keeps at most `PART_ROWS` rows, `PART_CHARACTERS` of text and `PART_SECONDS` of a run in memory."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        *,
        append: bool = False,
        schema: Any = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(str(path), layout)
        load_pyarrow("to write Parquet")
        self._file = path
        self._folder = parts_of(path)
        self._joined = path.with_name(path.name + ".joined")
        self._types = {} if schema is None else {field.name: field.type for field in schema}
        self._as_text: set[str] = set()
        self._now = now
        self._waiting: list[dict[str, Any]] = []
        self._characters = 0
        self._since = now()
        self._parts: list[Path] = []
        if append:
            self._move_joined()
            self._parts = [path] if path.is_file() and path.stat().st_size else []
            self._parts += sorted(self._folder.glob("*.parquet"))
            self.rows = sum(_rows_in(part) for part in self._parts)
            self.there = tuple(_schema_of(self._parts[0]).names) if self._parts else ()
        self._append = append

    def write(self, record: Record) -> None:
        row = self.layout.row(record)
        self.check_fits(row)
        self._waiting.append(row)
        self.rows += 1
        for cell in row.values():
            if type(cell) is str:
                self._characters += len(cell)
        if (
            len(self._waiting) >= PART_ROWS
            or self._characters >= PART_CHARACTERS
            or self._now() - self._since >= PART_SECONDS
        ):
            self._end_part()

    def close(self) -> None:
        self._end_part()
        if not self._parts:
            return
        if len(self._parts) == 1:
            if self._parts[0] != self._file:
                os.replace(self._parts[0], self._file)
        else:
            self._join()
        self._parts = []
        if self._folder.is_dir():
            shutil.rmtree(self._folder)

    def _end_part(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._characters, self._since = 0, self._now()
        if not waiting:
            return
        from pyarrow.parquet import write_table

        if not self._append:  # what an earlier run left goes once there is something new
            for left in (self._folder, self._joined):
                shutil.rmtree(left, ignore_errors=True)
            self._append = True
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f"{len(self._parts):06}.parquet"
        unfinished = part.with_suffix(".unfinished")
        table = table_of(waiting, self._types, self.layout.kinds, self._as_text, _can_hold)
        write_table(table, unfinished)
        os.replace(unfinished, part)
        self._parts.append(part)
        _give_back()

    def _join(self) -> None:
        """Writes the parts as one file, in row groups of bounded size."""
        schema = self._ordered(unified([_schema_of(part) for part in self._parts]))
        while True:
            try:
                self._write_joined(schema)
                break
            except NoCommonType as error:
                schema = with_text(schema, error.column)
        # From here on the parts don't count: a kill between the next two lines must not add them again.
        os.rename(self._folder, self._joined)
        self._move_joined()

    def _write_joined(self, schema: Any) -> None:
        from pyarrow.parquet import ParquetFile, ParquetWriter

        with ParquetWriter(self._folder / _JOINED, schema) as file:
            for group in _groups(self._tables(ParquetFile, schema)):
                file.write_table(group)
                _give_back()

    def _move_joined(self) -> None:
        """Moves the file that was joined to where it belongs."""
        if (self._joined / _JOINED).is_file():
            os.replace(self._joined / _JOINED, self._file)
        shutil.rmtree(self._joined, ignore_errors=True)

    def _tables(self, opened: Any, schema: Any) -> Iterator[Any]:
        for part in self._parts:
            with opened(part) as file:
                for batch in file.iter_batches(batch_size=PART_ROWS, use_threads=False):
                    yield conformed(batch, schema)

    def _ordered(self, schema: Any) -> Any:
        """The columns with the run's at the end."""
        import pyarrow as pa

        return pa.schema(sorted(schema, key=lambda field: self.layout.is_meta(field.name)))


def parts_of(path: Path) -> Path:
    """The folder with what is written so far of a Parquet file that isn't finished."""
    return path.with_name(path.name + ".parts")


def _groups(tables: Iterator[Any]) -> Iterator[Any]:
    import pyarrow as pa

    kept: list[Any] = []
    rows = size = 0
    for table in tables:
        kept.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.concat_tables(kept)
            kept, rows, size = [], 0, 0
    if kept:
        yield pa.concat_tables(kept)


def _can_hold(array: Any) -> bool:
    """Whether Parquet has a form for the array: it has none for some of Arrow's, as structs without fields."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    if array.type in (pa.string(), pa.int64(), pa.float64(), pa.bool_()):
        return True
    try:
        write_table(pa.table({"": array}), pa.BufferOutputStream())
    except pa.ArrowException:
        return False
    return True


def _give_back() -> None:
    """Has Arrow return memory that it keeps for later, which would grow with the run."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _schema_of(path: Path) -> Any:
    from pyarrow.parquet import read_schema

    return read_schema(path)


def _rows_in(path: Path) -> int:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        return int(read_metadata(path).num_rows)
    except (ArrowException, OSError) as error:
        raise InvalidInput(f"{path}: not a whole Parquet file: {error}.") from None
