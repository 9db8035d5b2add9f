"""The base of the writers of records. Knows no format and no run: it is handed records in the order of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowpool.data.layout import Layout

if TYPE_CHECKING:
    from flowpool.record import Record


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
