"""Records as JSON lines, CSV or TSV, one after another. Each row is whole or not there."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.append import ByteSink, mend, open_to_append, replaced, sink_closed
from flowpool.data.cells import as_text, encoded
from flowpool.data.compression import open_to_read
from flowpool.data.delimited import delimited, header
from flowpool.data.layout import Layout
from flowpool.data.reading import RowCursor
from flowpool.data.writer import Writer
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.record import Record

# Rows without an answer that a CSV's header waits for one: its columns come from the first answer, and a run that
# fails from the start must still leave a file.
_WAIT_FOR_ANSWER = 1000
# What a spreadsheet takes for a formula's beginning, full-width signs too, and the kinds of values that are none.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBERS = (int, float, Decimal)
# Cells that hold either of its characters are quoted: not every reader takes a lone one for text.
_ROW_END = "\r\n"


class JsonlWriter(Writer):
    """A line of JSON a record."""

    def __init__(self, path: str, layout: Layout, target: OutputFile) -> None:
        super().__init__(path, layout)
        self._target = target
        self.rows = target.mend(quoted=False)

    def write(self, record: Record) -> None:
        self._target.write(encoded(self.layout.row(record)) + b"\n")
        self.rows += 1

    def close(self) -> None:
        self._target.close()


class DelimitedWriter(Writer):
    """A CSV or TSV file. Its header waits for the first answer; a column that comes up later is added to all rows.

    spreadsheet_safe: cells of text that a spreadsheet would take for a formula begin with an apostrophe.
    """

    def __init__(
        self, path: str, layout: Layout, target: OutputFile, delimiter: str, spreadsheet_safe: bool
    ) -> None:
        super().__init__(path, layout)
        self._target = target
        self._delimiter = delimiter
        self._safe = spreadsheet_safe
        self._line: Callable[[Iterable[str]], str] = csv.writer(
            _Echo(), delimiter=delimiter, lineterminator=_ROW_END
        ).writerow
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        records = target.mend(quoted=True)
        if records:
            self._columns = [self._unmarked(name) for name in self._existing_header()]
            self.rows = records - 1

    def write(self, record: Record) -> None:
        row = self.layout.row(record)
        if not self._columns:
            self._waiting.append(row)
            is_unknown = record.error is not None and not self.layout.knows_answers
            if is_unknown and len(self._waiting) < _WAIT_FOR_ANSWER:
                return
            self._begin()
            return
        self._add(row)

    def close(self) -> None:
        try:
            if self._waiting:
                self._begin()
        finally:
            self._target.close()

    def _begin(self) -> None:
        """Writes the header and the rows that waited for it, as one."""
        waiting, self._waiting = self._waiting, []
        names = dict.fromkeys(name for row in waiting for name in row)
        self._columns = sorted(names, key=self.layout.is_meta)
        names_row = dict(zip(self._columns, self._columns, strict=True))
        lines = [self._row_text(row) for row in (names_row, *waiting)]
        self._target.write("".join(lines).encode("utf-8", "backslashreplace"))
        self.rows += len(waiting)

    def _add(self, row: dict[str, Any]) -> None:
        if new := [name for name in row if name not in self._columns]:
            self._widen(new)
        self._target.write(self._row_text(row).encode("utf-8", "backslashreplace"))
        self.rows += 1

    def _row_text(self, row: dict[str, Any]) -> str:
        return self._line([self._cell(row.get(name)) for name in self._columns])

    def _unmarked(self, name: str) -> str:
        """The name of a column whose header is this."""
        return (
            name[1:]
            if self._safe and name.startswith("'") and name[1:].startswith(_FORMULA)
            else name
        )

    def _cell(self, value: Any) -> str:
        text = as_text(value)
        if self._safe and text.startswith(_FORMULA) and not isinstance(value, _NUMBERS):
            return f"'{text}"
        return text

    def _widen(self, new: list[str]) -> None:
        """Writes the file anew with further columns, which are empty so far."""
        if self._target.path is None:
            raise InvalidInput(
                f"{self.path}: an answer has the column {new[0]!r}, which the first ones didn't have: "
                "write JSON lines, or to a file."
            )
        self._columns = self._columns + new

        def fill(sink: ByteSink) -> None:
            more = [""] * len(new)
            header = self._line([self._cell(name) for name in self._columns])
            sink.write(header.encode("utf-8", "backslashreplace"))
            for row in self._existing_rows():
                sink.write(self._line([*row, *more]).encode())

        self._target.rewrite(fill)

    def _existing_header(self) -> tuple[str, ...]:
        assert self._target.path is not None
        with open_to_read(self._target.path) as file:
            return header(file, self.path, self._delimiter)

    def _existing_rows(self) -> Iterator[list[str]]:
        """The cells of each row, in the order of the columns."""
        assert self._target.path is not None
        with open_to_read(self._target.path) as file:
            for row in delimited(file, RowCursor(self.path), self._delimiter):
                yield list(row.values())


class _Echo:
    """What `csv.writer` writes to: gives the line back, as it stands in the file."""

    def write(self, line: str) -> str:
        return line.removesuffix(_ROW_END) + "\n"


class OutputFile:
    """The file of a writer, or standard output. It is touched by the first row, not before."""

    def __init__(self, path: Path | None, append: bool) -> None:
        self.path = path
        self._append = append
        self._sink: ByteSink | None = None

    def mend(self, quoted: bool) -> int:
        """Whole records that the file has and keeps."""
        return mend(self.path, quoted) if self._append and self.path is not None else 0

    def write(self, data: bytes) -> None:
        if self._sink is None:
            self._sink = self._open()
        self._sink.write(data)

    def rewrite(self, fill: Any) -> None:
        """Has the file's whole content written anew."""
        assert self.path is not None
        self.close()
        replaced(self.path, fill)
        self._append = True

    def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.close()
            finally:
                sink_closed(sink)
            self._append = True

    def _open(self) -> ByteSink:
        if self.path is None:
            return _Stdout()
        sink = open_to_append(self.path)
        if not self._append and self.path.is_file():
            os.truncate(self.path, 0)
        return sink


class _Stdout:
    """Standard output, which stays open."""

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass
