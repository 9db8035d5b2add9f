"""Steering a run from Python while it goes: `max_flows`, ceilings, `pause` and `go`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until

from flowpool import Chain, Limits, Model, Pool, Skill, Status
from flowpool.errors import InvalidInput
from flowpool.limits.lanes import AUTO_START
from flowpool.pool import CANCELLED, DONE, FAILED, RUNNING
from flowpool.simulator import Fixed
from flowpool.store.reading import Reader
from flowpool.views.words import progress_text


async def steered(pool: Pool, *orders: tuple[float, Callable[[], Any]]) -> Any:
    """The results of a run that is given orders at these seconds."""
    running = asyncio.ensure_future(pool.arun())
    at = 0.0
    for seconds, order in orders:
        await asyncio.sleep(seconds - at)
        at = seconds
        order()
    return await running


async def paused_from_the_start(pool: Pool, *orders: tuple[float, Callable[[], Any]]) -> Any:
    """The same of a run that is paused before its first call."""
    session = pool._session
    start = session.begin(None)
    pool.pause()
    running = asyncio.ensure_future(session.acomplete(start))
    for seconds, order in orders:
        await asyncio.sleep(seconds)
        order()
    return await running


def lane(pool: Pool) -> Any:
    [one] = pool.lanes
    return one


# max_flows.


def test_max_flows_before_a_run_means_it(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(items=12, max_flows=12)
    pool.max_flows = 3
    assert pool.max_flows == 3
    sim.run(pool)
    assert (sim.ledger.peak_in_flight, sim.seconds) == (3, 4.0)


def test_a_lower_max_flows_lets_calls_in_flight_end_and_starts_none_until_there_are_fewer(
    simulate: Any,
) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=40, max_flows=10)
    seen: list[int] = []

    def look() -> None:
        seen.append(sim.ledger.in_flight)

    def lower() -> None:
        pool.max_flows = 2

    sim.run(steered(pool, (0.5, lower), (0.6, look), (1.5, look), (2.5, look)))
    assert seen == [10, 2, 2]
    assert (pool.status[DONE], sim.ledger.abandoned, sim.ledger.answers) == (40, 0, 40)
    assert sim.seconds == 16.0


def test_a_higher_max_flows_takes_effect_at_once(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=22, max_flows=2)

    def higher() -> None:
        pool.max_flows = 20

    sim.run(steered(pool, (0.5, higher)))
    assert (sim.ledger.peak_in_flight, sim.seconds) == (20, 2.0)


def test_calls_that_wait_at_a_lane_go_at_once_where_it_is_wider(simulate: Any) -> None:
    """Steps side by side: six calls of two items, of which two may go."""
    sim = simulate(latency=Fixed(10.0))
    beside = [(sim.skill(f"{{text}} {n}"), f"of_{n}") for n in range(3)]
    pool = sim.pool(Chain([beside]), items=2, max_flows=2)

    def wider() -> None:
        pool.max_flows = 6

    sim.run(steered(pool, (5.0, wider)))
    assert (sim.ledger.peak_in_flight, sim.seconds) == (6, 15.0)


def test_auto_goes_back_to_adapting(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=200, max_flows=2)
    bounds: list[tuple[str, int]] = []

    def auto() -> None:
        pool.max_flows = "auto"

    def look() -> None:
        bounds.append((lane(pool).bound, lane(pool).window))

    sim.run(steered(pool, (0.5, look), (1.5, auto), (1.6, look)))
    assert bounds[0] == ("max_flows", 2)
    assert bounds[1][1] == AUTO_START
    assert sim.ledger.peak_in_flight > 10
    assert pool.max_flows == "auto"


def test_a_number_ends_adapting(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=100)

    def narrow() -> None:
        pool.max_flows = 4

    sim.run(steered(pool, (1.5, narrow)))
    assert lane(pool).window == 4


def test_a_steps_own_max_flows_and_limits_stay_ceilings(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    chain = Chain([(sim.skill("{text}"), "once", None, {"max_flows": 3})])
    own = sim.pool(chain, items=20, max_flows=2)
    told = sim.pool(items=20, max_flows=2, limits=Limits(concurrent=4))

    def higher(pool: Pool) -> Callable[[], None]:
        return lambda: setattr(pool, "max_flows", 20)

    async def both() -> None:
        await steered(own, (0.5, higher(own)))
        assert sim.ledger.peak_in_flight == 3
        await steered(told, (0.5, higher(told)))
        assert sim.ledger.peak_in_flight == 4

    sim.run(both())


def test_max_flows_holds_for_functions_too(simulate: Any) -> None:
    sim = simulate()
    at_once = most = 0

    async def work(text: str) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1.0)
        at_once -= 1
        return text

    pool = sim.pool(work, items=30, max_flows=1)

    def higher() -> None:
        pool.max_flows = 7

    sim.run(steered(pool, (0.5, higher)))
    assert most == 7


def test_max_flows_is_changed_from_another_thread() -> None:
    begun = threading.Semaphore(0)
    free = threading.Event()

    def work(text: str) -> str:
        begun.release()
        free.wait(20)
        return text

    pool = Pool(work, [{"text": str(n)} for n in range(8)], max_flows=1, progress=False)
    runner = threading.Thread(target=pool.run)
    runner.start()
    begun.acquire(timeout=20)
    pool.max_flows = 8
    for _ in range(7):
        assert begun.acquire(timeout=20)
    free.set()
    runner.join(20)
    assert pool.status[DONE] == 8


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_flows", 0, 'max_flows=0: use 1 or more, or "auto"'),
        ("max_flows", 2.5, "max_flows=2.5: use 1 or more"),
        ("max_cost", -1, "max_cost=-1: use dollars above 0"),
        ("max_cost", "much", "max_cost='much': use dollars above 0"),
        ("max_tokens_total", True, "max_tokens_total=True: use 1 or more"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_and_changes_nothing(
    simulate: Any, name: str, value: Any, says: str
) -> None:
    pool = simulate().pool(items=2, max_flows=5)
    with pytest.raises(InvalidInput) as refused:
        setattr(pool, name, value)
    assert says in str(refused.value)
    assert (pool.max_flows, pool.max_cost, pool.max_tokens_total) == (5, None, None)


def test_a_ceiling_where_no_step_asks_a_model_is_refused(simulate: Any) -> None:
    pool = simulate().pool(lambda text: text, items=2)
    with pytest.raises(InvalidInput, match="bounds the calls of skills"):
        pool.max_cost = 5.0
    assert pool.max_cost is None


# Ceilings.


def priced() -> Skill:
    model = Model(
        "gpt-5-mini", {"max_tokens": 200}, base_url="http://sim.test/v1", provider="openai"
    )
    return Skill(model, prompt="{text}")


def test_a_raised_ceiling_lets_calls_that_wait_for_room_go_on(simulate: Any) -> None:
    sim = simulate(latency=Fixed(10.0))
    pool = sim.pool(priced(), items=20, max_flows=20, max_tokens_total=600)
    seen: list[int] = []

    def raise_it() -> None:
        seen.append(sim.ledger.in_flight)
        pool.max_tokens_total = 1_000_000

    def look() -> None:
        seen.append(sim.ledger.in_flight)

    sim.run(steered(pool, (5.0, raise_it), (5.1, look)))
    assert seen == [1, 20]
    assert (pool.status[DONE], sim.seconds) == (20, 15.0)


def test_a_lowered_ceiling_lets_calls_in_flight_end_and_sends_no_more(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(priced(), items=100, max_flows=5, max_cost=10.0)

    def lower() -> None:
        pool.max_cost = 0.000001

    results = sim.run(steered(pool, (1.5, lower)))
    assert (pool.status[DONE], pool.status[CANCELLED], sim.ledger.abandoned) == (10, 90, 0)
    assert sim.seconds == 2.0
    assert "the run's ceiling of $1e-06" in str(results.errors[0])


def test_a_lifted_ceiling_holds_nobody_back_and_can_be_set_again(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(priced(), items=30, max_flows=10, max_cost=0.0006)

    def lift() -> None:
        pool.max_cost = None

    def again() -> None:
        pool.max_cost = 0.0001

    sim.run(steered(pool, (0.5, lift), (1.6, again)))
    assert 0 < pool.status[DONE] < 30
    assert pool.max_cost == 0.0001


@pytest.mark.parametrize(
    ("settings", "name"),
    [({}, "max_cost"), ({}, "max_tokens_total"), ({"max_tokens_total": 10**6}, "max_cost")],
)
def test_a_ceiling_that_the_run_began_without_is_refused_with_what_to_do(
    simulate: Any, settings: dict[str, Any], name: str
) -> None:
    sim = simulate()
    pool = sim.pool(priced(), items=4, max_flows=2, **settings)
    said: list[str] = []

    def set_it() -> None:
        with pytest.raises(InvalidInput) as refused:
            setattr(pool, name, 20)
        said.append(str(refused.value))

    sim.run(steered(pool, (0.5, set_it)))
    [words] = said
    assert words.startswith(f"{name}=20: the run at work began without one")
    assert "pool.retry()" in words
    assert "flowpool resume" in words
    assert getattr(pool, name) is None
    assert pool.status[DONE] == 4


def test_a_run_without_a_ceiling_that_is_stopped_goes_on_with_one(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(priced(), items=10, max_flows=2)

    async def main() -> Any:
        await steered(pool, (0.5, pool.stop))
        return await pool.aretry(max_cost=5.0)

    assert None not in sim.run(main())
    assert sim.ledger.answers == 10


def test_a_pools_changed_settings_hold_for_its_later_runs(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(priced(), items=10, max_flows=10, max_tokens_total=10**6)

    async def main() -> None:
        await steered(pool, (0.5, lambda: setattr(pool, "max_flows", 2)))
        await pool.arun()

    sim.run(main())
    assert sim.seconds == 6.0


# Pause and go.


def test_pause_sends_no_more_calls_lets_those_in_flight_end_and_go_goes_on(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=20, max_flows=4)
    seen: list[Any] = []

    def look() -> None:
        now = pool.snapshot
        seen.append((now.paused, lane(pool).bound, now.done, now.running, sim.ledger.in_flight))

    results = sim.run(
        steered(pool, (0.5, pool.pause), (0.6, look), (50.0, look), (100.0, pool.go), (100.5, look))
    )
    assert seen[0] == (True, "held", 0, 4, 4)
    assert seen[1] == (True, "held", 4, 0, 0)
    assert seen[2] == (False, "max_flows", 4, 4, 4)
    assert None not in results
    assert (sim.seconds, sim.ledger.abandoned, sim.ledger.answers) == (104.0, 0, 20)
    assert pool.snapshot.paused is False


def test_a_paused_run_says_so(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=20, max_flows=4)
    seen: list[Any] = []

    def look() -> None:
        seen.append(progress_text(pool.name, pool.snapshot, pool.snapshot.lanes))

    sim.run(steered(pool, (0.5, pool.pause), (10.0, look), (11.0, pool.go)))
    assert seen[0].counts.endswith(" · paused")
    assert "left" not in seen[0].counts
    assert "m  paused by you: `flowpool go` or pool.go() goes on" in seen[0].lines[2][0]


def test_items_in_the_middle_of_a_chain_wait_for_go(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    chain = Chain([(sim.skill("{text}"), "once"), (sim.skill("{once}"), "twice")])
    pool = sim.pool(chain, items=3, max_flows=3)
    seen: list[int] = []

    def look() -> None:
        seen.append(pool.status[RUNNING])

    sim.run(steered(pool, (0.5, pool.pause), (50.0, look), (60.0, pool.go)))
    assert seen == [3]
    assert (pool.status[DONE], sim.seconds) == (3, 61.0)


def test_a_pause_before_the_first_call_holds_it(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=5, max_flows=5)
    sim.run(paused_from_the_start(pool, (7.0, pool.go)))
    assert (pool.status[DONE], sim.seconds) == (5, 8.0)


def test_a_run_whose_last_calls_end_while_it_is_paused_is_over(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=4, max_flows=4)
    sim.run(steered(pool, (0.5, pool.pause)))
    assert (pool.status[DONE], sim.seconds) == (4, 1.0)


def test_a_pause_is_no_time_of_the_deadline(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=10, max_flows=1, deadline=5.5)
    sim.run(steered(pool, (2.5, pool.pause), (1000.5, pool.go)))
    assert pool.status[DONE] == 5
    assert sim.seconds == 1003.5


def test_a_pause_wears_out_nobodys_patience_in_an_outage(simulate: Any) -> None:
    """A provider that answers nobody is given up after 300 s: not those in which nobody was to be asked."""
    sim = simulate(latency=Fixed(1.0), outages=((0.0, 480.0),))
    pool = sim.pool(items=40, max_flows=8, retries=50)
    pauses = [(float(at), pool.pause) for at in range(40, 400, 90)]
    goes = [(float(at), pool.go) for at in range(90, 450, 90)]
    sim.run(steered(pool, *sorted([*pauses, *goes], key=lambda order: order[0])))
    assert pool.status[DONE] == 40


def test_an_outage_that_goes_on_after_a_pause_is_given_up_by_the_time_that_it_was_asked(
    simulate: Any,
) -> None:
    sim = simulate(latency=Fixed(1.0), outages=((0.0, 1e6),))
    pool = sim.pool(items=40, max_flows=8, retries=50)
    sim.run(steered(pool, (100.0, pool.pause), (1100.0, pool.go)))
    assert pool.status[FAILED] == 40
    assert 1250.0 < sim.seconds < 1350.0


def test_a_pause_uses_up_no_calls_patience(simulate: Any) -> None:
    """A call is tried for 900 s since its first attempt; an hour's pause in between is none of them."""
    sim = simulate(latency=Fixed(1.0))
    items = [{"text": "[[sim: 503 times=3 retry-after=9]] a"}, {"text": "b"}]
    pool = sim.pool(items=items, max_flows=2, retries=5)
    results = sim.run(steered(pool, (12.0, pool.pause), (3600.0, pool.go)))
    assert list(results) == ["a", "b"]


def test_a_functions_patience_is_not_used_up_either(simulate: Any) -> None:
    sim = simulate()
    tries = 0

    async def shaky(text: str) -> str:
        nonlocal tries
        await asyncio.sleep(1.0)
        tries += 1
        if tries < 4:
            raise TimeoutError("again")
        return text

    pool = sim.pool(shaky, items=1, retries=5)
    results = sim.run(steered(pool, (1.1, pool.pause), (3600.0, pool.go)))
    assert list(results) == ["item 0"]


def test_the_rate_and_what_is_left_know_nothing_of_a_pause(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=100, max_flows=4)
    rates: list[float] = []

    def look() -> None:
        rates.append(pool.snapshot.rate)

    sim.run(steered(pool, (10.5, look), (10.6, pool.pause), (5000.0, pool.go), (5015.5, look)))
    assert rates[1] == pytest.approx(rates[0], rel=0.15)


def test_a_paused_run_that_is_stopped_sends_nothing_more(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    chain = Chain([(sim.skill("{text}"), "once"), (sim.skill("{once}"), "twice")])
    pool = sim.pool(chain, items=10, max_flows=3)
    results = sim.run(steered(pool, (0.5, pool.pause), (5.0, pool.stop)))
    assert (sim.ledger.answers, sim.ledger.abandoned, sim.seconds) == (3, 0, 5.0)
    assert pool.status[CANCELLED] == 10
    assert {str(error) for error in results.errors} == {"the run was stopped"}


def test_a_paused_run_that_is_stopped_lets_go_at_once_what_waits(simulate: Any) -> None:
    """The calls of one item are in flight, those of another wait behind them."""
    sim = simulate(latency=Fixed(50.0))
    seen: list[int] = []

    def look() -> None:
        seen.append(pool.status[CANCELLED])

    chain = Chain([[(sim.skill("{text} a"), "a"), (sim.skill("{text} b"), "b")]])
    pool = sim.pool(chain, items=4, max_flows=2)
    sim.run(steered(pool, (1.0, pool.pause), (2.0, pool.stop), (3.0, look)))
    assert seen == [1]
    assert (sim.ledger.answers, sim.seconds) == (2, 50.0)


@pytest.mark.parametrize("end", ["cancel", "interrupt", "stop"])
def test_a_run_that_is_paused_with_nothing_begun_can_be_ended(simulate: Any, end: str) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=6, max_flows=3)
    sim.run(paused_from_the_start(pool, (9.0, getattr(pool, end))))
    assert (sim.seconds, sim.ledger.answers, pool.status[CANCELLED]) == (9.0, 0, 6)


def test_pause_and_go_where_nothing_changes_do_nothing(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=4, max_flows=2)
    pool.go()
    sim.run(steered(pool, (0.5, pool.go), (0.6, pool.pause), (0.7, pool.pause), (9.0, pool.go)))
    assert (pool.status[DONE], sim.seconds) == (4, 10.0)


def test_a_pause_where_nothing_runs_holds_the_next_run_from_its_start(
    simulate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=4, max_flows=2)
    pool.pause()
    assert pool.snapshot.paused
    sim.run(steered(pool, (9.0, pool.go)))
    assert (pool.status[DONE], sim.seconds) == (4, 11.0)
    assert "paused before it began: pool.go() has it begin" in caplog.text
    pool.pause()
    pool.go()
    sim.run(pool)
    assert sim.seconds == 2.0


def test_the_pause_of_a_run_ends_with_it(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=4, max_flows=2)
    sim.run(steered(pool, (0.5, pool.pause), (5.0, pool.stop)))
    assert (pool.status[DONE], pool.snapshot.paused) == (2, False)
    sim.run(pool.aretry())
    assert (pool.status[DONE], sim.seconds) == (4, 1.0)


def test_a_lazy_source_is_not_read_on_while_the_run_is_paused(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    read = 0

    def rows() -> Any:
        nonlocal read
        for n in range(30):
            read += 1
            yield {"text": f"{n}"}

    pool = sim.pool(items=rows(), max_flows=3)
    seen: list[int] = []
    sim.run(steered(pool, (2.5, pool.pause), (90.0, lambda: seen.append(read)), (100.0, pool.go)))
    assert seen == [9]
    assert pool.status[DONE] == 30


def test_max_flows_and_ceilings_can_be_changed_while_the_run_is_paused(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=22, max_flows=2)

    def wider() -> None:
        pool.max_flows = 10

    sim.run(steered(pool, (0.5, pool.pause), (5.0, wider), (10.0, pool.go)))
    assert (sim.ledger.peak_in_flight, sim.seconds) == (10, 12.0)


# What is kept of it.


def test_each_change_is_logged_and_written_down(
    simulate: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "flowpool")
    sim = simulate(latency=Fixed(1.0))
    path = tmp_path / "run.db"
    pool = sim.pool(items=20, max_flows=4, store=path, name="mood")

    def narrow() -> None:
        pool.max_flows = 2
        pool.max_flows = 2

    sim.run(steered(pool, (0.5, narrow), (1.5, pool.pause), (9.0, pool.go), (9.2, pool.stop)))
    with Reader(path) as reader:
        events = [event.data for event in reader.events(1, "change")]
    assert events == [
        {"what": "max_flows", "from": 4, "to": 2, "by": "python"},
        {"what": "state", "from": "at work", "to": "paused", "by": "python"},
        {"what": "state", "from": "paused", "to": "at work", "by": "python"},
        {"what": "state", "from": "at work", "to": "stopped", "by": "python"},
    ]
    said = [record.getMessage() for record in caplog.records if ", by " in record.getMessage()]
    assert said == [
        "skill: max_flows from 4 to 2, by python",
        "skill: paused, by python",
        "skill: at work, by python",
        "skill: stopped, by python",
    ]


def test_a_change_holds_for_the_run_at_work_and_not_for_one_that_is_resumed(
    simulate: Any, tmp_path: Path
) -> None:
    sim = simulate(latency=Fixed(1.0))
    path = tmp_path / "run.db"
    pool = sim.pool(items=20, max_flows=4, store=path)

    def narrow() -> None:
        pool.max_flows = 2

    sim.run(steered(pool, (0.5, narrow), (1.5, pool.stop)))
    assert Pool.load(path, sim.skill()).max_flows == 4


def test_a_run_is_paused_from_another_thread_and_goes_on() -> None:
    release, done = threading.Event(), []

    def work(text: str) -> str:
        if text != "0":
            release.wait(20)
        done.append(text)
        return text

    pool = Pool(work, [{"text": str(n)} for n in range(6)], max_flows=2, progress=False)
    runner = threading.Thread(target=pool.run)
    runner.start()
    until(lambda: done)
    pool.pause()
    until(lambda: pool.snapshot.lanes[0].bound == "held")
    release.set()
    until(lambda: pool.status[RUNNING] == 0)
    ended = len(done)
    time.sleep(0.05)
    assert len(done) == ended < 6
    pool.go()
    runner.join(20)
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 6}
    assert json.dumps(sorted(done))
