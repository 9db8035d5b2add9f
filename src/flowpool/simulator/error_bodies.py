"""Failures as the providers' APIs write them: HTTP status and body. Pure."""

from __future__ import annotations

import math
from typing import Any

from flowpool.simulator.plan import Failure, Wire

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
    return _google_error(failure) if wire.startswith("gemini") else _openai_error(failure)


def _openai_error(failure: Failure) -> tuple[int, dict[str, Any]]:
    status = failure.status
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = None if failure.kind == "path" else _OPENAI_CODES.get(status)
    if failure.kind == "quota":
        kind = code = "insufficient_quota"
    elif failure.kind == "rate":
        kind, code = failure.dimension or "rate_limit_error", "rate_limit_exceeded"
    param = next(iter(failure.not_done), None)
    error = {"message": failure.message, "type": kind, "param": param, "code": code}
    return status, {"error": error}


def _anthropic_error(failure: Failure, request_id: str) -> tuple[int, dict[str, Any]]:
    status = 402 if failure.kind == "quota" else failure.status
    fallback = "invalid_request_error" if status < 500 else "api_error"
    error: dict[str, Any] = {
        "type": _ANTHROPIC_ERRORS.get(status, fallback),
        "message": failure.message,
    }
    if "thread" in failure.not_done:
        # Told so, Anthropic's client goes on with the whole conversation in each request.
        unsupported = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
        error["details"] = unsupported
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
