"""Records as JSON lines, CSV or TSV, one after another. Each row is whole or not there."""

from __future__ import annotations

import csv
import logging
import os
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.append import ByteSink, open_to_append, replaced, sink_closed
from flowpool.data.cells import as_text, encoded
from flowpool.data.compression import open_to_read
from flowpool.data.delimited import Delimited
from flowpool.data.dialect import Dialect
from flowpool.data.encodings import form_of
from flowpool.data.layout import Layout
from flowpool.data.mending import Existing, mended_lines, mended_table
from flowpool.data.reading import RowCursor
from flowpool.data.writer import Writer
from flowpool.errors import InvalidInput
from flowpool.printable import is_terminal, printable

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
_log = logging.getLogger("flowpool.data")


class JsonlWriter(Writer):
    """A line of JSON a record."""

    def __init__(self, path: str, layout: Layout, target: OutputFile) -> None:
        super().__init__(path, layout)
        self._target = target
        self.rows = mended_lines(target.path) if target.appends and target.path else 0

    def write(self, record: Record) -> None:
        self._target.write(encoded(self.layout.row(record)) + b"\n")
        self.rows += 1

    def close(self) -> None:
        self._target.close()


class DelimitedWriter(Writer):
    """A CSV or TSV file. Its header waits for the first answer; a column that comes up later is added to all rows.

    dialect: how it is written; a file that is added to stays as it is. spreadsheet_safe: cells of text that a
    spreadsheet would take for a formula begin with an apostrophe.
    """

    def __init__(
        self,
        path: str,
        layout: Layout,
        target: OutputFile,
        dialect: Dialect,
        spreadsheet_safe: bool,
    ) -> None:
        super().__init__(path, layout)
        self._target = target
        self._safe = spreadsheet_safe
        self._existing = Existing(form=form_of(dialect.encoding))
        if target.appends and target.path is not None:
            found = mended_table(target.path, dialect)
            self._existing = found if found.names else self._existing
        self._delimiter = self._existing.delimiter or dialect.delimiter or dialect.usual
        self._form = self._existing.form
        self._line: Callable[[Iterable[str]], str] = csv.writer(
            _Echo(self._existing.line_end), delimiter=self._delimiter, lineterminator=_ROW_END
        ).writerow
        self._waiting: list[dict[str, Any]] = []
        self._has_warned = False
        names = () if self._existing.begun else self._existing.names
        self._columns = [self._unmarked(name) for name in names]
        self.there = tuple(self._columns)
        self.rows = self._existing.rows

    def write(self, record: Record) -> None:
        row = self.layout.row(record)
        if not self._columns:
            self._waiting.append(row)
            is_unknown = record.error is not None and not self.layout.knows_answers
            if is_unknown and len(self._waiting) < _WAIT_FOR_ANSWER:
                return
            self._begin()
            return
        self.check_fits(row)
        self._add(row)

    def close(self) -> None:
        try:
            if self._waiting:
                self._begin()
        finally:
            self._target.close()

    def _begin(self) -> None:
        """Writes the header and the rows that waited for it, as one."""
        names = dict.fromkeys(name for row in self._waiting for name in row)
        columns = sorted(names, key=self.layout.is_meta)
        header = self._line([self._cell(name) for name in columns])
        if self._existing.begun:
            if not header.startswith(self._existing.begun):
                self.refuse(self._existing.names, columns)
            self._target.begin_anew()
        self._columns, waiting, self._waiting = columns, self._waiting, []
        lines = [header, *(self._row_text(row) for row in waiting)]
        self._target.write(self._form.mark + self._encoded("".join(lines)))
        self.rows += len(waiting)

    def _add(self, row: dict[str, Any]) -> None:
        if new := [name for name in row if name not in self._columns]:
            self._widen(new)
        self._target.write(self._encoded(self._row_text(row)))
        self.rows += 1

    def _row_text(self, row: dict[str, Any]) -> str:
        return self._line([self._cell(row.get(name)) for name in self._columns])

    def _encoded(self, text: str) -> bytes:
        try:
            return self._form.encode(text)
        except UnicodeEncodeError:
            if not self._has_warned:
                self._has_warned = True
                codec = self._form.codec
                _log.warning(
                    "%s: characters that %s lacks are written as \\uXXXX.", self.path, codec
                )
            return text.encode(self._form.codec, "backslashreplace")

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
        self._target.rewrite(lambda sink: self._fill(sink, [""] * len(new)))

    def _fill(self, sink: ByteSink, more: list[str]) -> None:
        assert self._target.path is not None
        end = self._existing.line_end
        sign = self._existing.separator_line
        header = (f"sep={sign}{end}" if sign else "") + self._line(map(self._cell, self._columns))
        sink.write(self._form.mark + self._encoded(header))
        dialect = Dialect(delimiter=self._delimiter, encoding=self._form.codec)
        with open_to_read(self._target.path) as file:
            for record in Delimited(file, self.path, dialect).records(RowCursor(self.path)):
                if record.cells and not record.problem:
                    text = self._line([*record.cells, *more])
                else:  # a row that was odd before stays as it was
                    text = b"".join(record.lines).decode("utf-8", "replace")
                    text = text.replace("\n", "\r") if self._form.is_cr else text
                sink.write(self._encoded(text))


class _Echo:
    """What `csv.writer` writes to: gives the line back, as it stands in the file."""

    def __init__(self, line_end: str) -> None:
        self._line_end = line_end

    def write(self, line: str) -> str:
        return line.removesuffix(_ROW_END) + self._line_end


class OutputFile:
    """The file of a writer, or standard output. It is touched by the first row, not before."""

    def __init__(self, path: Path | None, append: bool) -> None:
        self.path = path
        self._append = append
        self._sink: ByteSink | None = None

    @property
    def appends(self) -> bool:
        """Whether it keeps what the file holds."""
        return self._append

    def begin_anew(self) -> None:
        """What the file holds goes with the first row."""
        self._append = False

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
    """Standard output, which stays open. A terminal gets control characters, which it would obey, spelt out."""

    def __init__(self) -> None:
        self._is_shown = is_terminal(sys.stdout)

    def write(self, data: bytes) -> None:
        if self._is_shown:
            text = printable(data.decode("utf-8", "backslashreplace"))
            data = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass
