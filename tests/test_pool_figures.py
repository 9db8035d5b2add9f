"""What a pool tells of itself in figures: of this run alone, and true after any number of runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Limits, Model, Pool, Prices, Skill
from flowpool.errors import InvalidInput
from flowpool.pool import DONE, PENDING, Snapshot
from flowpool.simulator import Fixed
from flowpool.values import Status
from flowpool.views.words import end_text, progress_text

PRICES = Prices(input=1000, output=1000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def priced(sim: Any, name: str = "m", prices: Prices = PRICES) -> Any:
    return sim.skill(model=sim.model(name, prices=prices), options={"max_tokens": 20})


def cut_off(sim: Any, pool: Pool, seconds: float) -> Snapshot:
    """How a run stands after so many seconds; it is then cancelled."""

    async def main() -> Snapshot:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(seconds)
        seen = pool.snapshot
        pool.cancel()
        await run
        return seen

    seen: Snapshot = sim.run(main())
    return seen


def first_part(simulate: Any, store: Path, items: int = 100) -> Any:
    """A run of which 40 items are done and 4 were cut in flight."""
    sim = simulate()
    pool = sim.pool(priced(sim), items, max_flows=4, store=store)
    cut_off(sim, pool, 10.5)
    assert pool.status[DONE] == 40
    return pool


# After a resume


def test_a_resumed_run_tells_what_it_did_itself(simulate, store) -> None:
    first_part(simulate, store)
    sim = simulate()
    pool = sim.pool(priced(sim), 100, max_flows=4, store=store)
    sim.run(pool)
    now = pool.snapshot
    assert (now.done, now.recalled, now.carried) == (100, 40, 60)
    assert now.usage.output_tokens == sum(r.usage.output_tokens for r in pool.results.records[40:])
    words = end_text("x", now).counts
    assert words.startswith("100 done (40 of them earlier) in 15.0 s · 4.0/s · ")


def test_a_run_that_asked_nothing_tells_of_no_tokens_and_no_dollars(simulate, store) -> None:
    for _ in range(2):
        sim = simulate()
        pool = sim.pool(priced(sim), 8, store=store)
        sim.run(pool)
    assert end_text("x", pool.snapshot).counts == "8 done (8 of them earlier) in 0.00 s"
    assert pool.snapshot.cost is None
    assert pool.spent.cost == pytest.approx(pool.results.cost)
    assert pool.spent.cost > 0


def test_what_a_resumed_run_will_cost_is_of_what_it_has_left(simulate, store) -> None:
    before = first_part(simulate, store).spent.cost
    sim = simulate()
    pool = sim.pool(priced(sim), 100, max_flows=4, store=store)
    seen = cut_off(sim, pool, 5.5)
    assert (seen.recalled, seen.carried, seen.left) == (40, 20, 40)
    assert seen.cost is not None
    assert seen.expected_cost == pytest.approx(3 * seen.cost)
    assert seen.eta == pytest.approx(10.0, rel=0.2)
    words = progress_text("x", seen, ())
    assert words.counts.startswith("60 of 100 (40 from earlier) · ")
    assert f"beside ${before:.2g} earlier" in words.lines[0][0]


def test_items_that_ended_before_and_come_later_count_as_no_work(simulate, store) -> None:
    sim = simulate()
    items = [{"text": f"item {n}" + (" [[sim: 400]]" if n % 2 else "")} for n in range(40)]
    sim.run(sim.pool(priced(sim), items, store=store))
    again = simulate()
    pool = again.pool(priced(again), items, max_flows=2, store=store)

    async def main() -> Any:
        records = pool.astream(retry_failed=True)
        async for record in records:
            if record.index >= 19:
                break
        seen = pool.snapshot
        await records.aclose()
        return seen

    seen = again.run(main())
    assert seen.recalled < 20
    assert seen.left == 20 - seen.failed, "nothing is left of those that were done"


def test_a_retry_in_the_same_process_tells_what_it_did_itself(simulate) -> None:
    sim = simulate()
    items = [{"text": f"item {n}"} for n in range(10)]
    pool = sim.pool(priced(sim), items, max_flows=1)
    cut_off(sim, pool, 4.5)
    spent = pool.spent
    sim.run(pool.aretry())
    assert (pool.snapshot.done, pool.snapshot.recalled) == (10, 4)
    assert pool.snapshot.spent_before == spent.cost
    assert pool.spent.cost == pytest.approx(pool.results.cost)
    assert pool.spent.cost > spent.cost


# What was spent


def test_what_was_spent_is_counted_without_a_ceiling(simulate) -> None:
    sim = simulate()
    pool = sim.pool(priced(sim), 5)
    results = sim.run(pool)
    assert pool.spent.cost == pytest.approx(results.cost)
    assert pool.spent.cost > 0
    assert pool.spent.tokens == results.usage.input_tokens + results.usage.output_tokens


def test_a_cost_is_the_same_after_a_resume(simulate, store) -> None:
    def chain(sim: Any) -> Chain:
        dear = priced(sim, "dear", Prices(input=9000, output=9000))
        return Chain([(priced(sim), "a"), (dear, "b")])

    sim = simulate()
    first = sim.run(sim.pool(chain(sim), 5, store=store))
    again = simulate()
    pool = again.pool(chain(again), 5, store=store)
    assert again.run(pool).cost == pytest.approx(first.cost)
    assert pool.results.usage == first.usage
    loaded = Pool.load(store)
    assert loaded.results.cost == pytest.approx(first.cost) == loaded.spent.cost


def test_what_failed_tries_cost_stays_in_the_cost(simulate, store) -> None:
    def skill(sim: Any) -> Skill:
        model = sim.model(prices=PRICES)
        return Skill(model, prompt="{text}", output={"fields": {"n": "integer"}}, output_retries=0)

    items = [{"text": "[[sim: say=none]]"}]
    sim = simulate()
    first = sim.pool(skill(sim), items, store=store)
    sim.run(first)
    assert first.status[Status.FAILED] == 1
    again = simulate()
    pool = again.pool(skill(again), items, store=store)
    again.run(pool.aretry())
    assert pool.results.cost == pytest.approx(2 * first.results.cost) == pool.spent.cost
    third = simulate()
    pool = third.pool(skill(third), items, store=store)
    assert third.run(pool).cost == pytest.approx(2 * first.results.cost) == pool.spent.cost


def test_two_prices_of_one_model_are_told_apart(simulate) -> None:
    sim = simulate()
    other = Skill(
        sim.model(prices=Prices(input=1, output=1)), prompt="{a}", options={"max_tokens": 9}
    )
    pool = sim.pool(Chain([(priced(sim), "a"), (other, "b")]), 4)
    results = sim.run(pool)
    assert pool.snapshot.cost == pytest.approx(results.cost) == pool.spent.cost


# Time left


def test_the_time_left_heeds_what_the_providers_headers_allow(simulate) -> None:
    sim = simulate(rpm=600, headers="openai", depth=60.0)
    pool = sim.pool(items=3000)
    seen = cut_off(sim, pool, 8.0)
    assert seen.left is not None
    assert seen.left / seen.rate < 100, "the first minute's worth goes at once"
    whole = simulate(rpm=600, headers="openai", depth=60.0)
    whole.run(whole.pool(items=3000))
    assert seen.eta == pytest.approx(whole.seconds - 8.0, rel=0.25)


def test_the_pace_of_a_run_that_was_stopped_counts_what_ended(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=1000, max_flows=2)
    cut_off(sim, pool, 10.5)
    assert " cancelled in 10.5 s · 1.9/s" in end_text("x", pool.snapshot).counts


# Rows of a file


def rows_file(folder: Path, count: int) -> str:
    path = folder / "rows.csv"
    path.write_text("text\n" + "".join(f"item {n}\n" for n in range(count)))
    return str(path)


def test_a_file_has_a_total_a_time_left_and_an_estimate(simulate, tmp_path: Path) -> None:
    sim = simulate()
    path = rows_file(tmp_path, 60)
    pool = sim.pool(priced(sim), path, max_flows=2)
    told = pool.estimate()
    assert (told.items, told.calls) == (60, 60)
    assert told.cost is not None
    seen = cut_off(sim, pool, 10.5)
    assert (seen.total, seen.left) == (60, 40)
    assert seen.cost is not None
    assert seen.eta == pytest.approx(20.0, rel=0.2)
    assert seen.expected_cost == pytest.approx(3 * seen.cost)
    assert pool.results.records[-1].variables == {"text": "item 59"}
    fresh = sim.pool(priced(sim), path)
    assert len(sim.run(fresh)) == 60
    assert fresh.status[PENDING] == 0


def test_a_stored_run_of_a_file_tells_its_total_too(simulate, tmp_path: Path, store) -> None:
    path = rows_file(tmp_path, 20)
    sim = simulate()
    cut_off(sim, sim.pool(priced(sim), path, max_flows=2, store=store), 2.5)
    again = simulate()
    pool = again.pool(priced(again), path, max_flows=2, store=store)
    assert pool.estimate().known == 4
    seen = cut_off(again, pool, 2.5)
    assert (seen.total, seen.recalled, seen.left) == (20, 4, 12)


def test_a_row_that_cant_be_read_costs_no_call(simulate, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n' * 50 + "{\n")
    sim = simulate()
    with pytest.raises(InvalidInput, match="line 51"):
        sim.run(sim.pool(items=str(path)))
    assert not sim.ledger.answered


def test_a_run_can_be_stopped_while_its_rows_are_counted(simulate, tmp_path: Path) -> None:
    sim = simulate()
    pool = sim.pool(items=rows_file(tmp_path, 50_000))

    async def main() -> None:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(0)
        pool.stop()
        await run

    sim.run(main())
    assert not sim.ledger.answered
    assert "the run was stopped" in pool.snapshot.stopped


# Before the run


def test_an_estimate_counts_what_the_store_has_as_done(simulate, store) -> None:
    first_part(simulate, store)
    sim = simulate()
    whole, part = (sim.pool(priced(sim), 100, store=kept).estimate() for kept in (None, store))
    assert (part.items, part.known, part.calls) == (100, 40, 60)
    assert part.cost == pytest.approx(0.6 * whole.cost)
    limited = sim.pool(priced(sim), 100, store=store, limit=10).estimate()
    assert (limited.items, limited.known) == (10, 10)


def test_the_least_time_is_that_of_the_slowest_model_not_of_all_together() -> None:
    def at(rpm: float | None, name: str = "x") -> Model:
        limits = Limits(rpm=rpm) if rpm else None
        return Model(name, base_url="http://127.0.0.1:9/v1", limits=limits)

    items = [{"text": "hello"}] * 600
    slow, free = Skill(at(60), prompt="{text}"), Skill(at(None, "y"), prompt="{a}")
    assert Pool(Chain([(slow, "a"), (free, "b")]), items).estimate().seconds == 600.0
    twice = Skill(at(60), prompt="{a}")
    assert Pool(Chain([(slow, "a"), (twice, "b")]), items).estimate().seconds == 1200.0
    from flowpool import Spread

    both = Skill(Spread([at(60, "x"), at(140, "y")]), prompt="{text}")
    assert Pool(both, items).estimate().seconds == 180.0
    with_fallback = Skill([at(60, "x"), at(1, "y")], prompt="{text}")
    assert Pool(with_fallback, items).estimate().seconds == 600.0
    assert Pool(with_fallback, items, limits=Limits(rpm=600)).estimate().seconds == 60.0
    assert Pool(lambda text: text, items, limits=Limits(rpm=60)).estimate().seconds == 600.0


def test_each_turn_of_the_model_is_a_call() -> None:
    turns: Any = [
        {"role": "user", "parts": ["x" * 40]},
        {"role": "assistant"},
        {"role": "user", "parts": ["{text}"]},
    ]
    skill = Skill(
        Model("m", base_url="http://127.0.0.1:9/v1", prices=PRICES),
        input={"messages": turns},
        options={"max_tokens": 10},
    )
    told = Pool(skill, [{"text": "y" * 40}] * 10).estimate()
    assert told.calls == 20
    assert told.input_tokens == 10 * (10 + 4 + 20 + 12)
    assert told.steps[0].most_output == 20


# By a pilot


@pytest.mark.parametrize("chosen", [{"max_flows": 8}, {"limits": Limits(concurrent=5)}])
def test_a_pilot_foretells_the_time_at_a_chosen_width(simulate, chosen) -> None:
    from flowpool.estimate import forecast

    sim = simulate(latency=Fixed(1.0))
    pilot = sim.pool(items=20, **chosen)
    records = sim.run(pilot).records
    width = chosen.get("max_flows") or chosen["limits"].concurrent
    seen = forecast(records, 300, pilot.snapshot, width)
    whole = simulate(latency=Fixed(1.0))
    whole.run(whole.pool(items=300, **chosen))
    assert seen.seconds is not None
    assert seen.seconds.expected == pytest.approx(whole.seconds, rel=0.1)


@pytest.mark.parametrize("profile", [{}, {"rpm": 360, "headers": "openai"}, {"slots": 4}])
def test_a_pilot_of_a_run_that_adapts_tells_the_least_and_the_most(simulate, profile) -> None:
    from flowpool.estimate import forecast

    sim = simulate(**profile)
    pilot = sim.pool(items=20)
    seen = forecast(sim.run(pilot).records, 900, pilot.snapshot)
    whole = simulate(**profile)
    whole.run(whole.pool(items=900))
    assert seen.seconds is None
    assert seen.least <= whole.seconds <= max(seen.least, 900 / seen.pace) * 1.1


def test_a_run_that_is_loaded_from_its_store_has_a_total_too(simulate, store) -> None:
    first_part(simulate, store, 60)
    sim = simulate()
    pool = Pool.load(store, environment=sim.environment, max_flows=4, progress=False)
    assert pool.spent.cost == pytest.approx(pool.results.cost)
    seen = cut_off(sim, pool, 2.5)
    assert (seen.total, seen.recalled, seen.left) == (60, 40, 12)
    assert seen.eta == pytest.approx(3.0, rel=0.2)
    assert len(pool.results) == 60
    assert pool.results.records[-1].variables == {"text": "item 59"}
