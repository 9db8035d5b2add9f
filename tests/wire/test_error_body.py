"""What an error body says, and when to come back."""

from __future__ import annotations

import msgspec
import pytest

from flowpool.errors import CallError
from flowpool.values import HttpResponse
from flowpool.wire import WIRES
from flowpool.wire.error_body import MESSAGE_CAP, retry_after


def test_a_message_is_one_short_line_without_controls() -> None:
    said = "bad\r\nthing \x1b[31m\u202e" + "x" * 5000
    body = msgspec.json.encode({"error": {"message": said}})
    result = WIRES["openai-chat"].parse(HttpResponse(400, {}, body))
    assert isinstance(result, CallError)
    assert result.message.startswith("HTTP 400 bad thing [31m xxx")
    assert len(result.message) == MESSAGE_CAP
    assert result.message.endswith("…")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 9.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "soon"}, 9.0),
        ({"retry-after": "inf"}, 9.0),
    ],
)
def test_headers_say_when_to_come_back_before_the_body_does(headers, seconds) -> None:
    assert retry_after(headers, 9.0) == seconds
