"""Calls to the any-llm package, which speaks to every other provider: its terms are OpenAI's chat completions.

Pure functions over bytes: the address of such a request names the provider, `any-llm:bedrock`, and its headers
hold what that provider's client is made with. Its answers are read as chat completions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast
from urllib.parse import quote

from msgspec.structs import replace

from flowpool import wiring
from flowpool.errors import InvalidInput
from flowpool.values import Call, Endpoint, Headers, HttpRequest, Transport
from flowpool.wire import openai_chat

SCHEME = "any-llm:"
KEY, BASE = "api-key", "api-base"


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. Raises InvalidInput for what this wire can't carry."""
    provider, _, model = call.model.partition("/")
    request = openai_chat.build(replace(call, model=model), endpoint)
    return HttpRequest("CALL", SCHEME + quote(provider), _headers(endpoint), request.body)


def transport(http: Transport, endpoint: Endpoint, model: str) -> Transport:
    """What carries these requests instead of HTTP: any-llm's client of the provider.

    Raises InvalidInput for a missing package, provider or key.
    """
    carrier = wiring.load("any-llm").shared()
    carrier.open(build(Call(model, (), {}), endpoint))
    return cast(Transport, carrier)


@lru_cache(maxsize=1024)
def _headers(endpoint: Endpoint) -> Headers:
    if endpoint.headers:
        names = ", ".join(name for name, _ in endpoint.headers)
        raise InvalidInput(
            f"default_headers ({names}) can't be sent through any-llm: leave them out."
        )
    settings = ((KEY, endpoint.key.reveal()), (BASE, endpoint.base_url))
    return tuple((name, value) for name, value in settings if value)
