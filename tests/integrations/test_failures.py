"""What other packages' exceptions are taken for."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from flowpool import Pool
from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    Blocked,
    ConnectFailed,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    StepFailed,
)
from flowpool.integrations.failures import recognised

REQUEST = httpx2.Request("POST", "http://host.test/v1")


def answer(status: int, body: dict[str, Any], **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers=headers, request=REQUEST)


def told(error: Exception, of_sdks_only: bool = False) -> Any:
    return recognised(error, of_sdks_only=of_sdks_only)


def test_the_sdks_answer_is_judged_like_our_own() -> None:
    limited = answer(429, {"error": {"message": "slow down"}}, **{"retry-after": "7"})
    found = told(openai.RateLimitError("x", response=limited, body=None))
    assert isinstance(found, RateLimited)
    assert (found.retry_after, found.status) == (7.0, 429)
    spent = answer(429, {"error": {"message": "no credit", "code": "insufficient_quota"}})
    assert isinstance(told(openai.RateLimitError("x", response=spent, body=None)), QuotaExhausted)
    wrong = answer(401, {"error": {"message": "bad key"}})
    assert isinstance(told(openai.AuthenticationError("x", response=wrong, body=None)), AuthFailed)


def test_timeouts_and_lost_connections_are_told_apart() -> None:
    assert isinstance(told(openai.APITimeoutError(REQUEST)), AttemptTimeout)
    assert isinstance(told(openai.APIConnectionError(request=REQUEST)), ConnectFailed)
    assert isinstance(told(TimeoutError()), AttemptTimeout)
    assert isinstance(told(httpx2.ReadError("gone")), ConnectFailed)
    assert told(ValueError("no")) is None


class Sdk(Exception):
    def __init__(self, message: str = "said", **fields: Any) -> None:
        super().__init__(message)
        vars(self).update(fields)


BOTO = {
    "Error": {"Code": "ThrottlingException", "Message": "Too many tokens"},
    "ResponseMetadata": {"HTTPStatusCode": 400},
}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status_code": 529}, Overloaded),
        ({"status": 429, "retry_after": 3.0}, RateLimited),
        ({"code": 400, "details": {"error": {"message": "too long"}}}, BadRequest),
        ({"response": BOTO}, RateLimited),
        ({"status_code": 400, "body": {"code": "content_filter", "message": "no"}}, Blocked),
        ({"code": "E17"}, type(None)),
        ({"status_code": 200}, type(None)),
    ],
)
def test_a_status_is_found_wherever_packages_keep_it(fields: dict[str, Any], kind: Any) -> None:
    assert isinstance(told(Sdk(**fields)), kind)


def test_what_an_exception_was_raised_from_counts() -> None:
    outer = RuntimeError("the agent failed")
    outer.__cause__ = Sdk(status_code=503)
    assert isinstance(told(outer), Overloaded)
    assert isinstance(told(Sdk(original_exception=Sdk(status_code=503))), Overloaded)


def test_a_plain_function_that_calls_a_provider_is_retried_for_what_its_sdk_raised(
    simulate,
) -> None:
    seen: list[str] = []

    async def ask(text: str) -> str:
        seen.append(text)
        if seen.count(text) == 1:
            limited = answer(429, {"error": {"message": "slow"}}, **{"retry-after": "3"})
            raise openai.RateLimitError("slow", response=limited, body=None)
        return text.upper()

    simulation = simulate()
    pool = simulation.pool(ask, 2)
    assert simulation.run(pool) == ["ITEM 0", "ITEM 1"]
    assert simulation.seconds >= 3.0
    assert [record.attempts for record in pool.results.records] == [2, 2]


def test_a_plain_functions_other_exceptions_are_its_own() -> None:
    def fetch(text: str) -> str:
        raise Sdk(status_code=503)

    (error,) = Pool(fetch, [{"text": "x"}]).run().errors
    assert isinstance(error, StepFailed)
