"""The wires: how a call looks as a request, an answer as a reply, and what carries the two, dialect by dialect.

Pure functions: no sockets, no clock, no state. A new dialect is one module and one row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from msgspec import Struct

from flowpool.errors import CallError
from flowpool.values import Call, Endpoint, HttpRequest, HttpResponse, Reply, Transport
from flowpool.wire import anthropic, any_llm, cohere, gemini, openai_chat, openai_responses

__all__ = ["WIRES", "Wire"]


def over_http(http: Transport, endpoint: Endpoint, model: str) -> Transport:
    """The run's own transport, which carries HTTP: what most wires use."""
    return http


class Wire(Struct, frozen=True):
    """One dialect.

    `build` makes the request of a call and raises InvalidInput for what the dialect can't carry. `parse`
    makes an answer a reply or the failure it stands for; it never raises for what a provider sent. `transport`
    gives what carries the requests to a model at an endpoint, and is handed the run's HTTP transport; it raises
    InvalidInput for what is missing, before the first call.
    """

    build: Callable[[Call, Endpoint], HttpRequest]
    parse: Callable[[HttpResponse], Reply | CallError]
    transport: Callable[[Transport, Endpoint, str], Transport] = over_http


WIRES: Mapping[str, Wire] = MappingProxyType(
    {
        "openai-chat": Wire(openai_chat.build, openai_chat.parse),
        "openai-responses": Wire(openai_responses.build, openai_responses.parse),
        "anthropic": Wire(anthropic.build, anthropic.parse),
        "gemini": Wire(gemini.build, gemini.parse),
        "cohere": Wire(cohere.build, cohere.parse),
        "any-llm": Wire(any_llm.build, openai_chat.parse, any_llm.transport),
    }
)
