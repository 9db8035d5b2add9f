"""Rows of a workbook: one sheet's, whose first row that isn't empty has the columns' names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpool.data.delimited import all_named
from flowpool.data.files import check_file
from flowpool.data.reading import RowCursor, Table
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.data.urls import Url

EXCEL_ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


class Workbook(Table):
    """A sheet of a workbook: the one that is named, or the only visible one. It is in memory while it is read."""

    waits = True

    def __init__(self, path: Path | Url, sheet: str | None) -> None:
        check_file(path)
        self.path = path if isinstance(path, Path) else None
        self._source = path
        self.name = str(path)
        self._sheet = sheet
        self._sheet = self._chosen(sheet)
        self.name = f"{path}, sheet {self._sheet}"
        header = next(self._cells(), None)
        if header is None:
            raise InvalidInput(f"{self.name}: no column names.")
        names = all_named(["" if cell is None else str(cell) for cell in header[1]])
        if doubles := [name for name in names if names.count(name) > 1]:
            raise InvalidInput(
                f"{self.name}: the column {doubles[0]!r} is there twice: rename one."
            )
        self.columns = tuple(names)

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        reading.name, reading.unit = self.name, "row"
        names = self.columns
        assert names is not None
        cells = self._cells()
        next(cells)
        for reading.number, row in cells:
            yield dict(zip(names, row, strict=True))

    def _cells(self) -> Iterator[tuple[int, list[Any]]]:
        """The rows that aren't empty, each with its number."""
        try:
            sheet = self._opened().get_sheet_by_name(self._sheet)
            for number, cells in enumerate(sheet.iter_rows(), 1):
                values = [_value(cell) for cell in cells]
                if any(value is not None for value in values):
                    yield number, values
        except InvalidInput:
            raise
        except Exception as error:  # of the library's own kinds, and of what is below it
            raise InvalidInput(f"{self.name}: can't be read: {error}.") from None

    def _chosen(self, sheet: str | None) -> str:
        try:
            found = self._opened().sheets_metadata
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(f"{self._source}: not a whole workbook: {error}.") from None
        from python_calamine import SheetTypeEnum, SheetVisibleEnum

        found = [one for one in found if one.typ == SheetTypeEnum.WorkSheet]
        names = [one.name for one in found]
        shown = [one.name for one in found if one.visible == SheetVisibleEnum.Visible]
        if sheet is None and len(shown) == 1:
            return str(shown[0])
        there = ", ".join(map(str, names)) or "none"
        if sheet is None:
            raise InvalidInput(f"{self._source}: say which sheet: table=... (there are: {there}).")
        if sheet not in names:
            raise InvalidInput(f"{self._source}: no sheet {sheet!r} (there are: {there}).")
        return sheet

    def _opened(self) -> Any:
        try:
            from python_calamine import CalamineWorkbook
        except ImportError:
            raise InvalidInput("to read Excel: pip install 'flowpool[excel]'") from None
        if self.path is not None:
            return CalamineWorkbook.from_path(str(self.path))
        with self._source.open("rb") as stream:
            return CalamineWorkbook.from_filelike(stream)


def _value(cell: Any) -> Any:
    """A cell's value: Excel has no whole numbers and no empty text."""
    if cell == "":
        return None
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
