"""The server's side of the APIs: HTTP requests in, `SimRequest`s out, and the bodies of their answers.

One file an API: `chat`, `responses`, `messages`, `gemini` and `embeddings`. Each reads a request (`parse`)
and writes an answer whole (`body`) or as the shortest valid stream (`events`); `reading` is what they share.
Pure functions; what can't be read, or asks for what the simulator doesn't do, raises `InvalidInput`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.simulator.ledger import digest_of
from flowpool.simulator.plan import ReplyPlan, ServedAnswer, SimRequest, Wire
from flowpool.simulator.wires import chat, embeddings, gemini, messages, responses

KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


class ServedPath(Struct, frozen=True):
    """Which wire a path speaks; Gemini's paths carry the model and what is wanted of it too."""

    wire: Wire
    model: str = ""
    stream: bool = False
    many: bool = False


class SimWire(Struct, frozen=True):
    """One API. `events` is None where answers aren't streamed."""

    parse: Callable[[Any, bytes], SimRequest]
    body: Callable[[ReplyPlan, ServedAnswer, int], dict[str, Any]]
    events: Callable[[SimRequest, dict[str, Any]], bytes] | None = None


WIRES: dict[Wire, SimWire] = {
    "chat": SimWire(chat.parse, chat.body, chat.events),
    "responses": SimWire(responses.parse, responses.body, responses.events),
    "messages": SimWire(messages.parse, messages.body, messages.events),
    "gemini": SimWire(gemini.parse, gemini.body, gemini.events),
    "embeddings": SimWire(embeddings.parse, embeddings.body),
    "gemini-embeddings": SimWire(embeddings.parse_gemini, embeddings.gemini_body),
}
_ENDINGS: tuple[tuple[str, Wire], ...] = (
    ("/chat/completions", "chat"),
    ("/responses", "responses"),
    ("/messages", "messages"),
    ("/embeddings", "embeddings"),
)
_GEMINI_METHODS: dict[str, tuple[Wire, bool, bool]] = {
    # method: (the wire, whether it streams, whether it takes many at once)
    "generateContent": ("gemini", False, False),
    "streamGenerateContent": ("gemini", True, False),
    "embedContent": ("gemini-embeddings", False, False),
    "batchEmbedContents": ("gemini-embeddings", False, True),
}


def find_route(path: str) -> ServedPath | None:
    """The wire of a path, whatever stands before it (`/v1`, `/openai/v1`, `/v1beta`), or None."""
    path = path.partition("?")[0]
    for ending, wire in _ENDINGS:
        if path.endswith(ending):
            return ServedPath(wire)
    if "%" in path:
        path = unquote(path)
    name, colon, method = path.rpartition(":")
    if colon and "/models/" in name and method in _GEMINI_METHODS:
        wire, stream, many = _GEMINI_METHODS[method]
        return ServedPath(wire, name.rpartition("/models/")[2], stream, many)
    return None


def family_of(path: str) -> Wire:
    """The wire in whose form an error is written at a path that no wire has: its API's, if the path says so."""
    if "/v1beta" in path or ":" in path:
        return "gemini"
    return "messages" if "/messages" in path else "chat"


def fingerprint(headers: Iterable[tuple[str, str]]) -> str:
    """A short name for the key that a request carries, or "none"."""
    for name, value in headers:
        if name.lower() in KEY_HEADERS:
            return digest_of(value.removeprefix("Bearer "))
    return "none"


def parse(route: ServedPath, body: bytes, key: str = "none") -> SimRequest:
    """What a request's body asks for; raises `InvalidInput` with what is wrong in it."""
    try:
        request = WIRES[route.wire].parse(route, body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The request's body can't be read: {error}") from None
    return msgspec.structs.replace(request, key=key)
