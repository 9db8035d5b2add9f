"""Which limit a refusal names, when it comes back, and what no wait mends."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

ANSWERS = golden.answers("named_limit")


@pytest.mark.parametrize("case", ANSWERS, ids=golden.claim)
def test_a_refusal_means(case: golden.Case) -> None:
    golden.check_answer(case["wire"], case)
