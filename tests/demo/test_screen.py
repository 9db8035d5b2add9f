"""The demo's lines and tables."""

from __future__ import annotations

from flowpool.demo.screen import columns, shorten


def test_columns_put_words_left_and_figures_right() -> None:
    assert columns(("a", "b", "1"), (3, 3, 3), left=2) == "a    b      1"
    assert columns(("a", "b", "1"), (3, 3, 3)) == "a      b    1"


def test_a_long_line_is_cut_where_a_terminal_ends() -> None:
    assert shorten("one two\nthree", 40, indent=2) == "  one two three"
    assert shorten("one two three", 9) == "one tw..."
