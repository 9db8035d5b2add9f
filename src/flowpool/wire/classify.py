"""How an answer that isn't a success is classified: for every provider, by one table.

The rules are tried in order and the first that fits decides. Knows no call. Nothing here raises for what a
provider sent.
"""

from __future__ import annotations

import re
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
    Truncated,
    Verdict,
)
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import HttpResponse
from flowpool.wire import error_body, system_message
from flowpool.wire.error_body import MESSAGE_CAP, MINIMAX, Fault
from flowpool.wire.named_limit import NamedLimit, named_in


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
# Beside 4xx where it belongs: providers, and routers before them, tell their refusals as 5xx too, and an error
# inside a 200 has no other status.
_OF_LIMITS = frozenset({402, 403, 429}) | frozenset(range(500, 1000))
_OF_MONEY = frozenset({400, 401}) | _OF_LIMITS
# What gateways say, in pages too, of a server behind them that is down or being started.
_OF_GATEWAYS = frozenset({502, 503, 504, 529}) | frozenset(range(520, 528)) | {530}
# Synthetic codes, for what a provider says in headers, details or several words.
_NOT_ON_PLAN = "flowpool:limit-of-zero"
_WEB_PAGE = "flowpool:web-page"
_OF_A_DAY = "flowpool:limit-of-a-day-or-longer"
_OF_A_MINUTE = "flowpool:limit-of-up-to-an-hour"
# "Limit: 0 / min" and Google's "limit: 0, model: ...": the plan has none of this model.
_NO_LIMIT = re.compile(r"\blimit:? 0(?![.\d])", re.ASCII)

RULES = (
    FailureRule(
        QuotaExhausted,
        _ANY,
        frozenset(
            {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"}
            | {"project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_error"}
            | {"billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
            | {"exceeded_current_quota_error", "arrearage", "accountoverdueerror", "creditserror"}
            | {"insufficient_user_quota", "budget_exceeded", "credit_limit"}
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
            | {f"{MINIMAX}1026", f"{MINIMAX}1027"}
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
    FailureRule(
        BadRequest,
        frozenset({413, 429}),
        phrases=("request too large",),
        fix="shorten the input or lower max_tokens: one call exceeds the limit of a minute",
    ),
    FailureRule(QuotaExhausted, _OF_LIMITS, frozenset({_OF_A_DAY})),
    FailureRule(RateLimited, _ANY, frozenset({"slow_down", "throttlingexception"})),
    FailureRule(
        AuthFailed,
        _ANY,
        frozenset({"unsupported_country_region_territory"}),
        (
            *("location is not supported", "region, or territory not supported"),
            *("not available in your country", "not available in your region"),
        ),
        fix="the provider doesn't serve the place that the call comes from: use another provider",
    ),
    FailureRule(
        AuthFailed,
        _ANY,
        frozenset({"account_deactivated", "organization_disabled"}),
        (
            *("organization has been disabled", "account has been disabled"),
            *("account is suspended", "account has been suspended"),
            *("account has been deactivated", "account is not active"),
        ),
        fix="the account is closed or suspended: ask the provider, or use another key",
    ),
    FailureRule(
        AuthFailed,
        frozenset({400, 401, 403}),
        frozenset({"api_key_invalid", "invalid_api_key", "authentication_error"}),
    ),
    # A minute's refusal may well speak of usage limits and quotas.
    FailureRule(RateLimited, frozenset({403, 429}), frozenset({_OF_A_MINUTE})),
    FailureRule(
        QuotaExhausted,
        _OF_MONEY,
        phrases=(
            *("credit balance", "available credits", "insufficient credits", "not enough credits"),
            *("insufficient balance", "balance is insufficient", "balance is not enough"),
            *("balance not enough", "overdue balance", "余额不足", "insufficient_quota"),
            *("usage limit", "spend limit", "spending limit", "key limit", "calls / month"),
            *("over budget", "budget has been exceeded", "payment required", "out of credits"),
            *("insufficient funds", "account balance", "available balance", "no balance"),
            *("in arrears", "please recharge", "please top up", "欠费", "充值"),
        ),
    ),
    # Of a 429 these words say nothing: Google says them of every minute's limit.
    FailureRule(
        QuotaExhausted,
        _OF_LIMITS - {429},
        phrases=(
            *("quota exceeded", "exceeded your quota", "exceeded your current quota"),
            *("quota has been exceeded", "quota is not enough", "out of quota", "volume quota"),
        ),
    ),
    FailureRule(
        RateLimited,
        _OF_LIMITS - {402},
        phrases=("rate limit", "too many requests", "too many concurrent"),
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
        frozenset({400, 413, 422, 500}),
        frozenset(
            {"context_length_exceeded", "request_too_large", "exceed_context_size_error"}
            | {"contextwindowexceedederror"}
        ),
        (
            *("maximum context length", "prompt is too long", "input token count"),
            *("available context size", "contextwindowexceedederror"),
        ),
        fix="shorten the input, or use a model with a larger context",
    ),
    FailureRule(
        BadRequest,
        frozenset({400, 422, 500}),
        phrases=system_message.REFUSALS,
        fix="put the system message into the prompt: this model knows none",
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
        (
            *("model not exist", "model does not exist", "invalid model name"),
            *(
                "is not a valid model",
                "unknown model",
                "no such model",
                "llm provider not provided",
            ),
        ),
        fix="check the model's name",
        verdict=Verdict.HOPELESS,
    ),
    # Servers that know no such path say so in a 200 or a 500 too.
    FailureRule(
        BadRequest,
        frozenset({400, *range(500, 1000)}),
        phrases=(
            *("unexpected endpoint or method", "unknown request url", "invalid url (post"),
            *("404 not_found", "cannot post /", "no route matched", "no such endpoint"),
        ),
        fix="check base_url: there is no such API at this address",
        verdict=Verdict.HOPELESS,
    ),
    # What servers of TLS say to who speaks plainly, and to who shows no certificate.
    FailureRule(
        BadRequest,
        frozenset({400}),
        phrases=(
            *("plain http request was sent to https", "http request to an https server"),
            *("plain http to an ssl-enabled", "plain http to a tls"),
        ),
        fix="write base_url with https://",
        verdict=Verdict.HOPELESS,
    ),
    FailureRule(
        AuthFailed,
        frozenset({400, 403, 495, 496}),
        phrases=("no required ssl certificate", "ssl certificate error"),
        fix="the server wants a certificate of yours: pass client_options={'client_cert': ...}",
    ),
    # Servers of one's own answer with a 500 what is the call's own fault, or a slip of the model's.
    FailureRule(
        BadRequest,
        frozenset({500}),
        phrases=("image input is not supported", "audio input is not supported"),
        fix="use a model that takes such input",
    ),
    FailureRule(
        InvalidReply,
        frozenset({500}),
        frozenset({"model_error"}),
        ("output that does not match the expected", "the model produced invalid"),
    ),
    # Groq's: what the model wrote wasn't JSON, or no call of a tool.
    FailureRule(
        Truncated,
        frozenset({400}),
        phrases=("max completion tokens reached before",),
    ),
    FailureRule(
        InvalidReply,
        frozenset({400}),
        frozenset({"json_validate_failed", "tool_use_failed"}),
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
    FailureRule(
        AuthFailed,
        frozenset({407}),
        fix="a proxy wants a password: put user:password@ into HTTP_PROXY or HTTPS_PROXY",
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
        fix="check base_url: an API answers at its own address, and its calls follow no redirect",
        verdict=Verdict.HOPELESS,
    ),
    FailureRule(InvalidReply, range(-1000, 300)),
)

# What the wires put behind a base URL.
_PATHS = ("/chat/completions", "/responses", "/v1/messages", "/v2/chat")

# The status behind an error inside a 200, by the code it comes with.
_STATUS_OF_CODE = {
    **{f"{MINIMAX}{code}": 429 for code in (1002, 1039, 2045)},
    **{f"{MINIMAX}{code}": 401 for code in (1004, 2049)},
    **{f"{MINIMAX}{code}": 400 for code in (1026, 1027, 1042, 2013)},
    f"{MINIMAX}1008": 402,
    f"{MINIMAX}1001": 504,
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
        page = (_WEB_PAGE,) if error_body.is_page(response.body) else ()
        fault = Fault(error_body.words_of(response.body), page)
    if not 300 <= response.status < 400:
        made = _classified(response.status, fault, response)
        is_servers_own = type(made) is ServerError and response.status not in _OF_GATEWAYS
        made.of_setup = is_servers_own and _WEB_PAGE in fault.codes
        return made
    target = _without_query(response.headers.get("location", ""))
    fault = replace(fault, message=f"the provider redirects to {target}")
    made = _classified(response.status, fault, response)
    base_url, path, rest = target.rpartition(next(filter(target.endswith, _PATHS), "/"))
    if path in _PATHS and "://" in base_url and not rest:
        made.fix = f"set base_url to {base_url}"
    return made


def embedded(
    error: object,
    response: HttpResponse,
    usage: Usage = NO_USAGE,
    partial: str = "",
    otherwise: int = 502,
) -> CallError:
    """The typed failure of an error that sits inside a success; `otherwise` is its status if it has none."""
    fault = error_body.fault_in({"error": error})
    made = _classified(_status_in(fault) or otherwise, fault, response)
    made.usage = usage
    made.partial = partial
    made.of_setup = type(made) is ServerError and not partial and not _status_in(fault)
    return made


def known_failure(response: HttpResponse, usage: Usage = NO_USAGE) -> CallError | None:
    """The failure that a success without an answer speaks of; None for words that nobody knows."""
    fault = error_body.read(response.body)
    if not fault.message:
        return None
    status = _status_in(fault)
    made = _classified(status or 500, fault, response)
    if not status and type(made) is ServerError:
        return None
    made.usage = usage
    return made


def _status_in(fault: Fault) -> int:
    """The status that an error's codes stand for; 0 if they tell none."""
    numbers = [int(code) for code in fault.codes if code.isascii() and code.isdigit()]
    known = [
        _STATUS_OF_CODE[code.lower()] for code in fault.codes if code.lower() in _STATUS_OF_CODE
    ]
    status = next((number for number in numbers if 400 <= number < 600), 0)
    return status or (known[0] if known else 0)


def _classified(status: int, fault: Fault, response: HttpResponse) -> CallError:
    headers = response.headers
    named = named_in(fault, headers, refused=status == 429)
    codes = {code.lower() for code in fault.codes} | _synthetic_codes(fault, headers, named)
    rule = _rule(status, codes, fault.message[:MESSAGE_CAP].lower())
    error = rule.kind(
        _said(status, fault),
        fix=rule.fix,
        status=status,
        retry_after=error_body.retry_after(headers, fault.retry_delay),
        request_id=error_body.request_id(response) or error_body.one_line(fault.request_id),
    )
    if rule.verdict is not None:
        error.verdict = rule.verdict
    _tell_limit(error, named)
    # The provider's own word on retrying; but what no wait can mend stays so.
    wanted = headers.get("x-should-retry", "")
    if wanted in ("true", "false") and error.verdict is not Verdict.HOPELESS:
        error.retryable = wanted == "true"
    return error


def _synthetic_codes(fault: Fault, headers: Mapping[str, str], named: NamedLimit) -> set[str]:
    """What is said in headers or in words, as codes."""
    codes = set()
    if _limit_is_zero(headers) or _NO_LIMIT.search(fault.message[:MESSAGE_CAP].lower()):
        codes.add(_NOT_ON_PLAN)
    if named.period:
        codes.add(_OF_A_DAY if named.is_long else _OF_A_MINUTE)
    return codes


def _tell_limit(error: CallError, named: NamedLimit) -> None:
    """Puts into a refusal what it says of the limit, and when that comes back."""
    if isinstance(error, QuotaExhausted):
        # A Retry-After of seconds speaks of the next minute.
        error.retry_after = named.wait
        if "fix" not in vars(error) and (named.is_long or named.wait is not None):
            error.fix = named.fix
        error.dimension = named.dimension if named.is_long else None
    elif isinstance(error, RateLimited | Overloaded):
        error.dimension = named.dimension
        if error.retry_after is None:
            error.retry_after = named.wait


def _said(status: int, fault: Fault) -> str:
    code = next((c for c in fault.codes if not c.isdigit() and not c.startswith("flowpool:")), "")
    said = f"{code}: {fault.message}" if code and code not in fault.message else fault.message
    return error_body.one_line(f"HTTP {status} {said}".rstrip(" :"))


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
    shown = (
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if host else parts.path
    )
    return shown or "another address"
