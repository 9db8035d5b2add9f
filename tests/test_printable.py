"""What others wrote is shown, never obeyed by a terminal."""

from __future__ import annotations

import unicodedata

import pytest

from flowpool.printable import printable

ESCAPES = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]8;;http://h\x1b\\link",
    "\x9b31m",
    "a\rb",
    "a\bb",
    "\u202eevil",
    "\u2066x\u2069",
    "\u200f",
    "half \ud83d",
    "line\u2028end",
    "\x7f",
    "\0",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_what_a_terminal_would_obey_is_spelt_out(text: str) -> None:
    shown = printable(text)
    kinds = {unicodedata.category(char) for char in shown}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.encode()


def test_words_of_every_language_stay_as_they_are() -> None:
    words = "naïve 日本語 العربية עברית हिन्दी 👩‍👩‍👧 \u00a0 tab\tline\nend"
    assert printable(words) == words
    assert printable("a\r\nb") == "a\nb"
