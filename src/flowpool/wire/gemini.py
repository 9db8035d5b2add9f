"""Google's Gemini API (generateContent): calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct, json

from flowpool.errors import Blocked, CallError, EmptyReply, InvalidReply, Truncated
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

_VERSION = "/v1beta"
_CONFIG = {
    # neutral option: its name in generationConfig
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
    "seed": "seed",
}
_FILTERED = (Blocked, "the provider's content filter stopped the answer")
_GARBLED = (InvalidReply, "the model called a tool that isn't there, or garbled the call")
_STOPPED: dict[str, tuple[type[CallError], str]] = {
    # finish reason: (failure, what happened)
    "MAX_TOKENS": (Truncated, "the answer reached its token limit"),
    "SAFETY": _FILTERED,
    "RECITATION": _FILTERED,
    "LANGUAGE": _FILTERED,
    "BLOCKLIST": _FILTERED,
    "PROHIBITED_CONTENT": _FILTERED,
    "SPII": _FILTERED,
    "IMAGE_SAFETY": _FILTERED,
    "IMAGE_PROHIBITED_CONTENT": _FILTERED,
    "MALFORMED_FUNCTION_CALL": _GARBLED,
    "UNEXPECTED_TOOL_CALL": _GARBLED,
    "OTHER": (EmptyReply, "the provider stopped the answer without saying why"),
}


# Requests.


@lru_cache(maxsize=1024)
def _target(endpoint: Endpoint, model: str) -> request_parts.Target:
    path = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    base_url = request_parts.unversioned(endpoint.base_url, _VERSION)
    url = request_parts.join(base_url, f"{_VERSION}/{request_parts.quoted(path)}:generateContent")
    return request_parts.Target(url, request_parts.headers_for(endpoint, auth="x-goog-api-key"))


def build(call: Call, endpoint: Endpoint) -> HttpRequest:
    """The request that asks `call`. An option `generationConfig` is merged with the neutral options.

    Raises InvalidInput for what this wire can't carry.
    """
    target = _target(endpoint, call.model)
    body: dict[str, Any] = {
        "contents": [_message(message) for message in call.messages if message.role != "system"],
    }
    if not body["contents"]:
        request_parts.need_user_message(call)
    config: dict[str, Any] = {}
    if call.options:
        _add_options(body, config, call)
    instruction = _add_format(config, call.output) if call.output is not None else ""
    if config:
        body["generationConfig"] = {**config, **body.get("generationConfig", {})}
    system = request_parts.system_parts(call, instruction)
    if system:
        body.setdefault("systemInstruction", {"parts": [{"text": text} for text in system]})
    return HttpRequest("POST", target.url, target.headers, request_parts.encode(body, call))


def _add_options(body: dict[str, Any], config: dict[str, Any], call: Call) -> None:
    for name, value in call.options.items():
        if value is None:
            continue
        if name in _CONFIG:
            config[_CONFIG[name]] = request_parts.as_list(value) if name == "stop" else value
        else:
            body[name] = value


def _message(message: Message) -> dict[str, Any]:
    role = "model" if message.role == "assistant" else "user"
    return {"role": role, "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    return _media(part)


def _media(media: Media) -> dict[str, Any]:
    if media.url:
        return {"fileData": {"mimeType": media.media_type, "fileUri": media.url}}
    return {"inlineData": {"mimeType": media.media_type, "data": media.data}}


def _add_format(config: dict[str, Any], output: OutputFormat) -> str:
    """Asks for the output's format; returns what has to be said in words, or nothing."""
    schema = json_in_words.schema_of(output)
    if output.form == "words":
        return json_in_words.in_words(schema)
    config["responseMimeType"] = "application/json"
    if schema is not None:
        config["responseJsonSchema"] = schema_dialects.for_gemini(schema)
    return ""


# Answers.


class _Piece(Struct):
    text: str | None = None
    thought: bool | None = None
    functionCall: Any = None  # noqa: N815


class _GeminiContent(Struct):
    parts: list[_Piece] | None = None


class _Candidate(Struct, rename="camel"):
    content: _GeminiContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _GeminiUsage(Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _GeminiAnswer(replies.AnswerBody, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _GeminiUsage | None = None
    model_version: str | None = None
    response_id: str | None = None

    def used(self) -> Usage:
        return _usage(self.usage_metadata or _NO_USAGE)


_decoder = json.Decoder(_GeminiAnswer, strict=False)
_NO_USAGE = _GeminiUsage()


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a generateContent answer, or the typed failure. Never raises for what was sent."""
    return replies.parsed(response, _decoder, _finished)


def _finished(answer: _GeminiAnswer, usage: Usage, response: HttpResponse) -> Reply | CallError:
    if not answer.candidates:
        return _without_candidates(answer, usage, response)
    candidate = answer.candidates[0]
    pieces = (candidate.content and candidate.content.parts) or []
    text = _said(pieces)
    if candidate.finish_reason in _STOPPED:
        kind, why = _STOPPED[candidate.finish_reason]
        reason = candidate.finish_message or candidate.finish_reason
        return replies.failed(kind, f"{why}: {reason}", response, usage, text)
    if not text and any(piece.functionCall for piece in pieces):
        return replies.asked_for_a_tool(response, usage, text)
    return replies.reply(text, usage, answer.model_version, answer.response_id, response)


def _said(pieces: list[_Piece]) -> str:
    if len(pieces) == 1 and not pieces[0].thought:
        return pieces[0].text or ""
    return "".join(piece.text or "" for piece in pieces if not piece.thought)


def _without_candidates(answer: _GeminiAnswer, usage: Usage, response: HttpResponse) -> CallError:
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        why = f"the provider blocked the prompt: {answer.prompt_feedback.block_reason}"
        return replies.failed(Blocked, why, response, usage)
    if answer.usage_metadata is None:
        return replies.without_answer("candidates", response)
    return replies.failed(EmptyReply, "the answer has no candidates", response, usage)


def _usage(usage: _GeminiUsage) -> Usage:
    thought = usage.thoughts_token_count or 0
    return Usage(
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        (usage.candidates_token_count or 0) + thought,
        usage.cached_content_token_count or 0,
        0,
        thought,
    )
