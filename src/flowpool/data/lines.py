"""Rows of JSON lines, and of plain lines. Pure: bytes in, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from flowpool.data.dialect import Dialect
from flowpool.data.encodings import Form, as_utf8, unreadable
from flowpool.data.reading import RowCursor

# Bytes of a line: a longer one is a file without line ends rather than a row, and would fill the memory.
LONGEST = 64 * 1024 * 1024


def jsonl(stream: BinaryIO, reading: RowCursor, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """An object a line; blank lines are passed over."""
    decode = msgspec.json.Decoder().decode
    text, form = as_utf8(stream, dialect.encoding)
    for line in _lines(text, reading):
        if line.isspace() or not line:
            continue
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            try:
                row = json.loads(line)  # Python's own writes NaN, Infinity and halves of characters
            except (ValueError, RecursionError):
                reading.bad(_no_json(line, error, form))
                continue
        if isinstance(row, dict):
            yield row
        else:
            reading.bad(no_object(row))


def plain_lines(stream: BinaryIO, reading: RowCursor, dialect: Dialect) -> Iterator[dict[str, str]]:
    """Each line that isn't blank, as the variable `line`, without the blanks around it."""
    text, form = as_utf8(stream, dialect.encoding)
    for line in _lines(text, reading):
        try:
            words = line.decode().strip()
        except UnicodeDecodeError:
            reading.bad(unreadable(line, form))
            continue
        if words:
            yield {"line": words}


def no_object(row: Any) -> str:
    """What to say of JSON that is no row."""
    return f'{type(row).__name__}, not an object such as {{"text": "..."}}.'


def _no_json(line: bytes, error: Exception, form: Form) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return unreadable(line, form)
    return f"not JSON: {error}."


def _lines(stream: BinaryIO, reading: RowCursor) -> Iterator[bytes]:
    """The lines, counted in `reading`; one that is too long is bad and passed over."""
    read = stream.readline
    number = 0
    while line := read(LONGEST):
        number += 1
        reading.number = number
        if len(line) == LONGEST and not line.endswith(b"\n"):
            while (rest := read(LONGEST)) and not rest.endswith(b"\n"):
                pass
            reading.bad(f"longer than {LONGEST >> 20} MB.")
            continue
        yield line
