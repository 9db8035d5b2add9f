"""Figures that are costly to find, as counts over a million rows: found anew no more often than they are worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
# The share of one core that finding a figure may take.
SHARE = 0.03
# Seconds that a figure stands at least.
STANDS = 0.5


class Paced(Generic[T]):
    """A figure, found anew where what it is of has changed and its share of time allows it.

    find: finds it. version: a number that is another one once something was written.
    """

    def __init__(
        self,
        find: Callable[[], T],
        version: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._version = version
        self._clock = clock
        self._found: T | None = None
        self._seen = -1
        self._due = 0.0

    def __call__(self) -> T:
        now, version = self._clock(), self._version()
        if self._found is None or (version != self._seen and now >= self._due):
            self._found, self._seen = self._find(), version
            took = self._clock() - now
            self._due = now + took + max(STANDS, took / SHARE)
        return self._found
