"""What became of a run, as lines: plain data, which `views/summary.py` makes of its results."""

from __future__ import annotations

from textwrap import wrap

from msgspec import Struct

from flowpool import wiring

# Columns of a terminal, and of what stands before the words.
WIDTH, LABEL = 80, 12


class Line(Struct, frozen=True):
    """Something that a summary says: of what, in words, and whether it is bad."""

    label: str
    words: str
    is_bad: bool = False


class Summary(Struct, frozen=True):
    """What became of a run: `print` it, or end a notebook's cell with it.

    counts: how its items ended. lines: what else there is to say.
    """

    counts: str
    lines: tuple[Line, ...] = ()

    def __str__(self) -> str:
        text = wrap(self.counts, WIDTH)
        for line in self.lines:
            parts = wrap(line.words, WIDTH - LABEL)
            labels = [f"  {line.label:<{LABEL - 2}}", *[" " * LABEL] * (len(parts) - 1)]
            text += [label + part for label, part in zip(labels, parts, strict=False)]
        return "\n".join(text)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table: str = wiring.load("summary").as_html(self)
        return table
