"""OpenAI's chat completions, which most other providers speak too: calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock. What differs between the providers that speak it
stands in the provider table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flowpool.errors import CallError
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
from flowpool.wire.replies import AnswerParts, Reading, count, item, items
from flowpool.wire.tolerant import Tree

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


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
    return HttpRequest(
        "POST", target.url, target.headers, request_parts.encode(body, call, says_stream=True)
    )


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
        json_in_words.say(body["messages"], json_in_words.in_words(schema))


# Answers.


def _find(body: Tree) -> AnswerParts:
    choice = item(body.get("choices"))
    message = item(choice.get("message"))
    return AnswerParts(
        # A completion of the older API has its text in the choice.
        contents=(message.get("content"), choice.get("text")),
        # OpenRouter gives beside its own reason that of the host.
        reasons=(choice.get("finish_reason"), choice.get("native_finish_reason")),
        refusal=message.get("refusal"),
        error=choice.get("error"),
        usage=_usage(body.get("usage")),
        model=body.get("model"),
        id=body.get("id"),
        calls_tool=bool(message.get("tool_calls") or message.get("function_call")),
        missing="" if choice else "choices",
    )


def _joined(pieces: list[Tree], ended: bool) -> Tree | None:
    """A stream of `chat.completion.chunk`s as the completion that they make."""
    made: Tree = {}
    choice: Tree = {"message": {"content": []}}
    parts = [part for piece in pieces for part in items(piece.get("choices"))]
    ours = count(parts[0].get("index")) if parts else 0
    for piece in pieces:
        made |= {key: value for key, value in piece.items() if value}
    for part in parts:
        if count(part.get("index")) == ours:  # others are other answers to the same call
            _grow(choice, part)
            ended = ended or "message" in part
    return {**made, "choices": [choice]} if ended or choice.get("finish_reason") else None


def _grow(choice: Tree, part: Tree) -> None:
    """Adds a chunk's part of a choice to it, or the choice as a whole."""
    choice |= {key: value for key, value in part.items() if value and key != "delta"}
    delta, message = item(part.get("delta")), item(choice["message"])
    if delta.get("content") not in (None, "", []):
        so_far = message.get("content")
        if not isinstance(so_far, list):
            so_far = message["content"] = [so_far or ""]
        so_far.append(delta["content"])
    message |= {key: delta[key] for key in ("refusal", "tool_calls") if delta.get(key)}


_reading = Reading(_find, _joined)


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a chat completion, or the typed failure. Never raises for what a provider sent."""
    return replies.parsed(response, _reading)


def _usage(value: object) -> Usage:
    usage = item(value)
    of_input = item(usage.get("prompt_tokens_details"))
    of_output = item(usage.get("completion_tokens_details"))
    sent, made = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    cached = count(
        of_input.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cached_tokens"),  # Moonshot
    )
    thought = count(of_output.get("reasoning_tokens"), usage.get("reasoning_tokens"))  # Perplexity
    # xAI counts reasoning beside the completion, the others inside it: the total says which.
    if thought and count(usage.get("total_tokens")) == sent + made + thought:
        made += thought
    return Usage(sent, made, cached, count(of_input.get("cache_write_tokens")), thought)
