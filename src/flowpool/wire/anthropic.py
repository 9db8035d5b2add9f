"""Anthropic's Messages API: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flowpool.errors import CallError, InvalidInput
from flowpool.structured.schemas import rebuilt
from flowpool.usage import Usage
from flowpool.values import (
    Call,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Media,
    Message,
    OutputFormat,
    Part,
    Reply,
    Text,
)
from flowpool.wire import json_in_words, replies, request_parts, schema_dialects
from flowpool.wire.replies import AnswerParts, Reading, count, item, items, said, written
from flowpool.wire.tolerant import Tree

# The API demands a number; this is one that every model of it can write.
DEFAULT_MAX_TOKENS = 4096
_VERSION = ("anthropic-version", "2023-06-01")
_NAMES = {"stop": "stop_sequences"}
# Models from before structured output: they fill in a tool's input instead.
_TOOL_ONLY = (
    *("claude-2", "claude-3", "claude-instant", "claude-opus-4-0", "claude-opus-4-2025"),
    *("claude-sonnet-4-0", "claude-sonnet-4-2025"),
)
# The API refuses a larger one, counted in base64; so it is refused here before it is sent.
_LARGEST_IMAGE = 5 * 1024 * 1024
_ANSWER_TOOL = "give_answer"


# Requests.


@lru_cache(maxsize=1024)
def _target(endpoint: Endpoint) -> request_parts.Target:
    url = request_parts.join(request_parts.unversioned(endpoint.base_url, "/v1"), "/v1/messages")
    return request_parts.Target(
        url, request_parts.headers_for(endpoint, _VERSION, auth="x-api-key")
    )


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. `seed`, which this API doesn't know, is left out.

    Raises InvalidInput for what this wire can't carry.
    """
    target = _target(endpoint)
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [_message(message) for message in call.messages if message.role != "system"],
    }
    if not body["messages"]:
        request_parts.need_user_message(call)
    if call.options:
        request_parts.add_options(body, call, _NAMES)
        body.pop("seed", None)
        if "stop_sequences" in body:
            body["stop_sequences"] = request_parts.as_list(body["stop_sequences"])
    instruction = _add_format(body, call.model, call.output) if call.output is not None else ""
    system = request_parts.system_parts(call, instruction)
    if system:
        body.setdefault("system", _texts(system))
    data = request_parts.encode(body, call, says_stream=True)
    return HttpRequest("POST", target.url, target.headers, data)


def _texts(texts: list[str]) -> str | list[dict[str, str]]:
    if len(texts) == 1:
        return texts[0]
    return [{"type": "text", "text": text} for text in texts]


def _message(message: Message) -> dict[str, Any]:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return {"role": message.role, "content": parts[0].text}
    return {"role": message.role, "content": [_part(part) for part in parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.media_type.startswith("image/"):
        if len(part.data) > _LARGEST_IMAGE:
            raise InvalidInput(
                f"an image of {len(part.data) * 3 // 4:,} bytes: anthropic takes {_LARGEST_IMAGE * 3 // 4:,} "
                "at most: make it smaller, or pass its address."
            )
        return {"type": "image", "source": _source(part)}
    if part.media_type == "application/pdf" or part.media_type.startswith("text/"):
        block = {"type": "document", "source": _source(part)}
        return block | {"title": part.name} if part.name else block
    raise request_parts.unsupported(part, "anthropic", "use an image, a PDF or text")


def _source(media: Media) -> dict[str, str]:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.media_type.startswith("text/"):
        return {
            "type": "text",
            "media_type": "text/plain",
            "data": request_parts.inline_text(media),
        }
    return {"type": "base64", "media_type": media.media_type, "data": media.data}


def _add_format(body: dict[str, Any], model: str, output: OutputFormat) -> str:
    """Asks for the output's format; returns what has to be said in words, or nothing."""
    schema = json_in_words.schema_of(output)
    if schema is None or output.form == "words":
        return json_in_words.in_words(schema)
    fitted = None if model.startswith(_TOOL_ONLY) else schema_dialects.for_anthropic(schema)
    if fitted is None:
        whole = rebuilt(schema, schema_dialects.closed)
        answer = {"name": _ANSWER_TOOL, "description": "Gives the answer.", "input_schema": whole}
        body["tools"] = [*body.get("tools", ()), answer]
        body["tool_choice"] = {"type": "tool", "name": _ANSWER_TOOL}
        return ""
    given = body.get("output_config")
    wanted = {"format": {"type": "json_schema", "schema": fitted}}
    body["output_config"] = {**given, **wanted} if isinstance(given, dict) else wanted
    return ""


# Answers.


def _find(body: Tree) -> AnswerParts:
    content = body.get("content")
    blocks = items(content)
    return AnswerParts(
        contents=(_given_answer(blocks), content),
        reasons=(body.get("stop_reason"),),
        usage=_usage(item(body.get("usage"))),
        model=body.get("model"),
        id=body.get("id"),
        calls_tool=any(block.get("type") == "tool_use" for block in blocks),
        missing="content" if content is None else "",
    )


def _given_answer(blocks: list[Tree]) -> str:
    """The JSON that an older model gave as the input of the answer's tool."""
    for block in blocks:
        given = block.get("input")
        if block.get("name") == _ANSWER_TOOL and given is not None:
            return written(given) if isinstance(given, dict) else said(given)
    return ""


def _joined(pieces: list[Tree], ended: bool) -> Tree | None:
    """A stream's events as the message that they make."""
    made: Tree = {}
    blocks: dict[int, Tree] = {}
    for piece in pieces:
        kind = piece.get("type")
        if "content" in piece:
            return piece  # whole, with a stream's end behind it
        if kind == "message_start":
            made |= item(piece.get("message"))
        elif kind == "content_block_start":
            blocks[count(piece.get("index"))] = {**item(piece.get("content_block"))}
        elif kind == "content_block_delta":
            _grow(blocks.setdefault(count(piece.get("index")), {}), item(piece.get("delta")))
        elif kind == "message_delta":
            usage = {**item(made.get("usage")), **item(piece.get("usage"))}
            made |= {**item(piece.get("delta")), "usage": usage}
    return {**made, "content": [*blocks.values()]} if made.get("stop_reason") else None


def _grow(block: Tree, delta: Tree) -> None:
    for key, name in (("text", "text"), ("partial_json", "input")):
        if delta.get(key) not in (None, ""):
            so_far = block.get(name)
            if not isinstance(so_far, list):
                so_far = block[name] = [so_far] if isinstance(so_far, str) else []
            so_far.append(delta[key])


_reading = Reading(_find, _joined)


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a message object, or the typed failure. Never raises for what a provider sent."""
    return replies.parsed(response, _reading)


def _usage(usage: Tree) -> Usage:
    written = count(usage.get("cache_creation_input_tokens"))
    read = count(usage.get("cache_read_input_tokens"))
    sent = count(usage.get("input_tokens")) + written + read
    return Usage(sent, count(usage.get("output_tokens")), read, written)
