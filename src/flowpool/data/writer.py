"""The base of the writers of records. Knows no format and no run: it is handed records in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from flowpool.data.layout import Layout
from flowpool.errors import InvalidInput

if TYPE_CHECKING:
    from flowpool.record import Record


class Writer:
    """Adds records to a file; a context manager. `rows` counts those that it holds.

    write: adds a record's row, and has it in the system's hands when it returns (a packed file within a second).
    close: finishes the file. A file that never got a row isn't there afterwards, unless it was before.

    Both raise `OSError` where the disk does; the file then still holds whole rows only.
    """

    rows = 0
    there: tuple[str, ...] = ()  # the columns of the file that is added to

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self.layout = layout

    def write(self, record: Record) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def check_fits(self, columns: Iterable[str]) -> None:
        """Raises `InvalidInput` for rows with columns that the file that is added to doesn't have.

        Fields of answers that aren't known beforehand are no such ones: they may come up in any row.
        """
        if not self.there:
            return
        columns, layout = tuple(columns), self.layout
        free = () if layout.knows_answers else layout.fields.items()
        may_come = {column for field, column in free if field != layout.output}
        if any(name not in self.there and name not in may_come for name in columns):
            self.refuse(self.there, columns)

    def refuse(self, there: Iterable[str], columns: Iterable[str]) -> NoReturn:
        """Raises `InvalidInput`: the file has other columns than the rows."""
        raise InvalidInput(
            f"{self.path} has the columns {', '.join(there)}, and the rows have {', '.join(columns)}: they can't "
            "be added to it: name another file."
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.rows:,} rows)"
