"""What no wait mends ends a whole run after three calls, with the fix: in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from flowpool.errors import AuthFailed, BadRequest, InvalidReply, QuotaExhausted, ServerError
from flowpool.pool import DONE, FAILED
from flowpool.simulator import Fixed
from flowpool.values import HttpResponse

DATE = {"date": "Fri, 27 Nov 2026 16:48:00 GMT"}
MIDNIGHT = "1795824000000"
ADVICE = "Add 10 credits to unlock 1000 free model requests per day"
THE_DAY = {
    "error": {
        "message": f"Rate limit exceeded: free-models-per-day. {ADVICE}",
        "code": 429,
        "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": MIDNIGHT}},
    }
}  # fmt: skip
PAGE = b"<!doctype html><title>Sign in</title>"


def answer(status: int, body: Any) -> HttpResponse:
    return HttpResponse(
        status, DATE, body if isinstance(body, bytes) else json.dumps(body).encode()
    )


class Instead:
    """A transport that gives `response` in place of the provider's answer to the calls that `when` says."""

    def __init__(self, sim: Any, response: HttpResponse, when: Callable[[Instead], bool]) -> None:
        self._transport = sim.environment.transport
        self.response, self.when = response, when
        self.sent = self.replaced = 0
        sim.environment.transport = self

    async def send(self, request: Any, timeouts: Any) -> HttpResponse:
        self.sent += 1
        if not self.when(self):
            passed: HttpResponse = await self._transport.send(request, timeouts)
            return passed
        self.replaced += 1
        await asyncio.sleep(0.05)
        return self.response

    async def aclose(self) -> None:
        await self._transport.aclose()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(("flows", "most"), [(1, 3), (8, 8 + 2), ("auto", 40)])
def test_a_day_that_is_used_up_ends_the_run_and_retry_goes_on(
    simulate: Any, flows: Any, most: int
) -> None:
    sim = simulate()
    at = Instead(sim, answer(429, THE_DAY), lambda at: at.sent > 50)
    pool = sim.pool(items=400, max_flows=flows)
    results = sim.run(pool)
    assert (pool.status[DONE], pool.status[FAILED]) == (50, 350)
    assert 3 <= at.replaced <= most
    assert sim.seconds <= 60.0
    [message] = {str(error) for error in results.errors}
    assert {type(error) for error in results.errors} == {QuotaExhausted}
    assert message.endswith(
        "(the quota of a day is used up: come back in 7 h 12 min, at 2026-11-28 00:00 UTC; "
        "retry() or resume goes on then, or raise it at the provider)"
    )
    at.when = lambda at: False
    sim.run(pool.aretry())
    assert pool.status[DONE] == 400
    assert sim.ledger.answers == 400  # nothing was asked twice


MINIMAX = {
    "choices": None,
    "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"},
}
LM_STUDIO = {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}


def said(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


ODD_END = {"choices": [{"message": {"content": "Half of it"}, "finish_reason": "tired"}]}
UNREADABLE = {"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}
STREAM = b'data: {"token": "Hel"}\n\ndata: {"token": "lo"}\n\n'

HOPELESS = [
    (answer(500, said("user balance is not enough")), QuotaExhausted, "add credit"),
    (answer(200, said("Insufficient balance")), QuotaExhausted, "add credit"),
    (answer(200, said("account in arrears, please recharge")), QuotaExhausted, "add credit"),
    (answer(503, said("No available balance")), QuotaExhausted, "add credit"),
    (answer(500, said("您的账户已欠费，请充值后重试")), QuotaExhausted, "add credit"),
    (answer(200, MINIMAX), QuotaExhausted, "add credit"),
    (answer(400, said("This organization has been disabled.")), AuthFailed, "closed or suspended"),
    (answer(200, LM_STUDIO), BadRequest, "base_url"),
    (answer(200, PAGE), InvalidReply, "base_url"),
    (answer(200, {"hello": "world"}), InvalidReply, "the answer has no choices"),
    (answer(200, {"error": "Please sign in first"}), ServerError, "Please sign in first"),
    (answer(200, b""), InvalidReply, "an empty body"),
    (answer(200, STREAM), InvalidReply, "its stream stopped"),
    (answer(200, UNREADABLE), InvalidReply, "its text is a number"),
    (answer(200, ODD_END), InvalidReply, "partial"),
]


@pytest.mark.parametrize(("response", "kind", "fix"), HOPELESS)
def test_what_no_wait_mends_ends_the_run_after_three(
    simulate: Any, response: HttpResponse, kind: type[Exception], fix: str
) -> None:
    sim = simulate()
    at = Instead(sim, response, lambda at: True)
    pool = sim.pool(items=200, max_flows=4)
    results = sim.run(pool)
    assert pool.status[FAILED] == 200
    assert 3 <= at.sent <= 4 + 3
    assert sim.seconds <= 2.0
    assert {type(error) for error in results.errors} == {kind}
    assert all(fix in str(error) for error in results.errors)


def test_a_gateways_pages_between_answers_are_an_outage_and_cost_no_item(simulate: Any) -> None:
    sim = simulate()
    at = Instead(sim, answer(200, PAGE), lambda at: 10.0 <= now() < 40.0)
    pool = sim.pool(items=400, max_flows=10)
    sim.run(pool)
    assert pool.status[DONE] == 400
    assert at.replaced <= 60
    assert sim.seconds <= 40.0 + 30.0 + 40.0


def test_a_page_before_the_first_answer_costs_no_item(simulate: Any) -> None:
    sim = simulate()
    Instead(sim, answer(200, PAGE), lambda at: at.sent in (1, 5))
    pool = sim.pool(items=40, max_flows=8)
    sim.run(pool)
    assert pool.status[DONE] == 40


def test_a_minutes_refusal_that_speaks_of_a_day_ends_nothing(simulate: Any) -> None:
    sim = simulate(latency=Fixed(0.5))
    said = (
        "Rate limit exceeded: free-models-per-min. Add 10 credits to unlock 1000 requests per day"
    )
    at = Instead(
        sim, answer(429, {"error": {"message": said, "code": 429}}), lambda at: at.sent % 5 < 3
    )
    pool = sim.pool(items=20, max_flows=4)
    sim.run(pool)
    assert pool.status[DONE] == 20
    assert at.replaced > 20


def test_a_server_that_streams_all_the_same_is_asked_once_for_each_item(simulate: Any) -> None:
    pieces = [{"delta": {"content": "Hel"}}, {"delta": {"content": "lo."}, "finish_reason": "stop"}]
    events = [f"data: {json.dumps({'choices': [piece]})}\n\n" for piece in pieces]
    sim = simulate()
    at = Instead(sim, answer(200, "".join(events).encode()), lambda at: True)
    assert sim.run(sim.pool(items=20)) == ["Hello."] * 20
    assert at.sent == 20


def put_off(seconds: float) -> HttpResponse:
    headers = {"retry-after": f"{seconds:.0f}"}
    return HttpResponse(429, headers, json.dumps(said("Rate limit exceeded")).encode())


@pytest.mark.parametrize("flows", [1, 8, "auto"])
def test_a_refusal_that_asks_one_call_to_wait_for_hours_loses_no_item(
    simulate: Any, flows: Any
) -> None:
    sim = simulate()
    Instead(sim, put_off(7200.0), lambda at: at.sent == 20)
    pool = sim.pool(items=100, max_flows=flows)
    sim.run(pool)
    assert pool.status[DONE] == 100
    assert sim.seconds <= 1.1 * (100.0 if flows == 1 else 14.0)


@pytest.mark.parametrize("flows", [1, 8, "auto"])
def test_a_limit_that_is_back_after_hours_as_it_said_loses_no_item(
    simulate: Any, flows: Any
) -> None:
    sim = simulate()
    back = 7200.0

    def is_shut(at: Instead) -> bool:
        at.response = put_off(back - now() + 1.0)
        return 2.0 <= now() < back

    Instead(sim, answer(429, b""), is_shut)
    pool = sim.pool(items=400, max_flows=flows)
    looks = []

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(600.0)
        looks.append(pool.snapshot)
        await running

    sim.run(main())
    assert pool.status[DONE] == 400
    [look] = looks
    assert 6500.0 <= look.lane.asked <= 6700.0
    assert look.eta >= look.lane.asked
    assert sim.seconds <= back + 400.0 + 300.0


def test_a_limit_that_does_not_come_back_when_it_said_is_given_up(simulate: Any) -> None:
    sim = simulate()
    Instead(sim, put_off(7200.0), lambda at: now() >= 5.0)
    pool = sim.pool(items=10, max_flows=1)
    results = sim.run(pool)
    assert pool.status[FAILED] > 0
    assert {str(error) for error in results.errors if error} == {"HTTP 429 Rate limit exceeded"}
    assert sim.seconds <= 5.0 * (7200.0 + 900.0 + 60.0)


def test_the_deadline_holds_while_a_refusal_asks_to_wait(simulate: Any) -> None:
    sim = simulate()
    Instead(sim, put_off(7200.0), lambda at: True)
    pool = sim.pool(items=10, deadline=100.0)
    sim.run(pool)
    assert sim.seconds == 100.0
