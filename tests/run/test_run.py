"""How items go through the steps: in what order, how many at once, and what a wait does to the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowpool import Chain, Limits, Status, tool
from flowpool.errors import InvalidItem, ServerError, StepFailed
from flowpool.simulator import Fixed, Lognormal

DONE, FAILED = Status.DONE, Status.FAILED


class Watch:
    """An async step that notes how many of it run at once, and when each began and ended."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.running = self.most = 0
        self.spans: list[tuple[float, float]] = []
        self.order: list[Any] = []

    def step(self, name: str = "watched") -> Any:
        async def watched(text: Any) -> Any:
            loop = asyncio.get_running_loop()
            began = loop.time()
            self.order.append(text)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(self.seconds)
            finally:
                self.running -= 1
                self.spans.append((began, loop.time()))
            return text

        # Its lane is wide, so that only the places of flows keep it narrow.
        return tool(watched, name=name, max_flows=1000)


def test_outputs_come_in_the_items_order_whatever_order_they_end_in(simulate) -> None:
    sim = simulate(latency=Lognormal(1.0, 1.0), seed=4)
    results = sim.run(sim.pool(items=200, max_flows=16))
    assert list(results) == [f"item {n}" for n in range(200)]
    assert [record.index for record in results.records] == list(range(200))


def test_a_failure_stays_on_its_item(simulate) -> None:
    sim = simulate()
    items = [{"text": "a"}, {"text": "[[sim: 500]] b"}, {"text": "c"}]
    pool = sim.pool(items=items, retries=1)
    results = sim.run(pool)
    assert list(results) == ["a", None, "c"]
    [failed] = results.failed
    assert failed.index == 1
    assert isinstance(failed.error, ServerError)
    assert results.errors == [failed.error]
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 2, FAILED: 1}


def test_a_lazy_items_fault_is_its_own_and_comes_with_the_fix(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=iter([{"text": "a"}, {"txt": "b"}, "c"])))
    assert list(results) == ["a", None, None]
    assert all(isinstance(error, InvalidItem) for error in results.errors)
    assert "items[1] has no 'text'" in str(results.errors[0])
    assert sim.ledger.requests == 1


@pytest.mark.parametrize("flows", [1, 3, 10])
def test_no_more_than_max_flows_items_are_in_progress(simulate, flows) -> None:
    sim = simulate()
    watch = Watch()
    chain = Chain([(watch.step(), "text"), (sim.skill(), "answer")])
    pool = sim.pool(chain, 30, max_flows=flows)
    sim.run(pool)
    assert sim.seconds == 2 * -(-30 // flows)
    assert watch.most == flows


@pytest.mark.parametrize("flows", [1, 4])
def test_a_lazy_source_is_read_only_as_items_end(simulate, flows) -> None:
    sim = simulate()
    ahead = []

    def rows() -> Any:
        for n in range(40):
            ahead.append(n + 1 - pool.status[DONE])
            yield {"text": str(n)}

    pool = sim.pool(items=rows(), max_flows=flows)
    assert len(sim.run(pool)) == 40
    assert max(ahead) <= flows
    assert sim.seconds == 40 / flows


def test_an_async_source_is_read_only_as_items_end(simulate) -> None:
    sim = simulate()
    ahead = []

    async def rows() -> Any:
        for n in range(40):
            await asyncio.sleep(0.01)
            ahead.append(n + 1 - pool.status[DONE])
            yield {"text": str(n)}

    pool = sim.pool(items=rows(), max_flows=4)
    assert list(sim.run(pool)) == [str(n) for n in range(40)]
    assert max(ahead) <= 4


def test_a_source_that_waits_holds_up_nobody(simulate) -> None:
    sim = simulate()

    async def rows() -> Any:
        yield {"text": "a"}
        await asyncio.sleep(100)
        yield {"text": "b"}

    pool = sim.pool(items=rows(), max_flows=4)
    results = sim.run(pool)
    assert results.records[0].duration == 1.0
    assert sim.seconds == 101


def test_a_retry_goes_on_while_the_only_place_waits_for_an_item(simulate) -> None:
    sim = simulate()

    async def rows() -> Any:
        yield {"text": "[[sim: 429 times=1 retry-after=5]] a"}
        await asyncio.sleep(100)
        yield {"text": "b"}

    results = sim.run(sim.pool(items=rows(), max_flows=1))
    assert list(results) == ["a", "b"]
    assert results.records[0].duration < 10


def test_steps_of_different_items_overlap(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    watch = Watch(1.0)
    chain = Chain([(watch.step("fetch"), "text", {}, {"max_flows": 5}), (sim.skill(), "answer")])
    pool = sim.pool(chain, 50, limits=Limits(concurrent=5))
    sim.run(pool)
    # One lane after the other would take 20 s.
    assert sim.seconds == pytest.approx(11, abs=0.5)
    assert (watch.most, sim.ledger.peak_in_flight) == (5, 5)


def test_later_steps_go_first(simulate) -> None:
    sim = simulate()
    order: list[str] = []

    def note(stage) -> Any:
        async def step(text) -> Any:
            order.append(f"{stage} {text}")
            await asyncio.sleep(1)
            return text

        return step

    # Both steps share the model's lane of one call; the tools say who got through.
    skill = sim.skill(model=sim.model(limits=Limits(concurrent=1)))
    chain = Chain([(skill, "a"), (skill, "b", {"text": "a"}), (note("end"), "c", {"text": "b"})])
    pool = sim.pool(chain, [{"text": str(n)} for n in range(4)], max_flows=4)
    ends = sorted((r.started + r.duration, r.index) for r in sim.run(pool).records)
    # The first item's second call goes before the third and fourth item's first.
    assert ends[0] == (pytest.approx(4.0), 0)
    assert order[0] == "end 0"


def test_side_by_side_steps_run_at_once_and_give_a_dict(simulate) -> None:
    sim = simulate()
    watch = Watch(1.0)
    chain = Chain([[(watch.step(), "left"), (sim.skill(), "right")]])
    results = sim.run(sim.pool(chain, [{"text": "t"}]))
    assert list(results) == [{"left": "t", "right": "t"}]
    assert sim.seconds == 1


def test_a_failure_beside_others_cuts_them_and_fails_the_item(simulate) -> None:
    sim = simulate()

    async def fails(text) -> Any:
        await asyncio.sleep(0.5)
        raise LookupError(text)

    watch = Watch(5.0)
    chain = Chain([[(fails, "a"), (watch.step(), "b"), (sim.skill(), "c")]])
    results = sim.run(sim.pool(chain, 1))
    assert isinstance(results.errors[0], StepFailed)
    assert isinstance(results.errors[0].__cause__, LookupError)
    assert (sim.seconds, watch.running, sim.ledger.abandoned) == (0.5, 0, 1)


def test_a_waiting_retry_gives_its_place_to_others(simulate) -> None:
    sim = simulate()
    items = [
        {"text": "[[sim: 500 times=1 retry-after=50]] slow"},
        *({"text": f"{n}"} for n in range(9)),
    ]
    results = sim.run(sim.pool(items=items, max_flows=1))
    assert list(results) == ["slow", *(str(n) for n in range(9))]
    # One after the other the nine would end at 61 s.
    ended = [record.started + record.duration for record in results.records]
    assert max(ended[1:]) < 12
    assert ended[0] > 50


def test_those_who_come_back_go_before_new_items(simulate) -> None:
    sim = simulate()
    first = {"text": "[[sim: 503 times=1 retry-after=2]] first"}
    items = [first, *({"text": str(n)} for n in range(30))]
    results = sim.run(sim.pool(items=items, max_flows=1))
    assert results.records[0].duration < 6


def test_those_who_come_back_keep_to_max_flows(simulate) -> None:
    sim = simulate()
    watch = Watch(3.0)
    skill = sim.skill("[[sim: 503 times=1 retry-after=2]] {text}")
    chain = Chain([(skill, "text"), (watch.step(), "end")])
    pool = sim.pool(chain, 20, max_flows=2)
    sim.run(pool)
    assert pool.status[DONE] == 20
    assert watch.most == 2
    assert sim.ledger.peak_in_flight <= 2


def test_side_by_side_waits_are_one_flows_and_keep_to_max_flows(simulate) -> None:
    sim = simulate()
    watch = Watch(1.0)
    fails = "[[sim: 503 times=2 retry-after=3]] {text} "
    chain = Chain(
        [
            (watch.step("enter"), "entered"),
            [(sim.skill(fails + "a"), "a"), (sim.skill(fails + "b"), "b"), (sim.skill(), "c")],
            (watch.step("leave"), "left"),
        ]
    )
    pool = sim.pool(chain, 12, max_flows=1)
    sim.run(pool)
    assert pool.status[DONE] == 12
    assert watch.most == 1


def test_a_flow_that_goes_on_after_its_branches_failed_has_its_place_again(simulate) -> None:
    sim = simulate()
    watch = Watch(3.0)

    async def fails(text: str) -> None:
        await asyncio.sleep(0.5)
        raise LookupError(text)

    waits = sim.skill("[[sim: 503 retry-after=9]] {text}")
    chain = Chain(
        [(Chain([[(fails, "a"), (waits, "b")]]), "x"), (watch.step(), "y")], on_step_error="skip"
    )
    sim.run(sim.pool(chain, 8, max_flows=1))
    assert len(watch.spans) == 8
    assert watch.most <= 2


def test_branches_that_come_back_one_after_the_other_do_not_wait_for_each_other(simulate) -> None:
    sim = simulate(latency=Fixed(0.5))
    sides = [
        (sim.skill(f"[[sim: 503 times=3 retry-after={after}]] {{text}} {after}"), f"k{after}")
        for after in (1, 2, 3)
    ]
    pool = sim.pool(Chain([sides]), 10, max_flows=1)
    sim.run(pool)
    assert pool.status[DONE] == 10


def test_waiting_retries_do_not_pile_up_without_end(simulate) -> None:
    sim = simulate(faults={"503": 1.0})
    begun = []

    def rows() -> Any:
        for n in range(500):
            begun.append(n)
            yield {"text": str(n)}

    async def main() -> Any:
        pool = sim.pool(items=rows(), max_flows=2)
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(1.0)
        seen = len(begun)
        pool.cancel()
        await run
        return seen

    assert sim.run(main()) <= 15


def test_an_item_whose_variable_cannot_be_written_out_fails_alone(simulate) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no words for this")

    sim = simulate()
    results = sim.run(sim.pool(items=[{"text": Odd()}, {"text": "b"}]))
    assert list(results) == [None, "b"]
    assert isinstance(results.errors[0], StepFailed)


def test_a_function_that_leaks_a_cancellation_fails_its_item_and_not_the_run(simulate) -> None:
    async def leaks(text) -> Any:
        if text == "item 0":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return text

    sim = simulate()
    pool = sim.pool(leaks, 3, max_flows=1)
    assert list(sim.run(pool)) == [None, "item 1", "item 2"]
    assert isinstance(pool.results.errors[0], StepFailed)


def test_a_function_that_cancels_its_own_task_costs_its_item_and_not_the_run(simulate) -> None:
    async def cancels(text) -> Any:
        if text == "item 0":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)
        return text

    sim = simulate()
    pool = sim.pool(cancels, 3, max_flows=1)
    assert list(sim.run(pool)) == [None, "item 1", "item 2"]
    assert pool.status[Status.CANCELLED] == 1


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, StopIteration, asyncio.CancelledError]
)
def test_no_exception_of_a_plain_function_ends_the_run(simulate, kind) -> None:
    def odd(text) -> Any:
        if text == "item 1":
            raise kind("odd")
        return text

    sim = simulate()
    pool = sim.pool(odd, 3, max_flows=1)
    assert list(sim.run(pool)) == ["item 0", None, "item 2"]
    [error] = pool.results.errors
    assert isinstance(error, StepFailed)
    assert type(error.__cause__) is kind


def test_an_async_functions_sys_exit_fails_its_item(simulate) -> None:
    async def leaves(text) -> Any:
        raise SystemExit(3)

    sim = simulate()
    results = sim.run(sim.pool(leaves, 2))
    assert [type(error.__cause__) for error in results.errors] == [SystemExit, SystemExit]


def test_a_plain_function_that_gives_a_coroutine_is_waited_for(simulate) -> None:
    async def inner(text) -> Any:
        await asyncio.sleep(2)
        return text.upper()

    sim = simulate()
    results = sim.run(sim.pool(lambda text: inner(text), 2))
    assert list(results) == ["ITEM 0", "ITEM 1"]
    assert sim.seconds == 2


def test_a_nested_chain_keeps_its_variables_and_its_errors(simulate) -> None:
    sim = simulate()

    def shout(text) -> Any:
        return text.upper()

    inner = Chain([(shout, "loud"), (lambda loud, mark: loud + mark, "marked")], {"mark": "!"})
    outer = Chain([(inner, "said"), (sim.skill("{said}"), "answer")])
    assert list(sim.run(sim.pool(outer, [{"text": "hey"}]))) == ["HEY!"]
    bad = Chain([(Chain([lambda text: 1 / 0]), "said")])
    error = sim.run(sim.pool(bad, [{"text": "hey"}])).errors[0]
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(("told", "expected"), [("skip", "x!"), ("stop", "x")])
def test_a_chain_can_go_on_or_stop_after_a_failed_step(simulate, told, expected) -> None:
    sim = simulate()

    def fails(text) -> Any:
        raise ValueError(text)

    steps = [(lambda text: text, "kept"), (fails, "lost"), (lambda kept: kept + "!", "end")]
    results = sim.run(sim.pool(Chain(steps, on_step_error=told), [{"text": "x"}]))
    assert list(results) == [expected]


def test_a_chain_of_one_step_is_a_chain_all_the_same(simulate) -> None:
    sim = simulate()
    mapped = Chain([(lambda word: word.upper(), "loud", {"word": "text"})])
    assert list(sim.run(sim.pool(mapped, [{"text": "x"}]))) == ["X"]

    def fails(text) -> Any:
        raise ValueError(text)

    skipped = sim.pool(Chain([fails], on_step_error="skip"), [{"text": "x"}])
    assert list(sim.run(skipped)) == [None]
    assert skipped.status[DONE] == 1
    given = Chain([lambda text: text], {"text": "from the chain"})
    assert list(sim.run(sim.pool(given, [{"other": 1}]))) == ["from the chain"]
