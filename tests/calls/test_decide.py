"""What follows a failed attempt, cause by cause; and whose setting holds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from flowpool import Chain, Limits, Model, Skill, tool
from flowpool.calls.decide import (
    RULES,
    AskPlainer,
    Attempts,
    Cause,
    GiveUp,
    Send,
    Wait,
    cause_of,
    setting,
    worth_trying,
)
from flowpool.calls.retry import RetryPolicy
from flowpool.errors import (
    AuthFailed,
    BadRequest,
    CallError,
    ConnectionReset,
    EmptyReply,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    TooManyFiles,
    Truncated,
)
from flowpool.limits.breaker import Breaker
from flowpool.limits.lane import Lane
from flowpool.limits.limiter import Limiter
from flowpool.limits.window import FixedWindow

ILL = ServerError("ill")


class Route(Struct, frozen=True, eq=False):
    lane: Lane[Any]
    policy: RetryPolicy = RetryPolicy()


def route(width: int = 4, *, limited: bool = True, policy: RetryPolicy | None = None) -> Route:
    limiter = Limiter(eager=True) if limited else None
    breaker = Breaker() if limited else None
    lane: Lane[Any] = Lane("a", FixedWindow(width), limiter, breaker)
    return Route(lane, policy or RetryPolicy())


def fill(lane: Lane[Any]) -> None:
    while lane.try_enter(0.0) is not None:
        pass


def open_breaker(lane: Lane[Any], now: float = 0.0) -> None:
    assert lane.breaker is not None
    for _ in range(25):
        lane.breaker.failed(ILL, now)
    assert not lane.is_well


# What a failure is.


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RateLimited("slow"), Cause.THROTTLE),
        (ILL, Cause.OUTAGE),
        (Overloaded("full"), Cause.OUTAGE),
        (ConnectionReset("gone"), Cause.OUTAGE),
        (AuthFailed("no"), Cause.HOPELESS),
        (QuotaExhausted("empty"), Cause.HOPELESS),
        (BadRequest("what?"), Cause.WRONG_CALL),
        (Truncated("half"), Cause.WRONG_CALL),
        (EmptyReply("nothing"), Cause.BAD_ANSWER),
        (TooManyFiles("full"), Cause.NO_SOCKET),
        (ValueError("a bug"), Cause.EXCEPTION),
    ],
)
def test_each_error_has_its_cause(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_a_refused_format_is_known_from_other_bad_requests() -> None:
    assert cause_of(BadRequest("no schema"), refuses_form=True) is Cause.FORM_REFUSED


def test_every_cause_has_its_rule() -> None:
    assert set(RULES) == set(Cause)


# What follows, with one route.


def test_a_refusal_by_a_limit_costs_no_retry_and_its_lane_says_when_to_ask_again() -> None:
    one = route()
    attempts = Attempts((one,), 0.0)
    for n in range(50):
        follows = attempts.failed(one, RateLimited("slow"), 1.0, 0.5)
        assert isinstance(follows, Wait)
        assert not follows.rationed
        assert (attempts.failures, attempts.throttles) == (0, n + 1)


def test_without_a_limiter_the_refused_call_waits_by_itself_and_it_costs_a_retry() -> None:
    one = route(limited=False, policy=RetryPolicy(retries=1))
    attempts = Attempts((one,), 0.0)
    slow = RateLimited("slow", retry_after=3.0)
    assert attempts.failed(one, slow, 0.0, 0.0) == Wait(3.0, 900.0)
    assert attempts.failures == 1


def test_a_refusal_gives_up_once_its_patience_is_over() -> None:
    one = route(policy=RetryPolicy(patience=100.0))
    slow = RateLimited("slow")
    assert isinstance(Attempts((one,), 0.0).failed(one, slow, 99.0, 0.0), Wait)
    assert Attempts((one,), 0.0).failed(one, slow, 101.0, 0.0) == GiveUp(slow)


def test_a_refusal_that_asks_for_longer_than_the_patience_is_heeded_once() -> None:
    one = route(policy=RetryPolicy(patience=100.0))
    attempts = Attempts((one,), 0.0)
    for now, asked in ((0.0, 7200.0), (7150.0, 50.0), (7290.0, 1.0)):
        follows = attempts.failed(one, RateLimited("slow", retry_after=asked), now, 0.0)
        assert isinstance(follows, Wait)
        assert follows.until == 7300.0
    slow = RateLimited("slow", retry_after=7200.0)
    assert attempts.failed(one, slow, 7291.0, 0.0) == GiveUp(slow)
    never = RateLimited("slow", retry_after=1e9)
    assert Attempts((one,), 0.0).failed(one, never, 0.0, 0.0) == GiveUp(never)


def test_a_calls_patience_begins_with_its_first_attempt() -> None:
    one = route(policy=RetryPolicy(patience=100.0))
    slow = RateLimited("slow")
    follows = Attempts((one,), 1000.0).failed(one, slow, 1099.0, 0.0)
    assert isinstance(follows, Wait)
    assert follows.until == 1100.0
    assert Attempts((one,), 1000.0).failed(one, slow, 1101.0, 0.0) == GiveUp(slow)


def test_the_time_for_which_the_run_was_paused_is_none_of_a_calls_patience() -> None:
    one = route(policy=RetryPolicy(patience=100.0))
    slow = RateLimited("slow")
    follows = Attempts((one,), 10.0).failed(one, slow, 1000.0, 0.0, paused=900.0)
    assert isinstance(follows, Wait)
    assert follows.until == 110.0
    assert Attempts((one,), 10.0).failed(one, slow, 1011.0, 0.0, paused=900.0) == GiveUp(slow)


def test_a_wait_is_rationed_unless_it_says_otherwise() -> None:
    one = route()
    follows = Attempts((one,), 0.0).failed(one, ILL, 1.0, 0.5)
    assert isinstance(follows, Wait)
    assert follows.rationed


def test_the_lane_is_asked_with_this_failure_counted() -> None:
    asked: list[int] = []

    class Blaming(Lane[Any]):
        def blames(self, own_failures: int) -> bool:
            asked.append(own_failures)
            return own_failures != 2

    one = Route(Blaming("a", FixedWindow(4)))
    attempts = Attempts((one,), 0.0)
    for _ in range(3):
        attempts.failed(one, ILL, 1.0, 0.5)
    assert asked == [1, 2, 2]  # the second time it was everybody's, and counted for nothing
    assert attempts.failures == 1


def test_an_outage_of_its_own_costs_a_retry_and_waits_by_backoff() -> None:
    one = route(policy=RetryPolicy(retries=2, base=1.0))
    attempts = Attempts((one,), 10.0)
    assert attempts.failed(one, ILL, 11.0, 0.5) == Wait(0.5, 910.0)
    assert attempts.failed(one, ILL, 12.0, 0.5) == Wait(1.0, 910.0)
    assert attempts.failed(one, ILL, 13.0, 0.5) == GiveUp(ILL)


def test_an_outage_of_all_costs_no_retry() -> None:
    one = route(policy=RetryPolicy(retries=1))
    open_breaker(one.lane)
    attempts = Attempts((one,), 0.0)
    for _ in range(10):
        assert isinstance(attempts.failed(one, ILL, 1.0, 0.5), Wait)
    assert attempts.failures == 0


@pytest.mark.parametrize("error", [AuthFailed("no"), BadRequest("what?"), Truncated("half")])
def test_what_no_retry_mends_is_given_up_at_once(error: CallError) -> None:
    one = route()
    assert Attempts((one,), 0.0).failed(one, error, 0.0, 0.5) == GiveUp(error)


def test_an_answer_that_is_none_is_asked_for_again() -> None:
    one = route(policy=RetryPolicy(retries=1))
    attempts, empty = Attempts((one,), 0.0), EmptyReply("nothing")
    assert isinstance(attempts.failed(one, empty, 0.0, 0.5), Wait)
    assert attempts.failed(one, empty, 0.0, 0.5) == GiveUp(empty)


def test_a_refused_format_is_asked_for_in_words_and_costs_nothing() -> None:
    one = route(policy=RetryPolicy(retries=0))
    attempts = Attempts((one,), 0.0)
    refused = BadRequest("no schema")
    assert attempts.failed(one, refused, 0.0, 0.5, refuses_form=True) == AskPlainer()
    assert attempts.failures == 0


def test_an_exception_is_tried_again_only_where_somebody_said_so() -> None:
    bug = ValueError("a bug")
    one = route(limited=False)
    assert Attempts((one,), 0.0).failed(one, bug, 0.0, 0.5) == GiveUp(bug)
    one = route(limited=False, policy=RetryPolicy(of_exceptions=2, base=1.0))
    attempts = Attempts((one,), 0.0)
    assert attempts.failed(one, bug, 0.0, 0.5) == Wait(0.5, 900.0)
    assert attempts.failed(one, bug, 0.0, 0.5) == Wait(1.0, 900.0)
    assert attempts.failed(one, bug, 0.0, 0.5) == GiveUp(bug)


def test_what_the_user_says_of_an_exception_comes_before_the_table() -> None:
    bug, ill, wrong = ValueError("a bug"), ServerError("ill"), BadRequest("what?")
    one = route(limited=False, policy=RetryPolicy(retries=1))
    assert Attempts((one,), 0.0).failed(one, ill, 0.0, 0.5, wanted=False) == GiveUp(ill)
    for error in (bug, wrong):
        attempts = Attempts((one,), 0.0)
        assert isinstance(attempts.failed(one, error, 0.0, 0.5, wanted=True), Wait)
        assert attempts.failed(one, error, 0.0, 0.5, wanted=True) == GiveUp(error)


# With several routes that share the calls.


@pytest.mark.parametrize("error", [RateLimited("slow"), ILL])
def test_another_free_route_is_tried_at_once(error: CallError) -> None:
    one, other = route(), route()
    attempts = Attempts((one, other), 0.0)
    assert attempts.failed(one, error, 0.0, 0.5) == Send((other,))
    assert list(attempts.usable) == [other]
    assert isinstance(attempts.failed(other, error, 0.0, 0.5), Wait)
    again = attempts.usable
    assert list(again) == [one, other], "after a wait all are tried again"


def test_a_route_without_room_is_not_waited_for_in_haste() -> None:
    one, full = route(), route()
    fill(full.lane)
    attempts = Attempts((one, full), 0.0)
    assert isinstance(attempts.failed(one, ILL, 0.0, 0.5), Wait)
    assert attempts.usable == (one, full)


def test_a_hopeless_route_is_left_for_good_even_for_a_full_one() -> None:
    one, full = route(), route()
    fill(full.lane)
    attempts = Attempts((one, full), 0.0)
    assert attempts.failed(one, AuthFailed("no"), 0.0, 0.5) == Send((full,))
    assert attempts.routes == (full,)
    wrong = AuthFailed("no")
    assert attempts.failed(full, wrong, 0.0, 0.5) == GiveUp(wrong)


@pytest.mark.parametrize("error", [BadRequest("what?"), EmptyReply("nothing")])
def test_what_speaks_of_the_call_itself_takes_no_other_route(error: CallError) -> None:
    one, other = route(), route()
    follows = Attempts((one, other), 0.0).failed(one, error, 0.0, 0.5)
    assert not isinstance(follows, Send)


# With a model to fall back to.


def test_an_ill_provider_is_left_at_once_where_there_is_a_fallback() -> None:
    one = route()
    attempts = Attempts((one,), 0.0, has_fallback=True)
    assert isinstance(attempts.failed(one, ILL, 0.0, 0.5), Wait), "one failure is no illness"
    open_breaker(one.lane)
    assert attempts.failed(one, ILL, 0.0, 0.5) == GiveUp(ILL)


def test_an_ill_provider_is_tried_again_by_the_call_that_finds_a_probe_due() -> None:
    one = route()
    assert worth_trying((one,), 0.0)
    open_breaker(one.lane, now=0.0)
    assert not worth_trying((one,), 0.0)
    assert worth_trying((one,), 1.0), "the probe is due"
    assert one.lane.try_enter(1.0) is not None
    assert not worth_trying((one,), 1.0), "it is on its way"


def test_routes_are_worth_trying_as_long_as_one_of_them_is_well() -> None:
    ill, well = route(), route()
    open_breaker(ill.lane, now=0.0)
    assert worth_trying((ill, well), 0.0)
    open_breaker(well.lane, now=0.0)
    assert not worth_trying((ill, well), 0.0)


def test_a_lane_that_was_given_up_is_probed_on_where_there_is_a_fallback() -> None:
    one = route()
    open_breaker(one.lane, now=0.0)
    assert one.lane.breaker is not None
    for now in range(30, 331, 30):
        one.lane.breaker.failed(ILL, float(now))
    assert one.lane.broken is not None
    worth_trying((one,), 330.0)
    assert one.lane.broken is None


# Whose setting holds.


class Owner(Struct):
    timeout: float | None = None


LEVELS = ("step", "pool", "skill", "model")


PAIRS = [(near, far) for n, near in enumerate(LEVELS) for far in LEVELS[n + 1 :]]


@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_the_nearer_setting_holds(near: str, far: str) -> None:
    owners: dict[str, Any] = {level: Owner() for level in LEVELS}
    owners |= {near: Owner(1.0), far: Owner(2.0)}
    assert setting("timeout", 3.0, **owners) == 1.0


def test_where_nobody_sets_it_the_default_holds() -> None:
    assert setting("timeout", 3.0, step=Owner(), pool=Owner(), skill=None, model=object()) == 3.0


SET: dict[str, dict[str, Any]] = {
    "timeout": {"step": 1.0, "pool": 2.0, "skill": 3.0, "model": 4.0},
    "retries": {"step": 0, "pool": 1, "skill": 2, "model": 3},
}


@pytest.mark.parametrize(("near", "far"), PAIRS)
@pytest.mark.parametrize("name", ["timeout", "retries"])
def test_a_skills_call_keeps_to_the_nearer_setting(
    simulate: Any, name: str, near: str, far: str
) -> None:
    """By what is seen: how long a hanging call lasts, how often a failing one is sent."""
    sim = simulate()
    given = {level: {name: SET[name][level]} for level in (near, far)}
    prompt = "[[sim: stall]] {text}" if name == "timeout" else "[[sim: 500]] {text}"
    if name == "timeout":
        given = {level: {**options, "retries": 0} for level, options in given.items()}
    model = Model("gpt-5-mini", api_key="k", **given.get("model", {}))
    skill = Skill(model, prompt=prompt, **given.get("skill", {}))
    chain = Chain([(skill, "answer", {}, given.get("step", {}))])
    results = sim.run(sim.pool(chain, items=[{"text": "a"}], **given.get("pool", {})))
    if name == "timeout":
        assert results.records[0].duration == pytest.approx(SET[name][near], abs=0.1)
    else:
        assert results.records[0].attempts == SET[name][near] + 1


@pytest.mark.parametrize("name", ["timeout", "retries"])
def test_a_functions_call_keeps_to_the_nearer_setting(simulate: Any, name: str) -> None:
    import asyncio

    sim = simulate()
    tried = 0

    @tool
    async def step(text: str) -> str:
        nonlocal tried
        tried += 1
        if name == "timeout":
            await asyncio.sleep(10.0)
        raise ValueError(text)

    def run(of_step: dict[str, Any], of_pool: dict[str, Any]) -> float:
        nonlocal tried
        tried = 0
        chain = Chain([(step, "answer", {}, of_step)])
        record = sim.run(sim.pool(chain, items=[{"text": "a"}], **of_pool)).records[0]
        assert record.error is not None
        return record.duration if name == "timeout" else tried - 1

    near, far = SET[name]["step"] + 1, SET[name]["pool"] + 1
    assert run({name: near}, {name: far}) == pytest.approx(near, abs=0.1)
    assert run({}, {name: far}) == pytest.approx(far, abs=0.1)


def test_a_pools_limits_stand_before_the_models(simulate: Any) -> None:
    sim = simulate()
    skill = Skill(Model("gpt-5-mini", api_key="k", limits=Limits(concurrent=3)), prompt="{text}")
    pool = sim.pool(skill, items=4, limits=Limits(concurrent=2))
    sim.run(pool)
    assert pool.lanes[0].window == 2
    pool = sim.pool(skill, items=4)
    sim.run(pool)
    assert pool.lanes[0].window == 3


def test_a_call_that_found_no_socket_was_no_try_also_where_no_retries_are_allowed() -> None:
    one = route(policy=RetryPolicy(retries=0))
    attempts = Attempts((one,), 0.0, has_fallback=True)
    for n in range(100):
        follows = attempts.failed(one, TooManyFiles("full"), n * 0.1, 0.5)
        assert isinstance(follows, Wait)
        assert follows.seconds <= one.policy.base
        assert not follows.rationed
    assert attempts.failures == 0
    late = attempts.failed(one, TooManyFiles("full"), one.policy.patience, 0.5)
    assert isinstance(late, GiveUp)
