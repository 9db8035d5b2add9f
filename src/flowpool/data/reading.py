"""One pass over a source of rows: where it stands, and what becomes of a row that can't be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowpool.errors import BadRow

# What is wrong with the first few shows the pattern; all of a million would fill the memory.
FIRST_KEPT = 5
_log = logging.getLogger("flowpool.data")


class RowCursor:
    """Where a pass stands; its reader sets it. A bad row raises `BadRow`, or is counted where `skip` is set.

    `name` and `unit` ("line" or "row") and `number` (1 is the first) say where the row at hand stands;
    `skipped` counts the bad rows, `first` has what was wrong with the first few.
    """

    __slots__ = ("first", "name", "number", "skip", "skipped", "unit")

    def __init__(self, name: str, skip: bool = False, unit: str = "row") -> None:
        self.name = name
        self.unit = unit
        self.number = 0
        self.skip = skip
        self.skipped = 0
        self.first: list[str] = []

    @property
    def position(self) -> str:
        """Where the row at hand stands: `rows.csv, line 3`; the source alone before the first row."""
        return f"{self.name}, {self.unit} {self.number}" if self.number else self.name

    def bad(self, problem: str) -> None:
        """The row at hand can't be read: raises, or counts it."""
        row = BadRow(self.position, problem)
        if not self.skip:
            raise row from None
        self.skipped += 1
        if len(self.first) < FIRST_KEPT:
            self.first.append(str(row))

    def log_skipped(self, source: str) -> None:
        """Logs, at the end, what was skipped of the source."""
        if self.skipped:
            rows = "1 bad row was" if self.skipped == 1 else f"{self.skipped:,} bad rows were"
            _log.warning("%s: %s skipped, the first: %s", source, rows, self.first[0])


class Table:
    """Where rows come from. `rows` may be asked for again and again, unless it is `once`.

    `columns` are the names that every row has, `length` is their number; None where only reading tells.
    `waits`: reading may take longer than an event loop may be held up. `may_be_empty`: no rows are no mistake.
    `path`: the file that it is. `frame`: the data frame that it is; `library`: whose kind of frame its results
    come back as.
    """

    name: str
    unit = "row"
    columns: tuple[str, ...] | None = None
    length: int | None = None
    waits = False
    once = False
    may_be_empty = False
    path: Path | None = None
    frame: Any = None
    library = ""

    def rows(self, reading: RowCursor) -> Iterator[Any]:
        """The rows one by one. Raises `InvalidInput` for a source that breaks; bad rows go to `reading`."""
        raise NotImplementedError

    @property
    def schema(self) -> Any:
        """The columns' types as an Arrow schema, where the source has one; else None."""
        return None
