"""A run's progress in a terminal: a few lines at its foot, drawn anew, above them whatever the program prints."""

from __future__ import annotations

import sys
import threading

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from flowpool.views.words import ProgressText

# Columns: a wider bar says no more, in a narrower one a failure isn't seen.
WIDEST_BAR, NARROWEST_BAR = 40, 6
# Columns: of 80, the counts need about 50.
LONGEST_NAME = 28


class TerminalLines:
    """A run's lines at the foot of the terminal."""

    def show(self, progress: ProgressText) -> None:
        board.show(self, progress)

    def finish(self, progress: ProgressText) -> None:
        board.finish(self, progress)


class Board:
    """The foot of the terminal, which all pools of the process share: each has its lines while it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._lines: dict[object, Text] = {}

    def show(self, owner: object, progress: ProgressText) -> None:
        """Draws the owner's lines over those before."""
        with self._lock:
            console = self._console()
            if not console.is_terminal or console.is_dumb_terminal:
                return
            self._lines[owner] = as_lines(progress, console)
            if self._live is None:
                self._live = Live(
                    console=console,
                    auto_refresh=False,
                    transient=True,
                    # What a run prints to a file or pipe must go on to it, not to the terminal.
                    redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
                )
                self._live.start()
            self._live.update(Group(*self._lines.values()), refresh=True)

    def finish(self, owner: object, progress: ProgressText) -> None:
        """Leaves the owner's last lines standing, above those of runs that go on."""
        with self._lock:
            self._lines.pop(owner, None)
            console, live = self._console(), self._live
            if live is not None:
                live.update(Group(*self._lines.values()), refresh=bool(self._lines))
                if not self._lines:
                    live.stop()
                    self._live = None
            console.print(as_lines(progress, console, whole=True))

    def _console(self) -> Console:
        return self._live.console if self._live is not None else Console(stderr=True)


def as_lines(progress: ProgressText, console: Console, *, whole: bool = False) -> Text:
    """A run's lines, as wide as the terminal at most; `whole`: what is longer goes on in the next line."""
    text = _head(progress, console)
    for words, is_bad in progress.lines:
        line = Text(words, "red" if is_bad else "dim")
        lines = line.wrap(console, max(20, console.width - 2)) if whole else [line]
        for part in lines:
            part.truncate(max(1, console.width - 2), overflow="ellipsis")
            text.append("\n  ").append_text(part)
    return text


def _head(progress: ProgressText, console: Console) -> Text:
    name = Text(progress.name, no_wrap=True)
    name.truncate(LONGEST_NAME, overflow="ellipsis")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(name.plain, "bold").append(" ")
    room = console.width - len(text) - len(progress.counts) - 2
    if progress.done is not None and room >= NARROWEST_BAR:
        text.append_text(_bar(progress.done, progress.failed, min(WIDEST_BAR, room), console))
        text.append(" ")
    text.append(progress.counts)
    return text


def _bar(done: float, failed: float, width: int, console: Console) -> Text:
    full, empty = ("━", "━") if console.encoding.startswith("utf") else ("=", "-")
    bad = min(width, max(1, round(failed * width))) if failed > 0 else 0
    good = min(width - bad, int((done + failed) * width + 1e-9) - bad) if done > 0 else 0
    good = max(0, good)
    bar = Text().append(full * good, "green")
    bar.append(full * bad, "red")
    bar.append(empty * (width - good - bad), "bright_black")
    return bar


board = Board()
