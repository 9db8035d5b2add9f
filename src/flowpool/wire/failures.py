"""How an answer that isn't a success is classified: for every provider, by one table.

The rules are tried in order and the first that fits decides. Knows no call and no clock: a date in
`retry-after` is taken against the answer's own `date`. Nothing here raises for what a provider sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from flowpool.errors import (
    AuthFailed,
    BadRequest,
    Blocked,
    CallError,
    InvalidReply,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Signal,
)
from flowpool.values import NO_USAGE, HttpResponse, Secret, Usage

MESSAGE_CAP = 500


class Rule(Struct, frozen=True):
    """Fits when the status is in `statuses`, and a code or a phrase is met if any are listed.

    Codes are compared in lower case with every type, code, status and reason in the error body; phrases
    with its message.
    """

    kind: type[CallError]
    statuses: range | frozenset[int]
    codes: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    fix: str = ""
    signal: Signal | None = None
    retryable: bool | None = None


_CLIENT = range(400, 500)
_ANY = range(400, 1000)
# Synthetic codes, for what a provider says in headers or details.
_PER_DAY = "flowpool:quota-per-day"
_NOT_ON_PLAN = "flowpool:limit-of-zero"

RULES = (
    Rule(
        QuotaExhausted,
        _CLIENT,
        frozenset(
            {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"}
            | {"project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_error"}
            | {"billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
            | {"exceeded_current_quota_error", "arrearage", _PER_DAY}
        ),
    ),
    Rule(
        QuotaExhausted,
        frozenset({429}),
        frozenset({_NOT_ON_PLAN}),
        fix="this model isn't on the plan: change the plan or the model",
    ),
    Rule(
        Blocked,
        _CLIENT,
        frozenset(
            {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
            | {"data_inspection_failed", "datainspectionfailed", "moderation_blocked"}
        ),
    ),
    Rule(
        Overloaded,
        _ANY,
        frozenset(
            {"overloaded_error", "server_is_overloaded", "capacity_exceeded", "queue_exceeded"}
            | {"engine_overloaded_error", "resource_unavailable", "service_tier_capacity_exceeded"}
            | {"insufficient_system_resource"}
        ),
    ),
    Rule(RateLimited, _ANY, frozenset({"slow_down"})),
    Rule(
        AuthFailed,
        frozenset({400, 401, 403}),
        frozenset({"api_key_invalid", "invalid_api_key", "authentication_error"}),
    ),
    Rule(
        QuotaExhausted,
        frozenset({400, 403, 429}),
        phrases=("credit balance", "usage limit", "spend limit", "spending limit")
        + ("available credits", "insufficient credits", "insufficient balance", "key limit"),
    ),
    Rule(
        Blocked,
        frozenset({400, 403}),
        phrases=("was flagged", "content management policy", "violates usage guidelines"),
    ),
    Rule(
        AuthFailed,
        frozenset({400}),
        phrases=("incorrect api key", "invalid api key", "api key not valid"),
    ),
    Rule(
        BadRequest,
        frozenset({413, 429}),
        phrases=("request too large",),
        fix="shorten the input or lower max_tokens: one call exceeds the limit of a minute",
    ),
    Rule(
        BadRequest,
        frozenset({400, 413, 422}),
        frozenset({"context_length_exceeded", "request_too_large"}),
        ("maximum context length", "prompt is too long", "input token count"),
        fix="shorten the input, or use a model with a larger context",
    ),
    Rule(
        BadRequest,
        frozenset({404}),
        phrases=("no endpoints found",),
        fix="no host of this model takes such a call: change the options or the model",
    ),
    Rule(
        BadRequest,
        frozenset({400, 404}),
        frozenset({"model_not_found", "deploymentnotfound", "invalid_model"}),
        ("model not exist", "model does not exist"),
        fix="check the model's name",
        signal=Signal.HOPELESS,
    ),
    Rule(
        BadRequest,
        frozenset({404, 405}),
        fix="check the model's name and base_url",
        signal=Signal.HOPELESS,
    ),
    Rule(AuthFailed, frozenset({401, 403})),
    Rule(QuotaExhausted, frozenset({402})),
    Rule(ServerError, frozenset({408})),
    Rule(ServerError, frozenset({409, 425}), signal=Signal.NONE),
    Rule(RateLimited, frozenset({429})),
    Rule(Overloaded, frozenset({498, 503, 529})),
    Rule(BadRequest, _CLIENT),
    Rule(ServerError, range(500, 1000)),
    Rule(
        BadRequest,
        range(300, 400),
        fix="set base_url to the address that answers without a redirect",
        signal=Signal.HOPELESS,
    ),
    Rule(InvalidReply, range(-1000, 300)),
)

# The status behind an error inside a 200, by the code it comes with.
_STATUS_OF_CODE = {
    "server_error": 500,
    "api_error": 500,
    "internal_server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "unavailable": 503,
    "internal": 500,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
}
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id")
_WORDS = ("message", "msg", "detail", "error_msg", "error", "errors")
_CODES = ("code", "type", "status", "reason")  # the most telling first


class Fault(Struct, frozen=True):
    """What an error body says, in no provider's dialect."""

    message: str = ""
    codes: tuple[str, ...] = ()
    retry_delay: float | None = None
    request_id: str = ""


def failure(response: HttpResponse) -> CallError:
    """The typed failure of an answer whose status isn't a success."""
    fault = read_fault(response.body)
    if fault.message == "":
        fault = msgspec.structs.replace(fault, message=words_of(response.body))
    if 300 <= response.status < 400:
        target = _without_query(response.headers.get("location", ""))
        fault = msgspec.structs.replace(fault, message=f"the provider redirects to {target}")
    return _classified(response.status, fault, response)


def embedded(
    error: object,
    response: HttpResponse,
    usage: Usage = NO_USAGE,
    partial: str = "",
    otherwise: int = 502,
) -> CallError:
    """The typed failure of an error that sits inside a success; `otherwise` is its status if it has none."""
    fault = _fault({"error": error})
    numbers = [int(code) for code in fault.codes if code.isascii() and code.isdigit()]
    known = [
        _STATUS_OF_CODE[code.lower()] for code in fault.codes if code.lower() in _STATUS_OF_CODE
    ]
    status = next((number for number in numbers if 400 <= number < 600), 0)
    made = _classified(status or (known[0] if known else otherwise), fault, response)
    made.usage = usage
    made.partial = partial
    return made


def _classified(status: int, fault: Fault, response: HttpResponse) -> CallError:
    headers = response.headers
    codes = {code.lower() for code in fault.codes}
    if _limit_is_zero(headers):
        codes.add(_NOT_ON_PLAN)
    rule = _rule(status, codes, fault.message.lower())
    code = next((code for code in fault.codes if not code.isdigit()), "")
    said = f"{code}: {fault.message}" if code and code not in fault.message else fault.message
    error = rule.kind(
        one_line(f"HTTP {status} {said}".rstrip(" :")),
        fix=rule.fix,
        status=status,
        retry_after=retry_after(headers, fault.retry_delay),
        request_id=request_id(response) or one_line(fault.request_id),
    )
    if rule.signal is not None:
        error.signal = rule.signal
    # The provider's own word on retrying; but what no wait can mend stays so.
    wanted = headers.get("x-should-retry", "")
    if wanted in ("true", "false") and error.signal is not Signal.HOPELESS:
        error.retryable = wanted == "true"
    return error


def _rule(status: int, codes: set[str], message: str) -> Rule:
    return next((rule for rule in RULES if _fits(rule, status, codes, message)), RULES[-1])


def _fits(rule: Rule, status: int, codes: set[str], message: str) -> bool:
    if status not in rule.statuses:
        return False
    if not rule.codes and not rule.phrases:
        return True
    return not rule.codes.isdisjoint(codes) or any(phrase in message for phrase in rule.phrases)


def _limit_is_zero(headers: Mapping[str, str]) -> bool:
    """Mistral gives a model that isn't on the plan a limit of 0; elsewhere 0 means that there is none."""
    return (
        headers.get("x-ratelimit-limit-req-minute") == "0"
        or headers.get("x-ratelimit-limit-tokens-minute") == "0"
    )


# What the error body says.


def read_fault(body: bytes) -> Fault:
    try:
        return _fault(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault()


def _fault(data: object) -> Fault:
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return Fault(_words(data))
    inner = data.get("error")
    if isinstance(inner, list) and inner:
        inner = inner[0]
    error = inner if isinstance(inner, dict) else data
    codes = list(_codes(error))
    delay: float | None = None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            codes.extend(_detail_codes(detail))
            delay = _duration(detail.get("retryDelay")) if "retryDelay" in detail else delay
    return Fault(_message(error), tuple(codes), delay, _text(data.get("request_id")))


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    """Every name an error goes by."""
    for key in _CODES:
        value = error.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield str(value)[:100]
    deeper = error.get("innererror")
    if isinstance(deeper, dict):
        yield from _codes(deeper)


def _detail_codes(detail: Mapping[str, Any]) -> Iterator[str]:
    reason = detail.get("reason")
    if isinstance(reason, str):
        yield reason
    violations = detail.get("violations")
    for violation in violations if isinstance(violations, list) else ():
        if isinstance(violation, dict) and "PerDay" in _text(violation.get("quotaId")):
            yield _PER_DAY


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
    until, now = _date(asked), _date(headers.get("date", ""))
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


def _date(value: str) -> datetime | None:
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


def redact(error: CallError, key: Secret) -> CallError:
    """The same error, with the key blotted out where a provider echoed it, even one cut by the cap."""
    secret = key.reveal()
    if secret:
        error.message = _blotted(error.message, secret)
        error.partial = error.partial.replace(secret, "***")
        error.request_id = error.request_id.replace(secret, "***")
        error.args = (error.message,)
    return error


def _blotted(message: str, secret: str) -> str:
    message = message.replace(secret, "***")
    if message.endswith("…"):
        for size in range(len(secret) - 1, 3, -1):
            if message.endswith(secret[:size] + "…"):
                return message[: -size - 1] + "***…"
    return message


def _without_query(url: str) -> str:
    """An address without its query, which may hold what nobody should read in a log."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "another address"
    shown = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return shown or "another address"
