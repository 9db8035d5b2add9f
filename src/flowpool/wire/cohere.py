"""Cohere's chat API, version 2: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flowpool.errors import Blocked, CallError
from flowpool.structured.schemas import Made, rebuilt
from flowpool.usage import Usage
from flowpool.values import (
    Call,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Message,
    OutputFormat,
    Part,
    Reply,
    Text,
)
from flowpool.wire import json_in_words, replies, request_parts, schema_dialects
from flowpool.wire.classify import failure
from flowpool.wire.replies import AnswerParts, Reading, count, item
from flowpool.wire.tolerant import Tree

_VERSION = "/v2"
_NAMES = {"top_p": "p", "stop": "stop_sequences"}
_KEYWORDS = schema_dialects.CORE | {"format"}
_FORMATS = frozenset({"date-time", "date", "time", "uuid"})
# Elsewhere this status means that there is no capacity.
_DENIED_WORD = 498


# Requests.


@lru_cache(maxsize=1024)
def _target(endpoint: Endpoint) -> request_parts.Target:
    base_url = request_parts.unversioned(endpoint.base_url, _VERSION)
    url = request_parts.join(base_url, f"{_VERSION}/chat")
    return request_parts.Target(url, request_parts.headers_for(endpoint))


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. Raises InvalidInput for what this wire can't carry."""
    target = _target(endpoint)
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
    }
    if call.options:
        request_parts.add_options(body, call, _NAMES)
        if "stop_sequences" in body:
            body["stop_sequences"] = request_parts.as_list(body["stop_sequences"])
    if call.output is not None:
        _add_format(body, call, call.output)
    data = request_parts.encode(body, call, says_stream=True)
    return HttpRequest("POST", target.url, target.headers, data)


def _message(message: Message) -> dict[str, Any]:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return {"role": message.role, "content": parts[0].text}
    return {"role": message.role, "content": [_part(part) for part in parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.media_type.startswith("image/"):
        url = part.url or request_parts.data_url(part)
        return {"type": "image_url", "image_url": {"url": url}}
    if part.media_type.startswith("text/") and part.data:
        return {"type": "text", "text": request_parts.inline_text(part)}
    raise request_parts.unsupported(part, "cohere", "use an image or text")


def _add_format(body: dict[str, Any], call: Call, output: OutputFormat) -> None:
    schema = json_in_words.schema_of(output)
    fitted = None if schema is None or output.form == "words" else _fitted(schema)
    if fitted is not None:
        body["response_format"] = {"type": "json_object", "json_schema": fitted}
        schema = None
    elif output.form != "words":
        body["response_format"] = {"type": "json_object"}
    # Where no message speaks of JSON, the model may write white space without end.
    if schema is not None or not json_in_words.says_json(call):
        json_in_words.say(body["messages"], json_in_words.in_words(schema))


@schema_dialects.once
def _fitted(schema: Mapping[str, Any]) -> Made | None:
    """The schema in the keywords that are enforced; None where an object would have nothing required."""
    made: Made = rebuilt(schema, schema_dialects.plainer)
    enforceable = made.get("type") == "object"

    def look(node: Made) -> Made:
        nonlocal enforceable
        is_bare = node.get("type") == "object" and not node.get("required")
        enforceable = enforceable and not is_bare and schema_dialects.SHAPES.isdisjoint(node)
        node = schema_dialects.in_keywords(node, _KEYWORDS, _FORMATS)
        return schema_dialects.one_type(node)

    fit: Made = rebuilt(made, look)
    return fit if enforceable else None


# Answers.


def _find(body: Tree) -> AnswerParts:
    message = item(body.get("message"))
    return AnswerParts(
        contents=(message.get("content"),),
        reasons=(body.get("finish_reason"),),
        usage=_usage(item(body.get("usage"))),
        model=body.get("model"),
        id=body.get("id"),
        calls_tool=bool(message.get("tool_calls")),
        missing="" if message else "message",
    )


def _joined(pieces: list[Tree], ended: bool) -> Tree | None:
    """A stream's events as the answer that they make."""
    made: Tree = {}
    contents: dict[int, Tree] = {}
    for piece in pieces:
        delta = item(piece.get("delta"))
        part = item(item(delta.get("message")).get("content"))
        if isinstance(piece.get("message"), dict):
            made |= piece
        elif part:
            block = contents.setdefault(
                count(piece.get("index")), {"type": part.get("type"), "text": [""]}
            )
            if part.get("text") not in (None, ""):
                block["text"].append(part["text"])
        elif piece.get("type") == "message-end":
            made |= delta
        elif piece.get("type") == "message-start":
            made |= {"id": piece.get("id")}
    if not made.get("finish_reason"):
        return None
    return {"message": {"content": [*contents.values()]}, **made}


_reading = Reading(_find, _joined)


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in an answer, or the typed failure. Never raises for what a provider sent."""
    if response.status == _DENIED_WORD:
        why = failure(response).message
        return replies.failed(Blocked, why, response)
    return replies.parsed(response, _reading)


def _usage(usage: Tree) -> Usage:
    """What is billed: the provider's own instructions to the model are counted in `tokens` alone."""
    billed = item(usage.get("billed_units")) or item(usage.get("tokens"))
    sent = count(billed.get("input_tokens"))
    cached = min(count(usage.get("cached_tokens")), sent)
    return Usage(sent, count(billed.get("output_tokens")), cached)
