"""How an answer that isn't a success is classified: for every provider, by one table.

The rules are tried in order and the first that fits decides. Knows no call. Nothing here raises for what a
provider sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

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
    Verdict,
)
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import HttpResponse
from flowpool.wire import error_body
from flowpool.wire.error_body import MESSAGE_CAP, PER_DAY, Fault


class FailureRule(Struct, frozen=True):
    """Fits when the status is in `statuses`, and a code or a phrase is met if any are listed.

    Codes are compared in lower case with every type, code, status and reason in the error body; phrases
    with its message.
    """

    kind: type[CallError]
    statuses: range | frozenset[int]
    codes: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    fix: str = ""
    verdict: Verdict | None = None


_CLIENT = range(400, 500)
_ANY = range(400, 1000)
# Synthetic codes, for what a provider says in headers or details.
_NOT_ON_PLAN = "flowpool:limit-of-zero"
_WEB_PAGE = "flowpool:web-page"

RULES = (
    FailureRule(
        QuotaExhausted,
        _CLIENT,
        frozenset(
            {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"}
            | {"project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_error"}
            | {"billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
            | {"exceeded_current_quota_error", "arrearage", PER_DAY}
        ),
    ),
    FailureRule(
        QuotaExhausted,
        frozenset({429}),
        frozenset({_NOT_ON_PLAN}),
        fix="this model isn't on the plan: change the plan or the model",
    ),
    FailureRule(
        Blocked,
        _CLIENT,
        frozenset(
            {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
            | {"data_inspection_failed", "datainspectionfailed", "moderation_blocked"}
        ),
    ),
    FailureRule(
        Overloaded,
        _ANY,
        frozenset(
            {"overloaded_error", "server_is_overloaded", "capacity_exceeded", "queue_exceeded"}
            | {"engine_overloaded_error", "resource_unavailable", "service_tier_capacity_exceeded"}
            | {"insufficient_system_resource"}
        ),
    ),
    FailureRule(RateLimited, _ANY, frozenset({"slow_down", "throttlingexception"})),
    FailureRule(
        AuthFailed,
        frozenset({400, 401, 403}),
        frozenset({"api_key_invalid", "invalid_api_key", "authentication_error"}),
    ),
    FailureRule(
        QuotaExhausted,
        frozenset({400, 403, 429}),
        phrases=(
            *("credit balance", "available credits", "insufficient credits"),
            *("insufficient balance", "usage limit", "spend limit", "spending limit", "key limit"),
            "calls / month",  # of a trial key of Cohere's
        ),
    ),
    FailureRule(
        Blocked,
        frozenset({400, 403}),
        phrases=("was flagged", "content management policy", "violates usage guidelines"),
    ),
    FailureRule(
        AuthFailed,
        frozenset({400}),
        phrases=("incorrect api key", "invalid api key", "api key not valid"),
    ),
    FailureRule(
        BadRequest,
        frozenset({413, 429}),
        phrases=("request too large",),
        fix="shorten the input or lower max_tokens: one call exceeds the limit of a minute",
    ),
    FailureRule(
        BadRequest,
        frozenset({400, 413, 422}),
        frozenset({"context_length_exceeded", "request_too_large"}),
        ("maximum context length", "prompt is too long", "input token count"),
        fix="shorten the input, or use a model with a larger context",
    ),
    FailureRule(
        BadRequest,
        frozenset({404}),
        phrases=("no endpoints found",),
        fix="no host of this model takes such a call: change the options or the model",
    ),
    FailureRule(
        BadRequest,
        frozenset({400, 404}),
        frozenset({"model_not_found", "deploymentnotfound", "invalid_model"}),
        ("model not exist", "model does not exist"),
        fix="check the model's name",
        verdict=Verdict.HOPELESS,
    ),
    FailureRule(
        BadRequest,
        frozenset({404, 405}),
        fix="check the model's name and base_url",
        verdict=Verdict.HOPELESS,
    ),
    # A firewall may dislike one prompt: that says nothing of the key.
    FailureRule(
        BadRequest,
        frozenset({403}),
        frozenset({_WEB_PAGE}),
        fix="a proxy or firewall refused it: check base_url, the network and the prompt",
    ),
    FailureRule(AuthFailed, frozenset({401, 403})),
    FailureRule(QuotaExhausted, frozenset({402})),
    FailureRule(ServerError, frozenset({408})),
    FailureRule(ServerError, frozenset({409, 425}), verdict=Verdict.NONE),
    FailureRule(RateLimited, frozenset({429})),
    FailureRule(Overloaded, frozenset({498, 503, 529})),
    FailureRule(BadRequest, _CLIENT),
    FailureRule(ServerError, range(500, 1000)),
    FailureRule(
        BadRequest,
        range(300, 400),
        fix="set base_url to the address that answers without a redirect",
        verdict=Verdict.HOPELESS,
    ),
    FailureRule(InvalidReply, range(-1000, 300)),
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


def failure(response: HttpResponse) -> CallError:
    """The typed failure of an answer whose status isn't a success."""
    fault = error_body.read(response.body)
    if fault.message == "":
        page = (_WEB_PAGE,) if response.body.lstrip()[:1] == b"<" else ()
        fault = Fault(error_body.words_of(response.body), page)
    if 300 <= response.status < 400:
        target = _without_query(response.headers.get("location", ""))
        fault = replace(fault, message=f"the provider redirects to {target}")
    return _classified(response.status, fault, response)


def embedded(
    error: object,
    response: HttpResponse,
    usage: Usage = NO_USAGE,
    partial: str = "",
    otherwise: int = 502,
) -> CallError:
    """The typed failure of an error that sits inside a success; `otherwise` is its status if it has none."""
    fault = error_body.fault_in({"error": error})
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
    rule = _rule(status, codes, fault.message[:MESSAGE_CAP].lower())
    code = next((c for c in fault.codes if not c.isdigit() and not c.startswith("flowpool:")), "")
    said = f"{code}: {fault.message}" if code and code not in fault.message else fault.message
    error = rule.kind(
        error_body.one_line(f"HTTP {status} {said}".rstrip(" :")),
        fix=rule.fix,
        status=status,
        retry_after=error_body.retry_after(headers, fault.retry_delay),
        request_id=error_body.request_id(response) or error_body.one_line(fault.request_id),
    )
    if rule.verdict is not None:
        error.verdict = rule.verdict
    # The provider's own word on retrying; but what no wait can mend stays so.
    wanted = headers.get("x-should-retry", "")
    if wanted in ("true", "false") and error.verdict is not Verdict.HOPELESS:
        error.retryable = wanted == "true"
    return error


def _rule(status: int, codes: set[str], message: str) -> FailureRule:
    return next((rule for rule in RULES if _fits(rule, status, codes, message)), RULES[-1])


def _fits(rule: FailureRule, status: int, codes: set[str], message: str) -> bool:
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


def _without_query(url: str) -> str:
    """An address without its query, which may hold what nobody should read in a log."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "another address"
    shown = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return shown or "another address"
