"""Where a run's records go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowpool.results import Record

if TYPE_CHECKING:
    from flowpool.run.run import Run


class Sink:
    """Where a run's records go. `is_full` holds new items back until `Run.go_on` is called."""

    is_full = False

    def attach(self, run: Run) -> None:
        """Names the run that feeds it."""

    def put(self, record: Record) -> None:
        """Takes the record of an item that ended."""
        raise NotImplementedError

    def end(self) -> None:
        """No more records will come."""


class Keep(Sink):
    """Keeps every record, by index."""

    def __init__(self, records: dict[int, Record]) -> None:
        self._records = records

    def put(self, record: Record) -> None:
        self._records[record.index] = record
