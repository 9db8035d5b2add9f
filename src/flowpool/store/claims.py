"""Which of the store's items each item of a source is: by content, each at most once. Knows no files.

A source that comes again in the same order meets the store's rows in theirs, so they are read ahead in step. An
item that isn't the next row is looked up. So the same items in any order find their answers, items that were
added are new, and two items of the same content stay two.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from flowpool.store.reading import Known


class ItemRows(Protocol):
    """A run's rows, in the order of their ids."""

    def items_after(self, run: int, item: int) -> list[Known]: ...

    def items_like(self, run: int, hash: bytes) -> list[Known]: ...


class ItemMatcher:
    """One pass of a source over a run's rows, up to the row `last`."""

    # Rows that the pass may leave behind at once. Farther away a row is taken out of turn, so that a shuffled
    # source makes no set of everything that it has passed over.
    LEAP = 1000

    def __init__(self, run: int, last: int) -> None:
        self._run = run
        self._last = last
        self._at = 0  # rows up to here are claimed, but for those in `_behind`
        self._behind: set[int] = set()
        self._ahead: set[int] = set()
        self._coming: deque[Known] = deque()

    @property
    def is_spent(self) -> bool:
        """Whether every row is claimed."""
        return self._at >= self._last and not self._behind

    def claim(self, hash: bytes | None, rows: ItemRows) -> Known | None:
        """The first row of this hash that no item has claimed, or simply the next one; None for a new item."""
        if self.is_spent:
            return None
        coming = self._next(rows)
        if coming is not None and hash in (None, coming.hash):
            self._coming.popleft()
            self._at = coming.id
            return coming
        if hash is None:
            return None
        for known in rows.items_like(self._run, hash):
            if known.id <= self._last and not self._is_claimed(known.id):
                self._take(known.id)
                return known
        return None

    def _next(self, rows: ItemRows) -> Known | None:
        """The next row in order that nobody claimed."""
        while True:
            while self._coming:
                first = self._coming[0]
                if first.id > self._at and first.id not in self._ahead:
                    return first
                self._coming.popleft()
                self._ahead.discard(first.id)
                self._at = max(self._at, first.id)
            if self._at >= self._last:
                return None
            self._coming.extend(
                known for known in rows.items_after(self._run, self._at) if known.id <= self._last
            )
            if not self._coming:
                self._at = self._last

    def _is_claimed(self, row: int) -> bool:
        return row in self._ahead or (row <= self._at and row not in self._behind)

    def _take(self, row: int) -> None:
        if row <= self._at:
            self._behind.discard(row)
        elif row - self._at <= self.LEAP:
            # Rows of other runs may lie between: they are never asked for.
            self._behind.update(set(range(self._at + 1, row)) - self._ahead)
            self._ahead.difference_update(range(self._at + 1, row + 1))
            self._at = row
        else:
            self._ahead.add(row)
