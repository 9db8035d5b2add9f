"""Records into files, one after another: JSON lines, CSV, TSV, Parquet. Each row is whole or not there.

Knows no run: it is handed records, in whatever order they are to stand.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from flowpool.data.append import ByteSink, mend, open_to_append, replaced, sink_closed
from flowpool.data.cells import as_text, encoded
from flowpool.data.compression import open_to_read
from flowpool.data.delimited import delimited, header
from flowpool.data.files import STDIN, TEXT_ENDINGS, format_of
from flowpool.data.layout import OUTPUT, Choice, Layout
from flowpool.data.reading import RowCursor
from flowpool.errors import InvalidInput, OutputExists

if TYPE_CHECKING:
    from flowpool.data.rows import Rows
    from flowpool.results import Record

STDOUT = STDIN
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_WAIT_FOR_ANSWER = 1000  # rows without an answer that a CSV's header waits for one
_FORMULA = tuple("=+-@\t\r")


class Writer:
    """Adds records to a file; a context manager. `rows` counts those that it holds.

    write: adds a record's row, and has it in the system's hands when it returns (a packed file within a second).
    close: finishes the file. A file that never got a row isn't there afterwards, unless it was before.

    Both raise `OSError` where the disk does; the file then still holds whole rows only.
    """

    rows = 0

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self.layout = layout

    def write(self, record: Record) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.rows:,} rows)"


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
        self._line = csv.writer(_Echo(), delimiter=delimiter, lineterminator="\n").writerow
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        records = target.mend(quoted=True)
        if records:
            self._columns = list(self._existing_header())
            self.rows = records - 1

    def write(self, record: Record) -> None:
        row = self.layout.row(record)
        if not self._columns:
            self._waiting.append(row)
            if record.error is not None and len(self._waiting) < _WAIT_FOR_ANSWER:
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
        meta = self.layout.meta
        names = dict.fromkeys(name for row in waiting for name in row)
        self._columns = sorted(names, key=lambda name: name in meta)
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
        cells = [row.get(name) for name in self._columns]
        if self._safe:
            cells = [
                "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
                for cell in cells
            ]
        line: str = self._line(map(as_text, cells))
        return line

    def _widen(self, new: list[str]) -> None:
        """Writes the file anew with further columns, which are empty so far."""
        if self._target.path is None:
            raise InvalidInput(
                f"{self.path}: an answer has the column {new[0]!r}, which the first ones didn't have: "
                "write JSON lines, or to a file."
            )
        old, self._columns = self._columns, self._columns + new

        def fill(sink: ByteSink) -> None:
            more = [""] * len(new)
            sink.write(self._line(self._columns).encode("utf-8", "backslashreplace"))
            for row in self._existing_rows():
                sink.write(self._line([*(row[name] for name in old), *more]).encode())

        self._target.rewrite(fill)

    def _existing_header(self) -> tuple[str, ...]:
        assert self._target.path is not None
        with open_to_read(self._target.path) as file:
            return header(file, self.path, self._delimiter)

    def _existing_rows(self) -> Iterator[dict[str, str]]:
        assert self._target.path is not None
        with open_to_read(self._target.path) as file:
            yield from delimited(file, RowCursor(self.path), self._delimiter)


class _Echo:
    """What `csv.writer` writes to: gives the line back."""

    def write(self, line: str) -> str:
        return line


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


class WriteOptions(TypedDict, total=False):
    """What may be said of a file of results; see `open_writer`."""

    meta: Choice
    inputs: Choice
    output: str | None
    append: bool
    overwrite: bool
    spreadsheet_safe: bool
    format: str | None


def open_writer(
    path: str | Path,
    rows: Rows | None = None,
    key: str = OUTPUT,
    **options: Unpack[WriteOptions],
) -> Writer:
    """A writer for a .jsonl, .csv, .tsv (also .gz, .zst) or .parquet file, or `"-"` for standard output.

    rows: where the items come from, if it matters: their columns keep the names and types that they have there.
    key: the column of an answer without fields, unless `output` says another.

    meta, inputs, output: which columns there are, as in `Results`.
    append: adds to what the file holds; a row that was cut there is taken off first.
    overwrite: lets a file that holds something be replaced.
    spreadsheet_safe: an apostrophe before cells of text that begin with = + - @, in CSV and TSV.
    format: "jsonl", "csv", "tsv" or "parquet", where no ending tells.

    Raises `InvalidInput` at once for a path that can't be written, or holds something and neither is said.
    """
    if odd := options.keys() - WriteOptions.__annotations__.keys():
        raise InvalidInput(f"write({min(odd)}=...): there is no such option.")
    file = None if str(path) == STDOUT else Path(path)
    if file is not None:
        _check_target(file, rows, _may_exist(options))
    kind = options.get("format") or ("jsonl" if file is None else _format(file))
    layout = Layout(
        options.get("output") or key,
        options.get("inputs", True),
        options.get("meta", False),
        {} if rows is None else {variable: column for column, variable in rows.renamed.items()},
    )
    if kind == "parquet":
        return _parquet_writer(file, layout, rows, options)
    target = OutputFile(file, options.get("append", False))
    if kind == "jsonl":
        return JsonlWriter(str(path), layout, target)
    if kind in _DELIMITERS:
        safe = options.get("spreadsheet_safe", False)
        return DelimitedWriter(str(path), layout, target, _DELIMITERS[kind], safe)
    raise InvalidInput(f'format={kind!r}: use "jsonl", "csv", "tsv" or "parquet".')


def _parquet_writer(
    file: Path | None, layout: Layout, rows: Rows | None, options: WriteOptions
) -> Writer:
    from flowpool.data.parquet import ParquetWriter, parts_of

    if file is None:
        raise InvalidInput("Parquet can't go to standard output: name a file.")
    if parts_of(file).is_dir() and not _may_exist(options):
        raise InvalidInput(
            f"{parts_of(file)} holds rows of a run that was cut: append=True goes on from them, "
            "overwrite=True drops them."
        )
    schema = None if rows is None else rows.schema
    return ParquetWriter(file, layout, append=options.get("append", False), schema=schema)


def _may_exist(options: WriteOptions) -> bool:
    return options.get("append", False) or options.get("overwrite", False)


def _format(path: Path) -> str:
    if path.suffix.lower() in (".parquet", ".pq"):
        return "parquet"
    kind = format_of(path)
    if kind is None and path.exists() and not path.is_file():
        return "jsonl"  # a pipe or device
    if kind is None:
        raise InvalidInput(
            f"{path}: no such format: use a name that ends in {', '.join(TEXT_ENDINGS)} (or with .gz, .zst) "
            "or .parquet."
        )
    return kind


def _check_target(path: Path, rows: Rows | None, may_exist: bool) -> None:
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}.")
    source = None if rows is None else rows.path
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InvalidInput(f"{path} is the input: name another file for the output.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidInput(f"{path}: can't be written: you may not write there.")
    if not may_exist and path.is_file() and path.stat().st_size:
        raise OutputExists(path)
