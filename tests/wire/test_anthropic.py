"""Anthropic's Messages API: calls and their exact requests, answers and what they mean."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

from flowpool.errors import InvalidInput
from flowpool.providers import resolve
from flowpool.values import Call, Media, Message
from flowpool.wire import WIRES

WIRE = "anthropic"


@pytest.mark.parametrize("case", golden.requests(WIRE), ids=golden.claim)
def test_a_call_becomes_exactly_this_request(case) -> None:
    golden.check_request(case)


@pytest.mark.parametrize("case", golden.answers(WIRE), ids=golden.claim)
def test_an_answer_means_exactly_this(case) -> None:
    golden.check_answer(WIRE, case)


def test_an_image_larger_than_the_api_takes_is_refused() -> None:
    def build(image: Media) -> None:
        call = Call("m", (Message("user", (image,)),), {})
        WIRES[WIRE].build(call, resolve("anthropic", None, "key-canary", {}))

    largest = Media("image/png", data="A" * 5 * 1024 * 1024)
    build(largest)
    with pytest.raises(InvalidInput, match=r"3,932,163 bytes: anthropic takes 3,932,160 at most"):
        build(Media("image/png", data=largest.data + "AAAA"))
