"""Records as they come: in what order, how many are held, and what leaving early does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from flowpool import Pool, Status
from flowpool.errors import InvalidInput, NotFinished, ServerError
from flowpool.pool import CANCELLED, DONE, FAILED
from flowpool.run.sink import BACKLOG
from flowpool.simulator import Fixed, Lognormal


async def collected(stream) -> Any:
    return [record async for record in stream]


async def shout(text) -> Any:
    await asyncio.sleep(0)
    return str(text).upper()


def rows(count) -> Any:
    return [{"text": f"item {n}"} for n in range(count)]


def test_records_come_as_items_end(simulate) -> None:
    sim = simulate(latency=Lognormal(1.0, 1.0), seed=2)
    records = sim.run(collected(sim.pool(items=100, max_flows=10).astream()))
    ends = [record.started + record.duration for record in records]
    assert ends == sorted(ends)
    assert sorted(record.index for record in records) == list(range(100))
    assert [record.index for record in records] != list(range(100))


def test_records_come_in_order_when_asked(simulate) -> None:
    sim = simulate(latency=Lognormal(1.0, 1.0), faults={"500": 0.2}, seed=2)
    records = sim.run(collected(sim.pool(items=100, max_flows=10).astream(ordered=True)))
    assert [record.index for record in records] == list(range(100))


def test_stream_gives_records_to_synchronous_code() -> None:
    pool = Pool(shout, rows(50), progress=False)
    assert {record.output for record in pool.stream()} == {f"ITEM {n}" for n in range(50)}
    assert [record.index for record in pool.stream(ordered=True)] == list(range(50))


def test_only_failed_records_are_kept_and_retry_runs_them(simulate) -> None:
    sim = simulate()
    items = [{"text": f"[[sim: 500 times=1]] {n}" if n % 5 == 0 else f"{n}"} for n in range(20)]
    pool = sim.pool(items=items, retries=0)
    records = sim.run(collected(pool.astream()))
    assert len(records) == 20
    assert [record.index for record in pool.results.records] == [0, 5, 10, 15]
    assert list(sim.run(pool.aretry())) == ["0", "5", "10", "15"]
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 20}


def test_a_slow_reader_holds_the_run_back() -> None:
    begun = []

    async def note(text) -> Any:
        begun.append(text)

    async def main(ordered) -> Any:
        begun.clear()
        pool = Pool(note, ({"text": n} for n in range(20_000)), max_flows=8, progress=False)
        most = seen = 0
        async for _ in pool.astream(ordered=ordered):
            seen += 1
            if seen % 1000 == 1:
                await asyncio.sleep(0.005)
            most = max(most, len(begun) - seen)
        return seen, most

    for ordered in (False, True):
        seen, most = asyncio.run(main(ordered))
        assert seen == 20_000
        # A batch in the reader's hands, and one behind it.
        assert most <= 2 * (BACKLOG + 8)


def test_an_early_item_that_takes_long_holds_back_an_ordered_stream(simulate) -> None:
    sim = simulate(latency=Fixed(0.01))
    count = BACKLOG + 500
    items = [{"text": "[[sim: 503 times=3 retry-after=20]] first"}, *rows(count)]

    async def main() -> Any:
        pool = sim.pool(items=items, max_flows=50)
        most = 0
        records: list[int] = []
        async for record in pool.astream(ordered=True):
            if not records:
                most = sum(pool.status[s] for s in (DONE, FAILED))
            records.append(record.index)
        return records, most

    records, most = sim.run(main())
    assert records == list(range(count + 1))
    assert most <= BACKLOG + 50


@pytest.mark.parametrize("ordered", [False, True])
def test_leaving_early_cancels_the_rest(simulate, ordered) -> None:
    sim = simulate(latency=Lognormal(1.0, 0.5))

    async def main() -> Any:
        pool = sim.pool(items=100, max_flows=10)
        stream = pool.astream(ordered=ordered)
        async for record in stream:
            if record.index >= 20:
                break
        await stream.aclose()
        return pool

    pool = sim.run(main())
    assert sim.ledger.abandoned > 0
    assert pool.status[CANCELLED] > 50
    assert sum(pool.status.values()) == 100
    assert all(isinstance(error, NotFinished) for error in pool.results.errors)
    assert len(pool.results) == 100 - pool.status[DONE]


def test_leaving_a_synchronous_stream_early_cancels_the_rest() -> None:
    ended = []

    async def sleeps(text) -> Any:
        try:
            await asyncio.sleep(0 if text == "item 0" else 60)
        finally:
            ended.append(text)

    pool = Pool(sleeps, rows(10), max_flows=5, progress=False)
    for _ in pool.stream():
        break
    assert len(ended) >= 5
    assert pool.status[CANCELLED] == 9
    assert pool.status[Status.RUNNING] == 0


def test_a_streams_consumer_that_is_cancelled_cancels_the_run(simulate) -> None:
    sim = simulate()

    async def main() -> Any:
        pool = sim.pool(items=50, max_flows=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collected(pool.astream()), 3.5)
        return pool

    pool = sim.run(main())
    assert (pool.status[DONE], sim.ledger.abandoned) == (15, 5)


def test_stop_ends_a_stream_that_is_held_back(simulate) -> None:
    sim = simulate(latency=Fixed(0.0))

    async def main() -> Any:
        pool = sim.pool(items=5 * BACKLOG, max_flows=50)
        seen = 0
        async for _ in pool.astream():
            seen += 1
            if seen == 1:
                await asyncio.sleep(100)  # the run fills the backlog and waits
                pool.stop()
        return pool, seen

    pool, seen = sim.run(main())
    assert seen == pool.status[DONE] < 5 * BACKLOG
    assert pool.status[CANCELLED] == 5 * BACKLOG - seen


def test_a_deadline_ends_a_stream_that_is_held_back(simulate) -> None:
    sim = simulate(latency=Fixed(0.0))

    async def main() -> Any:
        pool = sim.pool(items=5 * BACKLOG, max_flows=50, deadline=50)
        seen = 0
        async for _ in pool.astream():
            seen += 1
            if seen == 1:
                await asyncio.sleep(100)
        return seen

    assert sim.run(main()) < 5 * BACKLOG


def test_a_stream_raises_with_on_error_raise(simulate) -> None:
    sim = simulate()
    pool = sim.pool(
        items=[{"text": "a"}, {"text": "[[sim: 500]]"}, *rows(20)],
        max_flows=1,
        retries=0,
        on_error="raise",
    )
    with pytest.raises(ServerError):
        sim.run(collected(pool.astream()))
    assert pool.status[DONE] == 1


def test_a_stream_raises_what_its_source_raised_after_what_was_done(simulate) -> None:
    def broken() -> Any:
        yield {"text": "a"}
        raise InvalidInput("line 2: no row")

    seen: list[Any] = []

    async def main() -> Any:
        async for record in sim.pool(items=broken()).astream():
            seen.append(record.output)

    sim = simulate()
    with pytest.raises(InvalidInput, match="line 2"):
        sim.run(main())
    assert seen == ["a"]


def test_a_missing_key_is_raised_by_a_stream_too(simulate) -> None:
    from flowpool import Skill

    sim = simulate()
    with pytest.raises(InvalidInput, match="OPENAI_API_KEY"):
        sim.run(collected(sim.pool(Skill("gpt-5-mini", prompt="{text}")).astream()))


def test_a_pool_is_free_again_after_a_stream() -> None:
    pool = Pool(shout, rows(5), progress=False)
    for _ in pool.stream():
        break
    assert pool.run() == [f"ITEM {n}" for n in range(5)]


def test_cancel_from_another_thread_ends_a_stream() -> None:
    async def sleeps(text) -> Any:
        await asyncio.sleep(0 if text == "item 0" else 60)

    pool = Pool(sleeps, rows(10), max_flows=5, progress=False)
    timer = threading.Timer(0.1, pool.cancel)
    timer.start()
    statuses = [record.status for record in pool.stream()]
    assert (statuses.count(DONE), statuses.count(CANCELLED)) == (1, 5)
