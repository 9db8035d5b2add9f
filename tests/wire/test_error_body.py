"""What an error body says, and when to come back."""

from __future__ import annotations

import msgspec
import pytest

from flowpool.errors import CallError
from flowpool.values import HttpResponse
from flowpool.wire import WIRES
from flowpool.wire.error_body import MESSAGE_CAP, fault_in, read, retry_after


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


def test_an_error_is_read_from_what_isnt_quite_json() -> None:
    for body in (
        b'{"error": {"message": "a\tb", "after": NaN}}',
        b'data: {"error": {"message": "a\\tb"}}\n\ndata: [DONE]\n\n',
        b'[{"error": {"message": "a\\tb"}}]',
        b'"{\\"error\\": {\\"message\\": \\"a\\\\tb\\"}}"',
    ):
        assert read(body).message == "a\tb"


def test_minimaxs_codes_are_known_apart_from_others_numbers() -> None:
    [code] = fault_in({"base_resp": {"status_code": 1008, "status_msg": "no balance"}}).codes
    assert code.endswith("minimax-1008")
