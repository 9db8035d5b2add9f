"""The pool's face: what it takes, what it gives, and that it runs from anywhere."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import pytest

from flowpool import Chain, Pool, Results, Status
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.pool import CANCELLED, DONE, FAILED, PENDING, RUNNING

ROWS = [{"text": "one"}, {"text": "two"}, {"text": "three"}]


def shout(text: str) -> str:
    return text.upper()


async def shout_later(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def pool_of(runner: Any = shout, items: Any = None, **settings: Any) -> Pool:
    return Pool(runner, ROWS if items is None else items, progress=False, **settings)


def test_run_gives_a_list_of_outputs() -> None:
    results = pool_of().run()
    assert results == ["ONE", "TWO", "THREE"]
    assert isinstance(results, Results)
    assert not results.failed
    assert not results.errors


def test_arun_works_on_plain_asyncio() -> None:
    assert asyncio.run(pool_of(shout_later).arun()) == ["ONE", "TWO", "THREE"]


def test_run_works_inside_a_running_loop() -> None:
    async def notebook() -> Any:
        return pool_of(shout_later).run()

    assert asyncio.run(notebook()) == ["ONE", "TWO", "THREE"]


def test_pools_run_from_several_threads_at_once() -> None:
    results: dict[int, Any] = {}

    def work(number) -> Any:
        items = [{"text": f"{number} {n}"} for n in range(50)]
        results[number] = pool_of(shout_later if number % 2 else shout, items, max_flows=4).run()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [f"{n} {i}" for i in range(50)] for n in range(8)}


def test_a_pool_runs_inside_a_pools_plain_function() -> None:
    def inner(text) -> Any:
        return pool_of(items=[{"text": text}, {"text": text}]).run()

    assert pool_of(inner, max_flows=2).run()[0] == ["ONE", "ONE"]


def test_a_pools_stream_can_feed_another_pool() -> None:
    first = pool_of(items=[{"text": f"item {n}"} for n in range(100)], max_flows=4)
    second = pool_of(lambda text: text + "!", ({"text": r.output} for r in first.stream()))
    assert set(second.run()) == {f"ITEM {n}!" for n in range(100)}


@pytest.mark.parametrize("method", ["run", "retry", "stream"])
def test_waiting_for_a_pool_on_its_own_loop_is_an_error_that_says_so(method) -> None:
    async def deadlocks(text) -> Any:
        return list(getattr(pool_of(), method)())

    results = pool_of(deadlocks, ROWS[:1]).run()
    assert isinstance(results.errors[0], FlowpoolError)
    assert "await arun()" in str(results.errors[0])


def test_a_skill_run_on_that_loop_is_the_same_error() -> None:
    chain = Chain([shout])

    async def deadlocks(text) -> Any:
        return chain.run({"text": text})

    assert "await arun()" in str(pool_of(deadlocks, ROWS[:1]).run().errors[0])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_async_function_that_leaves_fails_its_item_and_keeps_the_loop(kind) -> None:
    async def leaves(text: str) -> str:
        if text == "two":
            raise kind("bye")
        return text

    pool = pool_of(leaves)
    assert pool.run() == ["one", None, "three"]
    assert type(pool.results.errors[0].__cause__) is kind
    assert pool.run()[0] == "one"


def test_two_runs_at_once_are_refused() -> None:
    async def main() -> Any:
        pool = pool_of(shout_later)
        first = asyncio.create_task(pool.arun())
        await asyncio.sleep(0)
        for second in (pool.arun, pool.aretry):
            with pytest.raises(InvalidInput, match="is running"):
                await second()
        return await first

    assert asyncio.run(main()) == ["ONE", "TWO", "THREE"]


def test_two_threads_cannot_start_one_pool_at_once() -> None:
    go = threading.Barrier(8)
    outcomes: list[Any] = []
    over = threading.Event()
    pool = pool_of(lambda text: over.wait(5) and text, ROWS)

    def start() -> Any:
        go.wait()
        try:
            outcomes.append(pool.run())
        except InvalidInput as error:
            outcomes.append(error)
            if len(outcomes) == 7:
                over.set()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, InvalidInput) for outcome in outcomes) == 7


def test_a_run_that_could_not_begin_leaves_the_pool_free(simulate) -> None:
    sim = simulate()
    pool = sim.pool(sim.skill("{text} {word}"), items=[{"word": "a"}])
    with pytest.raises(InvalidInput, match="has no 'text'"):
        sim.run(pool)
    assert list(sim.run(pool.arun({"text": "shared"}))) == ["shared a"]


# Items.


@pytest.mark.parametrize(
    "items",
    [ROWS, tuple(ROWS), deque(ROWS), (row for row in ROWS), dict(enumerate(ROWS)).values()],
    ids=["list", "tuple", "deque", "generator", "view"],
)
def test_items_may_be_any_iterable(items) -> None:
    assert pool_of(items=items).run() == ["ONE", "TWO", "THREE"]


def test_items_may_be_an_async_iterable() -> None:
    async def rows() -> Any:
        for row in ROWS:
            yield row

    assert pool_of(items=rows()).run() == ["ONE", "TWO", "THREE"]


def test_items_may_be_a_file(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\none\ntwo\n")
    pool = pool_of(items=path)
    assert pool.run() == pool.run() == ["ONE", "TWO"]


@pytest.mark.parametrize("items", [[], (), {"text": "one"}, 7, "nowhere.csv"])
def test_items_that_hold_nothing_are_refused_at_once(items) -> None:
    with pytest.raises(InvalidInput):
        pool_of(items=items)


@pytest.mark.parametrize("items", [[*ROWS, {"txt": "four"}], (*ROWS, "four")])
def test_a_list_with_an_item_that_cannot_run_is_refused_before_anything_runs(items) -> None:
    began: list[str] = []

    def note(text: str) -> None:
        began.append(text)

    pool = pool_of(note, items)
    with pytest.raises(InvalidInput, match=r"items\[3\]"):
        pool.run()
    assert began == []
    assert pool.status[PENDING] == 4


def test_shared_variables_fill_what_items_lack_and_items_win() -> None:
    pool = pool_of(lambda text, mark: text + mark, [{"text": "a"}, {"text": "b", "mark": "?"}])
    assert pool.run({"mark": "!"}) == ["a!", "b?"]


def test_a_list_runs_anew_each_time_also_when_it_grew() -> None:
    items = list(ROWS)
    pool = pool_of(items=items)
    assert len(pool.run()) == 3
    items.append({"text": "four"})
    assert pool.run()[-1] == "FOUR"
    assert pool.status[DONE] == 4


def test_a_list_that_grew_before_its_run_is_run_in_whole() -> None:
    items = list(ROWS)
    pool = pool_of(items=items)
    items.append({"text": "four"})
    assert pool.run()[-1] == "FOUR"


def test_a_used_up_iterator_is_refused() -> None:
    async def rows() -> Any:
        yield ROWS[0]

    for items in (iter(ROWS), rows()):
        pool = pool_of(items=items)
        pool.run()
        with pytest.raises(InvalidInput, match="was an iterator and is used up: pass a list"):
            pool.run()
        assert pool.results == [r.upper() for r in ("one", "two", "three")][: len(pool.results)]


# Settings.


@pytest.mark.parametrize(
    "settings",
    [
        {"max_flows": 0},
        {"max_flows": -1},
        {"max_flows": 2.5},
        {"max_flows": True},
        {"max_flows": "many"},
        {"on_error": "ignore"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": "10"},
        {"deadline": -1},
        {"deadline": float("inf")},
        {"retries": -1},
        {"retries": 1.5},
        {"limits": 100},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings) -> None:
    [name] = settings
    with pytest.raises(InvalidInput, match=name):
        pool_of(**settings)


# Looking.


def test_status_has_every_key_from_the_start() -> None:
    pool = pool_of()
    assert pool.status == {PENDING: 3, RUNNING: 0, DONE: 0, FAILED: 0, CANCELLED: 0}
    assert list(pool.status.values()) == [3, 0, 0, 0, 0]
    pool.run()
    assert pool.status == {PENDING: 0, RUNNING: 0, DONE: 3, FAILED: 0, CANCELLED: 0}


def test_status_is_readable_from_any_thread_and_sums_up_to_the_total() -> None:
    seen = []
    over = threading.Event()
    pool = pool_of(shout_later, [{"text": str(n)} for n in range(3000)], max_flows=20)

    def look() -> Any:
        while not over.is_set():
            seen.append(pool.status)
            len(pool.results)
            len(pool.history)
            repr(pool.lanes)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        pool.run()
    finally:
        over.set()
        thread.join()
    assert {sum(status.values()) for status in seen} == {3000}
    done = [status[DONE] for status in seen]
    assert done == sorted(done)
    assert max(status[RUNNING] for status in seen) <= 20


def test_history_has_a_dict_an_item(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "a"}, {"text": "[[sim: 400]]"}])
    sim.run(pool)
    good, bad = pool.history
    assert good == {
        "index": 0,
        "variables": {"text": "a"},
        "status": 2,
        "output": "a",
        "error": None,
        "duration": 1.0,
        "attempts": 1,
        "model": good["model"],
        "input_tokens": 1,
        "output_tokens": 1,
    }
    assert (bad["status"], bad["output"]) == (3, None)
    assert bad["error"].startswith("BadRequest: ")


def test_lanes_can_be_looked_at(simulate) -> None:
    sim = simulate()

    async def main() -> Any:
        pool = sim.pool(items=30, max_flows=4)
        assert pool.lanes == []
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(0.5)
        [lane] = pool.lanes
        seen = repr(lane)
        await run
        return seen, repr(pool.lanes)

    during, after = sim.run(main())
    assert "/m: 4/4 in flight" in during
    assert "/m: 0/4 in flight" in after


def test_a_snapshots_seconds_end_with_the_run(simulate) -> None:
    sim = simulate()

    async def main() -> Any:
        pool = sim.pool(items=3, max_flows=1)
        before = pool.snapshot.elapsed
        await pool.arun()
        await asyncio.sleep(100)
        return before, pool.snapshot

    before, after = sim.run(main())
    assert before == 0
    assert (after.total, after.done, after.elapsed) == (3, 3, 3.0)


def test_repr_says_how_it_stands() -> None:
    pool = pool_of(name="shouting")
    assert repr(pool) == "Pool('shouting': 3 pending)"
    pool.run()
    assert repr(pool) == "Pool('shouting': 3 done)"


def test_a_progress_callable_is_told() -> None:
    told: list[Any] = []
    Pool(shout, ROWS, progress=told.append).run()
    assert (told[-1].total, told[-1].done) == (3, 3)


# One item.


def test_single_calls_share_the_background_loop() -> None:
    loops = set()

    async def which(text) -> Any:
        loops.add(asyncio.get_running_loop())
        return text

    assert Chain([which]).run({"text": "a"}) == "a"
    assert Chain([which]).run({"text": "b"}) == "b"
    pool_of(which).run()
    assert len(loops) == 1


def test_a_single_call_raises_what_went_wrong(simulate) -> None:
    def fails(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(FlowpoolError) as caught:
        Chain([fails]).run({"text": "a"})
    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(InvalidInput, match="has no 'text'"):
        Chain([fails]).run({})


def test_a_chains_run_leaves_its_history_and_variables() -> None:
    chain = Chain([(shout, "loud"), (lambda loud: len(loud), "length")])
    assert chain.run({"text": "abc"}) == 3
    assert [entry["output"] for entry in chain.history] == ["ABC", 3]
    assert chain.accumulated == {"text": "abc", "loud": "ABC", "length": 3}


def test_a_run_with_every_status_counts_each_item_once() -> None:
    assert list(Status) == [PENDING, RUNNING, DONE, FAILED, CANCELLED]
