"""OpenAI's Responses API: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct, json

from flowpool.errors import Blocked, CallError, InvalidInput, InvalidReply, Refused, Truncated
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

_NAMES = {"max_tokens": "max_output_tokens"}
_INCOMPLETE: dict[str, tuple[type[CallError], str]] = {
    # reason: (failure, what happened)
    "max_output_tokens": (Truncated, "the answer reached its token limit"),
    "content_filter": (Blocked, "the provider's content filter stopped the answer"),
}


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
    return HttpRequest("POST", target.url, target.headers, request_parts.encode(body, call))


def _message(message: Message) -> dict[str, Any]:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return {"role": message.role, "content": parts[0].text}
    if message.role == "assistant":
        # What the model said comes back as one text: parts of it would need their ids.
        return {"role": message.role, "content": "\n".join(map(_words, parts))}
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
        body["input"].insert(0, {"role": "system", "content": json_in_words.in_words(schema)})
        return
    if schema is not None:
        fitted, strict = schema_dialects.for_openai(schema)
        wanted = {"type": "json_schema", "name": output.name, "schema": fitted, "strict": strict}
    elif not json_in_words.says_json(call):
        body["input"].insert(0, {"role": "system", "content": json_in_words.PLAIN_JSON})
    given = body.get("text")
    body["text"] = {**given, "format": wanted} if isinstance(given, dict) else {"format": wanted}


# Answers.


class _ResponsesContent(Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(Struct):
    type: str = ""
    content: list[_ResponsesContent] | None = None


class _Why(Struct):
    reason: str | None = None


class _ResponsesInputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _ResponsesOutputDetails(Struct):
    reasoning_tokens: int | None = None


class _ResponsesUsage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _ResponsesInputDetails | None = None
    output_tokens_details: _ResponsesOutputDetails | None = None


class _Response(replies.AnswerBody):
    status: str | None = None
    output: list[_Item] | None = None
    incomplete_details: _Why | None = None
    usage: _ResponsesUsage | None = None
    model: str | None = None
    id: str | None = None

    def used(self) -> Usage:
        return _usage(self.usage or _NO_USAGE)

    def partial(self) -> str:
        return _said(self.output or [])[0]


_decoder = json.Decoder(_Response, strict=False)
_NO_USAGE = _ResponsesUsage()
_NO_INPUT_DETAILS = _ResponsesInputDetails()
_NO_OUTPUT_DETAILS = _ResponsesOutputDetails()


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a response object, or the typed failure. Never raises for what a provider sent."""
    # What failed without saying how is the call's own fault: a bad image, a prompt against the rules.
    return replies.parsed(response, _decoder, _finished, otherwise=400)


def _finished(answer: _Response, usage: Usage, response: HttpResponse) -> Reply | CallError:
    text, refusal = _said(answer.output or [])
    if refusal:
        why = f"the model declined: {refusal}"
        return replies.failed(Refused, why, response, usage, text)
    if answer.status not in (None, "completed"):
        return _unfinished(answer, text, usage, response)
    if answer.output is None:
        return replies.without_answer("output", response, usage)
    if not text and any(item.type.endswith("_call") for item in answer.output):
        return replies.asked_for_a_tool(response, usage, text)
    return replies.reply(text, usage, answer.model, answer.id, response)


def _said(items: list[_Item]) -> tuple[str, str]:
    """The answer's words and the refusal's; other items are thinking and calls of tools."""
    texts = []
    refusal = ""
    for item in items:
        if item.type == "message":
            for content in item.content or ():
                texts.append(content.text or "")
                refusal = refusal or content.refusal or ""
    return texts[0] if len(texts) == 1 else "".join(texts), refusal


def _unfinished(answer: _Response, text: str, usage: Usage, response: HttpResponse) -> CallError:
    reason = (answer.incomplete_details and answer.incomplete_details.reason) or ""
    if reason in _INCOMPLETE:
        kind, why = _INCOMPLETE[reason]
        return replies.failed(kind, why, response, usage, text)
    why = f"the answer's status is {answer.status} {reason}"
    return replies.failed(InvalidReply, why, response, usage, text)


def _usage(usage: _ResponsesUsage) -> Usage:
    sent = usage.input_tokens_details or _NO_INPUT_DETAILS
    made = usage.output_tokens_details or _NO_OUTPUT_DETAILS
    return Usage(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        sent.cached_tokens or 0,
        sent.cache_write_tokens or 0,
        made.reasoning_tokens or 0,
    )
