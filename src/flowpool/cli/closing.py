"""What the command line says of a run: plain progress lines, and the line that it ends with.

Is given records and snapshots; knows no clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from flowpool.cli.streams import say
from flowpool.errors import BudgetSpent
from flowpool.pool import Snapshot
from flowpool.printable import is_terminal
from flowpool.results import Record
from flowpool.values import Status
from flowpool.views.words import cost_words, duration, ended_words, progress_text

# Seconds between two lines: a log of an hour has 360.
EVERY = 10.0
# Characters: what a provider says may be a page of HTML.
_LONGEST_FAILURE = 300


class RunReport:
    """Counts of the records so far. `total`: how many items there are, where that is known."""

    def __init__(self, total: int | None, store: Path | None = None) -> None:
        self.counts = dict.fromkeys(Status, 0)
        self.notes: list[str] = []  # what else the closing line says
        self.stopped = ""  # what ended the run before its end, where nothing else says it
        self.is_whole = False  # whether the run ended with every item's output, all written
        self._total = total
        self._store = store
        self.ceiling: BudgetSpent | None = None  # why items had no room under it
        self._first_failure = ""
        self._first_index = -1

    def add(self, record: Record) -> None:
        self.counts[record.status] += 1
        if isinstance(record.error, BudgetSpent):
            self.ceiling = record.error
        earlier = self._first_index < 0 or record.index < self._first_index
        if record.status is Status.FAILED and record.error is not None and earlier:
            self._first_index = record.index
            error = record.error
            words = " ".join(f"{type(error).__name__}: {error}".split())
            self._first_failure = f"items[{record.index}]: {words}"

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    @property
    def has_failed(self) -> bool:
        """Whether any item has failed."""
        return bool(self.counts[Status.FAILED])

    @property
    def all_done(self) -> bool:
        """Whether every item there is has its output."""
        done = self.counts[Status.DONE]
        return done == (self.ended if self._total is None else self._total)

    @property
    def only_failed(self) -> bool:
        """Whether every item has ended, some of them badly."""
        over = self.counts[Status.DONE] + self.counts[Status.FAILED]
        return self.has_failed and over == (self.ended if self._total is None else self._total)

    def summary(self, seconds: float, target: str, now: Snapshot) -> str:
        """The run in one line: how all its items stand, and what this time took. now: how it stands at its end."""
        _, _, done, failed, cancelled = self.counts.values()
        line = ended_words(done, failed, cancelled, now.recalled)
        if self._total is not None and self._total > self.ended:
            line += f", {self._total - self.ended:,} not started"
        line += f" in {duration(seconds)}"
        if tokens := now.usage.input_tokens + now.usage.output_tokens:
            line += f", {tokens:,} tokens"
        if cost := cost_words(now):
            line += f", {cost}"
        line += "".join(f", {note}" for note in self.notes)
        line += f" -> {self._target(target)}"
        line += f"; cancelled: {self.ceiling}" if self.ceiling else ""
        if self._first_failure:
            return f"{line}; first failure: {self._failure()}"
        return f"{line}; {self.stopped}" if self.stopped and not self.ceiling else line

    def _target(self, target: str) -> str:
        return "stdout" if target == "-" else target or str(self._store)

    def _failure(self) -> str:
        text = self._first_failure
        return text if len(text) <= _LONGEST_FAILURE else text[: _LONGEST_FAILURE - 3] + "..."


def progress_of(quiet: bool, *, mixed: bool) -> bool | Callable[[Snapshot], None] | None:
    """How a run shows its progress; `mixed`: what it writes goes to the same terminal."""
    if quiet:
        return False
    return None if is_terminal(sys.stderr) and not mixed else PlainProgress()


class PlainProgress:
    """A line every ten seconds of a run, for logs: what a terminal shows as a bar."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._next = EVERY

    def __call__(self, now: Snapshot) -> None:
        if now.elapsed < self._next:
            return
        while self._next <= now.elapsed:
            self._next += EVERY
        summary = progress_text("", now, now.lanes)
        words = [summary.counts, *(words for words, _ in summary.lines)]
        say(f"{duration(now.elapsed)}: {' | '.join(words)}", self._stream)
