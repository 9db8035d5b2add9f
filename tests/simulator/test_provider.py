from __future__ import annotations

import math
from typing import Any

import pytest

from flowpool.simulator import Fixed, PerToken, Profile, SimRequest, SimulatedProvider
from flowpool.simulator.plan import Failure, ServedAnswer


def ask(text: str = "Hello there", **fields: Any) -> Any:
    return SimRequest("chat", "gpt-sim", text=text, user=text, **fields)


def provider(seed: int = 0, **fields: Any) -> Any:
    return SimulatedProvider(Profile(**fields), seed)


def play(model: Any, now: Any, text: str = "Hello there", **fields: Any) -> Any:
    plan = model.receive(now, ask(text, **fields))
    model.finished(plan.due, plan.ticket)
    return plan


def test_an_answer_is_due_after_the_latency() -> None:
    plan = provider(latency=Fixed(1.5)).receive(10.0, ask())
    assert isinstance(plan.outcome, ServedAnswer)
    assert plan.due == 11.5


def test_latency_per_token_counts_the_answers_tokens() -> None:
    plan = provider(latency=PerToken(1.0, 0.5)).receive(0.0, ask("[[sim: say=12345678]]"))
    assert plan.due == 2.0


def test_calls_beyond_the_slots_queue_in_order() -> None:
    model = provider(slots=2, latency=Fixed(1.0))
    plans = [model.receive(0.0, ask(f"{n}")) for n in range(4)]
    assert [plan.waiting for plan in plans] == [False, False, True, True]
    assert model.finished(1.0, plans[0].ticket) == [plans[2]]
    assert plans[2].due == 2.0
    assert model.finished(1.0, plans[1].ticket) == [plans[3]]
    assert (model.busy_slots, model.queued) == (2, 0)


def test_a_full_queue_answers_503() -> None:
    model = provider(slots=1, queue_limit=1, latency=Fixed(1.0))
    plans = [model.receive(0.0, ask(f"{n}")) for n in range(3)]
    outcome = plans[2].outcome
    assert isinstance(outcome, Failure)
    assert outcome.status == 503
    assert plans[2].due == 0.0


def test_an_abandoned_call_frees_its_slot() -> None:
    model = provider(slots=1, latency=Fixed(1.0))
    served, queued = (model.receive(0.0, ask(f"{n}")) for n in range(2))
    assert model.abandoned(0.3, served.ticket) == [queued]
    assert queued.due == 1.3
    assert model.ledger.abandoned == 1
    assert model.ledger.busy_seconds == pytest.approx(0.3)


def test_an_abandoned_call_leaves_the_queue() -> None:
    model = provider(slots=1, latency=Fixed(1.0))
    first, second, third = (model.receive(0.0, ask(f"{n}")) for n in range(3))
    assert model.abandoned(0.5, second.ticket) == []
    assert model.finished(1.0, first.ticket) == [third]


def test_ending_a_call_twice_changes_nothing() -> None:
    model = provider(slots=1)
    plan = model.receive(0.0, ask())
    model.finished(0.0, plan.ticket)
    model.finished(0.0, plan.ticket)
    model.abandoned(0.0, plan.ticket)
    assert (model.ledger.in_flight, model.ledger.abandoned, model.busy_slots) == (0, 0, 0)


def test_over_the_limit_is_a_429_that_says_when_to_return() -> None:
    model = provider(rpm=60, depth=1, headers="openai")
    play(model, 0.0)
    outcome = play(model, 0.0).outcome
    assert isinstance(outcome, Failure)
    assert (outcome.status, outcome.kind, outcome.retry_after) == (429, "rate", 1.0)
    assert model.ledger.throttled == 1
    assert isinstance(play(model, 1.0).outcome, ServedAnswer)


def test_each_key_and_model_has_limits_of_its_own() -> None:
    model = provider(rpm=60, depth=1)
    asked = [("a", "m"), ("b", "m"), ("a", "n"), ("a", "m")]
    plans = [
        model.receive(0.0, SimRequest("chat", name, text="Hi", user="Hi", key=key))
        for key, name in asked
    ]
    assert [getattr(plan.outcome, "status", 200) for plan in plans] == [200, 200, 200, 429]


def test_anthropics_429_waits_whole_seconds_and_a_headerless_one_says_nothing() -> None:
    waits = {}
    for flavour in ("anthropic", "none"):
        model = provider(rpm=40, depth=1.5, headers=flavour)
        play(model, 0.0)
        waits[flavour] = play(model, 0.0).outcome.retry_after
    assert waits == {"anthropic": 2.0, "none": None}


def test_plans_carry_the_limits_as_they_stand_after_admission() -> None:
    plan = play(provider(rpm=60, tpm=6000), 0.0)
    assert [(limit.dimension, limit.remaining) for limit in plan.limits] == [
        ("requests", 59),
        ("tokens", 6000 - 3),
    ]


def test_a_planted_failure_ends_after_its_times_for_that_very_prompt() -> None:
    model = provider()
    text = "[[sim: 429 retry-after=0.2 times=2]] Hello"
    outcomes = [play(model, 0.0, text).outcome for _ in range(3)]
    assert [getattr(outcome, "status", 200) for outcome in outcomes] == [429, 429, 200]
    assert outcomes[0].retry_after == 0.2
    assert play(model, 0.0, text + "!").outcome.status == 429
    assert model.ledger.requested_times(text) == 3
    assert model.ledger.answered_times(text) == 1


def test_a_planted_failure_may_be_one_models_only() -> None:
    text = "[[sim: 500 model=gpt-sim]]"
    model = provider()
    assert play(model, 0.0, text).outcome.status == 500
    other = model.receive(0.0, SimRequest("chat", "gpt-other", text=text, user=text))
    assert isinstance(other.outcome, ServedAnswer)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503, 529])
def test_a_directive_plants_a_status(status) -> None:
    outcome = play(provider(), 0.0, f"[[sim: {status}]]").outcome
    assert isinstance(outcome, Failure)
    assert outcome.status == status


@pytest.mark.parametrize("fault", ["reset", "cut", "stall", "slow"])
def test_a_directive_plants_a_fault_of_the_connection(fault) -> None:
    plan = provider().receive(0.0, ask(f"[[sim: {fault}]]"))
    assert plan.connection == fault
    assert (plan.due == math.inf) == (fault == "stall")
    assert (plan.spread > 0) == (fault == "slow")


@pytest.mark.parametrize("shape", ["empty", "not-json", "error-in-200"])
def test_a_directive_plants_an_answer_that_is_none(shape) -> None:
    model = provider()
    assert play(model, 0.0, f"[[sim: {shape}]]").shape == shape
    assert model.ledger.answers == 0


@pytest.mark.parametrize(
    ("fault", "finish"), [("truncate", "length"), ("refuse", "refusal"), ("filter", "filter")]
)
def test_a_directive_plants_a_finish(fault, finish) -> None:
    assert play(provider(), 0.0, f"[[sim: {fault}]] Tell me more").outcome.finish == finish


def test_directives_set_latency_and_words() -> None:
    plan = play(provider(), 0.0, '[[sim: latency=1.5]] [[sim: say={"a": [1]}]] Hello')
    assert plan.due == 1.5
    assert plan.outcome.text == '{"a": [1]}'


def test_a_directive_that_cannot_be_read_is_a_400_that_says_what_can() -> None:
    outcome = play(provider(), 0.0, "[[sim: explode]]").outcome
    assert outcome.status == 400
    assert "use say=" in outcome.message


def test_an_answer_longer_than_max_tokens_is_cut_there() -> None:
    answer = play(provider(answer_chars=100), 0.0, max_tokens=5).outcome
    assert (len(answer.text), answer.finish, answer.output_tokens) == (20, "length", 5)


def test_faults_come_at_their_rates_and_repeat_by_seed() -> None:
    def statuses(seed: int) -> Any:
        model = provider(seed, faults={"500": 0.1, "reset": 0.05})
        for n in range(2000):
            play(model, 0.0, f"{n}")
        return dict(model.ledger.statuses)

    first = statuses(3)
    assert first["500"] == pytest.approx(200, rel=0.25)
    assert first["reset"] == pytest.approx(100, rel=0.35)
    assert statuses(3) == first
    assert statuses(4) != first


def test_an_outage_lasts_its_window_after_the_first_request() -> None:
    model = provider(outages=((5.0, 10.0),), outage="529")
    statuses = [getattr(play(model, 100.0 + t).outcome, "status", 200) for t in (0, 5, 9.9, 10)]
    assert statuses == [200, 529, 529, 200]


def test_a_stalled_call_holds_its_slot_until_its_client_leaves() -> None:
    model = provider(slots=1)
    stalled = model.receive(0.0, ask("[[sim: stall]]"))
    waiting = model.receive(0.0, ask())
    assert waiting.waiting
    assert model.abandoned(7.0, stalled.ticket) == [waiting]


def test_the_ledger_counts_what_was_paid_and_hides_keys() -> None:
    model = provider(latency=Fixed(1.0))
    for n in range(3):
        play(model, float(n), "same", key="f00d")
    play(model, 3.0, "[[sim: cut]]")
    books = model.ledger.as_dict()
    assert (books["requests"], books["answers"], books["cut"]) == (4, 3, 1)
    assert model.ledger.answered_times("same") == 3
    assert (books["prompts"], books["prompts_answered"], books["answered_again"]) == (2, 1, 2)
    assert books["keys"] == {"f00d": 3, "none": 1}
    assert books["answers_by_second"] == {"1": 1, "2": 1, "3": 1}
    assert books["statuses"] == {"200": 3, "cut": 1}
    assert (books["first"], books["last"], books["in_flight"]) == (0.0, 4.0, 0)
    assert "3 answers" in model.ledger.summary()


def test_reset_starts_anew() -> None:
    model = provider(seed=5, rpm=60, depth=1, faults={"500": 0.5})
    before = [getattr(play(model, float(n)).outcome, "status", 200) for n in range(20)]
    model.reset()
    assert model.ledger.requests == 0
    assert [getattr(play(model, float(n)).outcome, "status", 200) for n in range(20)] == before
