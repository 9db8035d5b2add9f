"""A run as whoever watches sees it: one struct, whatever it is read from; and how much of it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from flowpool.run.sample import Bottleneck, Sample, TimeSpread
from flowpool.store.reading import FailedItem

T = TypeVar("T")
# Cells of a grid: what fits a screen, at a size that an eye tells apart.
MOST_CELLS = 1200
# Points of a series: more than a wide page has pixels.
MOST_POINTS = 1500
# Lines of failures, of their groups and of changes.
MOST_FAILURES, MOST_GROUPS, MOST_CHANGES = 8, 12, 20

State = Literal["running", "paused", "ended", "away"]


class FailureGroup(Struct, frozen=True):
    """Items that failed alike: the error's type, how many, what the last of them says, and what to do about it."""

    error: str
    count: int
    example: str
    fix: str = ""


class Happened(Struct, frozen=True):
    """Something that happened to the run: when, in seconds since 1970, and what, in words."""

    at: float
    words: str


class Grid(Struct, frozen=True):
    """Items in order, `size` a cell, the last of which may have fewer; how many of each are done and failed."""

    size: int
    items: int
    done: list[int]
    failed: list[int]


class RunView(Struct, frozen=True, kw_only=True):
    """A run as it stands.

    state: "running", "paused", "ended", or "away" where nobody is at work on it and it isn't at its end. words: the
    same as a sentence. fix: what to do about it. at: seconds since 1970. run: its number in the store, 0 without
    one. cost_in_all: dollars of all its sessions, where it went on from an earlier one; `now` has this one's.
    samples: its course, in order. bottlenecks: what held it back, in order. timings: by lane, then by a name of
    `TIME_KINDS`. settings: those that may be changed. steers: whether orders are taken. grid: None where no item's
    end is kept. is_gone: its store was removed.
    """

    name: str
    run: int = 0
    state: State
    words: str
    fix: str = ""
    at: float
    now: Sample
    cost_in_all: float | None = None
    bottleneck: Bottleneck | None = None
    bottlenecks: Sequence[Bottleneck] = ()
    samples: Sequence[Sample] = ()
    timings: Mapping[str, Mapping[str, TimeSpread]] = {}
    settings: Mapping[str, float | None] = {}
    steers: bool = False
    groups: Sequence[FailureGroup] = ()
    failures: Sequence[FailedItem] = ()
    changes: Sequence[Happened] = ()
    grid: Grid | None = None
    is_gone: bool = False


def cell_size(items: int, most: int = MOST_CELLS) -> int:
    """Items a cell, so that so many fit: 1, 2 or 5 times a power of ten.

    >>> [cell_size(items) for items in (0, 1200, 1201, 100_000, 1_000_000)]
    [1, 1, 2, 100, 1000]
    """
    size = 1
    while True:
        for times in (1, 2, 5):
            if items <= most * size * times:
                return size * times
        size *= 10


def thinned(points: Sequence[T], most: int = MOST_POINTS) -> Sequence[T]:
    """Every so many-th point and the last, so that at most so many are left."""
    step = -(-len(points) // most) if points else 1
    if step == 1:
        return points
    return points[(len(points) - 1) % step :: step]
