"""What a person sees of a run: how each lane stands, what holds it back, and what the run costs so far."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from flowpool import Chain, Limits, Model, Pool, Skill, Spread
from flowpool.limits.lane_view import Bound
from flowpool.pool import BOUNDS, Snapshot
from flowpool.simulator import PROFILES, Fixed, Lognormal


def seen_at(sim: Any, pool: Pool, seconds: float):
    """The lanes of a pool so many seconds after it began; the run is then cancelled."""

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(seconds)
        lanes = pool.lanes
        pool.cancel()
        await run
        return lanes

    return sim.run(main())


def mostly(sim: Any, pool: Pool, start: float, end: float):
    """What bound the pool's only lane most of the time between two moments."""

    async def main() -> str:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(start)
        bounds = []
        for _ in range(50):
            await asyncio.sleep((end - start) / 50)
            bounds.append(pool.lanes[0].bound)
        pool.cancel()
        await run
        return max(set(bounds), key=bounds.count)

    return sim.run(main())


def test_every_bound_has_words() -> None:
    assert set(BOUNDS) == set(get_args(Bound))


def test_before_a_run_there_are_no_lanes() -> None:
    assert Pool(str, [{"object": 1}]).lanes == []


def test_max_flows_is_named_where_it_holds_back(simulate) -> None:
    sim = simulate()
    [lane] = seen_at(sim, sim.pool(items=30, max_flows=4), 1.5)
    assert (lane.bound, lane.in_flight, lane.window, lane.utilisation) == ("max_flows", 4, 4, 1.0)
    assert lane.name.endswith("/m")
    assert not lane.broken


def test_max_flows_of_a_pool_of_two_steps_is_named_where_no_lane_is_full(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    chain = Chain([(sim.skill(), "a"), (sim.skill("{a}", sim.model("n")), "b")])
    lanes = seen_at(sim, sim.pool(chain, 50, max_flows=4), 1.5)
    assert {lane.bound for lane in lanes if lane.in_flight < 4} == {"max_flows"}


def test_two_keys_of_one_model_are_two_lanes_by_name(simulate) -> None:
    sim = simulate()
    keys = [sim.model(api_key="one"), sim.model(api_key="two")]
    pool = sim.pool(Skill(Spread(keys), prompt="{text}"), items=6, limits=Limits(concurrent=1))
    sim.run(pool)
    assert [lane.name for lane in pool.lanes] == ["custom/m", "custom/m (2)"]
    timings = pool.snapshot.timings
    assert {name: kinds["first_byte"].count for name, kinds in timings.items()} == {
        "custom/m": 3,
        "custom/m (2)": 3,
    }
    assert {lane.shared_name for lane in pool.lanes} == set(pool.snapshot.spent)


def test_two_functions_of_one_name_are_two_lanes_by_name() -> None:
    async def one(text: str) -> str:
        return text

    def other(first: str) -> str:
        return first

    other.__name__ = "one"
    pool = Pool(Chain([(one, "first"), (other, "last")]), [{"text": "a"}], progress=False)
    pool.run()
    assert [lane.name for lane in pool.lanes] == ["one", "one (2)"]
    run = pool._session._run
    assert run is not None
    assert run._tool_calls.modes() == {"one": "async", "one (2)": "thread"}
    assert list(pool.snapshot.timings) == ["one", "one (2)"]


def test_at_the_end_the_items_are_what_is_missing(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=3)
    [lane] = seen_at(sim, pool, 0.5)
    assert (lane.bound, lane.in_flight) == ("items", 3)
    [lane] = pool.lanes
    assert (lane.bound, lane.in_flight) == ("items", 0)


@pytest.mark.parametrize("headers", ["openai", "none"])
def test_a_limit_of_requests_is_named_with_what_was_learned_and_how_much_is_used(
    simulate: Any, headers: Any
) -> None:
    sim = simulate(PROFILES["free"], rpm=1200, depth=1.0, headers=headers, latency=Fixed(0.3))
    assert mostly(sim, sim.pool(items=2000), 30, 60) in ("requests", "learning")
    sim = simulate(PROFILES["free"], rpm=1200, depth=1.0, headers=headers, latency=Fixed(0.3))
    [lane] = seen_at(sim, sim.pool(items=2000), 60)
    assert lane.limits["requests"] == pytest.approx(1200, rel=0.05)
    assert lane.used["requests"] == pytest.approx(1200, rel=0.06)
    assert lane.utilisation == pytest.approx(1.0, abs=0.08)
    assert lane.throttled == sim.ledger.throttled


def test_a_limit_of_tokens_is_named(simulate) -> None:
    sim = simulate(PROFILES["anthropic"], rpm=60_000, input_tpm=600, latency=Fixed(0.3))
    items = [{"text": f"{n} {'word ' * 20}"} for n in range(600)]
    assert mostly(sim, sim.pool(items=items), 60, 90) == "input_tokens"


def test_limits_that_were_told_are_named(simulate) -> None:
    sim = simulate()
    [lane] = seen_at(sim, sim.pool(items=300, limits=Limits(rpm=120)), 20)
    assert lane.bound == "limits"
    assert lane.configured == Limits(rpm=120)
    assert lane.utilisation == pytest.approx(1.0, abs=0.15)
    [lane] = seen_at(simulate(), sim.pool(items=300, limits=Limits(concurrent=5)), 20)
    assert (lane.bound, lane.window) == ("limits", 5)


def test_the_slots_of_a_server_are_named(simulate) -> None:
    sim = simulate(slots=16, latency=Lognormal(1.0, 0.2))
    assert mostly(sim, sim.pool(items=2000), 20, 60) == "slots"


def test_an_outage_and_a_broken_lane_are_named_with_what_the_provider_said(simulate) -> None:
    sim = simulate(outages=((5.0, 1000.0),), outage="503", error_latency=0.1)
    pool = sim.pool(items=2000)
    [lane] = seen_at(sim, pool, 60)
    assert lane.bound == "outage"
    assert lane.error.startswith("Overloaded: HTTP 503")
    assert lane.gives_up == pytest.approx(300 - 55, abs=5)
    sim = simulate(faults={"401": 1.0})
    pool = sim.pool(items=50)
    sim.run(pool)
    [lane] = pool.lanes
    assert lane.broken
    assert lane.error.startswith("AuthFailed: ")


def test_a_reader_who_is_behind_is_named(simulate) -> None:
    sim = simulate()

    async def main() -> Any:
        pool = sim.pool(items=5000)
        stream = pool.astream()
        await anext(stream)
        await asyncio.sleep(60)
        [lane] = pool.lanes
        await stream.aclose()
        return lane.bound

    assert sim.run(main()) == "reader"


def test_the_lanes_can_be_looked_at_from_any_thread_and_never_hold_up_the_run() -> None:
    over, seen = threading.Event(), []

    async def nap(n: int) -> int:
        await asyncio.sleep(0.001)
        return n

    pool = Pool(nap, [{"n": n} for n in range(2000)], max_flows=20, progress=False)

    def look() -> None:
        while not over.is_set():
            seen.extend(pool.lanes)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        pool.run()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert max(lane.in_flight for lane in seen) <= 20
    assert any(lane.in_flight for lane in seen)


# The snapshot.


def after(sim: Any, pool: Pool, seconds: float):
    async def main() -> Snapshot:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(seconds)
        snapshot = pool.snapshot
        await run
        return snapshot

    return sim.run(main())


def test_a_snapshot_tells_the_rate_and_the_time_left(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    now = after(sim, sim.pool(items=400, max_flows=4), 50.5)
    assert (now.done, now.running, now.total) == (200, 4, 400)
    assert now.rate == pytest.approx(4.0, rel=0.1)
    assert now.eta == pytest.approx(50.0, rel=0.1)
    assert now.bound == "max_flows"


def test_the_rate_follows_when_items_take_longer(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    items = [{"text": f"{'[[sim: latency=10]]' if n >= 200 else ''} {n}"} for n in range(400)]
    now = after(sim, sim.pool(items=items, max_flows=10), 195)
    assert now.rate == pytest.approx(1.0, rel=0.4)  # of the whole run it would be 1.9


def test_a_snapshot_tells_what_was_paid_and_what_all_will_cost(simulate) -> None:
    sim = simulate()
    model = Model(
        "gpt-4o-mini", base_url="http://sim.test/v1", provider="openai", api_key="any-key"
    )
    pool = sim.pool(Skill(model, prompt="{text}"), 40, max_flows=4)
    now = after(sim, pool, 5.5)
    assert now.usage.input_tokens == 20 * 2
    assert now.cost is not None
    assert now.expected_cost == pytest.approx(2 * now.cost)
    assert pool.snapshot.cost == pytest.approx(pool.results.cost)
    assert pool.snapshot.expected_cost == pytest.approx(pool.results.cost)


def test_what_has_no_price_has_no_cost(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=3)
    sim.run(pool)
    assert pool.snapshot.cost is None
    assert pool.snapshot.expected_cost is None


def test_a_snapshot_names_the_item_that_failed_last(simulate) -> None:
    sim = simulate()
    items = [{"text": "fine"}, {"text": "[[sim: 400]]"}, {"text": "fine"}]
    pool = sim.pool(items=items)
    sim.run(pool)
    assert pool.snapshot.failure is not None
    assert pool.snapshot.failure.index == 1


def test_a_source_of_unknown_length_has_no_time_left() -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"x": n} for n in range(5))

    pool = Pool(abs, rows(), progress=False)
    pool.run()
    assert (pool.snapshot.total, pool.snapshot.eta, pool.snapshot.done) == (None, None, 5)
