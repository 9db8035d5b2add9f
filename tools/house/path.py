"""The way of one warm item: which modules it goes through, and how often from one to another.

A pool of 100 items, one at a time, calls a simulated provider that sends rate headers, through real sockets.
Every call of a function of the package is noted, on all threads, an async function's once more each time it
goes on. An item's way is what is noted from the rendering of its prompt to the rendering of the next one's: a
whole turn of the wheel, so that it makes no difference where it is cut. The figures are the longest way that a
tenth of the items 30 to 90 have, so that one late thread changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from flowpool import Model, Pool, Skill
from flowpool.simulator import Fixed, SimServer
from flowpool.template import Template

ITEMS = 100
WARM = slice(30, 90)
# The share of the items that must have a figure for it to count.
OFTEN = 0.1
# Long enough that a store's write of one item ends before the next item's answer.
LATENCY = 0.02


class Way(NamedTuple):
    """One item's: distinct modules, moves from one to another, and calls."""

    modules: int
    moves: int
    calls: int


class Trace:
    """Notes the modules of the functions called, as they are called. `marks` are where `mark` was called."""

    def __init__(self, root: Path, mark: CodeType) -> None:
        self.modules: list[str] = []
        self.marks: list[int] = []
        self._root = f"{root}{os.sep}"
        self._mark = mark

    @contextmanager
    def noting(self) -> Iterator[None]:
        """What is called inside the block, on this thread and on those that begin in it."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self._root):
            return
        if code is self._mark:
            self.marks.append(len(self.modules))
        self.modules.append(code.co_filename)

    def ways(self) -> list[Way]:
        """One for each stretch from a mark to the next."""
        return [way_of(self.modules[begin:end]) for begin, end in pairwise(self.marks)]

    def warm(self) -> Way:
        """A warm item's."""
        return usual(self.ways()[WARM])

    def module_names(self) -> list[str]:
        """The modules of a warm item, in alphabetical order."""
        begin, end = self.marks[WARM.start], self.marks[WARM.start + 1]
        return sorted({name.removeprefix(self._root) for name in self.modules[begin:end]})


def way_of(modules: list[str]) -> Way:
    """What a row of calls comes to, each given as the module of what was called."""
    moves = sum(before != after for before, after in pairwise(modules))
    return Way(len(set(modules)), moves, len(modules))


def usual(ways: list[Way]) -> Way:
    """The longest that isn't rare, each figure by itself.

    On a busy machine a store writes several items at once, and the items between have a shorter way.
    """
    return Way(*(_longest(figures) for figures in zip(*ways, strict=True)))


def _longest(figures: Sequence[int]) -> int:
    often = [figure for figure, count in Counter(figures).items() if count >= OFTEN * len(figures)]
    return max(often or figures)


class Ways(NamedTuple):
    """A warm item's without a store and with one."""

    plain: Trace
    stored: Trace


def measure(root: Path) -> Ways:
    """Runs both pools in the package at `root`, which must be the one that is imported."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SimServer("openai", latency=Fixed(LATENCY), rpm=600_000, tpm=1e9) as server,
    ):
        plain = _traced(root, server.url, {})
        return Ways(plain, _traced(root, server.url, {"store": Path(folder) / "run.db"}))


def _traced(root: Path, url: str, keeps: dict[str, Any]) -> Trace:
    trace = Trace(root, Template.render.__code__)
    skill = Skill(Model("gpt-5-mini", base_url=f"{url}/v1"), prompt="{text}")
    items = [{"text": f"item {n}"} for n in range(ITEMS)]

    async def main() -> None:
        pool = Pool(skill, items, max_flows=1, progress=False, **keeps)
        with trace.noting():
            await pool.arun()

    asyncio.run(main())
    if len(trace.marks) != ITEMS:
        raise RuntimeError(f"{len(trace.marks)} prompts were rendered, not {ITEMS}: mend `mark`")
    return trace
