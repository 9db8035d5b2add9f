"""Limit headers become readings, whatever their dialect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowpool.values import LimitReading
from flowpool.wire.limits import read_limits


def near(seconds: float) -> Any:
    return pytest.approx(seconds)


def openai(**values: str) -> dict[str, str]:
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in values.items()}


def test_openai_headers_give_requests_and_tokens_with_their_reset() -> None:
    headers = openai(
        limit_requests="5000", remaining_requests="4999", reset_requests="12ms",
        limit_tokens="2000000", remaining_tokens="1999000", reset_tokens="1m6.5s",
    )  # fmt: skip
    assert read_limits(headers) == (
        LimitReading("requests", 5000, 4999, near(0.012)),
        LimitReading("tokens", 2_000_000, 1_999_000, near(66.5)),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12ms", 0.012), ("1.5s", 1.5), ("6m0s", 360), ("1h2m3s", 3723), ("7", 7), ("250us", 0.00025)],
)
def test_a_reset_is_a_go_duration(text: str, seconds: float) -> None:
    headers = openai(limit_requests="10", remaining_requests="1", reset_requests=text)
    assert read_limits(headers)[0].reset == pytest.approx(seconds)


@pytest.mark.parametrize("limit", ["0", "-1", "", "none"])
def test_a_limit_of_nothing_is_absent(limit: str) -> None:
    assert read_limits(openai(limit_requests=limit, remaining_requests="0")) == ()


def test_anthropic_resets_are_whole_seconds_from_the_answers_own_date() -> None:
    headers = {
        "date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-22T10:00:02Z",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "7000",
        "anthropic-ratelimit-output-tokens-reset": "2026-11-22T09:59:00Z",
    }
    assert read_limits(headers) == (
        LimitReading("requests", 50, 49, 2.0, True),
        LimitReading("output", 8000, 7000, 0.0, True),
    )


def test_mistral_tells_what_remains_but_not_until_when() -> None:
    headers = {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "12"}
    assert read_limits(headers) == (LimitReading("requests", 60, 12),)


def test_no_limit_headers_give_no_reading() -> None:
    assert read_limits({"content-type": "application/json"}) == ()


@given(st.text(), st.text(), st.text())
def test_nonsense_in_headers_is_no_error(limit: str, remaining: str, reset: str) -> None:
    read_limits(openai(limit_requests=limit, remaining_requests=remaining, reset_requests=reset))
    read_limits({
        "anthropic-ratelimit-requests-limit": limit,
        "anthropic-ratelimit-requests-remaining": remaining,
        "anthropic-ratelimit-requests-reset": reset,
        "date": reset,
    })  # fmt: skip
