"""Google's Gemini API: calls and their exact requests, answers and what they mean."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

WIRE = "gemini"


@pytest.mark.parametrize("case", golden.requests(WIRE), ids=golden.claim)
def test_a_call_becomes_exactly_this_request(case) -> None:
    golden.check_request(case)


@pytest.mark.parametrize("case", golden.answers(WIRE), ids=golden.claim)
def test_an_answer_means_exactly_this(case) -> None:
    golden.check_answer(WIRE, case)
