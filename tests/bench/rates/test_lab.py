"""The lab plays a policy as a program would run: in order, told only what a client sees."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from bench.rates.baselines import AimdWindow, PlainLoop
from bench.rates.lab import TIMEOUT, Lab
from bench.rates.policy import Cost, Refusal

from flowpool.values import LimitReading, Usage
from flowpool.worlds import draw_scene

FIXED = "latency=0.2 sigma=0"


class Recorder:
    """One call at a time, and what it was told; `wait` answers each refusal."""

    def __init__(self, flows: int = 1, wait: Callable[[int], float | None] = lambda attempt: 0.5):
        self.flows = flows
        self.wait = wait
        self.busy = 0
        self.sent: list[tuple[float, int, Cost]] = []
        self.usages: list[Usage] = []
        self.readings: list[tuple[LimitReading, ...]] = []
        self.refusals: list[tuple[float, Refusal, int]] = []

    def try_send(self, now: float, cost: Cost, attempt: int) -> object | None:
        if self.busy >= self.flows:
            return None
        self.busy += 1
        self.sent.append((now, attempt, cost))
        return len(self.sent)

    def next_turn(self, now: float) -> float | None:
        return None

    def answered(self, token: object, now: float, usage: Usage, readings: Any) -> None:
        self.busy -= 1
        self.usages.append(usage)
        self.readings.append(readings)

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        self.busy -= 1
        self.refusals.append((now, refusal, attempt))
        return self.wait(attempt)


def play(spec: str, policy: Any, seed: int = 1, **settings: Any) -> Any:
    scene = draw_scene(spec, seed)
    return Lab(scene.world(), scene.calls(), [policy], seed, **settings).run()


def test_one_at_a_time_takes_the_latency_of_each() -> None:
    outcome = play(f"calm {FIXED} items=20", Recorder())
    assert outcome.seconds == pytest.approx(20 * 0.2, rel=0.02)
    assert (outcome.done, outcome.peak, outcome.refused) == (20, 1, 0)


def test_a_hundred_at_once_take_a_hundredth() -> None:
    outcome = play(f"calm {FIXED} items=600", PlainLoop(Random(1)))
    assert outcome.seconds == pytest.approx(1.2, abs=0.1)
    assert outcome.peak == 100


def test_a_refused_call_asks_again_after_its_wait_and_before_new_ones() -> None:
    policy = Recorder(wait=lambda attempt: 0.0)
    play(f"chance share=0.3 {FIXED} items=30", policy)
    attempts = [attempt for _, attempt, _ in policy.sent]
    for one, following in pairwise(attempts):
        assert following in (0, one + 1)
    assert max(attempts) >= 1
    assert len(policy.refusals) == len(attempts) - 30


def test_a_call_that_is_given_up_is_counted_and_comes_again_at_the_end() -> None:
    policy = Recorder(wait=lambda attempt: None)
    outcome = play(f"chance share=0.3 {FIXED} items=30", policy)
    assert outcome.lost == len(policy.refusals) > 0
    assert outcome.done == 30
    assert {attempt for _, attempt, _ in policy.sent} == {0}


def test_a_policy_that_stands_still_is_not_waited_for() -> None:
    outcome = play(f"calm {FIXED} items=20", Recorder(flows=0))
    assert outcome.seconds == float("inf")


def test_a_run_that_takes_too_long_ends_at_the_horizon() -> None:
    outcome = play(f"calm {FIXED} items=100", Recorder(), horizon=5.0)
    assert outcome.seconds == float("inf")
    assert outcome.done == 24


def test_a_policy_sees_of_a_refusal_what_a_client_sees() -> None:
    policy = Recorder(flows=30)
    play(f"cap most=5 {FIXED} items=40 retry=1 names=yes", policy)
    _, refusal, _ = policy.refusals[0]
    assert refusal == Refusal("limit", 429, 1.0, "concurrency", ())


def test_limit_headers_come_as_the_wire_hands_them_on() -> None:
    spec = f"bucket by=input-tokens rate=10 depth=10 shown=capacity {FIXED} items=5 headers=right"
    for style, coarse in (("openai", False), ("anthropic", True)):
        policy = Recorder()
        play(f"{spec} style={style}", policy)
        (reading,) = policy.readings[0]
        assert (reading.dimension, reading.limit, reading.coarse) == ("input", 10_000, coarse)
        assert reading.reset is not None
        assert reading.remaining % 1000 == 0 or style == "openai"


def test_headers_of_zero_are_no_headers() -> None:
    policy = Recorder()
    play(f"bucket by=requests rate=10 {FIXED} items=3 headers=zero", policy)
    assert policy.readings == [(), (), ()]


def test_a_policy_knows_what_a_call_may_cost_and_then_what_it_did() -> None:
    policy = Recorder()
    scene = draw_scene(f"calm {FIXED} items=10 spread=10", 1)
    Lab(scene.world(), scene.calls(), [policy], 1).run()
    for call, (_, _, cost), usage in zip(scene.calls(), policy.sent, policy.usages, strict=True):
        assert (cost.input, cost.most) == (call.input, call.most)
        assert (usage.input_tokens, usage.output_tokens) == (call.input, call.output)


def test_several_clients_share_one_world() -> None:
    scene = draw_scene(f"cap most=20 {FIXED} items=400", 1)
    policies = [PlainLoop(Random(n)) for n in range(4)]
    outcome = Lab(scene.world(), scene.calls(), policies, 1).run()
    assert outcome.shares == [100] * 4
    assert outcome.seconds >= scene.oracle()


@pytest.mark.parametrize(
    ("faults", "kinds", "sent"),
    [
        (["500", "500"], ["error", "error"], 3),
        (["429"], ["limit"], 2),
        (["drop"], ["drop"], 2),
        (["hang"], ["timeout"], 2),
        (["json"], [], 2),
        (["400"], [], 1),
    ],
)
def test_planted_faults_meet_a_calls_first_attempts(
    faults: list[Any], kinds: list[str], sent: int
) -> None:
    policy = Recorder()
    outcome = play(f"calm {FIXED} items=1", policy, faults={0: faults})
    assert [refusal.kind for _, refusal, _ in policy.refusals] == kinds
    assert len(policy.sent) == sent
    assert outcome.own == (faults == ["400"])
    assert outcome.done == (faults != ["400"])
    if faults == ["hang"]:
        assert outcome.seconds > TIMEOUT


def test_chance_draws_as_many_refusals_whoever_asks() -> None:
    spec = f"chance share=0.05 {FIXED} items=400"
    for seed in range(5):
        plain = play(spec, PlainLoop(Random(seed)), seed)
        aimd = play(spec, AimdWindow(Random(seed)), seed)
        assert plain.refused == aimd.refused == plain.by_chance


def test_the_plain_loop_does_as_measured_on_sockets() -> None:
    """600 or 1,200 calls of 0.2 s, 100 at once: 13.2, 29.3 and 28.9 s, with 454, 1,780 and 2,093 refusals."""
    for spec, seconds, refused in (
        ("cap most=20 items=600", 13.2, 454),
        ("clock by=requests window=2 most=100 items=1200", 29.3, 1780),
        ("gateway keys=4 rate=50 depth=1 pick=random items=1200", 28.9, 2093),
    ):
        outcome = play(f"{spec} {FIXED}", PlainLoop(Random(1)))
        assert outcome.seconds == pytest.approx(seconds, rel=0.1)
        assert outcome.refused == pytest.approx(refused, rel=0.1)
