"""How a call is made: attempts, waits, timeouts, fallbacks, and lanes that keep to what was told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from tests.helpers import Recorder

from flowpool import Chain, Limits, Skill, Status, tool
from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    InvalidInput,
    InvalidOutput,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StepFailed,
    StepTimeout,
)
from flowpool.simulator import Fixed, Lognormal
from flowpool.values import HttpResponse


def watch(sim: Any) -> Recorder:
    recorder = sim.environment.transport = Recorder(sim.environment.transport)
    return recorder


def most_in_a_minute(times: list[float], weights: list[float] | None = None) -> float:
    """The most that fell into any 60 s, the 60th not among them."""
    weights = weights or [1.0] * len(times)
    most = within = 0.0
    first = 0
    for at, weight in zip(times, weights, strict=True):
        within += weight
        while times[first] <= at - 60 + 1e-6:
            within -= weights[first]
            first += 1
        most = max(most, within)
    return most


# Retries.


def test_what_can_be_retried_is_and_the_answer_counts(simulate) -> None:
    sim = simulate()
    faults = ["500", "503", "429", "reset", "cut", "empty", "not-json", "error-in-200"]
    items = [{"text": f"[[sim: {fault} times=2]] {fault}"} for fault in faults]
    pool = sim.pool(items=items)
    results = sim.run(pool)
    assert list(results) == faults
    assert [record.attempts for record in results.records] == [3] * len(faults)
    assert [entry["attempts"] for entry in pool.history] == [3] * len(faults)


def test_what_cannot_be_retried_is_tried_once(simulate) -> None:
    sim = simulate()
    faults = ["400", "413", "422", "truncate", "refuse", "filter"]
    items = [{"text": f"[[sim: {fault}]] {fault}"} for fault in faults]
    results = sim.run(sim.pool(items=items))
    assert len(results.errors) == len(faults)
    assert sim.ledger.requests == len(faults)


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_attempts_are_bounded_by_retries(simulate, retries) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=[{"text": "[[sim: 500]]"}], retries=retries))
    assert results.records[0].attempts == sim.ledger.requests == retries + 1


def test_a_pools_retries_win_over_the_skills_and_a_steps_over_both(simulate) -> None:
    sim = simulate()
    skill = sim.skill("[[sim: 500]] {text}", retries=3)
    assert sim.run(sim.pool(skill)).records[0].attempts == 4
    assert sim.run(sim.pool(skill, retries=1)).records[0].attempts == 2
    chain = Chain([(skill, "answer", {}, {"retries": 2})])
    assert sim.run(sim.pool(chain, retries=1)).records[0].attempts == 3


def test_a_wait_is_drawn_in_full_after_what_the_provider_asked(simulate) -> None:
    sim = simulate(latency=Fixed(0.0))
    moments = watch(sim)
    items = [{"text": "[[sim: 500 times=3 retry-after=7]] a"}]
    sim.run(sim.pool(items=items))
    waits = [b - a for a, b in pairwise(moments.sent)]
    for wait, ceiling in zip(waits, (0.5, 1.0, 2.0), strict=True):
        assert 7.0 <= wait <= 7.0 + ceiling
    spread = []
    for seed in range(30):
        sim = simulate(latency=Fixed(0.0), seed=seed)
        moments = watch(sim)
        sim.run(sim.pool(items=[{"text": "[[sim: 500 times=1]] a"}], max_flows=1))
        spread.append(moments.sent[1] - moments.sent[0])
    assert min(spread) < 0.1
    assert 0.4 < max(spread) <= 0.5


def test_a_429_that_asks_for_a_pause_holds_back_nobody_else(simulate) -> None:
    """Whether the lane or the call is meant isn't said: others that are let in tell."""
    sim = simulate(latency=Fixed(0.1))
    items = [
        {"text": "[[sim: 429 times=1 retry-after=30]]"},
        *({"text": f"{n}"} for n in range(20)),
    ]
    results = sim.run(sim.pool(items=items, max_flows=1))
    assert not results.failed
    assert sim.seconds < 5.0


def test_throttling_is_no_failure_and_bounded_by_patience_alone(simulate) -> None:
    sim = simulate()
    items = [{"text": "[[sim: 429 times=12 retry-after=10]] patient"}]
    assert list(sim.run(sim.pool(items=items, retries=1))) == ["patient"]
    endless = sim.run(sim.pool(items=[{"text": "[[sim: 429 retry-after=100]] endless"}]))
    assert isinstance(endless.errors[0], RateLimited)
    assert 700 < endless.records[0].duration <= 960


def test_time_in_the_queue_before_the_first_attempt_is_not_held_against_a_call(simulate) -> None:
    sim = simulate(latency=Fixed(400.0))
    items = [*({"text": str(n)} for n in range(3)), {"text": "[[sim: 503 times=1]] late"}]
    pool = sim.pool(items=items, limits=Limits(concurrent=1))
    assert sim.run(pool)[3] == "late"


def test_a_provider_that_answers_nobody_is_not_stormed_and_given_up_in_stated_time(
    simulate,
) -> None:
    sim = simulate(faults={"500": 1.0}, latency=Fixed(0.1))
    pool = sim.pool(items=1000, max_flows=50)
    results = sim.run(pool)
    assert pool.status[Status.FAILED] == 1000
    assert sim.ledger.requests <= 150
    assert 300 <= sim.seconds <= 400
    assert all("has not answered for" in str(error) for error in results.errors[100:])


def test_many_failures_amid_answers_are_retried_no_faster_than_the_budget_allows(simulate) -> None:
    sim = simulate(faults={"500": 0.3}, latency=Fixed(0.1))
    results = sim.run(sim.pool(items=2000, max_flows=50))
    assert not results.failed
    assert sim.ledger.requests <= 1.6 * 2000


# Timeouts.


def test_an_attempts_timeout_closes_the_call_and_it_is_tried_again(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "[[sim: stall times=1]] a"}], timeout=20)
    results = sim.run(pool)
    assert list(results) == ["a"]
    assert results.records[0].attempts == 2
    assert sim.ledger.abandoned == 1
    assert 21 <= sim.seconds <= 22


def test_a_stalled_provider_fails_the_item_with_the_timeout(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=[{"text": "[[sim: stall]]"}], timeout=5, retries=2))
    assert isinstance(results.errors[0], AttemptTimeout)
    assert sim.ledger.abandoned == 3


def test_a_step_that_takes_too_long_fails_with_its_timeout(simulate) -> None:
    async def sleeps(text) -> Any:
        await asyncio.sleep(100)

    sim = simulate()
    results = sim.run(sim.pool(Chain([(sleeps, "x", {}, {"timeout": 3})]), 2))
    assert [type(error) for error in results.errors] == [StepTimeout] * 2
    assert sim.seconds == 3


def test_functions_that_never_come_back_keep_no_thread_from_others() -> None:
    from flowpool import Pool

    over = threading.Event()

    def hangs(text) -> Any:
        if text < 8:
            over.wait(20)
        return text

    items = [{"text": n} for n in range(30)]
    pool = Pool(hangs, items, max_flows=4, timeout=0.1, progress=False)
    began = time.monotonic()
    try:
        results = pool.run()
        took = time.monotonic() - began
    finally:
        over.set()
    assert [type(error) for error in results.errors] == [StepTimeout] * 8
    assert results[8:] == list(range(8, 30))
    assert took < 10


def test_a_timeout_of_the_functions_own_is_its_own(simulate) -> None:
    async def gives_up(text) -> Any:
        async with asyncio.timeout(1):
            await asyncio.sleep(5)

    sim = simulate()
    error = sim.run(sim.pool(gives_up, 1, timeout=50)).errors[0]
    assert isinstance(error, StepFailed)
    assert isinstance(error.__cause__, TimeoutError)


# Functions.


def test_a_function_is_tried_again_only_where_its_step_says_so(simulate) -> None:
    tries: Counter[str] = Counter()

    async def flaky(text) -> Any:
        tries[text] += 1
        if tries[text] < 3:
            raise OSError(text)
        return text

    sim = simulate()
    assert sim.run(sim.pool(flaky, [{"text": "once"}])).errors[0].step == "flaky"
    chain = Chain([(flaky, "x", {}, {"retries": 2})])
    assert list(sim.run(sim.pool(chain, [{"text": "thrice"}]))) == ["thrice"]
    assert tries == {"once": 1, "thrice": 3}


def test_a_call_error_of_a_function_is_tried_again_and_breaks_no_lane(simulate) -> None:
    tries: Counter[str] = Counter()

    async def asks(text) -> Any:
        tries[text] += 1
        if text.startswith("forbidden"):
            raise AuthFailed("no", status=403)
        if tries[text] < 2:
            raise Overloaded("busy", retry_after=1.0)
        return text

    sim = simulate()
    items = [{"text": f"forbidden {n}"} for n in range(9)] + [{"text": "fine"}]
    pool = sim.pool(asks, items, max_flows=1)
    assert sim.run(pool)[-1] == "fine"
    assert pool.status[Status.FAILED] == 9
    assert sum(tries.values()) == 11


def test_a_tools_max_flows_caps_its_lane(simulate) -> None:
    running, most = 0, 0

    @tool(max_flows=3)
    async def narrow(text) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    sim = simulate()
    sim.run(sim.pool(narrow, 12))
    assert (most, sim.seconds) == (3, 4)
    sim.run(sim.pool(Chain([(narrow, "x", {}, {"max_flows": 2})]), 12))
    assert sim.seconds == 6


# Fallbacks and broken lanes.


def test_fallbacks_answer_in_order(simulate) -> None:
    sim = simulate()
    models = [sim.model("first"), sim.model("second"), sim.model("third")]
    skill = sim.skill(model=models)
    items = [
        {"text": "plain"},
        {"text": "[[sim: 400 model=first]] refused"},
        {"text": "[[sim: 500 model=first]] [[sim: 500 model=first]] ill"},
    ]
    pool = sim.pool(skill, items, retries=0)
    results = sim.run(pool)
    assert list(results) == ["plain", "refused", "ill"]
    assert [record.model.rpartition("/")[2] for record in results.records] == [
        "first",
        "second",
        "second",
    ]
    assert sim.ledger.models == {"first": 3, "second": 2}


def test_when_every_model_fails_the_last_ones_error_is_the_items(simulate) -> None:
    sim = simulate(faults={"400": 1.0})
    results = sim.run(sim.pool(sim.skill(model=[sim.model("first"), sim.model("second")])))
    assert isinstance(results.errors[0], BadRequest)
    assert results.records[0].attempts == 2


KEY = "key-canary"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, 'no key was sent: pass api_key=, or provider="openai" (--provider openai)'),
        ({"provider": "openai"}, "no key was sent: set OPENAI_API_KEY, or pass api_key="),
        ({"provider": "anthropic"}, "no key was sent: set ANTHROPIC_API_KEY, or pass api_key="),
        ({"provider": "vllm"}, "no key was sent: pass api_key="),
        ({"api_key": KEY}, "check the API key"),
        ({"client_options": {"default_headers": {"x-gateway-key": KEY}}}, "check the API key"),
    ],
)
def test_a_refused_call_that_brought_no_key_says_how_to_give_one(
    simulate, settings: dict[str, Any], words: str
) -> None:
    sim = simulate()
    skill = sim.skill(model=sim.model(**settings))
    [error] = sim.run(sim.pool(skill, items=[{"text": "[[sim: 401]]"}])).errors
    assert isinstance(error, AuthFailed)
    assert words in str(error)
    assert str(error).count("key was sent") + str(error).count("check the API key") == 1
    assert KEY not in str(error)


@pytest.mark.parametrize(("fault", "kind"), [("401", AuthFailed), ("quota", QuotaExhausted)])
def test_hopeless_failures_stop_the_sending_and_fail_the_rest_alike(simulate, fault, kind) -> None:
    sim = simulate(faults={fault: 1.0})
    pool = sim.pool(items=500, max_flows=5)
    results = sim.run(pool)
    assert sim.ledger.requests <= 5 + 3
    assert [type(error) for error in results.errors] == [kind] * 500
    assert all(len(getattr(error, "__notes__", [])) <= 2 for error in results.errors)
    assert "broken" in repr(pool.lanes)


def test_notes_of_one_item_are_not_anothers(simulate) -> None:
    sim = simulate(faults={"401": 1.0})
    pool = sim.pool(Chain([(sim.skill(), "a"), (sim.skill(), "b")]), 50, max_flows=2)
    for error in sim.run(pool).errors:
        assert len(error.__notes__) == 1


def test_a_broken_lane_sends_the_rest_to_the_fallback(simulate) -> None:
    sim = simulate()
    skill = sim.skill("[[sim: 401 model=bad]] {text}", model=[sim.model("bad"), sim.model("good")])
    results = sim.run(sim.pool(skill, 100, max_flows=4))
    assert not results.failed
    assert sim.ledger.models["bad"] <= 8
    assert sim.ledger.models["good"] == 100


def test_a_single_hopeless_failure_breaks_nothing(simulate) -> None:
    sim = simulate()
    items = [{"text": f"[[sim: 404]] {n}" if n % 3 == 0 else str(n)} for n in range(30)]
    pool = sim.pool(items=items, max_flows=1)
    sim.run(pool)
    assert (pool.status[Status.DONE], pool.status[Status.FAILED]) == (20, 10)


def test_a_refused_call_between_hopeless_ones_shows_that_the_key_works(simulate) -> None:
    sim = simulate()
    faults = ["404", "404", "400", "404", "404", "422"]
    items = [{"text": f"[[sim: {fault}]] {n}"} for n, fault in enumerate(faults)]
    results = sim.run(sim.pool(items=[*items, {"text": "fine"}], max_flows=1))
    assert results[-1] == "fine"


# Limits.


def test_told_requests_a_minute_are_never_exceeded_and_used(simulate) -> None:
    sim = simulate(latency=Lognormal(2.0, 0.5), seed=3, faults={"500": 0.05})
    moments = watch(sim)
    sim.run(sim.pool(items=600, limits=Limits(rpm=120)))
    assert most_in_a_minute(moments.sent) <= 120
    assert len(moments.sent) / sim.seconds * 60 > 114


def test_told_tokens_a_minute_are_never_exceeded_once_calls_are_known(simulate) -> None:
    sim = simulate(latency=Fixed(1.0), answer_chars=400)
    ends: list[tuple[float, float]] = []

    async def main() -> Any:
        pool = sim.pool(
            items=[{"text": f"{n:04} " + "word " * 99} for n in range(400)],
            limits=Limits(tpm=12_000),
        )
        async for record in pool.astream():
            usage = record.usage
            ends.append(
                (asyncio.get_running_loop().time(), usage.input_tokens + usage.output_tokens)
            )

    sim.run(main())
    times, weights = zip(*ends, strict=True)
    assert most_in_a_minute(list(times), list(weights)) <= 12_000
    assert sum(weights) / sim.seconds * 60 > 12_000 * 0.9


def test_a_call_larger_than_a_seconds_tokens_still_goes(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "word " * 2000} for _ in range(3)], limits=Limits(tpm=6_000))
    assert not sim.run(pool).failed


def test_told_concurrency_is_never_exceeded_and_used(simulate) -> None:
    sim = simulate(latency=Lognormal(1.0, 0.8), faults={"503": 0.1}, seed=5)
    sim.run(sim.pool(items=300, limits=Limits(concurrent=7)))
    assert sim.ledger.peak_in_flight == 7


def test_each_lane_keeps_to_its_own_limits(simulate) -> None:
    sim = simulate(latency=Fixed(0.5))
    slow = sim.model("slow", limits=Limits(rpm=60))
    fast = sim.model("fast", limits=Limits(rpm=600, concurrent=3))
    chain = Chain([(sim.skill(model=fast), "a"), (sim.skill(model=slow), "b")])
    sim.run(sim.pool(chain, 100))
    assert sim.ledger.models == {"fast": 100, "slow": 100}
    assert 99 <= sim.seconds <= 101


def test_steps_with_the_same_model_share_its_limits(simulate) -> None:
    sim = simulate()
    moments = watch(sim)
    told = sim.model(limits=Limits(rpm=60, concurrent=2))
    chain = Chain([(sim.skill(model=sim.model()), "a"), (sim.skill(model=told), "b")])
    pool = sim.pool(chain, 60)
    sim.run(pool)
    assert len(pool.lanes) == 1
    assert most_in_a_minute(moments.sent) <= 60
    assert moments.most <= 2


def test_steps_that_share_a_lane_keep_to_the_narrowest_ceiling(simulate) -> None:
    sim = simulate(latency=Fixed(0.2))
    chain = Chain([(sim.skill(), "a"), (sim.skill(), "b", {}, {"max_flows": 80})])
    sim.run(sim.pool(chain, 2000))
    assert sim.ledger.peak_in_flight <= 80


def test_a_pools_limits_win_over_the_models(simulate) -> None:
    sim = simulate()
    skill = sim.skill(model=sim.model(limits=Limits(concurrent=1)))
    sim.run(sim.pool(skill, 8, limits=Limits(concurrent=4), max_flows=8))
    assert sim.seconds == 2


def test_a_call_that_was_cut_gives_its_turn_to_the_next(simulate) -> None:
    sim = simulate(latency=Fixed(10.0))

    async def fails(text) -> Any:
        await asyncio.sleep(1)
        raise ValueError

    beside = Chain([[(fails, "a"), (sim.skill(), "b")]], on_step_error="raise")
    sim.run(sim.pool(beside, 20, limits=Limits(concurrent=1)))
    # Had a cut call kept its turn, the lane would stand still.
    assert sim.ledger.in_flight == 0
    assert sim.seconds < 20


# Conversations and outputs.


def test_an_assistant_turn_without_parts_is_generated_on_the_way(simulate) -> None:
    sim = simulate()
    parts: list[Any] = [
        {"role": "user", "parts": ["[[sim: say=first]] {text}"]},
        {"role": "assistant"},
        {"role": "user", "parts": ["and then"]},
    ]
    results = sim.run(sim.pool(Skill(sim.model(), input={"messages": parts})))
    assert sim.ledger.requests == results.records[0].attempts == 2


def test_an_answer_that_is_no_json_is_asked_again_and_its_tokens_counted(simulate) -> None:
    sim = simulate()
    skill = Skill(
        sim.model(),
        prompt="[[sim: say=no json]] {text}",
        output={"format": {"type": "json"}},
        retries=2,
    )
    [record] = sim.run(sim.pool(skill)).records
    assert isinstance(record.error, InvalidOutput)
    assert record.attempts == 3
    assert record.usage.output_tokens == 3 * 2


def test_usage_adds_up_over_steps_and_attempts(simulate) -> None:
    sim = simulate()
    chain = Chain([(sim.skill(), "a"), (sim.skill("[[sim: 500 times=1]] {a}"), "b")])
    results = sim.run(sim.pool(chain, 10))
    assert results.usage.output_tokens == sim.ledger.output_tokens
    assert results.usage.input_tokens == sim.ledger.input_tokens
    assert {record.attempts for record in results.records} == {3}


def test_a_missing_key_is_said_before_the_first_call(simulate) -> None:
    sim = simulate()
    pool = sim.pool(Skill("gpt-5-mini", prompt="{text}"))
    with pytest.raises(InvalidInput, match="OPENAI_API_KEY"):
        sim.run(pool)
    assert pool.status[Status.PENDING] == 1
    assert sim.ledger.requests == 0


def test_a_proxy_that_cannot_be_used_is_said_before_the_first_call(simulate) -> None:
    sim = simulate()
    sim.environment.environ = {"all_proxy": "socks5://p.test:1080"}
    with pytest.raises(InvalidInput, match=r"all_proxy names a socks5:// proxy.*NO_PROXY"):
        sim.run(sim.pool())
    assert sim.ledger.requests == 0


def test_a_server_error_names_what_happened(simulate) -> None:
    sim = simulate(faults={"502": 1.0})
    error = sim.run(sim.pool(retries=0)).errors[0]
    assert isinstance(error, ServerError)
    assert error.status == 502


class NoSystem:
    """A transport to a server whose template knows no system message."""

    def __init__(self, sim: Any) -> None:
        self._transport = sim.environment.transport
        self.refused = 0
        self.prompts: set[str] = set()
        sim.environment.transport = self

    async def send(self, request: Any, timeouts: Any) -> HttpResponse:
        messages = json.loads(request.body)["messages"]
        if any(message["role"] == "system" for message in messages):
            self.refused += 1
            return HttpResponse(400, {}, b'{"error": {"message": "System role not supported"}}')
        self.prompts.add(messages[0]["content"])
        answered: HttpResponse = await self._transport.send(request, timeouts)
        return answered

    async def aclose(self) -> None:
        await self._transport.aclose()


def test_a_system_message_goes_into_the_users_where_the_server_knows_none(
    simulate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sim = simulate()
    server = NoSystem(sim)
    said = [("system", "Be brief."), ("user", "What is {text}?")]
    messages = [{"role": role, "parts": [text]} for role, text in said]
    skill = Skill(sim.model(), {"messages": messages})
    items = [{"text": f"text {n}"} for n in range(20)]
    assert len([one for one in sim.run(sim.pool(skill, items, max_flows=1)) if one]) == 20
    assert server.refused == 1  # which is remembered
    assert server.prompts == {f"Be brief.\n\nWhat is text {n}?" for n in range(20)}
    assert len([r for r in caplog.records if "refuses system messages" in r.message]) == 1


def test_a_404_says_what_was_called(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=[{"text": "[[sim: 404]]"}]))
    assert "(called: http://sim.test/v1/chat/completions)" in str(results.failed[0].error)
