"""OpenAI's Responses API: calls and their exact requests, answers and what they mean."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

from flowpool.errors import InvalidInput
from flowpool.providers import resolve
from flowpool.values import Call, Message, Text
from flowpool.wire import WIRES

WIRE = "openai-responses"


@pytest.mark.parametrize("case", golden.requests(WIRE), ids=golden.claim)
def test_a_call_becomes_exactly_this_request(case) -> None:
    golden.check_request(case)


@pytest.mark.parametrize("case", golden.answers(WIRE), ids=golden.claim)
def test_an_answer_means_exactly_this(case) -> None:
    golden.check_answer(WIRE, case)


def test_the_api_has_no_stop() -> None:
    call = Call("m", (Message("user", (Text("Hi"),)),), {"stop": "END"})
    with pytest.raises(InvalidInput, match='use provider="openai"'):
        WIRES[WIRE].build(call, resolve("openai-responses", None, "key-canary", {}))
