"""Ending a run before its end, and going on with what it left."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from flowpool import Chain, Limits, Pool, Status, read
from flowpool.errors import InvalidInput, NotFinished, ServerError
from flowpool.pool import CANCELLED, DONE, FAILED, PENDING
from flowpool.simulator import Fixed, Lognormal


async def after(seconds, call, pool, run=None) -> Any:
    """The results of a run during which `call` is made."""
    running = asyncio.ensure_future(run or pool.arun())
    await asyncio.sleep(seconds)
    call()
    return await running


ROWS = [{"text": "b"}, {"text": "c"}]


def answered_once(sim: Any) -> bool:
    return set(sim.ledger.answered.values()) <= {1}


# Ends.


def test_a_deadline_gives_what_is_done_and_says_why_the_rest_is_not(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10, max_flows=2, deadline=2.5)
    results = sim.run(pool)
    assert list(results) == [f"item {n}" if n < 4 else None for n in range(10)]
    assert sim.seconds == 2.5
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 4, CANCELLED: 6}
    assert all(isinstance(error, NotFinished) for error in results.errors)
    assert {str(error) for error in results.errors} == {"the run's deadline of 2.5 s passed"}
    assert sim.ledger.abandoned == 2


def test_cancel_cuts_what_is_in_flight_and_keeps_what_is_done(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10, max_flows=3)
    results = sim.run(after(1.5, pool.cancel, pool))
    assert list(results) == [f"item {n}" if n < 3 else None for n in range(10)]
    assert (sim.seconds, sim.ledger.abandoned) == (1.5, 3)
    assert pool.status[CANCELLED] == 7


def test_cancel_works_from_another_thread() -> None:
    async def sleeps(text) -> Any:
        if text > 3:
            await asyncio.sleep(60)
        return text

    pool = Pool(sleeps, [{"text": n} for n in range(8)], progress=False)
    timer = threading.Timer(0.05, pool.cancel)
    timer.start()
    began = time.monotonic()
    results = pool.run()
    assert time.monotonic() - began < 20
    assert results == [0, 1, 2, 3, None, None, None, None]


def test_cancel_in_the_very_first_moment_still_ends_the_run(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10)
    results = sim.run(after(0, pool.cancel, pool))
    assert results == [None] * 10
    assert pool.status[CANCELLED] == 10


def test_stop_starts_no_more_and_waits_for_what_began(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10, max_flows=3)
    results = sim.run(after(1.5, pool.stop, pool))
    assert list(results) == [f"item {n}" if n < 6 else None for n in range(10)]
    assert (sim.seconds, sim.ledger.abandoned) == (2.0, 0)
    assert str(results.errors[0]) == "the run was stopped"


def test_stop_also_ends_a_run_whose_source_has_nothing_to_give() -> None:
    never = threading.Event()

    def rows() -> Any:
        yield {"text": "a"}
        never.wait(20)
        yield {"text": "b"}

    pool = Pool(lambda text: text, rows(), progress=False)
    timer = threading.Timer(0.05, pool.stop)
    timer.start()
    began = time.monotonic()
    assert pool.run() == ["a"]
    assert time.monotonic() - began < 15
    never.set()
    assert pool.retry() == ["a", "b"]


def test_what_is_begun_is_retried_to_its_end_after_stop(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "[[sim: 503 times=2 retry-after=9]] a"}, *ROWS], max_flows=1)
    results = sim.run(after(0.5, pool.stop, pool))
    assert list(results) == ["a", "b", None]


# What keeps calls waiting, the seconds at which Ctrl-C comes, and those in which the run has ended.
WAITS = [
    pytest.param({"outages": ((0.0, 1e6),), "outage": "503"}, 40.0, 41.0, id="outage"),
    pytest.param({"outages": ((0.0, 1e6),), "outage": "reset"}, 40.0, 41.0, id="nobody there"),
    pytest.param({"faults": {"429": 1.0}, "retry_after": 3600.0}, 40.0, 41.0, id="pause"),
    pytest.param({"faults": {"500": 1.0}}, 1.2, 3.0, id="backoff"),
]


@pytest.mark.parametrize("items", [3, 200])
@pytest.mark.parametrize(("profile", "comes", "ends"), WAITS)
def test_an_interrupt_lets_go_at_once_what_only_waits(
    simulate: Any, profile: Any, comes: float, ends: float, items: int
) -> None:
    sim = simulate(**profile)
    pool = sim.pool(items=items, max_flows=8, retries=50)
    results = sim.run(after(comes, pool.interrupt, pool))
    assert comes <= sim.seconds <= ends
    assert pool.status[CANCELLED] == items
    assert {str(error) for error in results.errors} == {"the run was interrupted"}
    assert sim.ledger.abandoned == 0


def test_an_interrupt_cuts_no_call_and_items_whose_next_call_can_go_are_finished(simulate) -> None:
    sim = simulate()
    chain = Chain([(sim.skill("{text}"), "once"), (sim.skill("{once}"), "twice")])
    pool = sim.pool(chain, items=10, max_flows=3)
    results = sim.run(after(0.5, pool.interrupt, pool))
    assert list(results)[:3] == ["item 0", "item 1", "item 2"]
    assert (pool.status[DONE], pool.status[CANCELLED]) == (3, 7)
    assert sim.ledger.abandoned == 0
    assert len(sim.run(pool.aretry())) == 10
    assert answered_once(sim) or sim.ledger.answers == 20


def test_an_interrupt_lets_a_function_that_waits_for_its_retry_go(simulate) -> None:
    def broken(text: str) -> str:
        raise ServerError("ill", retry_after=600.0)

    sim = simulate()
    pool = sim.pool(broken, items=4)
    sim.run(after(5.0, pool.interrupt, pool))
    assert (pool.status[CANCELLED], sim.seconds) == (4, 5.0)


def test_an_interrupt_when_nothing_runs_is_no_harm(simulate) -> None:
    pool = simulate().pool(items=1)
    pool.interrupt()


def test_cancelling_arun_cancels_its_calls(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10, max_flows=3)

    async def main() -> Any:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.arun(), 1.5)
        return pool.results

    results = sim.run(main())
    assert list(results) == [f"item {n}" if n < 3 else None for n in range(10)]
    assert sim.ledger.abandoned == 3
    assert pool.status[CANCELLED] == 7


@pytest.mark.parametrize("moment", [n / 10 for n in range(0, 40, 3)])
def test_a_cancel_at_any_moment_leaves_nothing_behind(simulate, moment) -> None:
    sim = simulate(
        latency=Lognormal(0.3, 0.7), faults={"503": 0.2, "429": 0.1, "stall": 0.05}, retry_after=0.4
    )

    async def pause(text) -> Any:
        await asyncio.sleep(0.05)
        return text

    chain = Chain(
        [
            pause,
            [(sim.skill(), "a"), (sim.skill(model=sim.model("other")), "b")],
            sim.skill("{a}{b}"),
        ]
    )
    pool = sim.pool(chain, 40, max_flows=5, timeout=1.0, limits=Limits(rpm=1200, concurrent=4))
    results = sim.run(after(moment, pool.cancel, pool))
    assert len(results) == sum(pool.status.values()) == 40
    assert pool.status[PENDING] == 0


# Errors.


def faulty(sim: Any, **settings: Any) -> Any:
    items = [{"text": "[[sim: 500]] bad" if n == 3 else f"{n}"} for n in range(12)]
    return sim.pool(items=items, max_flows=2, retries=0, **settings)


def test_on_error_collect_goes_on(simulate) -> None:
    sim = simulate()
    pool = faulty(sim)
    assert len(sim.run(pool).failed) == 1
    assert pool.status[DONE] == 11


def test_on_error_skip_goes_on_and_warns(simulate) -> None:
    sim = simulate()
    pool = faulty(sim, on_error="skip")
    with pytest.warns(RuntimeWarning, match=r"items\[3\]: "):
        sim.run(pool)
    assert pool.status[DONE] == 11


def test_on_error_stop_starts_no_more(simulate) -> None:
    sim = simulate(error_latency=0.5)
    pool = faulty(sim, on_error="stop")
    results = sim.run(pool)
    # Item 2 was in flight beside the failed one, and is finished.
    assert list(results)[:4] == ["0", "1", "2", None]
    assert (pool.status[DONE], pool.status[FAILED], pool.status[CANCELLED]) == (3, 1, 8)
    assert "items[3] failed" in str(results.records[5].error)


def test_on_error_raise_cancels_the_rest_and_raises(simulate) -> None:
    sim = simulate(error_latency=0.5)
    pool = faulty(sim, on_error="raise")
    with pytest.raises(ServerError) as caught:
        sim.run(pool)
    assert "items[3] failed" in caught.value.__notes__[0]
    assert (sim.seconds, sim.ledger.abandoned) == (1.5, 1)
    assert list(pool.results)[:3] == ["0", "1", None]
    assert pool.status[FAILED] == 1


def test_a_source_that_fails_ends_the_run_and_keeps_what_is_done(simulate, tmp_path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\none\ntwo\nthree\nfour,4\nfive\n")
    sim = simulate()
    pool = sim.pool(items=iter(read(path)), max_flows=2)
    with pytest.raises(InvalidInput, match="line 5"):
        sim.run(pool)
    assert list(pool.results) == ["one", "two", "three"]
    assert sim.ledger.abandoned == 0


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_a_generators_own_exception_is_raised(simulate, kind) -> None:
    def rows() -> Any:
        yield {"text": "a"}
        raise kind("broken")

    sim = simulate()
    pool = sim.pool(items=rows(), max_flows=2)
    with pytest.raises((ZeroDivisionError, InvalidInput), match="broken"):
        sim.run(pool)
    assert list(pool.results) == ["a"]


def test_an_async_generators_exception_is_raised(simulate) -> None:
    async def rows() -> Any:
        yield {"text": "a"}
        raise ZeroDivisionError("broken")

    sim = simulate()
    pool = sim.pool(items=rows())
    with pytest.raises(ZeroDivisionError):
        sim.run(pool)
    assert list(pool.results) == ["a"]


def test_a_bug_in_the_engine_ends_the_run_and_is_raised(simulate) -> None:
    class Sick:
        async def send(self, request: Any, timeouts: Any) -> Any:
            raise RuntimeError("sick")

        async def aclose(self) -> None:
            pass

    sim = simulate()
    sim.environment.transport = Sick()
    pool = sim.pool(items=4, max_flows=2)
    results = sim.run(pool)
    assert [type(error.__cause__) for error in results.errors] == [RuntimeError] * 4


# Retry.


def test_retry_runs_only_what_has_no_output_and_merges(simulate) -> None:
    sim = simulate()
    items = [{"text": f"[[sim: 500 times=1]] {n}" if n % 3 == 0 else f"{n}"} for n in range(12)]
    pool = sim.pool(items=items, retries=0)
    assert len(sim.run(pool).failed) == 4
    results = sim.run(pool.aretry())
    assert list(results) == [str(n) for n in range(12)]
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 12}
    assert (sim.ledger.requests, answered_once(sim)) == (16, True)


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_retry_goes_on_after_an_early_end_of_a_list(simulate, end) -> None:
    sim = simulate()
    pool = sim.pool(items=20, max_flows=3)
    sim.run(after(2.5, getattr(pool, end), pool))
    assert 0 < pool.status[DONE] < 20
    assert list(sim.run(pool.aretry())) == [f"item {n}" for n in range(20)]
    assert answered_once(sim)


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_retry_goes_on_with_a_generator_where_it_stood(simulate, end) -> None:
    sim = simulate()
    read = []

    def rows() -> Any:
        for n in range(20):
            read.append(n)
            yield {"text": f"item {n}"}

    pool = sim.pool(items=rows(), max_flows=3)
    sim.run(after(2.5, getattr(pool, end), pool))
    assert len(read) <= 9
    assert list(sim.run(pool.aretry())) == [f"item {n}" for n in range(20)]
    assert read == list(range(20))
    assert answered_once(sim)


def test_retry_goes_on_with_an_async_generator_where_it_stood(simulate) -> None:
    sim = simulate()

    async def rows() -> Any:
        for n in range(20):
            await asyncio.sleep(0.4)
            yield {"text": f"item {n}"}

    async def main() -> Any:
        pool = sim.pool(items=rows(), max_flows=3)
        first = await after(2.5, pool.stop, pool)
        assert len(first) < 10
        await after(1.5, pool.cancel, pool, pool.aretry())
        return await pool.aretry()

    assert list(sim.run(main())) == [f"item {n}" for n in range(20)]
    assert answered_once(sim)


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_an_item_that_was_read_but_found_no_place_is_not_lost(simulate, end) -> None:
    sim = simulate()

    async def rows() -> Any:
        yield {"text": "[[sim: latency=10]] [[sim: 503 times=1 retry-after=5]] a"}
        await asyncio.sleep(6.5)
        yield {"text": "b"}  # while "a" has the only place again

    async def main() -> Any:
        pool = sim.pool(items=rows(), max_flows=1)
        await after(8.0, getattr(pool, end), pool)
        assert "b" not in pool.results
        return await pool.aretry()

    assert list(sim.run(main())) == ["a", "b"]
    assert answered_once(sim)


def test_an_async_source_cut_by_its_caller_says_so_and_ends_nothing_silently(simulate) -> None:
    sim = simulate()

    async def rows() -> Any:
        yield {"text": "a"}
        await asyncio.sleep(100)
        yield {"text": "b"}

    async def main() -> Any:
        pool = sim.pool(items=rows())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.arun(), 5)
        with pytest.raises(InvalidInput, match="make a new Pool"):
            await pool.aretry()
        return pool.results

    assert list(sim.run(main())) == ["a"]


def test_retry_after_a_deadline_has_its_whole_time_again(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=12, max_flows=2, deadline=4.5)
    assert sum(output is not None for output in sim.run(pool)) == 8
    assert list(sim.run(pool.aretry())) == [f"item {n}" for n in range(12)]


@pytest.mark.parametrize("on_error", ["stop", "raise"])
def test_retry_after_an_error_ended_the_run(simulate, on_error) -> None:
    sim = simulate(error_latency=0.5)
    items = [{"text": f"[[sim: 500 times=1]] {n}" if n == 3 else f"{n}"} for n in range(12)]
    pool = sim.pool(items=items, max_flows=2, retries=0, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(ServerError):
            sim.run(pool)
    else:
        sim.run(pool)
    assert list(sim.run(pool.aretry())) == [str(n) for n in range(12)]
    assert answered_once(sim)


def test_retry_may_be_stopped_and_retried_again(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=30, max_flows=2)
    sim.run(after(1.5, pool.cancel, pool))
    for _ in range(4):
        sim.run(after(2.5, pool.cancel, pool, pool.aretry()))
        assert len(pool.results) == sum(pool.status.values()) == 30
    assert list(sim.run(pool.aretry())) == [f"item {n}" for n in range(30)]
    assert answered_once(sim)


def test_retry_with_nothing_left_makes_no_call(simulate) -> None:
    sim = simulate()
    for items in (5, ({"text": f"item {n}"} for n in range(5))):
        sim.ledger.requests = 0
        pool = sim.pool(items=items)
        first = sim.run(pool)
        assert sim.run(pool.aretry()) == first
        assert sim.ledger.requests == 5


def test_retry_may_change_the_shared_variables(simulate) -> None:
    sim = simulate()
    pool = sim.pool(sim.skill("{plan} {text}"), 3, retries=0)
    assert len(sim.run(pool.arun({"plan": "[[sim: 500]]"})).failed) == 3
    assert len(sim.run(pool.aretry()).failed) == 3
    assert list(sim.run(pool.aretry({"plan": "now"}))) == [f"now item {n}" for n in range(3)]


def test_results_of_an_early_end_have_an_entry_for_each_item_of_known_length(simulate) -> None:
    sim = simulate()
    items = {n: {"text": f"item {n}"} for n in range(10)}.values()
    pool = sim.pool(items=items, max_flows=2, deadline=1.5)
    results = sim.run(pool)
    assert len(results) == 10
    assert [record.status for record in results.records].count(CANCELLED) == 8


def test_a_run_after_an_early_end_starts_anew(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    pool = sim.pool(items=6, max_flows=2)
    sim.run(after(1.5, pool.cancel, pool))
    assert list(sim.run(pool)) == [f"item {n}" for n in range(6)]
    assert sim.ledger.answers == 8
