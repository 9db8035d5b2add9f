"""Rows of JSON: the objects of an array, or objects one after another, however they are laid out. Pure.

Python's own decoder reads one value at a time, so that memory holds a piece of the file and never the whole.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from flowpool.data.dialect import Dialect
from flowpool.data.encodings import PIECE, as_utf8, unreadable
from flowpool.data.lines import LONGEST, no_object
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput

_BLANKS = " \t\r\n"


def json_rows(stream: BinaryIO, reading: RowCursor, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """Each object; what is none is a bad row, and what isn't JSON the end of the file."""
    reading.unit, reading.number = "row", 0
    text = _Ahead(stream, reading, dialect)
    is_array = text.begins_with("[")
    while text.begins_value(is_array):
        reading.number += 1
        row = text.value()
        if isinstance(row, dict):
            yield row
        else:
            reading.bad(no_object(row))


class _Ahead:
    """A file's text from where it is read: as much of it as the next value needs."""

    def __init__(self, stream: BinaryIO, reading: RowCursor, dialect: Dialect) -> None:
        self._stream, self._form = as_utf8(stream, dialect.encoding)
        self._reading = reading
        self._bytes = codecs.getincrementaldecoder("utf-8")()
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._is_over = False
        self._is_first = True

    def begins_with(self, sign: str) -> bool:
        """Whether the next sign is this, which is passed over."""
        if self._next() != sign:
            return False
        self._at += 1
        return True

    def begins_value(self, is_array: bool) -> bool:
        """Whether a value follows; passes over what separates it from the one before."""
        is_first, self._is_first = self._is_first, False
        if not is_array:
            return bool(self._next())
        if self.begins_with("]"):
            if self._next():
                self._broken("more after the array")
            return False
        if not is_first and not self.begins_with(","):
            self._broken("no comma after it" if self._next() else "the array has no end")
        return True

    def value(self) -> Any:
        """The next value."""
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError:
                self._broken("nested too deep")
            except json.JSONDecodeError as error:
                if self._is_over:
                    self._broken(error.msg)
                self._more()
                continue
            if end < len(self._text) or self._is_over:
                self._at = end
                return value
            self._more()  # a number may go on

    def _next(self) -> str:
        """The next sign that isn't blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_over:
                return ""
            self._more()

    def _more(self) -> None:
        """Twice as much as there is, so that a long value isn't begun again and again."""
        rest = self._text[self._at :]
        self._text, self._at = rest, 0
        if len(rest) > LONGEST:
            self._broken(f"longer than {LONGEST >> 20} MB, or broken")
        wanted = max(PIECE, len(rest))
        pieces = [rest]
        while wanted > 0 and not self._is_over:
            piece = self._stream.read1(wanted)
            self._is_over = not piece
            wanted -= len(piece)
            try:
                pieces.append(self._bytes.decode(piece, final=self._is_over))
            except UnicodeDecodeError as error:
                at = error.start
                around = bytes(error.object[max(0, at - 10) : at + 10])
                words = unreadable(around, self._form)
                raise InvalidInput(f"{self._reading.position}: {words}") from None
            if len(rest) <= PIECE:  # what has come may be enough
                break
        self._text = "".join(pieces)

    def _broken(self, problem: str) -> NoReturn:
        raise InvalidInput(f"{self._reading.position}: not JSON: {problem}.")
