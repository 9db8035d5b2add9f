"""Rows from JSONL, CSV and TSV files, one at a time, gzipped too. Errors name the file and the line."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from flowpool.errors import InvalidInput

Reader = Callable[[BinaryIO, str], Iterator[dict[str, Any]]]
CELL_LIMIT = 64 * 1024 * 1024


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, by its ending: .jsonl, .ndjson, .csv, .tsv, each also with .gz; "-" is JSONL on stdin.

    Raises `InvalidInput` at once for a missing, empty or unknown file, and while reading for a bad line.
    """
    if str(path) == "-":
        return _jsonl(sys.stdin.buffer, "stdin")
    file = Path(path)
    reader = _reader(file)
    if not file.is_file():
        raise InvalidInput(f"{path}: no such file.")
    if not file.stat().st_size:
        raise InvalidInput(f"{path}: the file is empty.")
    return _rows(file, reader)


def _reader(file: Path) -> Reader:
    name = file.name.lower().removesuffix(".gz")
    for endings, reader in _READERS:
        if name.endswith(endings):
            return reader
    known = ", ".join(ending for endings, _ in _READERS for ending in endings)
    raise InvalidInput(
        f"{file}: its rows can't be read: use a file that ends in {known}, or with .gz."
    )


def _rows(file: Path, reader: Reader) -> Iterator[dict[str, Any]]:
    with cast(
        BinaryIO, gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb")
    ) as stream:
        row = None
        try:
            for row in reader(stream, str(file)):
                yield row
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise InvalidInput(f"{file}: not a whole gzip file: {error}.") from None
        if row is None:
            raise InvalidInput(f"{file}: no rows: there is nothing to run.")


def _jsonl(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = decode(line.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{name}, line {number}: not JSON: {error}.") from None
        if not isinstance(row, dict):
            raise InvalidInput(
                f'{name}, line {number}: {type(row).__name__}, not an object such as {{"text": "..."}}.'
            )
        yield row


def _delimited(stream: BinaryIO, name: str, delimiter: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(CELL_LIMIT)
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            yield from _named(rows, name)
        except csv.Error as error:
            raise InvalidInput(f"{name}, line {rows.line_num}: {error}.") from None
        except UnicodeDecodeError:
            raise InvalidInput(
                f"{name}, after line {rows.line_num}: not UTF-8: save the file as UTF-8."
            ) from None


def _named(rows: Any, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a CSV reader under the names in its first one."""
    header = next(rows, None)
    if not header or not any(header):
        raise InvalidInput(f"{name}, line 1: no column names.")
    if doubles := sorted({column for column in header if header.count(column) > 1}):
        raise InvalidInput(
            f"{name}, line 1: the column {doubles[0]!r} stands there twice: rename one."
        )
    for cells in rows:
        if not cells:
            continue
        if len(cells) != len(header):
            raise InvalidInput(
                f"{name}, line {rows.line_num}: {len(cells)} cells for {len(header)} columns."
            )
        yield dict(zip(header, cells, strict=True))


def _csv(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    return _delimited(stream, name, ",")


def _tsv(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    return _delimited(stream, name, "\t")


_READERS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    ((".jsonl", ".ndjson"), _jsonl),
    ((".csv",), _csv),
    ((".tsv",), _tsv),
)
