"""A run's progress in a notebook: one piece of output under the cell, replaced as the run goes on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import Any

from flowpool.views.words import ProgressText, rate_words

_GREEN, RED, _GREY = "#2da44e", "#cf222e", "rgba(128,128,128,.25)"
# Pixels of a line of rates, and how many of them are too few to draw.
WIDTH, HEIGHT, MOST_FEW = 120, 18, 3
BOX = "font:13px/1.6 system-ui,sans-serif;max-width:60em"
_ROW = "display:flex;gap:.8em;align-items:center"
_FIT = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
_TRACK = f"flex:1;min-width:6em;height:.5em;border-radius:.25em;background:{_GREY};overflow:hidden;display:flex"


def is_notebook() -> bool:
    """Whether this runs in a kernel that shows rich output."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return getattr(shell, "kernel", None) is not None


class CellOutput:
    """The output of one run, under the cell that started it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: ProgressText) -> None:
        """Draws it over what was shown before."""
        from IPython import display

        data = {"text/html": as_html(progress), "text/plain": as_text(progress)}
        if self._handle is None:
            self._handle = display.display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    finish = show


def as_html(progress: ProgressText) -> str:
    """For any theme, light or dark: it takes the page's own colours."""
    bar = ""
    if progress.done is not None:
        bar = f'<div style="{_TRACK}">{_piece(progress.done, _GREEN)}{_piece(progress.failed, RED)}</div>'
    rows = [
        f'<div style="{_ROW}"><b>{escape(progress.name)}</b>{bar}<span>{escape(progress.counts)}</span>'
        f"{sparkline(progress.rates)}</div>"
    ]
    for words, is_bad in progress.lines:
        style = f"color:{RED}" if is_bad else "opacity:.7"
        rows.append(f'<div style="{style};{_FIT}">{escape(words)}</div>')
    return f'<div style="{BOX}">{"".join(rows)}</div>'


def sparkline(rates: Sequence[float]) -> str:
    """Items a second as a line of a word's height, the newest at its end; nothing where there are few."""
    if len(rates) < MOST_FEW or not any(rates):
        return ""
    most, step = max(rates), WIDTH / (len(rates) - 1)
    points = " ".join(
        f"{step * number:.1f},{HEIGHT - 1 - (HEIGHT - 2) * rate / most:.1f}"
        for number, rate in enumerate(rates)
    )
    return (
        f'<svg role="img" width="{WIDTH}" height="{HEIGHT}" style="flex:none;overflow:visible">'
        f"<title>items a second, {len(rates)} s, at most {escape(rate_words(most))}</title>"
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.3" opacity=".75"/></svg>'
    )


def as_text(progress: ProgressText) -> str:
    """For who reads the notebook's file."""
    return "\n  ".join(
        [f"{progress.name}  {progress.counts}", *(words for words, _ in progress.lines)]
    )


def _piece(part: float, color: str) -> str:
    return f'<div style="width:{100 * part:.2f}%;background:{color}"></div>'
