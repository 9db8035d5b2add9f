"""What holds a run back: made-up runs, each said rightly within ten seconds of the change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Limits, Pool, tool
from flowpool.limits.lane_view import LaneView
from flowpool.run import monitor
from flowpool.run.bottleneck import KINDS, Look, Steadied, add_to, narrowest
from flowpool.run.sample import Bottleneck
from flowpool.simulator import Fixed

SOON = 10.0  # seconds


def held(sim: Any, pool: Pool, seconds: float = SOON) -> Any:
    """What holds the pool back so many seconds after it began."""

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(seconds)
        found = pool.snapshot.bottleneck
        pool.cancel()
        await run
        await asyncio.sleep(1.0)  # what it began to read
        return found

    return sim.run(main())


def test_a_limit_of_requests_is_said_with_its_figure_and_what_it_rests_on(simulate) -> None:
    sim = simulate(rpm=600, headers="openai")
    found = held(sim, sim.pool(items=5000))
    assert found.kind == "requests"
    assert found.words == "limited by requests of custom/m (600 a minute, by its headers)"
    assert found.fix == "a second key would halve it"
    assert found.lane == "custom/m"


def test_a_limit_of_tokens_is_said_without_any_header(simulate) -> None:
    sim = simulate(tpm=6000, depth=2.0)
    found = held(sim, sim.pool(items=5000), 30.0)
    assert found.kind in ("tokens", "requests")  # of calls that are alike nobody can tell which
    assert "found by refusals" in found.words


def test_a_limit_of_tokens_is_said_by_its_headers(simulate) -> None:
    sim = simulate(tpm=6000, headers="openai", depth=2.0)
    found = held(sim, sim.pool(items=5000))
    assert found.words.startswith("limited by tokens of custom/m (")
    assert found.words.endswith(" a minute, by its headers)")


def test_the_slots_of_a_server_are_said(simulate) -> None:
    sim = simulate(slots=16)
    found = held(sim, sim.pool(items=5000), 20.0)
    assert found.kind == "slots"
    assert found.words.startswith("the server's slots are full: custom/m works on about 1")


def test_a_slow_source_is_said_with_its_pace(simulate) -> None:
    async def rows() -> Any:
        for number in range(10_000):
            await asyncio.sleep(0.1)
            yield {"text": str(number)}

    sim = simulate()
    found = held(sim, sim.pool(items=rows()))
    assert (found.kind, found.words) == ("source", "the source gives 10 rows a second")


def test_a_quick_source_is_not_blamed(simulate) -> None:
    async def rows() -> Any:
        for number in range(10_000):
            await asyncio.sleep(0)
            yield {"text": str(number)}

    sim = simulate()
    assert held(sim, sim.pool(items=rows(), max_flows=10)).kind == "max_flows"


def test_refusals_at_random_are_said_to_be_no_limit(simulate) -> None:
    sim = simulate(world="chance share=0.03", latency=Fixed(1.0))
    found = held(sim, sim.pool(items=50_000))
    assert found.words.endswith("of the calls at random: no limit")


def test_a_provider_that_answers_nobody_is_said(simulate) -> None:
    sim = simulate(outages=((0.5, 1e9),))
    found = held(sim, sim.pool(items=500))
    assert found.kind == "outage"
    assert found.words.startswith("custom/m answers nobody and is probed")
    assert "HTTP 503" in found.words


def test_a_refusal_that_asks_to_wait_an_hour_is_said_with_the_time_of_day(simulate) -> None:
    sim = simulate(faults={"429": 1.0}, retry_after=3600)
    found = held(sim, sim.pool(items=500))
    assert found.kind == "quota"
    assert found.words.startswith("waiting for quota of custom/m until ")


def test_max_flows_is_said(simulate) -> None:
    sim = simulate()
    found = held(sim, sim.pool(items=5000, max_flows=10))
    assert found.words == "limited by max_flows: 10 calls of custom/m at once"
    assert "leave it out" in found.fix


def test_ones_own_limits_are_said(simulate) -> None:
    sim = simulate()
    found = held(sim, sim.pool(items=5000, limits=Limits(rpm=300)))
    assert found.words == "limited by the limits that you set for custom/m (rpm=300)"


def test_calls_that_wait_for_the_budget_are_said(simulate) -> None:
    sim = simulate()
    skill = sim.skill(model=sim.model(), options={"max_tokens": 100})
    # Each call may take some 100 tokens and takes far fewer: a few at a time fit.
    found = held(sim, sim.pool(skill, items=100_000, max_tokens_total=3000), 3.0)
    assert found.kind == "budget"
    assert "until others have cost less than they might" in found.words


def test_a_function_that_runs_as_often_as_it_may_is_said_by_its_name(simulate) -> None:
    @tool(max_flows=3)
    async def fetch(text: str) -> str:
        await asyncio.sleep(1.0)
        return text

    sim = simulate(latency=Fixed(0.1))
    found = held(sim, sim.pool(Chain([fetch, sim.skill("{result}")]), items=1000))
    assert found.words == "your function 'fetch' runs 3 at once, which is its most"
    assert (found.kind, found.fix) == ("function", "raise its max_flows")


@pytest.mark.parametrize("cores", [0.97, 1.6])
def test_a_function_that_keeps_the_processor_busy_is_said(simulate, monkeypatch, cores) -> None:
    async def parse(text: str) -> str:
        await asyncio.sleep(0.1)
        return text

    sim = simulate()
    monkeypatch.setattr(monitor, "process_time", lambda: cores * asyncio.get_running_loop().time())
    found = held(sim, sim.pool(parse, items=100_000))
    assert found.words == f"your function 'parse' uses {cores:.1f} cores"
    assert "cpu_bound=True" in found.fix


def test_the_last_items_are_said(simulate) -> None:
    sim = simulate(latency=Fixed(30.0))
    assert held(sim, sim.pool(items=50)).words == "the last 50 items in progress"


def test_a_reader_that_is_behind_is_said(simulate) -> None:
    sim = simulate(latency=Fixed(0.1))
    pool = sim.pool(items=100_000)

    async def main() -> Any:
        async for _ in pool.astream():
            await asyncio.sleep(SOON)
            found = pool.snapshot.bottleneck
            pool.cancel()
        return found

    assert sim.run(main()).words == "the reader of the stream is behind"


def test_what_changes_is_said_within_ten_seconds_and_since_when(simulate) -> None:
    async def rows() -> Any:
        for number in range(10_000):
            await asyncio.sleep(0.0 if number < 400 else 2.0)
            yield {"text": str(number)}

    sim = simulate()
    pool = sim.pool(items=rows(), max_flows=10)

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(35.0)
        before = pool.snapshot.bottleneck
        await asyncio.sleep(15.0)  # 400 items of a second, ten at once, were over after 40
        after = pool.snapshot.bottleneck
        pool.cancel()
        await run
        await asyncio.sleep(3.0)
        return before, after

    before, after = sim.run(main())
    assert (before.kind, after.kind) == ("max_flows", "source")
    assert after.since - before.since == pytest.approx(40.0, abs=3.0)


def test_every_kind_has_words() -> None:
    bounds: set[Any] = {
        "requests",
        "tokens",
        "slots",
        "latency",
        "in_flight",
        "files",
        "learning",
        "paused",
    }
    for bound in bounds:
        look = Look(lanes=(LaneView("m", bound, {}, {}, None, 1.0, 3, 3, 5, 0, ""),))
        found = narrowest(look)
        assert found.kind == bound
        assert found.words
        assert found.kind in KINDS


def test_one_look_that_says_otherwise_changes_nothing() -> None:
    steadied = Steadied()
    slots, source = Bottleneck("slots", "full"), Bottleneck("source", "slow")
    kinds = [
        steadied.saw(one, at).kind for at, one in enumerate([slots] * 5 + [source] + [slots] * 3)
    ]
    assert set(kinds) == {"slots"}
    said = [steadied.saw(source, float(at)) for at in range(10, 13)]
    assert (said[-1].kind, said[-1].since) == ("source", 10.0)


def test_an_outage_is_said_at_the_first_look() -> None:
    steadied = Steadied()
    for at in range(5):
        steadied.saw(Bottleneck("slots", "full"), float(at))
    assert steadied.saw(Bottleneck("outage", "nobody"), 5.0).kind == "outage"


def test_the_page_on_seeing_a_run_has_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "seeing.md").read_text()
    assert [kind for kind in KINDS if kind and f"`{kind}`" not in page] == []


def a_lane(name: str, bound: Any = "", **changes: Any) -> LaneView:
    fields: dict[str, Any] = {"utilisation": 1.0, "in_flight": 3, "window": 3, "queued": 5}
    fields |= {"limits": {}, "used": {}, "configured": None, "throttled": 0, "error": ""}
    return LaneView(name=name, bound=bound, **fields | changes)


def test_a_sick_lane_is_not_what_holds_a_spread_back_while_another_answers() -> None:
    sick = a_lane("m/bad", "outage", queued=90, in_flight=0, error="Overloaded")
    well = a_lane("m/good", "slots", slots=3)
    assert narrowest(Look(lanes=(sick, well))).lane == "m/good"
    idle = a_lane("m/good", "items", in_flight=0, queued=0)
    assert narrowest(Look(lanes=(sick, idle))).kind == "outage"
    asked = a_lane("m/bad", "paused", queued=90, in_flight=0, asked=3600.0)
    assert narrowest(Look(lanes=(asked, well))).lane == "m/good"


def test_a_retry_after_beyond_all_calendars_has_a_date() -> None:
    asked = a_lane("m", "paused", in_flight=0, asked=1e15)
    assert "until 9999-12-3" in narrowest(Look(lanes=(asked,), at=1e9)).words


def test_a_functions_width_that_is_the_pools_is_said_to_be_max_flows() -> None:
    look = Look(lanes=(a_lane("work", "max_flows"),), modes={"work": "async"}, chosen=3, taken=3)
    assert narrowest(look).words == "limited by max_flows: 3 at once"


@pytest.mark.parametrize("bound", ["max_flows", "slots", "limits"])
def test_a_busy_core_is_blamed_only_where_the_loop_is_late(bound: Any) -> None:
    lanes = (a_lane("m", bound, slots=3),)
    assert narrowest(Look(lanes=lanes, cpu=0.95)).kind == bound
    late = narrowest(Look(lanes=lanes, cpu=0.95, lag=0.01)).kind
    assert late == (bound if bound == "limits" else "cpu")
    starved = narrowest(Look(lanes=(a_lane("m", "max_flows"),), cpu=0.1, lag=0.5))
    assert starved.words == "the machine is busy with other work: this process gets 0.1 cores"


def test_the_budget_that_is_short_is_named() -> None:
    found = narrowest(Look(budget_waits=3, ceilings=("max_tokens_total",)))
    assert found.fix == "raise max_tokens_total, or set a lower max_tokens in options="


def test_a_pause_is_said_from_its_moment_to_its_end(simulate) -> None:
    sim = simulate(latency=Fixed(0.1))
    pool = sim.pool(items=100_000, max_flows=10)

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(5.0)
        pool.pause()
        await asyncio.sleep(3.3)
        pool.go()
        await asyncio.sleep(0.01)
        after = pool.snapshot.bottleneck
        await asyncio.sleep(5.0)
        held = pool.snapshot.held
        pool.cancel()
        await run
        return after, held

    after, held = sim.run(main())
    assert after.kind == "max_flows"
    seconds = {one.kind: spent for one, spent in held}
    assert seconds["held"] == pytest.approx(3.3, abs=0.05)


def test_another_number_is_said_from_when_it_was_set(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=100_000, max_flows=40)

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(8.0)
        before = pool.snapshot.bottleneck
        pool.max_flows = 60
        await asyncio.sleep(3.0)
        after = pool.snapshot.bottleneck
        pool.cancel()
        await run
        return before, after

    before, after = sim.run(main())
    assert after.words == "limited by max_flows: 60 calls of custom/m at once"
    assert after.since - before.since == pytest.approx(8.0, abs=1.1)


def test_items_that_had_ended_are_said_to_be_met_again() -> None:
    found = narrowest(Look(recalled=12_000, known=88_000, is_recalling=True))
    assert found.kind == "recall"
    assert found.words == "meeting again what had ended earlier: 12,000 of 100,000 items"


def test_the_same_in_newer_words_replaces_the_older_ones() -> None:
    history: list[Bottleneck] = []
    for said in (
        Bottleneck("slots", "2", since=1.0),
        Bottleneck("slots", "4", since=1.0),
        Bottleneck("items", "x", since=3.0),
    ):
        add_to(history, said)
    assert [one.words for one in history] == ["4", "x"]
