"""The server's side of the four wires: HTTP requests in, `SimRequest`s out, and the paths they have.

Answers go back through `answers`. Pure functions; what can't be read raises `InvalidInput`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct, field

from flowpool.errors import InvalidInput
from flowpool.simulator.ledger import digest_of
from flowpool.simulator.provider import SimRequest, Wire

KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


class ServedPath(Struct, frozen=True):
    """Which wire a path speaks; Gemini's paths carry the model and whether to stream too."""

    wire: Wire
    model: str = ""
    stream: bool = False


class _Part(Struct):
    text: str | None = None


_Content = str | list[_Part] | None


class _Message(Struct):
    role: str = "user"
    content: _Content = None


class _Gemini(Struct):
    role: str | None = None
    parts: list[_Part] = []


class _StreamOptions(Struct):
    include_usage: bool = False


class _ChatBody(Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class _ResponsesBody(Struct):
    model: str
    input: str | list[_Message]
    instructions: str | None = None
    max_output_tokens: int | None = None
    text: dict[str, Any] | None = None
    stream: bool | None = None


class _MessagesBody(Struct):
    model: str
    max_tokens: int
    messages: list[_Message]
    system: _Content = None
    output_config: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    stream: bool | None = None


class _GenerationConfig(Struct, rename="camel"):
    max_output_tokens: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None


class _GeminiBody(Struct, rename="camel"):
    contents: list[_Gemini]
    system_instruction: _Gemini | None = None
    generation_config: _GenerationConfig = field(default_factory=_GenerationConfig)


_chat = msgspec.json.Decoder(_ChatBody)
_responses = msgspec.json.Decoder(_ResponsesBody)
_messages = msgspec.json.Decoder(_MessagesBody)
_gemini = msgspec.json.Decoder(_GeminiBody)


def find_route(path: str) -> ServedPath | None:
    """The wire of a path, whatever stands before it (`/v1`, `/openai/v1`, `/v1beta`), or None."""
    path = path.partition("?")[0]
    for ending, wire in _ENDINGS:
        if path.endswith(ending):
            return ServedPath(wire)
    if "%" in path:
        path = unquote(path)
    name, colon, method = path.rpartition(":")
    if colon and "/models/" in name and method in ("generateContent", "streamGenerateContent"):
        return ServedPath(
            "gemini", name.rpartition("/models/")[2], method == "streamGenerateContent"
        )
    return None


_ENDINGS: tuple[tuple[str, Wire], ...] = (
    ("/chat/completions", "chat"),
    ("/responses", "responses"),
    ("/messages", "messages"),
)


def fingerprint(headers: Iterable[tuple[str, str]]) -> str:
    """A short name for the key that a request carries, or "none"."""
    for name, value in headers:
        if name.lower() in KEY_HEADERS:
            return digest_of(value.removeprefix("Bearer "))
    return "none"


def parse(route: ServedPath, body: bytes, key: str = "none") -> SimRequest:
    """What a request's body asks for; raises `InvalidInput` with what is wrong in it."""
    try:
        return _PARSERS[route.wire](route, body, key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The request's body can't be read: {error}") from None


def _parse_chat(route: ServedPath, body: bytes, key: str) -> SimRequest:
    asked = _chat.decode(body)
    said = _conversation(asked.messages)
    shape = asked.response_format or {}
    return SimRequest(
        wire="chat",
        model=asked.model,
        **said,
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        wants_json=shape.get("type") in ("json_object", "json_schema"),
        schema=(shape.get("json_schema") or {}).get("schema"),
        stream=bool(asked.stream),
        stream_usage=asked.stream_options is not None and asked.stream_options.include_usage,
        key=key,
    )


def _parse_responses(route: ServedPath, body: bytes, key: str) -> SimRequest:
    asked = _responses.decode(body)
    given = asked.input
    messages = [_Message("user", given)] if isinstance(given, str) else given
    said = _conversation(messages, asked.instructions)
    shape = (asked.text or {}).get("format") or {}
    return SimRequest(
        wire="responses",
        model=asked.model,
        **said,
        max_tokens=asked.max_output_tokens,
        wants_json=shape.get("type") in ("json_object", "json_schema"),
        schema=shape.get("schema"),
        stream=bool(asked.stream),
        key=key,
    )


def _parse_messages(route: ServedPath, body: bytes, key: str) -> SimRequest:
    asked = _messages.decode(body)
    said = _conversation(asked.messages, asked.system)
    schema = ((asked.output_config or {}).get("format") or {}).get("schema")
    tool = (asked.tool_choice or {}).get("name") or ""
    for declared in asked.tools or ():
        if tool and declared.get("name") == tool:
            schema = declared.get("input_schema")
    return SimRequest(
        wire="messages",
        model=asked.model,
        **said,
        max_tokens=asked.max_tokens,
        wants_json=schema is not None,
        schema=schema,
        tool=tool,
        stream=bool(asked.stream),
        key=key,
    )


def _parse_gemini(route: ServedPath, body: bytes, key: str) -> SimRequest:
    asked = _gemini.decode(body)
    config = asked.generation_config
    messages = [_Message(turn.role or "user", turn.parts) for turn in asked.contents]
    instruction = asked.system_instruction
    said = _conversation(messages, instruction.parts if instruction else None)
    return SimRequest(
        wire="gemini",
        model=route.model,
        **said,
        max_tokens=config.max_output_tokens,
        wants_json=config.response_mime_type == "application/json",
        schema=config.response_json_schema or config.response_schema,
        stream=route.stream,
        key=key,
    )


_PARSERS: dict[Wire, Callable[[ServedPath, bytes, str], SimRequest]] = {
    "chat": _parse_chat,
    "responses": _parse_responses,
    "messages": _parse_messages,
    "gemini": _parse_gemini,
}


def _conversation(messages: list[_Message], system: _Content = None) -> dict[str, Any]:
    """What a request says: the system's words, the user's first and last message, all in order."""
    if not messages:
        raise InvalidInput("The request has no messages.")
    first = _words(system)
    texts = [first] if first else []
    rules = texts.copy()
    users = []
    answers = 0
    for message in messages:
        said = _words(message.content)
        texts.append(said)
        if message.role in ("system", "developer"):
            rules.append(said)
        elif message.role == "user":
            users.append(said)
        else:
            answers += 1
    return {
        "system": "\n".join(rules),
        "user": users[-1] if users else "",
        "first": users[0] if users else "",
        "answers": answers,
        "text": "\n".join(texts),
    }


def _words(content: _Content) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if part.text)
