"""What another package's exception says, as one of flowpool's failures: by its HTTP status, else by its kind.

Knows no package: what they have in common is read (`status_code`, `response`, `body`, `retry_after`), and judged by
the same table as the providers' own answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from flowpool.errors import AttemptTimeout, CallError, ConnectFailed, TransportError, message_of
from flowpool.values import HttpResponse
from flowpool.wire.classify import failure
from flowpool.wire.error_body import one_line

# Packages whose exceptions speak of a model's provider, whoever raises them.
_SDKS = frozenset(
    {"openai", "anthropic", "google", "mistralai", "groq", "cohere", "together", "botocore"}
    | {"litellm", "any_llm", "dspy", "pydantic_ai", "langchain_core", "llama_index"}
)
_STATUSES = range(400, 600)
# Causes behind an error that are looked at: frameworks wrap a client's error two or three times, and causes may
# go in a circle.
_DEPTH = 6


def recognised(error: BaseException, *, of_sdks_only: bool) -> CallError | None:
    """The failure that an exception, or what it was raised from, stands for; None where it tells nothing.

    of_sdks_only: leave out what is raised by packages that call other hosts too.
    """
    for one in causes(error):
        if of_sdks_only and _package(one) not in _SDKS:
            continue
        response = response_of(one)
        if response is not None:
            return failure(response)
        if gone := lost(one):
            return gone
    return None


def response_of(error: BaseException) -> HttpResponse | None:
    """The provider's answer that an exception was made of, as far as it is still there."""
    response = getattr(error, "response", None)
    status = _status(error, response)
    if status is None:
        return None
    headers = getattr(error, "headers", None) or getattr(response, "headers", None)
    found = {str(k).lower(): str(v) for k, v in dict(headers or {}).items()}
    after = getattr(error, "retry_after", None)
    if after is not None and "retry-after" not in found:
        found["retry-after"] = str(after)
    return HttpResponse(status, found, _body(error, response))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it was raised from."""
    seen: BaseException | None = error
    for _ in range(_DEPTH):
        if seen is None:
            return
        yield seen
        original = getattr(seen, "original_exception", None)
        seen = seen.__cause__ or (original if isinstance(original, BaseException) else None)


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _status(error: BaseException, response: Any) -> int | None:
    """The HTTP status, wherever packages keep it."""
    meta = response.get("ResponseMetadata") if isinstance(response, Mapping) else None  # botocore
    for status in (
        getattr(error, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
        getattr(response, "status_code", None),
        meta.get("HTTPStatusCode") if isinstance(meta, Mapping) else None,
    ):
        if isinstance(status, int) and status in _STATUSES:
            return int(status)
    return None


def _body(error: BaseException, response: Any) -> bytes:
    """The answer's body; else what the exception says, in the form that a body would."""
    with suppress(Exception):  # there is no such response, or nobody read it
        content = response.content
        if isinstance(content, bytes) and content:
            return content
    if isinstance(response, Mapping) and isinstance(said := response.get("Error"), Mapping):
        return msgspec.json.encode({"message": str(said.get("Message")), "code": said.get("Code")})
    body = getattr(error, "body", None) or getattr(error, "details", None)
    if not isinstance(body, Mapping):
        code = getattr(error, "provider_code", None) or getattr(error, "code", None)
        body = {"message": message_of(error), "code": code if isinstance(code, str) else None}
    try:
        return msgspec.json.encode(body if "error" in body else {"error": body})
    except (TypeError, ValueError):
        return msgspec.json.encode({"error": {"message": message_of(error)}})


def lost(error: BaseException) -> TransportError | None:
    """The failure of a call that got no answer; None where the exception doesn't tell."""
    names = [kind.__name__.lower() for kind in type(error).__mro__]
    what = one_line(f"{type(error).__name__}: {message_of(error)}")
    if any("timeout" in name for name in names):
        return AttemptTimeout(what)
    words = ("connect", "transporterror", "networkerror", "remoteprotocolerror")
    if any(word in name for name in names for word in words):
        return ConnectFailed(what)
    return None
