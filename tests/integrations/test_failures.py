"""What other packages' exceptions are taken for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from flowpool import Chain, Pool
from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    Blocked,
    ConnectFailed,
    InvalidInput,
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


class Flaky:
    """A function that fails `times` by what `fails` makes, for each item, before it answers."""

    def __init__(self, fails: Callable[[], Exception], times: int = 2) -> None:
        self._fails, self._times = fails, times
        self.tries: Counter[str] = Counter()

    async def __call__(self, text: str) -> str:
        self.tries[text] += 1
        if self.tries[text] <= self._times:
            raise self._fails()
        return text


def of_requests(status: int, **headers: str) -> Exception:
    response = SimpleNamespace(status_code=status, headers=headers, content=b"")
    return Sdk(f"{status} for url", response=response)


PASSING = [
    lambda: of_requests(429, **{"Retry-After": "3"}),
    lambda: of_requests(503),
    lambda: of_requests(408),
    lambda: httpx2.ReadTimeout("slow"),
    lambda: httpx2.ConnectError("gone"),
    lambda: TimeoutError("slow"),
    lambda: ConnectionResetError("gone"),
]


@pytest.mark.parametrize("fails", PASSING)
def test_a_plain_functions_exception_that_tells_that_it_may_pass_is_tried_again(
    simulate: Any, fails: Any
) -> None:
    sim = simulate()
    flaky = Flaky(fails)
    assert sim.run(sim.pool(flaky, 3)) == ["item 0", "item 1", "item 2"]
    assert set(flaky.tries.values()) == {3}
    if "429" in str(fails()):
        assert sim.seconds >= 6.0


@pytest.mark.parametrize("fails", PASSING)
def test_it_is_the_items_error_once_the_retries_are_used_up(simulate: Any, fails: Any) -> None:
    sim = simulate()
    flaky = Flaky(fails, times=99)
    (error,) = sim.run(sim.pool(flaky, 1, retries=2)).errors
    assert isinstance(error, StepFailed)
    assert type(error.__cause__) is type(fails())
    if "429" in str(fails()):  # which is no failure of the call: its patience is what ends it
        assert 800.0 <= sim.seconds <= 900.0
    else:
        assert flaky.tries.total() == 3


@pytest.mark.parametrize("retries", [None, 3])
def test_what_no_retry_mends_is_tried_once(simulate: Any, retries: int | None) -> None:
    sim = simulate()
    flaky = Flaky(lambda: of_requests(404))
    sim.run(sim.pool(flaky, 1, retries=retries))
    assert flaky.tries.total() == 1


class Locked(Exception):
    """A database's own."""


@pytest.mark.parametrize(
    "retry_on", [Locked, [KeyError, Locked], lambda error: isinstance(error, Locked) or None]
)
def test_retry_on_names_further_exceptions_that_may_pass(simulate: Any, retry_on: Any) -> None:
    sim = simulate()
    flaky = Flaky(Locked)
    assert sim.run(sim.pool(flaky, 1, retry_on=retry_on)) == ["item 0"]
    flaky = Flaky(Locked)
    chain = Chain([(flaky, "x", {}, {"retry_on": retry_on, "retries": 1})])
    sim.run(sim.pool(chain, 1))
    assert flaky.tries.total() == 2
    flaky = Flaky(ZeroDivisionError)
    sim.run(sim.pool(flaky, 1, retry_on=retry_on))
    assert flaky.tries.total() == 1


def test_retry_on_may_refuse_what_would_be_tried_again(simulate: Any) -> None:
    sim = simulate()
    flaky = Flaky(lambda: of_requests(503))
    sim.run(sim.pool(flaky, 1, retry_on=lambda error: "503" not in str(error)))
    assert flaky.tries.total() == 1


@pytest.mark.parametrize("value", ["TimeoutError", [], ["503"], 503, int, BaseException])
def test_a_retry_on_that_can_not_be_meant_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"retry_on=.*use exception classes, or a function"):
        Pool(len, [], retry_on=value)
    with pytest.raises(InvalidInput, match=r"retry_on=.*use exception classes, or a function"):
        Chain([(len, "x", {}, {"retry_on": value})])


def test_a_chain_with_a_retry_on_is_not_saved_without_it(tmp_path: Any) -> None:
    chain = Chain([(json.loads, "x", {"s": "text"}, {"retry_on": ValueError})])
    with pytest.raises(InvalidInput, match="retry_on is Python"):
        chain.save(tmp_path / "chain.yaml")
