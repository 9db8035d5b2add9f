"""What a provider sends back: bodies, errors and limit headers, each in its provider's own shape.

Pure functions of a finished plan. `epoch` is the wall time, in seconds, at which the plan's clock shows 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from flowpool.simulator import model, streams
from flowpool.simulator.limits import LimitState
from flowpool.simulator.profile import Flavour
from flowpool.simulator.provider import Failure, ReplyPlan, ServedAnswer, Wire
from flowpool.values import Headers

_encode = msgspec.json.encode


class Rendered(Struct, frozen=True):
    """An HTTP answer, without the length and connection headers that the carrier adds."""

    status: int
    headers: Headers
    body: bytes


def render(plan: ReplyPlan, flavour: Flavour, now: float, epoch: float) -> Rendered:
    """The HTTP answer that `plan` calls for, sent `now`."""
    request, outcome = plan.request, plan.outcome
    headers = [("date", _date(int(epoch + now)))]
    headers += limit_headers(flavour, plan.limits, epoch + plan.received)
    id_header = "request-id" if request.wire == "messages" else "x-request-id"
    headers.append((id_header, f"req_{plan.ticket}"))
    if isinstance(outcome, Failure):
        headers += _retry_headers(outcome, flavour)
        if outcome.page:
            headers.append(("content-type", "text/html"))
            return Rendered(outcome.status, tuple(headers), outcome.page.encode())
        status, error = error_body(request.wire, outcome, f"req_{plan.ticket}")
        return _json(status, headers, error)
    if plan.shape == "not-json":
        headers.append(("content-type", "text/html"))
        return Rendered(200, tuple(headers), b"<html><body>Bad gateway</body></html>")
    if plan.shape == "error-in-200":
        failure = Failure(502, "The upstream provider returned an error.")
        return _json(200, headers, error_body(request.wire, failure, f"req_{plan.ticket}")[1])
    body = _BODIES[request.wire](plan, outcome, int(epoch + now))
    if request.stream:
        headers.append(("content-type", "text/event-stream"))
        return Rendered(200, tuple(headers), streams.stream(request, body))
    return _json(200, headers, body)


def render_error(wire: Wire, failure: Failure) -> Rendered:
    """The answer to a request that never became a plan: one that can't be read."""
    status, body = error_body(wire, failure, "req_0")
    return _json(status, [], body)


def models_body(path: str) -> bytes:
    """The list of models, which holds the simulator's one; it takes any name in a call."""
    if "/v1beta/" in path:
        return _encode({"models": [{"name": f"models/{model.NAME}"}]})
    # One entry with the fields of OpenAI's list and of Anthropic's.
    entry = {
        "id": model.NAME,
        "object": "model",
        "created": 0,
        "owned_by": "flowpool",
        "type": "model",
        "display_name": model.NAME,
        "created_at": "2026-01-01T00:00:00Z",
    }
    return _encode({"object": "list", "data": [entry], "has_more": False})


def _json(status: int, headers: list[tuple[str, str]], body: dict[str, Any]) -> Rendered:
    headers.append(("content-type", "application/json"))
    return Rendered(status, tuple(headers), _encode(body))


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


# Limit headers.


def limit_headers(
    flavour: Flavour, limits: tuple[LimitState, ...], wall: float
) -> list[tuple[str, str]]:
    """What a flavour's headers say of the limits, `wall` being the time of day in seconds."""
    headers = []
    if flavour == "openai":
        for dimension, limit, remaining, reset in limits:
            headers.append((f"x-ratelimit-limit-{dimension}", str(limit)))
            headers.append((f"x-ratelimit-remaining-{dimension}", str(remaining)))
            headers.append((f"x-ratelimit-reset-{dimension}", go_duration(reset)))
    elif flavour == "mistral":
        for dimension, limit, remaining, _ in limits:
            name = "req" if dimension == "requests" else dimension
            headers.append((f"x-ratelimit-limit-{name}-minute", str(limit)))
            headers.append((f"x-ratelimit-remaining-{name}-minute", str(remaining)))
    elif flavour == "anthropic":
        for dimension, limit, remaining, reset in limits:
            name = f"anthropic-ratelimit-{dimension}"
            if dimension != "requests":
                remaining = round(remaining, -3)
            headers.append((f"{name}-limit", str(limit)))
            headers.append((f"{name}-remaining", str(remaining)))
            headers.append((f"{name}-reset", _rfc3339(math.ceil(wall + reset))))
    return headers


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a duration, to the millisecond: `12ms`, `1.5s`, `6m0s`."""
    millis = round(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


@lru_cache(maxsize=1024)
def _rfc3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _retry_headers(failure: Failure, flavour: Flavour) -> list[tuple[str, str]]:
    wait = failure.retry_after
    if wait is None or flavour == "gemini":
        return []
    headers = [("retry-after", f"{math.ceil(wait * 1000) / 1000:g}")]
    if flavour == "openai":
        headers.append(("retry-after-ms", str(math.ceil(wait * 1000))))
    return headers


# Errors.

_ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 503: "server_is_overloaded"}


def error_body(wire: Wire, failure: Failure, request_id: str) -> tuple[int, dict[str, Any]]:
    """A failure's HTTP status and body as the provider behind `wire` writes them."""
    if wire == "messages":
        return _anthropic_error(failure, request_id)
    return _google_error(failure) if wire == "gemini" else _openai_error(failure)


def _openai_error(failure: Failure) -> tuple[int, dict[str, Any]]:
    status = failure.status
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = _OPENAI_CODES.get(status)
    if failure.kind == "quota":
        kind = code = "insufficient_quota"
    elif failure.kind == "rate":
        kind, code = failure.dimension or "rate_limit_error", "rate_limit_exceeded"
    error = {"message": failure.message, "type": kind, "param": None, "code": code}
    return status, {"error": error}


def _anthropic_error(failure: Failure, request_id: str) -> tuple[int, dict[str, Any]]:
    status = 402 if failure.kind == "quota" else failure.status
    fallback = "invalid_request_error" if status < 500 else "api_error"
    error = {"type": _ANTHROPIC_ERRORS.get(status, fallback), "message": failure.message}
    return status, {"type": "error", "error": error, "request_id": request_id}


def _google_error(failure: Failure) -> tuple[int, dict[str, Any]]:
    status = failure.status
    fallback = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
    error: dict[str, Any] = {
        "code": status,
        "message": failure.message,
        "status": _GOOGLE_ERRORS.get(status, fallback),
    }
    details = []
    if failure.kind == "quota" or (failure.kind == "rate" and failure.dimension):
        window = "PerDay" if failure.kind == "quota" else "PerMinute"
        quota = f"Generate{failure.dimension.title().replace('-', '')}{window}PerProjectPerModel"
        violations = [{"quotaId": quota}]
        details.append(
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}
        )
    if failure.retry_after is not None:
        delay = f"{math.ceil(failure.retry_after * 1000) / 1000:g}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    if details:
        error["details"] = details
    return status, {"error": error}


# Answers.

_CHAT_FINISHES = {"length": "length", "filter": "content_filter"}
_ANTHROPIC_STOPS = {"length": "max_tokens", "filter": "refusal", "refusal": "refusal"}
_GOOGLE_FINISHES = {"length": "MAX_TOKENS", "filter": "SAFETY", "refusal": "PROHIBITED_CONTENT"}


def _chat_body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    refused = answer.finish == "refusal"
    text = "" if plan.shape == "empty" else answer.text
    message = {
        "role": "assistant",
        "content": None if refused else text,
        "refusal": answer.text if refused else None,
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _CHAT_FINISHES.get(answer.finish, "stop"),
    }
    return {
        "id": f"chatcmpl-{plan.ticket}",
        "object": "chat.completion",
        "created": created,
        "model": plan.request.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _responses_body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    whole = answer.finish in ("stop", "refusal")
    reason = "max_output_tokens" if answer.finish == "length" else "content_filter"
    part: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": []}
    if answer.finish == "refusal":
        part = {"type": "refusal", "refusal": answer.text}
    message = {
        "type": "message",
        "id": f"msg_{plan.ticket}",
        "status": "completed" if whole else "incomplete",
        "role": "assistant",
        "content": [part],
    }
    return {
        "id": f"resp_{plan.ticket}",
        "object": "response",
        "created_at": created,
        "status": "completed" if whole else "incomplete",
        "error": None,
        "incomplete_details": None if whole else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": plan.request.model,
        "output": [] if plan.shape == "empty" else [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def _messages_body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    stop = _ANTHROPIC_STOPS.get(answer.finish, "end_turn")
    block: dict[str, Any] = {"type": "text", "text": answer.text}
    if plan.request.tool and answer.finish == "stop":
        stop, block = "tool_use", _tool_block(plan, answer)
    return {
        "id": f"msg_{plan.ticket}",
        "type": "message",
        "role": "assistant",
        "model": plan.request.model,
        "content": [] if plan.shape == "empty" else [block],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answer.output_tokens,
        },
    }


def _tool_block(plan: ReplyPlan, answer: ServedAnswer) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(answer.text)
    except msgspec.DecodeError:
        given = {"answer": answer.text}
    return {
        "type": "tool_use",
        "id": f"toolu_{plan.ticket}",
        "name": plan.request.tool,
        "input": given,
    }


def _gemini_body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"role": "model", "parts": [{"text": answer.text}]},
        "finishReason": _GOOGLE_FINISHES.get(answer.finish, "STOP"),
        "index": 0,
    }
    body: dict[str, Any] = {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": answer.output_tokens,
            "totalTokenCount": answer.input_tokens + answer.output_tokens,
        },
        "modelVersion": plan.request.model,
        "responseId": f"resp_{plan.ticket}",
    }
    if answer.finish == "filter":
        del body["candidates"]
        body["promptFeedback"] = {"blockReason": "SAFETY"}
    elif plan.shape == "empty":
        body["candidates"] = []
    return body


_BODIES: dict[Wire, Callable[[ReplyPlan, ServedAnswer, int], dict[str, Any]]] = {
    "chat": _chat_body,
    "responses": _responses_body,
    "messages": _messages_body,
    "gemini": _gemini_body,
}
