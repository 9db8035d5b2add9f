"""Rows of JSON lines, and of plain lines. Pure: bytes in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from flowpool.data.reading import RowCursor

# Bytes of a line: a longer one is a file without line ends rather than a row, and would fill the memory.
LONGEST = 64 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


def jsonl(stream: BinaryIO, reading: RowCursor) -> Iterator[dict[str, Any]]:
    """An object a line; blank lines are passed over."""
    decode = msgspec.json.Decoder().decode
    for line in _lines(stream, reading):
        if line.isspace() or not line:
            continue
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reading.bad(f"not JSON: {error}.")
            continue
        if isinstance(row, dict):
            yield row
        else:
            kind = type(row).__name__
            reading.bad(f'{kind}, not an object such as {{"text": "..."}}.')


def plain_lines(stream: BinaryIO, reading: RowCursor) -> Iterator[dict[str, str]]:
    """Each line that isn't blank, as the variable `line`, without the blanks around it."""
    for line in _lines(stream, reading):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            reading.bad("not UTF-8.")
            continue
        if text:
            yield {"line": text}


def _lines(stream: BinaryIO, reading: RowCursor) -> Iterator[bytes]:
    """The lines, counted in `reading`; one that is too long is bad and passed over."""
    read = stream.readline
    number = 0
    while line := read(LONGEST):
        number += 1
        reading.number = number
        if number == 1:
            line = line.removeprefix(BOM)
        if len(line) == LONGEST and not line.endswith(b"\n"):
            while (rest := read(LONGEST)) and not rest.endswith(b"\n"):
                pass
            reading.bad(f"longer than {LONGEST >> 20} MB.")
            continue
        yield line
