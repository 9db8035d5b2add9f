"""Rows of CSV and TSV. Pure: bytes in, rows out."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from flowpool.data.lines import BOM, LONGEST
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def header(stream: BinaryIO, name: str, delimiter: str) -> tuple[str, ...]:
    """The columns' names; raises `InvalidInput` for a first line that has none, or one twice."""
    return tuple(_header(*_opened(stream, delimiter), name))


def delimited(stream: BinaryIO, reading: RowCursor, delimiter: str) -> Iterator[dict[str, str]]:
    """Each record under the names in the first one; every cell is text. A record is named by its first line."""
    lines, records = _opened(stream, delimiter)
    names = _header(lines, records, reading.name)
    width = len(names)
    while True:
        lines.begin_record()
        reading.number = lines.number + 1
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that is never closed takes the rows after it along: they are read again on their own.
            lines.go_back()
            reading.bad(f"{_in_words(error)}.")
            continue
        if lines.problem:
            reading.bad(lines.problem)
        elif len(cells) == width:
            yield dict(zip(names, cells, strict=True))
        elif cells:
            reading.bad(f"{len(cells)} cells for {width} columns.")


def _opened(stream: BinaryIO, delimiter: str) -> tuple[_Lines, Any]:
    csv.field_size_limit(LONGEST)
    lines = _Lines(stream)
    return lines, csv.reader(lines, delimiter=delimiter, strict=True)


def _header(lines: _Lines, records: Any, name: str) -> list[str]:
    try:
        names: list[str] = next(records, [])
    except csv.Error as error:
        raise InvalidInput(f"{name}, line 1: {_in_words(error)}.") from None
    if lines.problem:
        utf16 = lines.record[0].startswith(_UTF16)
        like = "it begins like UTF-16: save the file as UTF-8." if utf16 else lines.problem
        raise InvalidInput(f"{name}, line 1: {like}")
    if not any(names):
        raise InvalidInput(f"{name}, line 1: no column names.")
    if doubles := sorted({column for column in names if names.count(column) > 1}):
        raise InvalidInput(
            f"{name}, line 1: the column {doubles[0]!r} stands there twice: rename one."
        )
    return names


def _in_words(error: csv.Error) -> str:
    words = str(error)
    if words.startswith("new-line character"):
        return "a carriage return outside of quotes"
    return words


class _Lines:
    """A file's lines as text, for `csv.reader`. Keeps the lines of the record at hand, to go back to them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = stream.readline
        self._again: deque[bytes] = deque()
        self.record: list[bytes] = []
        self.number = 0  # of the line that was given last; 1 is the first
        self.problem = ""  # why the record can't be taken

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(BOM)
        self.record.append(line)
        if len(line) == LONGEST and not line.endswith(b"\n"):
            return self._too_long()
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.problem = "not UTF-8: save the file as UTF-8."
            return line.decode("utf-8", "replace")

    def begin_record(self) -> None:
        self.record.clear()
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
