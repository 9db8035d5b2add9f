"""Cohere's chat API: calls and their exact requests, answers and what they mean."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

from flowpool.errors import InvalidInput
from flowpool.providers import resolve
from flowpool.values import Call, Media, Message
from flowpool.wire import WIRES

WIRE = "cohere"


@pytest.mark.parametrize("case", golden.requests(WIRE), ids=golden.claim)
def test_a_call_becomes_exactly_this_request(case) -> None:
    golden.check_request(case)


@pytest.mark.parametrize("case", golden.answers(WIRE), ids=golden.claim)
def test_an_answer_means_exactly_this(case) -> None:
    golden.check_answer(WIRE, case)


@pytest.mark.parametrize(
    "media", [Media("audio/wav", "A"), Media("text/csv", url="https://files.test/a.csv")]
)
def test_what_the_api_does_not_take_is_refused_before_it_is_sent(media) -> None:
    call = Call("m", (Message("user", (media,)),), {})
    with pytest.raises(InvalidInput, match="use an image or text"):
        WIRES[WIRE].build(call, resolve("cohere", None, "key-canary", {}))
