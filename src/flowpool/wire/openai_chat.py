"""OpenAI's chat completions, which most other providers speak too: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock. What differs between the providers that speak it
stands in the provider table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct, json

from flowpool.errors import Blocked, CallError, InvalidReply, Overloaded, Refused, Truncated
from flowpool.providers import Provider
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
from flowpool.wire.classify import embedded

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_TOOLS = frozenset({"tool_calls", "function_call"})
_STOPPED: dict[str, tuple[type[CallError], str]] = {
    # finish reason: (failure, what happened)
    "length": (Truncated, "the answer reached its token limit"),
    "model_length": (Truncated, "the answer reached the model's context length"),
    "content_filter": (Blocked, "the provider's content filter stopped the answer"),
    "insufficient_system_resource": (Overloaded, "the provider ran out of capacity mid-answer"),
    "error": (InvalidReply, "the provider failed mid-answer"),
}


# Requests.


class _Target(request_parts.Target, frozen=True):
    names: dict[str, str]
    row: Provider


@lru_cache(maxsize=1024)
def _target(endpoint: Endpoint) -> _Target:
    row = request_parts.row_of(endpoint)
    return _Target(
        request_parts.join(endpoint.base_url, "/chat/completions"),
        request_parts.headers_for(endpoint),
        {"max_tokens": row.max_tokens_name},
        row,
    )


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. Raises InvalidInput for what this wire can't carry."""
    target = _target(endpoint)
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [_message(message, target.row) for message in call.messages],
    }
    if call.options:
        request_parts.add_options(body, call, target.names)
    if call.output is not None:
        _add_format(body, call, call.output, target.row)
    return HttpRequest("POST", target.url, target.headers, request_parts.encode(body, call))


def _message(message: Message, row: Provider) -> dict[str, Any]:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return {"role": message.role, "content": parts[0].text}
    # Texts as one string: many compatible servers take no list.
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return {"role": message.role, "content": "\n".join(texts)}
    return {"role": message.role, "content": [_part(part, row) for part in parts]}


def _part(part: Part, row: Provider) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = part.media_type
    if kind.startswith("image/"):
        url = part.url or request_parts.data_url(part)
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "application/pdf":
        return _document(part, row)
    if kind in _AUDIO and part.data:
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": _AUDIO[kind]}}
    if kind.startswith("text/") and part.data:
        return {"type": "text", "text": request_parts.inline_text(part)}
    raise request_parts.unsupported(part, "openai-chat", "use an image, a PDF, wav or mp3, or text")


def _document(media: Media, row: Provider) -> dict[str, Any]:
    if row.documents == "document_url":
        return {"type": "document_url", "document_url": media.url or request_parts.data_url(media)}
    if media.url and row.documents != "file_url":
        fix = 'pass its base64 data, or use provider="openai-responses"'
        raise request_parts.unsupported(media, "openai-chat", fix)
    data = media.url or request_parts.data_url(media)
    name = media.name or "document.pdf"
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def _add_format(body: dict[str, Any], call: Call, output: OutputFormat, row: Provider) -> None:
    schema = json_in_words.schema_of(output)
    native = output.form == "native"
    if schema is not None and native and row.json_mode != "object":
        fitted, strict = schema_dialects.for_openai(schema)
        wanted = {"name": output.name, "schema": fitted, "strict": strict}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return
    if native and row.json_mode != "schema-only":
        body["response_format"] = {"type": "json_object"}
    if schema is not None or not json_in_words.says_json(call):
        body["messages"].insert(0, {"role": "system", "content": json_in_words.in_words(schema)})


# Answers.


class _Chunk(Struct):
    type: str = ""
    text: str | None = None


class _Said(Struct):
    content: str | list[_Chunk] | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Said | None = None
    finish_reason: str | None = None
    error: Any = None


class _ChatInputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _ChatOutputDetails(Struct):
    reasoning_tokens: int | None = None


class _ChatUsage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _ChatInputDetails | None = None
    completion_tokens_details: _ChatOutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None  # Moonshot
    reasoning_tokens: int | None = None  # Perplexity


class _Completion(replies.AnswerBody):
    choices: list[_Choice] | None = None
    usage: _ChatUsage | None = None
    model: str | None = None
    id: str | None = None

    def used(self) -> Usage:
        return _usage(self.usage or _NO_USAGE)


_decoder = json.Decoder(_Completion, strict=False)
_NOTHING_SAID = _Said()
_NO_USAGE = _ChatUsage()
_NO_INPUT_DETAILS = _ChatInputDetails()
_NO_OUTPUT_DETAILS = _ChatOutputDetails()


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a chat completion, or the typed failure. Never raises for what a provider sent."""
    return replies.parsed(response, _decoder, _finished)


def _finished(answer: _Completion, usage: Usage, response: HttpResponse) -> Reply | CallError:
    if not answer.choices:
        return replies.without_answer("choices", response, usage)
    choice = answer.choices[0]
    said = choice.message or _NOTHING_SAID
    text = said.content if isinstance(said.content, str) else _joined(said.content)
    if choice.finish_reason != "stop" or choice.error or said.refusal:
        stopped = _stopped(choice, said, text, usage, response)
        if stopped is not None:
            return stopped
    return replies.reply(text, usage, answer.model, answer.id, response)


def _joined(content: list[_Chunk] | None) -> str:
    """The words of content in chunks; a model's thinking is among them without being its answer."""
    return "".join(chunk.text or "" for chunk in content or () if chunk.type in ("", "text"))


def _stopped(
    choice: _Choice, said: _Said, text: str, usage: Usage, response: HttpResponse
) -> CallError | None:
    """The failure behind a choice that didn't simply end, or None when it's an answer after all."""
    if choice.error:
        return embedded(choice.error, response, usage, text)
    if said.refusal:
        why = f"the model declined: {said.refusal}"
        return replies.failed(Refused, why, response, usage, text)
    reason = choice.finish_reason
    if reason in _STOPPED:
        kind, why = _STOPPED[reason]
        return replies.failed(kind, why, response, usage, text)
    if reason in _TOOLS and not text:
        return replies.asked_for_a_tool(response, usage, text)
    return None


def _usage(usage: _ChatUsage) -> Usage:
    sent, made = usage.prompt_tokens or 0, usage.completion_tokens or 0
    of_input = usage.prompt_tokens_details or _NO_INPUT_DETAILS
    of_output = usage.completion_tokens_details or _NO_OUTPUT_DETAILS
    cached = _first(of_input.cached_tokens, usage.prompt_cache_hit_tokens, usage.cached_tokens)
    written = of_input.cache_write_tokens or 0
    thought = _first(of_output.reasoning_tokens, usage.reasoning_tokens)
    # xAI counts reasoning beside the completion, the others inside it: the total tells which.
    if thought and usage.total_tokens == sent + made + thought:
        made += thought
    return Usage(sent, made, cached, written, thought)


def _first(*counts: int | None) -> int:
    """The first that is no 0: providers keep the same count under several names."""
    return next(filter(None, counts), 0)
