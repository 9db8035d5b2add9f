"""Whatever a provider sends, every wire's parsing answers with a value."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool.errors import CallError
from flowpool.values import HttpResponse, Reply
from flowpool.wire import WIRES
from flowpool.wire.error_body import MESSAGE_CAP

NAMES = st.sampled_from(
    [
        *(
            "error",
            "errors",
            "message",
            "code",
            "type",
            "status",
            "details",
            "detail",
            "innererror",
        ),
        *("metadata", "raw", "retryDelay", "violations", "request_id", "id", "model", "usage"),
        *("choices", "content", "text", "finish_reason", "refusal", "output", "prompt_tokens"),
        *("candidates", "parts", "finishReason", "promptFeedback", "usageMetadata"),
        *("base_resp", "status_msg", "quotaId", "quotaMetric", "headers"),
        *("stop_reason", "tool_use", "name", "input", "billed_units", "tokens"),
    ]
)
LIMITS = st.sampled_from(
    ["tokens per day limit", "try again in 9 days", "quota of a month exceeded"]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | NAMES | LIMITS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
BODIES = st.binary(max_size=60) | JSON.map(msgspec.json.encode)
STATUSES = st.integers(-1, 1100) | st.sampled_from([200, 201, 204, 301, 400, 403, 429, 500, 529])
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "retry-after",
                "retry-after-ms",
                "date",
                "x-should-retry",
                "location",
                "x-request-id",
            ),
            *("x-ratelimit-reset", "x-ratelimit-remaining", "x-ratelimit-reset-requests-day"),
        ]
    ),
    st.text(max_size=30)
    | st.sampled_from(
        [
            "true",
            "false",
            "1e999",
            "1e11",
            "1795824000000",
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "http://[",
            "²",
        ]
    ),
    max_size=4,
)


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=300, deadline=None, derandomize=True)
@given(status=STATUSES, headers=HEADERS, body=BODIES)
def test_parsing_never_raises(wire, status, headers, body) -> None:
    result = WIRES[wire].parse(HttpResponse(status, headers, body))
    assert isinstance(result, Reply | CallError)
    if isinstance(result, CallError):
        assert result.message.isprintable()
        assert len(result.message) <= MESSAGE_CAP
        assert result.retry_after is None or 0 <= result.retry_after < float("inf")
    else:
        assert result.text.strip()
        result.text.encode()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "body",
    [
        *(b"[" * 100_000, b'{"error":' * 50_000, b"\xef\xbb\xbf{}", b"9" * 9999),
        *(b"data: " * 100_000, b"data: {}\n" * 50_000, b"[DONE]" * 100_000, b"1 " * 100_000),
        *(b": ping\n" * 100_000, b"id" * 300_000, b'{"a":1}' * 50_000, b" " * 1_000_000),
    ],
    ids=lambda body: repr(body[:10]),
)
@pytest.mark.parametrize("status", [200, 400])
def test_monstrous_bodies_are_failures(wire, body, status) -> None:
    assert isinstance(WIRES[wire].parse(HttpResponse(status, {}, body)), CallError)
