"""A run laid out for a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.watch.stores import BOTTLENECK, HOSTILE, course, live, sample

from flowpool.store.reading import FailedItem
from flowpool.watch.screen import as_screen, sparkline
from flowpool.watch.shown import Shown, shown
from flowpool.watch.view import FailureGroup, RunView

AT = 1_800_000_000.0


def a_run() -> Shown:
    view = RunView(
        name="reviews",
        state="running",
        words="At work.",
        at=AT,
        now=sample(AT),
        bottleneck=BOTTLENECK,
        samples=course(AT - 60, 60),
        timings=live().timings,
        groups=[FailureGroup("BadRequest", 2, "too long", "mend the prompt")],
        failures=[FailedItem(7, AT, "BadRequest", HOSTILE)],
        steers=True,
    )
    return shown(view)


def lines(width: int, height: int, encoding: str = "utf-8", said: str = "") -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=out, width=width, height=height, force_terminal=True, color_system=None, _environ={}
    )
    console.print(as_screen(a_run(), console, said))
    out.flush()
    content = out.buffer.getvalue()
    return content.decode(encoding).splitlines()


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 24), (80, 60), (200, 50)])
def test_it_fits_a_terminal_of_any_size(width: int, height: int) -> None:
    shown_lines = lines(width, height)
    assert len(shown_lines) == height
    assert max(map(len, shown_lines)) <= width


def test_the_verdict_stands_on_top_and_the_keys_at_the_foot() -> None:
    text = lines(100, 50)
    assert text[0].startswith("reviews  running")
    assert text[2].startswith("limited by tokens of openai/gpt-5-mini")
    assert text[3] == "→ a second key would halve what is left"
    assert text[-1].startswith("q leave   p pause or go on")


def test_all_parts_are_there_where_there_is_room() -> None:
    text = "\n".join(lines(120, 60))
    for words in (
        "203 of 400", "time left 2:03", "items/s", "in flight", "the provider's limit of tokens",
        "■ waiting for a limit", "failures, grouped", "2 × BadRequest: too long", "→ mend the prompt",
    ):  # fmt: skip
        assert words in text


def test_texts_of_others_move_no_cursor() -> None:
    text = "\n".join(lines(160, 60, said=HOSTILE))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text


def test_a_sparkline_is_as_high_as_its_values_and_no_longer_than_there_is_room() -> None:
    assert sparkline([9, 9, 0, 1, 2, 4], 4) == "▁▃▅█"
    assert sparkline([0, 0], 4) == "▁▁"
    assert sparkline([], 4) == ""
    assert sparkline([1, None, 2], 9, plain=True) == "= #"
