"""What an error body says, read without knowing whose it is: codes, words, and when to come back.

Providers put these in half a dozen shapes. Judges nothing and knows no clock: a date in `retry-after` is
taken against the answer's own `date`. Nothing here raises for what a provider sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from msgspec import Struct

from flowpool.values import HttpResponse
from flowpool.wire import tolerant

# Characters: some servers answer with whole pages, and an error is read in a line of a log.
MESSAGE_CAP = 500
# Stands before a code of MiniMax's `base_resp`, whose numbers mean something else to others.
MINIMAX = "flowpool:minimax-"

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id")
_WORDS = ("message", "msg", "detail", "error_msg", "status_msg", "error", "errors")
# Where an error object is kept. MiniMax puts one into every answer, whole ones too.
_HOLDERS = ("error", "base_resp")
_CODES = ("code", "type", "status", "reason")  # the most telling first
# What says, where errors stand, that there is none.
_ALL_WELL = frozenset({"", "0", "200", "ok", "success", "succeeded", "none", "null", "false"})
_MINIMAX_DIGITS = 4


class Fault(Struct, frozen=True):
    """What an error body says, in no provider's dialect.

    retry_delay: seconds. quotas: the names of the quotas that refused, as Google tells them. headers: those of the
    host behind a router, which repeats them, in lower case.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    retry_delay: float | None = None
    request_id: str = ""
    quotas: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}


# What the error body says.


def read(body: bytes) -> Fault:
    """What a body says: of a stream's objects, the first that tells an error."""
    try:
        values = tolerant.read(body).values
    except tolerant.UnreadableBody:
        return Fault()
    faults = [one for one in values if isinstance(one, dict) and tells_error(one.get("error"))]
    return fault_in((faults or values or [None])[0])


def tells_error(error: Any) -> bool:
    """Whether what stands where errors do is one: some servers say there that all went well.

    >>> tells_error({"code": 0, "message": "success"}), tells_error(False), tells_error("boom")
    (False, False, True)
    """
    if not error or not isinstance(error, (str, dict, list)):
        return False
    # MiniMax's has its code beside words that may say anything.
    holder = error[0] if isinstance(error, list) else error
    if isinstance(holder, dict) and ("status_msg" in holder or "status_code" in holder):
        code = str(holder.get("status_code"))
        if not _words(holder, 0) or "status_msg" in holder:
            return code.isascii() and code.isdigit() and len(code) == _MINIMAX_DIGITS
    fault = fault_in({"error": error})
    words = (fault.message.strip(" .!"), *fault.codes)
    return any(word.lower() not in _ALL_WELL for word in words)


def fault_in(data: object) -> Fault:
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return Fault(_words(data))
    error = _error_object(data)
    codes = list(_codes(error))
    quotas: list[str] = []
    delay: float | None = None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            codes.extend(filter(None, (_text(detail.get("reason")),)))
            quotas.extend(_quotas(detail))
            delay = _duration(detail.get("retryDelay")) if "retryDelay" in detail else delay
    return Fault(
        _message(error),
        tuple(codes),
        delay,
        _text(data.get("request_id")),
        tuple(quotas),
        _headers(error),
    )


def _error_object(data: dict[str, Any]) -> dict[str, Any]:
    for holder in _HOLDERS:
        inner = data.get(holder)
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if isinstance(inner, dict):
            return inner
    return data


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    """Every name an error goes by."""
    for key in _CODES:
        value = error.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield str(value)[:100]
    if isinstance(error.get("status_code"), int | str):
        yield f"{MINIMAX}{error['status_code']}"[:100]
    deeper = error.get("innererror")
    if isinstance(deeper, dict):
        yield from _codes(deeper)


def _quotas(detail: Mapping[str, Any]) -> Iterator[str]:
    """The quotas that Google names, `GenerateRequestsPerDayPerProjectPerModel-FreeTier`."""
    violations = detail.get("violations")
    for violation in violations if isinstance(violations, list) else ():
        if isinstance(violation, dict):
            name = _text(violation.get("quotaId")) or _text(violation.get("quotaMetric"))
            if name:
                yield name[:MESSAGE_CAP]


def _headers(error: Mapping[str, Any]) -> dict[str, str]:
    metadata = error.get("metadata")
    repeated = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(repeated, dict):
        return {}
    return {name.lower(): str(value)[:100] for name, value in repeated.items()}


def _message(error: Mapping[str, Any]) -> str:
    """The provider's message; a router's with what the host behind it said."""
    said = _words(error)
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{said}: {raw}" if isinstance(raw, str) and raw else said


def _words(value: object, depth: int = 0) -> str:
    """The first text found where error bodies keep their message."""
    if isinstance(value, str):
        return value
    if depth > 4:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(part, depth + 1) for part in value[:3])))
    if isinstance(value, dict):
        return next(filter(None, (_words(value.get(key), depth + 1) for key in _WORDS)), "")
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# When to come back.


def retry_after(headers: Mapping[str, str], delay: float | None = None) -> float | None:
    """Seconds the provider asked to wait: from its headers, else `delay` from its error body."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after", "")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    until, now = http_date(asked), http_date(headers.get("date", ""))
    if until is not None and now is not None:
        return max(0.0, (until - now).total_seconds())
    return delay


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _duration(value: object) -> float | None:
    return _number(value.removesuffix("s")) if isinstance(value, str) else None


def http_date(value: str) -> datetime | None:
    """The moment that a header names, None where it names none."""
    from email.utils import parsedate_to_datetime  # slow to import, and seldom needed

    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# What is said about it.


def request_id(response: HttpResponse) -> str:
    """The id to quote to the provider's support, from the headers."""
    headers = response.headers
    for name in _REQUEST_IDS:
        found = headers.get(name)
        if found:
            return found[:200]
    return ""


def is_page(body: bytes) -> bool:
    """Whether it is a web page, or anything else in angle brackets, where an API would answer with JSON."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def words_of(body: bytes) -> str:
    """What a body that isn't an error object says: a page's title, or its first words."""
    text = body[:4000].decode("utf-8", "replace")
    lowered = text.lower()
    start = lowered.find("<title")
    if start >= 0:
        inside = text.find(">", start) + 1
        end = lowered.find("</title", inside)
        if inside and end > inside:
            return f"a web page: {text[inside:end]}"
    if lowered.lstrip().startswith(("<!doctype", "<html")):
        return "a web page"
    return text[:300] or "an empty body"


def one_line(message: str) -> str:
    """The message without control characters and line ends, at most `MESSAGE_CAP` characters."""
    shown = message[: 4 * MESSAGE_CAP]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else " " for char in shown)
    shown = " ".join(shown.split())
    return shown if len(shown) <= MESSAGE_CAP else shown[: MESSAGE_CAP - 1] + "…"
