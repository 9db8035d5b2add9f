"""`max_cost` and `max_tokens_total`: by the provider's own books a run never spends more than it may."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from flowpool import Chain, Model, Pool, Prices, Skill, Spread, Status
from flowpool import prices as price_list
from flowpool.errors import BudgetSpent, FlowpoolError, InvalidInput
from flowpool.simulator import Fixed, Lognormal

DONE, FAILED, CANCELLED = Status.DONE, Status.FAILED, Status.CANCELLED
LONG = "This sentence is here to be sent to a model. " * 40
MODELS = ("gpt-5-mini", "gpt-5-nano", "gpt-4.1")
FAULTS = (
    *("429", "500", "502", "503", "504", "400", "401", "quota", "reset", "cut", "stall", "slow"),
    *("empty", "not-json", "error-in-200", "truncate", "refuse", "filter"),
)


def model(name: str = "gpt-5-mini", **options: Any) -> Model:
    options.setdefault("max_tokens", 200)
    return Model(name, options, base_url="http://sim.test/v1", provider="openai")


def skill(name: str = "gpt-5-mini", prompt: str = "{text}", **options: Any) -> Skill:
    return Skill(model(name, **options), prompt=prompt)


def billable(ledger: Any) -> float:
    """Dollars of everything that the provider began to work on: the most it can bill."""
    total = 0.0
    for name, (sent, made) in ledger.worked.items():
        rates = price_list.rates("openai", name)
        assert rates is not None
        total += rates.most(sent, made)
    return total


def worst_of(pool: Pool, text: str) -> int:
    """The tokens that are set aside for a call with this prompt."""
    body = f'{{"model":"gpt-5-mini","messages":[{{"role":"user","content":"{text}"}}],'
    return len(body + '"max_completion_tokens":200,"stream":false}') + 200 + 200


# What a ceiling does.


def test_a_run_ends_under_its_ceiling_and_says_why_of_what_it_did_not_do(simulate) -> None:
    sim = simulate()
    pool = sim.pool(skill(), [{"text": LONG}] * 1000, max_cost=0.01)
    results = sim.run(pool)
    done = pool.status[DONE]
    assert 0 < done < 1000
    assert pool.status == {**pool.status, FAILED: 0, CANCELLED: 1000 - done}
    assert billable(sim.ledger) == pytest.approx(pool.spent.cost) == pytest.approx(results.cost)
    assert 0.008 < pool.spent.cost <= 0.01
    refusal = results.failed[0].error
    assert isinstance(refusal, BudgetSpent)
    assert "ceiling of $0.01" in str(refusal)
    assert "raise max_cost" in str(refusal)


def test_a_raised_ceiling_goes_on_where_the_run_stopped_and_counts_what_it_spent(simulate) -> None:
    sim = simulate()
    pool = sim.pool(skill(), [{"text": f"{n} {LONG}"} for n in range(100)], max_cost=0.005)

    async def main() -> None:
        await pool.arun()
        first = pool.status[DONE]
        assert 0 < first < 100
        await pool.aretry()
        assert pool.status[DONE] == first  # nothing has changed
        await pool.aretry(max_cost=0.01)
        assert first < pool.status[DONE] < 100
        assert pool.spent.cost <= 0.01
        results = await pool.aretry(max_cost=1.0)
        assert len(results.failed) == 0

    sim.run(main())
    assert sim.ledger.answers == len(sim.ledger.answered) == 100


def test_a_run_that_fits_into_its_ceiling_one_call_after_another_is_done_whole(simulate) -> None:
    sim = simulate()
    items = [{"text": f"{n:04} {LONG}"} for n in range(200)]
    worst = worst_of(None, items[0]["text"])  # type: ignore[arg-type]
    total = sum(4 * (len(item["text"]) // 4 + 100) for item in items)
    free = sim.run(sim.pool(skill(), items))
    spent = free.usage.input_tokens + free.usage.output_tokens
    assert spent < total
    # The last call's worst case must fit beside what all the others really cost.
    one = spent // 200
    pool = sim.pool(skill(), items, max_tokens_total=spent - one + worst, max_flows=64)
    sim.run(pool)
    assert pool.status[DONE] == 200
    assert pool.spent.tokens == spent


def test_calls_wait_for_those_in_flight_to_cost_less_than_they_might(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    worst = worst_of(None, "item 0")  # type: ignore[arg-type]
    pool = sim.pool(skill(), 10, max_tokens_total=2 * worst)
    sim.run(pool)
    assert sim.ledger.peak_in_flight == 2
    assert pool.status[DONE] == 10


def test_without_room_for_any_call_no_more_items_are_read(simulate) -> None:
    sim = simulate()
    read = 0

    def forever() -> Any:
        nonlocal read
        while True:
            read += 1
            yield {"text": f"item {read}"}

    pool = sim.pool(skill(), forever(), max_tokens_total=5_000)
    sim.run(pool)
    assert pool.status[DONE] > 0
    assert read < 3000
    assert pool.spent.tokens <= 5_000


def test_a_smaller_call_still_goes_where_a_large_one_has_no_room(simulate) -> None:
    sim = simulate()
    pool = sim.pool(skill(), [{"text": "x" * 5000}, {"text": "small"}], max_tokens_total=2_000)
    results = sim.run(pool)
    assert [record.status for record in results.records] == [CANCELLED, DONE]


def test_a_chain_that_goes_on_after_failed_steps_does_not_go_on_without_money(simulate) -> None:
    sim = simulate()
    chain = Chain(
        [(skill(), "first"), (skill(prompt="{first} {text} again"), "second")], on_step_error="skip"
    )
    pool = sim.pool(chain, [{"text": LONG}], max_tokens_total=len(LONG) + 600)
    results = sim.run(pool)
    assert results.records[0].status is CANCELLED
    assert isinstance(results.errors[0], BudgetSpent)


def test_every_call_counts_retries_fallbacks_and_each_turn_of_a_conversation(simulate) -> None:
    sim = simulate()
    talk = Skill(
        [model("gpt-4.1"), model("gpt-5-mini")],
        {
            "messages": [
                {"role": "user", "parts": ["{text}"]},
                {"role": "assistant"},
                {"role": "user", "parts": ["Go on."]},
            ]
        },
    )
    texts = ["[[sim: truncate model=gpt-4.1]] One. Two. Three.", "[[sim: 500 times=1]] Plain."]
    pool = sim.pool(talk, [{"text": text} for text in texts], max_cost=1.0)
    results = sim.run(pool)
    assert pool.status[DONE] == 2
    sent = sum(sent for sent, _ in sim.ledger.worked.values())
    assert results.usage.input_tokens == sent
    assert pool.spent.cost == pytest.approx(billable(sim.ledger)) == pytest.approx(results.cost)


def test_a_spread_leaves_out_the_model_that_is_too_dear_by_now(simulate) -> None:
    sim = simulate()
    both = Skill(Spread([model("gpt-4.1"), model("gpt-5-nano")]), prompt="{text}")
    pool = sim.pool(both, 300, max_cost=0.004)
    sim.run(pool)
    assert pool.spent.cost <= 0.004
    assert sim.ledger.models["gpt-4.1"] > 0
    assert sim.ledger.models["gpt-5-nano"] > 100


def test_what_a_cancelled_call_cost_stays_set_aside_and_is_shown(simulate) -> None:
    sim = simulate(latency=Fixed(10.0))
    pool = sim.pool(skill(), 4, max_cost=1.0, deadline=1.0)
    sim.run(pool)
    assert pool.spent.cost == 0
    assert 0 < billable(sim.ledger) < pool.spent.unknown_cost


# What is refused before anything is paid.


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Skill(Model("gpt-5-mini", base_url="http://sim.test/v1"), prompt="{text}"), "set max_tokens"),
        (
            lambda: Skill(Model("qwen3", {"max_tokens": 9}, base_url="http://sim.test/v1"), prompt="{text}"),
            "prices=Prices",
        ),
        (lambda: skill(tools=[{"type": "web_search"}]), "tools that the provider runs"),
    ],
)  # fmt: skip
def test_a_ceiling_that_cannot_be_kept_is_refused_before_the_first_call(
    simulate, made, words
) -> None:
    sim = simulate()
    with pytest.raises(InvalidInput, match=words):
        sim.run(sim.pool(made(), 3, max_cost=1.0))
    assert sim.ledger.requests == 0


def test_a_model_without_a_known_price_runs_at_the_price_it_is_told(simulate) -> None:
    sim = simulate()
    own = Model(
        "qwen3",
        {"max_tokens": 50},
        base_url="http://sim.test/v1",
        prices=Prices(input=1.0, output=2.0, request=0.001),
    )
    pool = sim.pool(Skill(own, prompt="{text}"), 100, max_cost=0.05)
    results = sim.run(pool)
    assert 0.04 < pool.spent.cost <= 0.05
    assert results.cost == pytest.approx(pool.spent.cost)


def test_a_server_of_ones_own_costs_nothing_if_one_says_so(simulate) -> None:
    sim = simulate()
    own = Model(
        "m",
        {"max_tokens": 50},
        base_url="http://sim.test/v1",
        prices=Prices(input=0, output=0),
    )
    pool = sim.pool(Skill(own, prompt="{text}"), 100, max_cost=0.01)
    sim.run(pool)
    assert pool.status[DONE] == 100
    assert pool.spent.cost == 0


@pytest.mark.parametrize("bad", [0, -1, True, "5", float("inf"), float("nan")])
def test_a_ceiling_is_dollars_above_zero(bad) -> None:
    with pytest.raises(InvalidInput, match="max_cost"):
        Pool(skill(), [], max_cost=bad)
    with pytest.raises(InvalidInput, match="max_tokens_total"):
        Pool(skill(), [], max_tokens_total=bad)


# Whatever the provider does.


def random_runner(random: Random) -> Any:
    def choice() -> Any:
        names = random.sample(MODELS, random.randint(1, 3))
        limit = random.choice((20, 200, 1000))
        models = [model(name, max_tokens=limit) for name in names]
        return Spread(models) if random.random() < 0.3 else models

    kind = random.random()
    if kind < 0.5:
        return Skill(choice(), prompt="{text}")
    if kind < 0.7:
        form = {"format": {"type": "json"}}
        return Skill(choice(), output=form, prompt="As JSON: {text}")
    first = Skill(choice(), prompt="{text}")
    if kind < 0.85:
        return Chain([(first, "a"), (Skill(choice(), prompt="{a} {text}"), "b")])
    beside = (Skill(choice(), prompt="Two words: {text}"), "side")
    return Chain([[(first, "a"), beside], (Skill(choice(), prompt="{a}"), "b")])


def play(simulate: Any, seed: int) -> None:
    random = Random(seed)
    faults = random.sample(FAULTS, random.randint(0, 5))
    sim = simulate(
        seed=random.randrange(10**6),
        latency=random.choice((Fixed(0.0), Fixed(0.3), Lognormal(0.3, 1.0))),
        faults={name: random.choice((0.02, 0.1, 0.15)) for name in faults},
        slots=random.choice((None, None, 3)),
        rpm=random.choice((None, None, 600)),
        retry_after=0.3,
    )
    count = random.randint(1, 20)
    items = [{"text": f"{n} " + LONG[: random.randint(0, len(LONG))]} for n in range(count)]
    ceiling = 10 ** random.uniform(-3.3, -1.5)
    tokens = random.choice((None, random.randint(1_000, 60_000)))
    pool = sim.pool(
        random_runner(random),
        items,
        max_cost=ceiling,
        max_tokens_total=tokens,
        max_flows=random.choice((1, 4, 50, "auto")),
        retries=random.choice((0, 2)),
        timeout=random.choice((1.0, 30.0)),
        on_error=random.choice(("collect", "collect", "stop", "raise")),
        deadline=random.choice((None, None, 2.0)),
    )

    async def main() -> None:
        for run in [pool.arun, pool.aretry, pool.aretry][: random.randint(1, 3)]:
            running = asyncio.ensure_future(run())
            if random.random() < 0.3:
                await asyncio.sleep(random.random())
                random.choice((pool.cancel, pool.stop, running.cancel))()
            with suppress(FlowpoolError, asyncio.CancelledError):
                await running
            check(pool, sim, ceiling, tokens, count)

    try:
        sim.run(main())
    except BaseException:
        print(f"\nfailing seed: {seed}")
        raise


def check(pool: Pool, sim: Any, ceiling: float, tokens: int | None, count: int) -> None:
    assert pool._session._run is not None
    budget, spent = pool._session._run.budget, pool.spent
    assert budget is not None
    worked = sum(sent + made for sent, made in sim.ledger.worked.values())
    assert billable(sim.ledger) <= ceiling + 1e-12
    assert worked <= (tokens or worked)
    assert spent.cost + spent.unknown_cost <= ceiling + 1e-12
    assert billable(sim.ledger) <= spent.cost + spent.unknown_cost + 1e-12
    assert (budget.in_flight, budget.reserved_cost, budget.reserved_tokens) == (0, 0, 0)
    status, records = pool.status, pool.results.records
    assert sum(status.values()) == len(records) == count
    assert (pool.results.cost or 0.0) == pytest.approx(spent.cost)
    for record in records:
        assert (record.error is None) == (record.status is DONE)


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_the_provider_can_never_bill_more_than_the_ceiling(simulate, first) -> None:
    for seed in range(first, first + 250):
        play(simulate, seed)
