"""Files of rows: JSON lines, CSV, TSV, plain lines, packed or not; and which reader an ending means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flowpool.data.compression import (
    PACKED,
    open_to_read,
    unpacked_name,
    unpacking_errors,
)
from flowpool.data.delimited import delimited, header
from flowpool.data.dialect import DELIMITERS, Dialect
from flowpool.data.json_rows import json_rows
from flowpool.data.lines import jsonl, plain_lines
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.data.urls import Url

Reader = Callable[[BinaryIO, RowCursor, Dialect], Iterator[dict[str, Any]]]
STDIN = "-"
TEXT_ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
}
_READERS: dict[str, Reader] = {
    "jsonl": jsonl,
    "json": json_rows,
    "lines": plain_lines,
    **dict.fromkeys(DELIMITERS, delimited),
}
FORMATS = tuple(_READERS)


def format_of(path: Path | Url) -> str | None:
    """The format that the file's ending means; None for no format of text."""
    name = unpacked_name(path)
    return next((kind for end, kind in TEXT_ENDINGS.items() if name.endswith(end)), None)


class TextFile(Table):
    """A file of rows in text."""

    unit = "line"

    def __init__(self, path: Path | Url, kind: str, dialect: Dialect) -> None:
        check_file(path)
        self.path = path if isinstance(path, Path) else None
        self.waits = self.path is None
        self._source = path
        self.name = str(path)
        self._kind = kind
        self._dialect = dialect

    @cached_property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        if self._kind not in DELIMITERS:
            return None
        with open_to_read(self._source) as stream:
            names: tuple[str, ...] = self._whole(lambda: header(stream, self.name, self._dialect))
            return names

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        reading.name, reading.unit, reading.number = self.name, self.unit, 0
        with open_to_read(self._source) as stream:
            rows = _READERS[self._kind](stream, reading, self._dialect)
            while (row := self._whole(lambda: next(rows, None))) is not None:
                yield row

    def _whole(self, read: Callable[[], Any]) -> Any:
        ending = self._source.suffix.lower()
        if ending not in PACKED and self.path is not None:
            return read()
        try:
            return read()
        except InvalidInput:
            raise
        except unpacking_errors() as error:
            kind = "gzip" if ending == PACKED[0] else "Zstandard"
            raise InvalidInput(f"{self.name}: not a whole {kind} file: {error}.") from None
        except Exception as error:  # of whatever opens URLs
            if self.path is not None:
                raise
            raise InvalidInput(f"{self.name}: can't be read on: {error!r}.") from None


class Stdin(Table):
    """Rows from standard input, as they arrive."""

    name = "stdin"
    unit = "line"
    waits = True
    once = True
    may_be_empty = True

    def __init__(self, kind: str, dialect: Dialect) -> None:
        if sys.stdin is None:
            raise InvalidInput("standard input is closed: name a file for the rows.")
        self._kind = kind
        self._dialect = dialect

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        reading.name, reading.unit = self.name, self.unit
        return _READERS[self._kind](sys.stdin.buffer, reading, self._dialect)


def check_file(path: Path | Url) -> None:
    """Raises `InvalidInput` for a file that is missing or empty."""
    if not isinstance(path, Path):
        with path.open():  # says itself what is wrong
            return
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file.")
    if not path.stat().st_size:
        raise InvalidInput(f"{path}: the file is empty.")
