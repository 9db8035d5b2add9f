"""A report that may be shown to anybody."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from flowpool.report.content import without_content
from flowpool.report.data import ErrorGroup, ItemData, RunData, SpendData
from flowpool.report.reading import run_in_store
from flowpool.run.own_words import own_message, unquoted
from flowpool.run.sample import Bottleneck
from flowpool.store.reading import Event
from flowpool.usage import NO_USAGE
from flowpool.values import Status


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
    assert own_message("StepFailed", "1.result: ValueError: secret") == "…"


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


def test_nothing_that_a_provider_says_is_left_wherever_it_stands() -> None:
    said = "Invalid prompt: Summarise: Patient Smith has cancer"
    fix = "check the API key and what it may use"
    run = RunData(
        name="job",
        runner="",
        settings={},
        began=1.0,
        ended=2.0,
        reason=f"reading the items failed: {said}",
        counts={},
        usage=NO_USAGE,
        spend=SpendData(),
        recalled=0,
        items=[ItemData(0, {"text": said}, Status.FAILED, None, "BadRequest", said)],
        attempts=(),
        errors=[ErrorGroup("BadRequest", said, "mend the prompt", (0,))],
        bottlenecks=[
            Bottleneck("broken", f"custom/m:8b was given up: {said} ({fix})"),
            Bottleneck("outage", f"a/b answers nobody and is probed, gives up in 4:30: {said}"),
        ],
        events=[Event(1.0, "lane", {"lane": "a/b", "state": "outage", "error": said})],
    )
    left = without_content(run)
    assert "Smith" not in str(left)
    assert (left.items[0].error, left.errors[0].fix) == ("BadRequest", "mend the prompt")
    assert [one.words for one in left.bottlenecks] == [
        f"custom/m:8b was given up: … ({fix})",
        "a/b answers nobody and is probed, gives up in 4:30: …",
    ]
