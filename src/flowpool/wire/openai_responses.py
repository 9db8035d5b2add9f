"""OpenAI's Responses API: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flowpool.errors import CallError, InvalidInput
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
from flowpool.wire.replies import AnswerParts, Reading, count, item, items, word
from flowpool.wire.tolerant import Tree

_NAMES = {"max_tokens": "max_output_tokens"}


# Requests.


@lru_cache(maxsize=1024)
def _target(endpoint: Endpoint) -> request_parts.Target:
    url = request_parts.join(endpoint.base_url, "/responses")
    return request_parts.Target(url, request_parts.headers_for(endpoint))


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. `seed`, which this API doesn't know, is left out.

    Raises InvalidInput for what this wire can't carry.
    """
    target = _target(endpoint)
    body: dict[str, Any] = {
        "model": call.model,
        "input": [_message(message) for message in call.messages],
    }
    if call.options:
        request_parts.add_options(body, call, _NAMES)
        body.pop("seed", None)
        if "stop" in body:
            raise InvalidInput('openai-responses has no stop: remove it, or use provider="openai".')
    if call.output is not None:
        _add_format(body, call, call.output)
    data = request_parts.encode(body, call, says_stream=True)
    return HttpRequest("POST", target.url, target.headers, data)


def _message(message: Message) -> dict[str, Any]:
    parts = message.parts
    if message.role == "assistant":
        # What the model said comes back as one text: parts of it would need their ids. llama.cpp wants its type.
        said = "\n".join(map(_words, parts))
        return {"type": "message", "role": message.role, "content": said}
    if len(parts) == 1 and type(parts[0]) is Text:
        return {"role": message.role, "content": parts[0].text}
    return {"role": message.role, "content": [_part(part) for part in parts]}


def _words(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    raise InvalidInput(
        f"an assistant message can't hold {part.media_type}: put it into a user message."
    )


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if part.media_type.startswith("image/"):
        url = part.url or request_parts.data_url(part)
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    if part.media_type == "application/pdf":
        return _document(part)
    if part.media_type.startswith("text/") and part.data:
        return {"type": "input_text", "text": request_parts.inline_text(part)}
    raise request_parts.unsupported(part, "openai-responses", "use an image, a PDF or text")


def _document(media: Media) -> dict[str, Any]:
    if media.url:
        return {"type": "input_file", "file_url": media.url}
    name = media.name or "document.pdf"
    return {"type": "input_file", "filename": name, "file_data": request_parts.data_url(media)}


def _add_format(body: dict[str, Any], call: Call, output: OutputFormat) -> None:
    schema = json_in_words.schema_of(output)
    wanted: dict[str, Any] = {"type": "json_object"}
    if output.form == "words":
        json_in_words.say(body["input"], json_in_words.in_words(schema), "input_text")
        return
    if schema is not None:
        fitted, strict = schema_dialects.for_openai(schema)
        wanted = {"type": "json_schema", "name": output.name, "schema": fitted, "strict": strict}
    elif not json_in_words.says_json(call):
        json_in_words.say(body["input"], json_in_words.PLAIN_JSON, "input_text")
    given = body.get("text")
    body["text"] = {**given, "format": wanted} if isinstance(given, dict) else {"format": wanted}


# Answers.


_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.done")


def _find(body: Tree) -> AnswerParts:
    output = items(body.get("output"))
    messages = [one for one in output if word(one.get("type")) in ("", "message")]
    contents = [one.get("content") for one in messages]
    refusals = [part.get("refusal") for one in contents for part in items(one)]
    status = word(body.get("status"))
    why = item(body.get("incomplete_details"))
    return AnswerParts(
        contents=(contents, body.get("output_text")),
        reasons=(
            why.get("reason"),
            *(() if status == "completed" else (status, "incomplete" if why else "")),
            *(one.get("status") for one in messages),
        ),
        refusal=next(filter(None, refusals), None),
        usage=_usage(item(body.get("usage"))),
        model=body.get("model"),
        id=body.get("id"),
        calls_tool=any(word(one.get("type")).endswith("_call") for one in output),
        missing="" if output or isinstance(body.get("output"), list) else "output",
    )


def _joined(pieces: list[Tree], ended: bool) -> Tree | None:
    """A stream's events as the response that its last one holds."""
    ends = [piece for piece in pieces if piece.get("type") in _ENDS]
    if not ends:
        return next((piece for piece in pieces if "output" in piece), None)
    whole = item(ends[-1].get("response"))
    if not whole.get("output"):
        words = [p.get("delta") for p in pieces if p.get("type") == "response.output_text.delta"]
        whole = {**whole, "output": [{"content": words}]}
    return whole


# What failed without saying how is the call's own fault: a bad image, a prompt against the rules.
_reading = Reading(_find, _joined, otherwise=400)


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a response object, or the typed failure. Never raises for what a provider sent."""
    return replies.parsed(response, _reading)


def _usage(usage: Tree) -> Usage:
    sent = item(usage.get("input_tokens_details"))
    made = item(usage.get("output_tokens_details"))
    return Usage(
        count(usage.get("input_tokens")),
        count(usage.get("output_tokens")),
        count(sent.get("cached_tokens")),
        count(sent.get("cache_write_tokens")),
        count(made.get("reasoning_tokens")),
    )
