"""The one table of failures, beyond the cases in the wires' golden files."""

from __future__ import annotations

import msgspec

from flowpool.values import HttpResponse
from flowpool.wire import WIRES


def test_a_phrase_far_behind_in_a_message_decides_nothing() -> None:
    body = msgspec.json.encode({"error": {"message": "x" * 600 + " usage limit"}})
    result = WIRES["openai-chat"].parse(HttpResponse(400, {}, body))
    assert type(result).__name__ == "BadRequest"
