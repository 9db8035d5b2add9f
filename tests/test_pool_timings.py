"""Where the time of a run's calls went: in its snapshot, and with each attempt in its store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until_async

from flowpool import Chain, Limits, Model, Pool, Skill, tool
from flowpool.run.sample import TIME_KINDS
from flowpool.simulator import Fixed, SimServer
from flowpool.store.reading import Reader

LANE = "custom/m"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def attempts_in(store: Path) -> list[dict[str, Any]]:
    with Reader(store) as reader:
        [run] = reader.runs()
        return list(reader.attempts(run.id))


def parts_of(attempt: Mapping[str, Any]) -> dict[str, float]:
    """Where an attempt's time went, as the store's columns say it; what is 0 is left out."""
    rest = attempt["seconds"] - attempt["connect"] - attempt["first_byte"]
    kind = "reading" if attempt["model"] else "own_code"
    parts = {name: attempt[name] for name in TIME_KINDS if name in attempt} | {kind: rest}
    return {name: round(seconds, 6) for name, seconds in parts.items() if seconds > 1e-9}


def totals(pool: Pool, lane: str = LANE) -> dict[str, float]:
    return {kind: round(one.total, 6) for kind, one in pool.snapshot.timings[lane].items()}


def items(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


# What a call waits for before it is sent.


def test_a_call_that_goes_at_once_waits_for_nothing(simulate, store) -> None:
    sim = simulate(latency=Fixed(2.0))
    pool = sim.pool(items=3, max_flows=3, store=store)
    sim.run(pool)
    assert totals(pool) == {"first_byte": 6.0}
    assert [parts_of(attempt) for attempt in attempts_in(store)] == [{"first_byte": 2.0}] * 3


def test_calls_wait_for_a_rate_limit(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=4, limits=Limits(rpm=6), store=store)
    sim.run(pool)
    waits = sorted(attempt["limit_wait"] for attempt in attempts_in(store))
    assert waits[0] == 0.0
    assert waits[-1] > 9.0
    assert totals(pool) == {"limit_wait": round(sum(waits), 6), "first_byte": 4.0}


def test_calls_wait_for_a_slot(simulate, store) -> None:
    sim = simulate()

    async def ready(text: str) -> str:
        return text

    chain = Chain([(ready, "text"), (sim.skill(), "answer", {}, {"max_flows": 2})])
    pool = sim.pool(chain, 6, store=store)
    sim.run(pool)
    waits = [attempt["slot_wait"] for attempt in attempts_in(store) if attempt["model"]]
    assert sorted(waits) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert totals(pool) == {"slot_wait": 6.0, "first_byte": 6.0}


def test_calls_wait_for_the_money_that_others_have_set_aside(simulate, store) -> None:
    sim = simulate()
    skill = sim.skill(model=sim.model(options={"max_tokens": 100}))
    # Room for one call's worst case, and not for two.
    pool = sim.pool(skill, items("a", "b", "c"), max_tokens_total=400, max_flows=3, store=store)
    sim.run(pool)
    waits = sorted(attempt["budget_wait"] for attempt in attempts_in(store))
    assert waits == [0.0, 1.0, 2.0]
    assert totals(pool)["budget_wait"] == 3.0


async def paused_for_an_hour(pool: Pool, at: float) -> None:
    running = asyncio.ensure_future(pool.arun())
    await asyncio.sleep(at)
    pool.pause()
    await asyncio.sleep(3600)
    pool.go()
    await running


@pytest.mark.parametrize(
    ("settings", "kind", "seconds"),
    [
        ({"limits": Limits(rpm=6)}, "limit_wait", 30.0),
        ({"max_tokens_total": 700}, "budget_wait", 3.0),
    ],
)
def test_a_pause_is_no_wait(simulate, settings, kind, seconds) -> None:
    sim = simulate()
    skill = sim.skill(model=sim.model(options={"max_tokens": 100}))
    pool = sim.pool(skill, items("a", "b", "c"), max_flows=3, **settings)
    sim.run(paused_for_an_hour(pool, 0.5))
    assert sim.seconds > 3600.0
    assert 0.0 < totals(pool)[kind] <= seconds
    assert sum(totals(pool).values()) < 60.0


def test_a_pause_is_no_wait_for_a_slot(simulate) -> None:
    sim = simulate()

    async def ready(text: str) -> str:
        return text

    chain = Chain([(ready, "text"), (sim.skill(), "answer", {}, {"max_flows": 2})])
    pool = sim.pool(chain, 6)
    sim.run(paused_for_an_hour(pool, 0.5))
    assert totals(pool) == {"slot_wait": pytest.approx(4.0, abs=2.0), "first_byte": 6.0}


def test_a_pause_is_no_backoff(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=items("[[sim: 500 times=1 retry-after=7]] a"))
    sim.run(paused_for_an_hour(pool, 2.0))
    assert sim.seconds > 3600.0
    assert 0.0 < totals(pool)["backoff"] < 8.0
    assert totals(pool).get("limit_wait", 0.0) < 8.0


@pytest.mark.parametrize("fault", ["500", "reset", "429"])
def test_the_next_attempt_of_a_call_that_failed_says_how_long_it_was_put_off(
    simulate, store, fault
) -> None:
    sim = simulate()
    pool = sim.pool(items=items(f"[[sim: {fault} times=1 retry-after=7]] a"), store=store)
    sim.run(pool)
    first, second = attempts_in(store)
    assert (first["backoff"], first["limit_wait"]) == (0.0, 0.0)
    gap = second["started"] - first["started"] - first["seconds"]
    waited = second["backoff"] + second["limit_wait"] + second["slot_wait"]
    assert waited == pytest.approx(gap, abs=1e-6)
    assert second["backoff"] > 0.0 or fault == "429"  # there its lane has it wait
    assert totals(pool).get("backoff", 0.0) == round(second["backoff"], 6)


# What the time of an attempt goes to.


def test_a_slow_body_is_the_reading_of_the_answer(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=items("[[sim: slow=3]] a"), store=store)
    sim.run(pool)
    assert totals(pool) == {"first_byte": 1.0, "reading": 3.0}
    assert [parts_of(attempt) for attempt in attempts_in(store)] == [totals(pool)]


def test_an_attempt_without_an_answer_waited_for_its_first_byte(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=items("[[sim: stall]] a"), timeout=5, retries=0, store=store)
    sim.run(pool)
    assert totals(pool) == {"first_byte": 5.0}
    assert [parts_of(attempt) for attempt in attempts_in(store)] == [{"first_byte": 5.0}]


def test_a_functions_time_is_its_own_code(simulate, store) -> None:
    sim = simulate()

    @tool(max_flows=1)
    async def slow(text: str) -> str:
        await asyncio.sleep(2.0)
        if text == "fails" and len(failed) < 1:
            failed.append(text)
            raise ValueError(text)
        return text

    failed: list[str] = []
    pool = sim.pool(slow, items("a", "fails"), max_flows=2, retries=1, store=store)
    sim.run(pool)
    took = totals(pool, "slow")
    assert took.pop("own_code") == 6.0
    assert took.pop("slot_wait") == 2.0
    assert 0.0 < took.pop("backoff") <= 0.5
    assert not took
    own = [parts_of(attempt)["own_code"] for attempt in attempts_in(store)]
    assert own == [2.0] * 3


# In sum.


def test_the_sums_are_those_of_the_attempts_in_the_store(simulate, store) -> None:
    sim = simulate(latency=Fixed(0.7), faults={"500": 0.05, "429": 0.05, "reset": 0.03}, seed=3)

    async def ready(text: str) -> str:
        await asyncio.sleep(0.3)
        return text

    chain = Chain([(ready, "text"), (sim.skill(), "answer")])
    pool = sim.pool(chain, 600, limits=Limits(rpm=900, concurrent=8), store=store)
    sim.run(pool)
    sums: dict[str, dict[str, float]] = {LANE: defaultdict(float), "ready": defaultdict(float)}
    counts = dict.fromkeys(sums, 0)
    for attempt in attempts_in(store):
        lane = attempt["model"] or "ready"
        counts[lane] += 1
        for kind, seconds in parts_of(attempt).items():
            sums[lane][kind] += seconds
    timings = pool.snapshot.timings
    assert set(timings) == set(sums)
    for lane, kinds in timings.items():
        assert {one.count for one in kinds.values()} == {counts[lane]}
        summed = {kind: one.total for kind, one in kinds.items() if one.total > 1e-6}
        assert summed == pytest.approx(dict(sums[lane]), abs=1e-3)
    assert {"slot_wait", "limit_wait", "backoff", "first_byte"} <= set(timings[LANE])


def test_the_sums_without_a_store_are_the_same_as_with_one(simulate, store) -> None:
    pools = []
    for kept in (None, store):
        sim = simulate(latency=Fixed(0.7), faults={"500": 0.1}, seed=3)
        pools.append(sim.pool(items=100, limits=Limits(rpm=600), store=kept))
        sim.run(pools[-1])
    assert totals(pools[0]) == totals(pools[1])


def test_a_run_that_goes_on_tells_of_it_from_another_thread(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=50, max_flows=5)

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await until_async(lambda: pool.status[2] >= 20, 60)
        seen.append(await asyncio.to_thread(lambda: pool.snapshot.timings))
        await running

    seen: list[Any] = []
    sim.run(main())
    [timings] = seen
    assert 20 <= timings[LANE]["first_byte"].count < 50
    assert pool.snapshot.timings[LANE]["first_byte"].count == 50


def test_a_call_that_is_cut_has_its_time_too(simulate, store) -> None:
    sim = simulate(latency=Fixed(100.0))
    pool = sim.pool(items=1, store=store)

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(5.0)
        pool.cancel()
        await running

    sim.run(main())
    [attempt] = attempts_in(store)
    assert attempt["error"] == "NotFinished"
    assert attempt["first_byte"] == pytest.approx(5.0, abs=0.01)
    assert totals(pool) == pytest.approx({"first_byte": 5.0}, abs=0.01)


def test_a_pool_that_has_not_run_has_no_times(simulate) -> None:
    assert simulate().pool().snapshot.timings == {}


# Over real sockets.


def test_a_real_server_that_thinks_and_then_trickles(store) -> None:
    with SimServer("free", latency=Fixed(0.15), slow_seconds=0.3) as server:
        skill = Skill(Model("m", base_url=f"{server.url}/v1"), prompt="{text}")
        pool = Pool(skill, items("[[sim: slow=0.3]] a", "b"), max_flows=1, store=store)
        assert list(pool.run()) == ["a", "b"]
    slow, quick = map(parts_of, attempts_in(store))
    assert slow["first_byte"] > 0.14
    assert slow["reading"] > 0.25
    assert quick["first_byte"] > 0.14
    assert quick.get("reading", 0.0) < 0.14
    assert "connect" not in quick  # it had the connection of the call before
    [kinds] = pool.snapshot.timings.values()
    assert kinds["first_byte"].total == pytest.approx(slow["first_byte"] + quick["first_byte"])
