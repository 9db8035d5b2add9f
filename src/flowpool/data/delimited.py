"""Rows of CSV and TSV. Pure: bytes in, rows out."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from flowpool.data.dialect import Dialect, recognised, separator_of
from flowpool.data.encodings import HEAD, Form, as_utf8, rejoined, unreadable
from flowpool.data.lines import LONGEST
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput

# What may be wrong with a record.
UNCLOSED, UNREADABLE, MALFORMED, UNEVEN = "unclosed", "unreadable", "malformed", "uneven"
_NEVER_CLOSED = "a quote that is never closed"


def header(stream: BinaryIO, name: str, dialect: Dialect) -> tuple[str, ...]:
    """The columns' names; raises `InvalidInput` for a first line that has none, or one twice."""
    return Delimited(stream, name, dialect).names


def delimited(stream: BinaryIO, reading: RowCursor, dialect: Dialect) -> Iterator[dict[str, str]]:
    """Each record under the names in the first one; every cell is text. A record is named by its first line."""
    table = Delimited(stream, reading.name, dialect)
    names = table.names
    for record in table.records(reading):
        if record.problem:
            reading.bad(record.problem)
        elif record.cells:
            yield dict(zip(names, record.cells, strict=True))


class CsvRecord(Struct, frozen=True):
    """A record: its cells, none for an empty line; or what is wrong with it.

    lines: those that it takes, as UTF-8. flaw: the kind of the problem.
    """

    cells: list[str]
    lines: list[bytes]
    problem: str = ""
    flaw: str = ""


class Delimited:
    """A file's header and records.

    names: the columns'. delimiter, form: how it is written. separator_line: the sign of a line `sep=;` that stands
    before the header, or "". line_end: the header's, "" where the file ends within it.
    """

    def __init__(self, stream: BinaryIO, name: str, dialect: Dialect) -> None:
        csv.field_size_limit(LONGEST)
        text, self.form = as_utf8(stream, dialect.encoding)
        first = text.readline(HEAD)
        self.separator_line = separator_of(first)
        if self.separator_line:
            first = text.readline(HEAD)
        whole = rejoined(first, text)
        self.delimiter = dialect.delimiter or self.separator_line
        if not self.delimiter:
            head = first + text.peek(HEAD)
            self.delimiter = recognised(head.decode("utf-8", "replace"), dialect.usual)
        self._lines = _Lines(whole, self.form, 1 if self.separator_line else 0)
        self._records = csv.reader(self._lines, delimiter=self.delimiter, strict=True)
        self.names = tuple(self._header(name))
        self.header_lines = list(self._lines.record)
        last = self.header_lines[-1]
        self.line_end = "\r\n" if last.endswith(b"\r\n") else "\n" if last.endswith(b"\n") else ""

    def records(self, reading: RowCursor) -> Iterator[CsvRecord]:
        """Those after the header; `reading` stands at each one's first line."""
        lines, records, width = self._lines, self._records, len(self.names)
        while True:
            lines.begin_record()
            reading.number = lines.number + 1
            try:
                cells = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                # A quote that is never closed takes the rows after it along: they are read again on their own.
                words = _in_words(error)
                lines.go_back()
                flaw = UNCLOSED if words is _NEVER_CLOSED else MALFORMED
                yield CsvRecord([], lines.record[:1], f"{words}.", flaw)
                continue
            if lines.problem:
                yield CsvRecord(cells, lines.record, lines.problem, UNREADABLE)
            elif cells and len(cells) != width:
                words = f"{len(cells)} cells for {width} columns."
                yield CsvRecord(cells, lines.record, words, UNEVEN)
            else:
                yield CsvRecord(cells, lines.record)

    def _header(self, name: str) -> list[str]:
        lines = self._lines
        where = f"{name}, line {lines.number + 1}"
        try:
            names: list[str] = next(self._records, [])
        except csv.Error as error:
            raise InvalidInput(f"{where}: {_in_words(error)}.") from None
        if lines.problem:
            raise InvalidInput(f"{where}: {lines.problem}")
        if not any(names):
            raise InvalidInput(f"{where}: no column names.")
        names = all_named(names)
        if doubles := sorted({column for column in names if names.count(column) > 1}):
            raise InvalidInput(
                f"{where}: the column {doubles[0]!r} stands there twice: rename one."
            )
        return names


def all_named(names: list[str]) -> list[str]:
    """Those without a name are called by their number: `column_1` is the first."""
    return [name or f"column_{number}" for number, name in enumerate(names, 1)]


def _in_words(error: csv.Error) -> str:
    words = str(error)
    if words.startswith("new-line character"):
        return "a carriage return outside of quotes"
    return _NEVER_CLOSED if words.startswith("unexpected end") else words


class _Lines:
    """A file's lines as text, for `csv.reader`. Keeps the lines of the record at hand, to go back to them."""

    def __init__(self, stream: BinaryIO, form: Form, before: int) -> None:
        self._read = stream.readline
        self._form = form
        self._again: deque[bytes] = deque()
        self.record: list[bytes] = []
        self.number = before  # of the line that was given last; 1 is the first
        self.problem = ""  # why the record can't be taken

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        self.record.append(line)
        if len(line) == LONGEST and not line.endswith(b"\n"):
            return self._too_long()
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.problem = unreadable(line, self._form)
            return line.decode("utf-8", "replace")

    def begin_record(self) -> None:
        self.record = []
        self.problem = ""

    def go_back(self) -> None:
        """Gives the lines after the record's first one once more."""
        again = self.record[1:]
        self._again.extendleft(reversed(again))
        self.number -= len(again)

    def _too_long(self) -> str:
        """Passes over the rest of the line, and gives an empty one for it."""
        while (rest := self._read(LONGEST)) and not rest.endswith(b"\n"):
            pass
        self.problem = f"longer than {LONGEST >> 20} MB."
        return "\n"
