"""How a run's lines are laid out in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flowpool.views.terminal import as_lines
from flowpool.views.words import ProgressText

PROGRESS = ProgressText(
    "summarise",
    0.5,
    0.1,
    "60 of 100 · 2.0/s · 0:20 left",
    [("10 failed · 4 in progress", False), ("last failure: items[3]: " + "long " * 50, True)],
)


def lines(progress: ProgressText, width: int, encoding: str = "utf-8") -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    text = as_lines(progress, console)
    text.plain.encode(encoding)
    return text.plain.splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal_where_it_can_be(width: int) -> None:
    head, *rest = lines(PROGRESS, width)
    assert all(len(line) <= width for line in rest)
    assert len(head) <= max(width, len("summarise 60 of 100 · 2.0/s · 0:20 left"))


def test_the_bar_shows_what_is_done_and_failed_in_proportion() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="standard")
    text = ProgressText("x", 0.5, 0.1, "60 of 100", [])
    spans = {str(span.style): span.end - span.start for span in as_lines(text, console).spans}
    assert (spans["green"], spans["red"], spans["bright_black"]) == (20, 4, 16)


def test_a_single_failure_among_many_is_seen() -> None:
    text = ProgressText("x", 0.999, 0.001, "1,000 of 1,000", [])
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="standard")
    widths = [
        span.end - span.start for span in as_lines(text, console).spans if span.style == "red"
    ]
    assert widths == [1]


def test_all_done_is_a_full_bar() -> None:
    [head] = lines(ProgressText("x", 1.0, 0.0, "3 done", []), 80)
    assert head.count("━") == 40


def test_a_long_name_leaves_room_for_the_rest() -> None:
    [head] = lines(ProgressText("n" * 80, 0.5, 0.0, "1 of 2", []), 60)
    assert head.endswith(" 1 of 2")
    assert "…" in head


def test_without_unicode_the_bar_is_drawn_in_ascii() -> None:
    [head] = lines(ProgressText("x", 0.5, 0.0, "1 of 2", []), 60, "ascii")
    assert "=====" in head
    assert "-----" in head


def test_when_it_is_over_what_is_longer_goes_on_in_the_next_line() -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    text = as_lines(PROGRESS, console, whole=True).plain
    assert text.count("long") == 50
    assert all(len(line) <= 60 for line in text.splitlines())
    assert as_lines(PROGRESS, console).plain.count("long") < 10
