"""Requests to the any-llm package: an address that names the provider, and headers that make its client."""

from __future__ import annotations

import msgspec
import pytest

from flowpool.errors import InvalidInput
from flowpool.providers import resolve
from flowpool.values import Call, Message, Text
from flowpool.wire import WIRES

WIRE = WIRES["any-llm"]
CALL = Call("bedrock/amazon.nova-lite", (Message("user", (Text("Hi"),)),), {"max_tokens": 5})


def test_the_address_names_the_provider_and_the_body_its_model() -> None:
    request = WIRE.build(CALL, resolve("any-llm", None, "key-canary", {}))
    assert request.url == "any-llm:bedrock"
    assert request.headers == (("api-key", "key-canary"),)
    assert msgspec.json.decode(request.body) == {
        "model": "amazon.nova-lite",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "stream": False,
    }


def test_headers_that_no_client_would_send_are_refused() -> None:
    endpoint = resolve("any-llm", None, "key-canary", {}, (("X-Team", "one"),))
    with pytest.raises(InvalidInput, match=r"default_headers \(x-team\) can't be sent"):
        WIRE.build(CALL, endpoint)
