"""How the demo looks: lines as things happen, tables, and in a terminal what is going on just now."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

WIDTH = 79


class DemoScreen:
    """Prints to standard output; plain text unless that is a terminal."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()

    def say(self, text: str = "") -> None:
        """A paragraph, wrapped."""
        for line in textwrap.wrap(" ".join(text.split()), WIDTH) or [""]:
            self.line(line)

    def line(self, text: str) -> None:
        print(text, flush=True)

    @contextmanager
    def working(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Shows in a terminal how far `what` has come, while the block tells the number done."""
        if not self._is_terminal:
            yield lambda done: None
            return
        from rich.console import Console

        with Console().status(f"{what} ...") as status:
            yield lambda done: status.update(f"{what}: {done} of {total}")

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table whose first column is words and whose others are figures."""
        if self._is_terminal:
            _rich_table(title, head, rows)
            return
        self.line(title)
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        for row in (head, *rows):
            self.line(columns(row, widths))


def columns(cells: Sequence[str], widths: Sequence[int], left: int = 1) -> str:
    """A line of a table: the first `left` cells to the left, the others to the right."""
    words = [
        cell.ljust(width) if i < left else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(words).rstrip()


def shorten(text: str, width: int, indent: int = 0) -> str:
    """`text` as one line of at most `width` characters, `indent` spaces among them."""
    text = " " * indent + " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."


def _rich_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row[:-1], f"[bold green]{row[-1]}[/]")
    Console().print(table)
