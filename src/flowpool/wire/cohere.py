"""Cohere's chat API, version 2: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct, json

from flowpool.errors import Blocked, CallError, InvalidReply, ServerError, Truncated
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

_VERSION = "/v2"
_NAMES = {"top_p": "p", "stop": "stop_sequences"}
_KEYWORDS = schema_dialects.CORE | {"format"}
_FORMATS = frozenset({"date-time", "date", "time", "uuid"})
# Elsewhere this status means that there is no capacity.
_DENIED_WORD = 498
_STOPPED: dict[str, tuple[type[CallError], str]] = {
    # finish reason: (failure, what happened)
    "MAX_TOKENS": (Truncated, "the answer reached its token limit"),
    "ERROR": (InvalidReply, "the provider failed mid-answer"),
    "TIMEOUT": (ServerError, "the provider ran out of time mid-answer"),
}


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
    return HttpRequest("POST", target.url, target.headers, request_parts.encode(body, call))


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
        words = json_in_words.in_words(schema)
        body["messages"].insert(0, {"role": "system", "content": words})


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


class _CohereContent(Struct):
    type: str = ""
    text: str | None = None


class _CohereMessage(Struct):
    content: list[_CohereContent] | None = None


class _CohereTokens(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _CohereUsage(Struct):
    billed_units: _CohereTokens | None = None
    tokens: _CohereTokens | None = None
    cached_tokens: int | None = None


class _CohereAnswer(replies.AnswerBody):
    message: _CohereMessage | None = None
    finish_reason: str | None = None
    usage: _CohereUsage | None = None
    id: str | None = None

    def used(self) -> Usage:
        return _usage(self.usage or _NO_USAGE)


_decoder = json.Decoder(_CohereAnswer, strict=False)
_NO_USAGE = _CohereUsage()
_NO_TOKENS = _CohereTokens()


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in an answer, or the typed failure. Never raises for what a provider sent."""
    if response.status == _DENIED_WORD:
        why = failure(response).message
        return replies.failed(Blocked, why, response)
    return replies.parsed(response, _decoder, _finished)


def _finished(answer: _CohereAnswer, usage: Usage, response: HttpResponse) -> Reply | CallError:
    if answer.message is None:
        return replies.without_answer("message", response, usage)
    # A model's thinking is among its content without being its answer.
    content = answer.message.content or ()
    text = "".join(piece.text or "" for piece in content if piece.type in ("", "text"))
    if answer.finish_reason in _STOPPED:
        kind, why = _STOPPED[answer.finish_reason]
        return replies.failed(kind, why, response, usage, text)
    if answer.finish_reason == "TOOL_CALL" and not text:
        return replies.asked_for_a_tool(response, usage, text)
    return replies.reply(text, usage, None, answer.id, response)


def _usage(usage: _CohereUsage) -> Usage:
    """What is billed: the provider's own instructions to the model are counted in `tokens` alone."""
    billed = usage.billed_units or usage.tokens or _NO_TOKENS
    sent = billed.input_tokens or 0
    return Usage(sent, billed.output_tokens or 0, min(usage.cached_tokens or 0, sent))
