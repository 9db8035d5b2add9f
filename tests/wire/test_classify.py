"""The one table of failures: what each status, code and phrase means, and where each stops meaning it."""

from __future__ import annotations

import msgspec
import pytest

from flowpool.errors import CallError, Verdict
from flowpool.values import NO_USAGE, HttpResponse, Usage
from flowpool.wire import WIRES
from flowpool.wire.classify import embedded, failure


def answered(status: int, code: str = "", message: str = "", **headers: str) -> CallError:
    body = msgspec.json.encode({"error": {"code": code, "message": message or "said so"}})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure(HttpResponse(status, named, body))


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (299, "InvalidReply", Verdict.NONE),
        (300, "BadRequest", Verdict.HOPELESS),
        (399, "BadRequest", Verdict.HOPELESS),
        (400, "BadRequest", Verdict.NONE),
        (401, "AuthFailed", Verdict.HOPELESS),
        (402, "QuotaExhausted", Verdict.HOPELESS),
        (403, "AuthFailed", Verdict.HOPELESS),
        (404, "BadRequest", Verdict.HOPELESS),
        (405, "BadRequest", Verdict.HOPELESS),
        (406, "BadRequest", Verdict.NONE),
        (407, "AuthFailed", Verdict.HOPELESS),
        (408, "ServerError", Verdict.OUTAGE),
        (409, "ServerError", Verdict.NONE),
        (410, "BadRequest", Verdict.NONE),
        (424, "BadRequest", Verdict.NONE),
        (425, "ServerError", Verdict.NONE),
        (426, "BadRequest", Verdict.NONE),
        (428, "BadRequest", Verdict.NONE),
        (429, "RateLimited", Verdict.THROTTLE),
        (430, "BadRequest", Verdict.NONE),
        (497, "BadRequest", Verdict.NONE),
        (498, "Overloaded", Verdict.OUTAGE),
        (499, "BadRequest", Verdict.NONE),
        (500, "ServerError", Verdict.OUTAGE),
        (502, "ServerError", Verdict.OUTAGE),
        (503, "Overloaded", Verdict.OUTAGE),
        (504, "ServerError", Verdict.OUTAGE),
        (528, "ServerError", Verdict.OUTAGE),
        (529, "Overloaded", Verdict.OUTAGE),
        (530, "ServerError", Verdict.OUTAGE),
        (999, "ServerError", Verdict.OUTAGE),
        (1000, "InvalidReply", Verdict.NONE),
        (-1, "InvalidReply", Verdict.NONE),
    ],
)
def test_a_status_alone_means_this(status: int, kind: str, verdict: Verdict) -> None:
    error = answered(status)
    assert (type(error).__name__, error.verdict, error.status) == (kind, verdict, status)


@pytest.mark.parametrize(
    ("code", "phrase", "kind", "fix", "means_it", "no_longer"),
    [
        ("insufficient_quota", "", "QuotaExhausted", "", (400, 429, 500, 999), (399, 1000)),
        ("content_filter", "", "Blocked", "", (400, 422, 499), (399, 500)),
        ("overloaded_error", "", "Overloaded", "", (400, 429, 500, 999), (399, 1000)),
        ("slow_down", "", "RateLimited", "", (400, 503, 999), (399, 1000)),
        ("api_key_invalid", "", "AuthFailed", "", (400, 401, 403), (402, 404)),
        ("", "your credit balance is low", "QuotaExhausted", "", (400, 401, 429, 500, 999), (404, 430, 1000)),
        ("", "quota exceeded", "QuotaExhausted", "", (403, 500, 999), (400, 429, 499, 1000)),
        ("", "rate limit", "RateLimited", "", (403, 429, 500, 999), (400, 402, 404, 1000)),
        ("", "daily limit", "QuotaExhausted", "of a day", (402, 403, 429, 500, 999), (400, 401, 404, 1000)),
        ("", "limit: 0", "QuotaExhausted", "isn't on the plan", (429,), (400, 403, 500)),
        ("", "location is not supported", "AuthFailed", "doesn't serve", (400, 403, 451, 500), (399, 1000)),
        ("", "Organization has been disabled", "AuthFailed", "closed", (400, 403, 500), (399, 1000)),
        ("", "Unexpected endpoint or method", "BadRequest", "no such API", (400, 500, 999), (401, 404, 1000)),
        ("", "it was flagged", "Blocked", "", (400, 403), (401, 404)),
        ("", "Incorrect API key", "AuthFailed", "", (400,), (404, 422)),
        ("", "Request too large", "BadRequest", "lower max_tokens", (413, 429), (414, 428, 430)),
        ("context_length_exceeded", "", "BadRequest", "shorten the input, or", (400, 413, 422), (414, 423)),
        ("", "the prompt is too long", "BadRequest", "shorten the input, or", (400, 413, 422), (401, 414)),
        ("", "No endpoints found", "BadRequest", "no host of this model", (404,), (400, 405)),
        ("model_not_found", "", "BadRequest", "check the model's name", (400, 404), (401, 406)),
    ],
)  # fmt: skip
def test_a_code_or_phrase_means_more_with_these_statuses_and_not_beside_them(
    code: str,
    phrase: str,
    kind: str,
    fix: str,
    means_it: tuple[int, ...],
    no_longer: tuple[int, ...],
) -> None:
    for status in means_it:
        error = answered(status, code, phrase)
        assert (type(error).__name__, fix in (error.fix or "")) == (kind, True), status
    for status in no_longer:
        error = answered(status, code, phrase)
        assert type(error).__name__ != kind or (fix and fix not in (error.fix or "")), status


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (
            "QuotaExhausted",
            "insufficient_quota credit_balance_exhausted organization_spend_limit_exceeded "
            "project_spend_limit_exceeded organization_usage_limit_exceeded billing_error "
            "billing_hard_limit_reached billing_not_active insufficient_balance "
            "exceeded_current_quota_error Arrearage",
        ),
        (
            "Blocked",
            "content_filter content_policy_violation ResponsibleAIPolicyViolation "
            "data_inspection_failed DataInspectionFailed moderation_blocked",
        ),
        (
            "Overloaded",
            "overloaded_error server_is_overloaded capacity_exceeded queue_exceeded "
            "engine_overloaded_error resource_unavailable service_tier_capacity_exceeded "
            "insufficient_system_resource",
        ),
        ("RateLimited", "slow_down ThrottlingException"),
        ("AuthFailed", "API_KEY_INVALID invalid_api_key authentication_error"),
    ],
)
def test_providers_have_many_codes_for_the_same(kind: str, codes: str) -> None:
    for code in codes.split():
        assert type(answered(400, code)).__name__ == kind, code


def test_an_unknown_model_breaks_its_lane_and_a_model_without_a_host_does_not() -> None:
    assert answered(400, "model_not_found").verdict is Verdict.HOPELESS
    assert answered(404, "model_not_found").fix == answered(400, "model_not_found").fix
    assert answered(404, message="No endpoints found").verdict is Verdict.NONE


@pytest.mark.parametrize(
    "header", ["x_ratelimit_limit_req_minute", "x_ratelimit_limit_tokens_minute"]
)
def test_a_limit_of_zero_means_that_the_model_is_not_on_the_plan(header: str) -> None:
    assert "isn't on the plan" in (answered(429, **{header: "0"}).fix or "")
    assert type(answered(429, **{header: "1"})).__name__ == "RateLimited"
    assert type(answered(428, **{header: "0"})).__name__ == "BadRequest"
    assert type(answered(430, **{header: "0"})).__name__ == "BadRequest"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("server_error", 500),
        ("api_error", 500),
        ("internal_server_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
        ("rate_limit_error", 429),
        ("rate_limit_exceeded", 429),
        ("RESOURCE_EXHAUSTED", 429),
        ("unavailable", 503),
        ("internal", 500),
        ("authentication_error", 401),
        ("permission_error", 403),
        ("billing_error", 402),
        ("not_found_error", 404),
        ("invalid_request_error", 400),
        ("invalid_prompt", 400),
        ("something_else", 502),
        # A number is the status itself, where it can be one of a failure.
        ("399", 502),
        ("400", 400),
        ("599", 599),
        ("600", 502),
        (418, 418),
        ("²", 502),
    ],
)
def test_an_error_inside_a_success_has_the_status_of_its_code(code: object, status: int) -> None:
    error = embedded({"code": code, "message": "said so"}, HttpResponse(200, {}, b""))
    assert error.status == status
    assert (error.usage, error.partial) == (NO_USAGE, "")


def test_a_number_comes_before_a_word_and_the_wires_own_status_last() -> None:
    response = HttpResponse(200, {}, b"")
    assert embedded({"code": 429, "type": "server_error"}, response).status == 429
    assert embedded({"message": "?"}, response, otherwise=400).status == 400
    error = embedded({"message": "?"}, response, Usage(5, 6), "half an ans")
    assert (error.usage, error.partial) == (Usage(5, 6), "half an ans")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://api.test/v2/chat?key=canary", "https://api.test/v2/chat"),
        ("https://me:canary@api.test:8443/login", "https://api.test:8443/login"),
        ("/v2/chat?key=canary", "/v2/chat"),
        ("?key=canary", "another address"),
        ("", "another address"),
        ("http://[", "another address"),
    ],
)
def test_a_redirect_says_where_to_without_the_query(location: str, shown: str) -> None:
    for status in (300, 399):
        assert answered(status, location=location).message == (
            f"HTTP {status} the provider redirects to {shown}"
        )
    assert "redirects" not in answered(400, location=location).message
    assert "redirects" not in answered(299, location=location).message


@pytest.mark.parametrize(
    ("location", "fix"),
    [
        ("https://api.test:8443/v1/chat/completions", "set base_url to https://api.test:8443/v1"),
        ("https://api.test/v1/messages", "set base_url to https://api.test"),
        ("https://login.test/chat/completions/sso", "check base_url"),
        ("/v1/chat/completions/", "check base_url"),
    ],
)
def test_a_redirect_to_an_api_names_the_base_url_to_set(location: str, fix: str) -> None:
    assert answered(308, location=location).fix.startswith(fix)


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        (b"<title>400 The plain HTTP request was sent to HTTPS port</title>", "https://"),
        (b"Client sent an HTTP request to an HTTPS server.\n", "https://"),
        (b"<title>400 No required SSL certificate was sent</title>", "client_cert"),
    ],
)
def test_what_a_server_of_tls_says_to_the_wrong_ends_the_run(body: bytes, fix: str) -> None:
    error = failure(HttpResponse(400, {}, body))
    assert error.verdict is Verdict.HOPELESS
    assert fix in error.fix


def test_the_message_begins_with_the_code_unless_it_says_it() -> None:
    assert answered(400, "odd_code", "Not so.").message == "HTTP 400 odd_code: Not so."
    assert answered(400, "odd_code", "odd_code, then.").message == "HTTP 400 odd_code, then."
    assert answered(400, "1234", "Not so.").message == "HTTP 400 Not so."
    assert failure(HttpResponse(503, {}, b"")).message == "HTTP 503 an empty body"


def test_a_page_is_known_by_its_first_sign_and_reads_as_its_words() -> None:
    error = failure(HttpResponse(403, {}, b" \n<html><title>Denied</title>"))
    assert "a proxy or firewall refused it" in (error.fix or "")
    assert failure(HttpResponse(403, {}, b"Denied < here")).verdict is Verdict.HOPELESS


def test_the_provider_has_the_word_on_retrying_but_not_of_what_no_wait_can_mend() -> None:
    assert answered(500).retryable
    assert not answered(500, x_should_retry="false").retryable
    assert answered(400, x_should_retry="true").retryable
    assert answered(500, x_should_retry="perhaps").retryable
    assert not answered(401, x_should_retry="true").retryable


def test_a_phrase_far_behind_in_a_message_decides_nothing() -> None:
    body = msgspec.json.encode({"error": {"message": "x" * 600 + " usage limit"}})
    result = WIRES["openai-chat"].parse(HttpResponse(400, {}, body))
    assert type(result).__name__ == "BadRequest"


@pytest.mark.parametrize(
    ("status", "body", "is_of_setup"),
    [
        (501, b"<!DOCTYPE HTML><title>Error response</title>", True),  # python -m http.server
        (500, b"<html>", True),
        (501, b'{"error": {"message": "not implemented"}}', False),
        (500, b"Internal Server Error", False),
        *((status, b"<html>", False) for status in (502, 503, 504, 520, 522, 529, 403, 429)),
    ],
)
def test_a_page_of_a_servers_own_error_is_what_a_wrong_address_gives_and_a_gateways_is_not(
    status: int, body: bytes, is_of_setup: bool
) -> None:
    assert failure(HttpResponse(status, {}, body)).of_setup == is_of_setup


def test_a_page_that_says_405_is_no_api_at_all() -> None:
    error = failure(HttpResponse(405, {}, b"<html>"))
    assert error.verdict is Verdict.HOPELESS
    assert "base_url" in str(error)
