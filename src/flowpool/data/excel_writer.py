"""Records into a workbook: as lines beside it while they come, made a workbook when the writer is closed.

A workbook can't be added to as it is written. The lines outlive a kill; `append=True` goes on from them.
"""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.append import PlainSink, open_to_append
from flowpool.data.cells import as_text, encodable, typed
from flowpool.data.layout import Layout
from flowpool.data.mending import mended_lines
from flowpool.data.writer import Writer
from flowpool.encoding import CantEncode, decode, encode
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.record import Record

# What a sheet and a cell may hold at most, by Excel's own limits.
ROWS = 1_048_575  # beside the header
CHARACTERS = 32_767
_EXACT = 2**53  # above which Excel's numbers aren't
_FIRST_YEAR = 1900
_FORMATS = {"date": "yyyy-mm-dd", "datetime": "yyyy-mm-dd hh:mm:ss"}
_log = logging.getLogger("flowpool.data")


class ExcelWriter(Writer):
    """Keeps no row in memory. More rows than a sheet has room for go into further sheets."""

    def __init__(self, path: Path, layout: Layout, *, append: bool = False) -> None:
        super().__init__(str(path), layout)
        load_xlsxwriter()
        if append and path.is_file() and path.stat().st_size:
            raise InvalidInput(
                f"{path}: rows can't be added to a workbook: name another file, or write a CSV."
            )
        self._file = path
        self._lines = lines_of(path)
        self._append = append
        self._sink: PlainSink | None = None
        self._has_long = False
        self.rows = mended_lines(self._lines) if append else 0

    def write(self, record: Record) -> None:
        if self._sink is None:
            if not self._append:
                self._lines.unlink(missing_ok=True)
            self._append = True
            sink = open_to_append(self._lines)
            assert isinstance(sink, PlainSink)
            self._sink = sink
        row = {name: typed(value) for name, value in self.layout.row(record).items()}
        try:
            line = encode(row)
        except CantEncode:
            line = encode({name: as_text(value) for name, value in row.items()})
        self._sink.write(line + b"\n")
        self.rows += 1

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        if not self.rows or not self._lines.exists():
            return
        names = dict.fromkeys(name for row in self._kept() for name in row)
        unfinished = self._file.with_name(f".{self._file.name}.new")
        try:
            self._fill(unfinished, sorted(names, key=self.layout.is_meta))
            os.replace(unfinished, self._file)
        finally:
            unfinished.unlink(missing_ok=True)
        if self._has_long:
            _log.warning(
                "%s: a cell of Excel holds %s characters at most: longer ones are cut, and whole in %s.",
                *(self.path, f"{CHARACTERS:,}", self._lines),
            )
        else:
            self._lines.unlink()

    def _kept(self) -> Iterator[dict[str, Any]]:
        with self._lines.open("rb") as lines:
            for line in lines:
                yield decode(line)

    def _fill(self, path: Path, names: list[str]) -> None:
        book = load_xlsxwriter().Workbook(str(path), {"constant_memory": True})
        formats = {kind: book.add_format({"num_format": text}) for kind, text in _FORMATS.items()}
        sheet: Any = None
        at = 0
        for row in self._kept():
            if sheet is None or at == ROWS:
                sheet, at = book.add_worksheet(), 0
                for column, name in enumerate(names):
                    sheet.write_string(0, column, self._fitting(name))
            at += 1
            for column, name in enumerate(names):
                self._write_cell(sheet, at, column, row.get(name), formats)
        book.close()

    def _write_cell(self, sheet: Any, row: int, column: int, value: Any, formats: Any) -> None:
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, (int, float)) and abs(value) <= _EXACT:  # neither NaN nor infinite
            sheet.write_number(row, column, value)
        elif isinstance(value, datetime.date) and _has_cell(value):
            kind = "datetime" if isinstance(value, datetime.datetime) else "date"
            sheet.write_datetime(row, column, value, formats[kind])
        elif text := as_text(value):
            sheet.write_string(row, column, self._fitting(text))

    def _fitting(self, text: str) -> str:
        self._has_long = self._has_long or len(text) > CHARACTERS
        return str(encodable(text[:CHARACTERS]))


def lines_of(path: Path) -> Path:
    """The file with the rows so far of a workbook that isn't finished."""
    return path.with_name(path.name + ".rows.jsonl")


def load_xlsxwriter() -> Any:
    """The package; raises `InvalidInput` with the command that installs it."""
    try:
        import xlsxwriter
    except ImportError:
        raise InvalidInput("to write Excel: pip install 'flowpool[excel]'") from None
    return xlsxwriter


def _has_cell(value: datetime.date) -> bool:
    """Whether Excel has a date for it: there are none with a time zone, nor before 1900."""
    return value.year > _FIRST_YEAR and getattr(value, "tzinfo", None) is None
