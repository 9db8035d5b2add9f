"""Google's Gemini API (generateContent): calls to requests, answers to replies.

Pure functions over bytes: knows no sockets and no clock.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flowpool.errors import Blocked, CallError, EmptyReply
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
from flowpool.wire.endings import Ending
from flowpool.wire.replies import AnswerParts, Reading, count, is_true, item, items, word
from flowpool.wire.tolerant import Tree

_VERSION = "/v1beta"
_CONFIG = {
    # neutral option: its name in generationConfig
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
    "seed": "seed",
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


# What servers that write enums as numbers mean.
_REASONS = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST",
            "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY")  # fmt: skip
# Under one of these a part has words; parts of other kinds have neither a text nor a type.
_WORDED = frozenset({"text", "output_text", "content", "value"})


def _find(body: Tree) -> AnswerParts:
    candidate = item(body.get("candidates"))
    usage = item(body.get("usageMetadata"))
    content = candidate.get("content")
    pieces = items(item(content).get("parts"))
    reason = _reason(candidate.get("finishReason"))
    ending = None if candidate else _without_candidates(body)
    return AnswerParts(
        contents=(_said(content),),
        reasons=(reason,),
        more=_more(candidate, reason),
        usage=_usage(usage),
        model=body.get("modelVersion"),
        id=body.get("responseId"),
        calls_tool=any(piece.get("functionCall") for piece in pieces),
        missing="" if candidate or ending else "candidates",
        ending=ending,
    )


def _without_candidates(body: Tree) -> Ending | None:
    """Why an answer of this API has none."""
    blocked = word(item(body.get("promptFeedback")).get("blockReason"))
    if blocked:
        return Ending(Blocked, f"the provider blocked the prompt: {blocked}")
    return Ending(EmptyReply, "the answer has no candidates") if "usageMetadata" in body else None


def _said(content: object) -> object:
    """The parts that aren't thoughts."""
    parts = content.get("parts") if isinstance(content, dict) else content
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list):
        return parts
    return [part for part in parts if not (isinstance(part, dict) and _is_aside(part))]


def _is_aside(part: Tree) -> bool:
    """Whether a part is a thought, or has no words and promises none."""
    return is_true(part.get("thought")) or _WORDED.isdisjoint(part)


def _reason(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return _REASONS[value] if 0 <= value < len(_REASONS) else f"number {value}"
    return value


def _more(candidate: Tree, reason: object) -> object:
    """The provider's words on why it ended, else its name for that."""
    return word(candidate.get("finishMessage")) or reason


def _joined(pieces: list[Tree], ended: bool) -> Tree | None:
    """A stream's answers, each with some of the parts, as one."""
    made: Tree = {}
    parts: list[Any] = []
    candidate: Tree = {}
    for piece in pieces:
        made |= {key: value for key, value in piece.items() if value}
        first = item(piece.get("candidates"))
        candidate |= {key: value for key, value in first.items() if value}
        more = item(first.get("content")).get("parts")
        parts += more if isinstance(more, list) else [more] if more is not None else []
    if candidate and not candidate.get("finishReason"):
        return None
    return {**made, "candidates": [{**candidate, "content": {"parts": parts}}] if candidate else []}


_reading = Reading(_find, _joined)


def parse(response: HttpResponse) -> Reply | CallError:
    """The reply in a generateContent answer, or the typed failure. Never raises for what was sent."""
    return replies.parsed(response, _reading)


def _usage(usage: Tree) -> Usage:
    thought = count(usage.get("thoughtsTokenCount"))
    sent = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
    made = count(usage.get("candidatesTokenCount")) + thought
    return Usage(sent, made, count(usage.get("cachedContentTokenCount")), 0, thought)
