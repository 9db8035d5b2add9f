"""A report that may be shown to anybody."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from flowpool.report.content import unquoted, without_content
from flowpool.report.reading import run_in_store


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("status 400: 'secret words'", "status 400: …"),
        ("can't parse 'secret'", "can't parse …"),
        ("it isn't \"a 'secret' word\" at all", "it isn't … at all"),
        ("'secret' and \"secret\"", "…"),
        ("cut in the middle: 'secret wo", "cut in the middle: …"),
        ("“secret” was said", "… was said"),
        ("don't know", "don't know"),
        ('said "a" and "secret', "said …"),
        (" 'secret" * 200_000, " …"),
        ('"' + "secret " * 200_000, "…"),
    ],
)
def test_what_an_error_quotes_is_left_out(message: str, left: str) -> None:
    assert unquoted(message) == left


def test_what_a_functions_error_says_is_left_out_quoted_or_not() -> None:
    assert unquoted("1.result: ValueError: secret", "StepFailed") == "…"


def test_nothing_of_items_is_left_but_figures(made: Path) -> None:
    run = run_in_store(made)
    left = msgspec.json.encode(
        msgspec.to_builtins(without_content(run), enc_hook=repr, str_keys=True)
    )
    texts = {str(item.variables["ticket"])[:40] for item in run.items}
    assert not [text for text in texts if text.encode() in left]
    assert b"Sort this ticket" not in left
    assert b"tier " not in left
    assert without_content(run).counts == run.counts
