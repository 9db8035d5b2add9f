"""Runs that are kept in a store: what is done stays done, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Pool, Status
from flowpool.errors import BadRequest, InvalidInput, NotFinished, StoreFailed, StoreRefused
from flowpool.pool import CANCELLED, DONE, FAILED, PENDING
from flowpool.simulator.ledger import digest_of
from flowpool.store.file import open_store
from flowpool.store.reading import Reader


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


async def cut(pool: Pool, seconds: float) -> Any:
    """A run that is cancelled after a while."""
    running = asyncio.ensure_future(pool.arun())
    await asyncio.sleep(seconds)
    pool.cancel()
    return await running


def asked(sim: Any, *prompts: str) -> bool:
    """Whether the provider answered these prompts, each as often as it is named, and no others."""
    return dict(sim.ledger.answered) == dict(Counter(map(digest_of, prompts)))


def test_what_was_answered_is_never_asked_again(simulate, store) -> None:
    sim = simulate()
    first = sim.run(sim.pool(items=20, store=store))
    again = simulate()
    pool = again.pool(items=20, store=store)
    assert again.run(pool) == first
    assert not again.ledger.answered
    assert pool.status[DONE] == 20


def test_a_record_comes_back_as_it_was(simulate, store) -> None:
    sim = simulate()
    items = rows("fine", "[[sim: 400]]")
    first = sim.run(sim.pool(items=items, store=store)).records
    again = simulate()
    back = again.run(again.pool(items=items, store=store)).records
    for before, after in zip(first, back, strict=True):
        for name in ("index", "variables", "status", "output", "attempts", "usage", "model"):
            assert getattr(after, name) == getattr(before, name)
        assert after.duration == pytest.approx(before.duration)
    assert type(back[1].error) is BadRequest
    assert str(back[1].error) == str(first[1].error)


def test_a_run_that_was_cut_goes_on_with_what_is_left(simulate, store) -> None:
    sim = simulate()
    results = sim.run(cut(sim.pool(items=10, max_flows=2, store=store), 2.5))
    assert sum(output is not None for output in results) == 4
    again = simulate()
    pool = again.pool(items=10, max_flows=10, store=store)
    assert list(again.run(pool)) == [f"item {n}" for n in range(10)]
    assert asked(again, *(f"item {n}" for n in range(4, 10)))


def test_a_half_done_item_goes_on_at_its_next_step(simulate, store) -> None:
    def chain(sim: Any) -> Chain:
        return Chain([(sim.skill("one {text}"), "a"), (sim.skill("two {a}"), "b")])

    sim = simulate()
    sim.run(cut(sim.pool(chain(sim), rows("x", "y"), max_flows=2, store=store), 1.5))
    assert asked(sim, "one x", "one y")
    again = simulate()
    results = again.run(again.pool(chain(again), rows("x", "y"), store=store))
    assert list(results) == ["two one x", "two one y"]
    assert asked(again, "two one x", "two one y")


def three_steps(sim: Any, second: str = "two {a}", third: str = "three {b}") -> Chain:
    return Chain(
        [(sim.skill("one {text}"), "a"), (sim.skill(second), "b"), (sim.skill(third), "c")]
    )


def test_a_changed_prompt_redoes_its_step_and_what_follows_from_it(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(three_steps(sim), rows("x", "y"), store=store))
    again = simulate()
    pool = again.pool(three_steps(again, second="zwei {a}"), rows("x", "y"), store=store)
    assert list(again.run(pool)) == ["three zwei one x", "three zwei one y"]
    assert asked(again, "zwei one x", "zwei one y", "three zwei one x", "three zwei one y")


def test_a_step_put_at_the_end_finds_all_others_done(simulate, store) -> None:
    sim = simulate()
    two = Chain([(sim.skill("one {text}"), "a"), (sim.skill("two {a}"), "b")])
    sim.run(sim.pool(two, rows("x"), store=store))
    again = simulate()
    assert list(again.run(again.pool(three_steps(again), rows("x"), store=store))) == [
        "three two one x"
    ]
    assert asked(again, "three two one x")


def test_a_step_that_was_changed_twice_leaves_the_others_answered(simulate, store) -> None:
    for third, asks in (("three {b}", 6), ("3 {b}", 2), ("III {b}", 2)):
        sim = simulate()
        sim.run(sim.pool(three_steps(sim, third=third), rows("x", "y"), store=store))
        assert sum(sim.ledger.answered.values()) == asks


def test_what_a_run_that_was_cut_never_came_to_is_found_in_the_one_before(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(three_steps(sim), rows("x", "y"), store=store))
    sim = simulate()
    second = sim.pool(three_steps(sim, third="3 {b}"), rows("x", "y"), store=store, max_flows=1)
    sim.run(cut(second, 1.5))
    assert asked(sim, "3 two one x")
    sim = simulate()
    sim.run(sim.pool(three_steps(sim, third="III {b}"), rows("x", "y"), store=store))
    assert asked(sim, "III two one x", "III two one y")


def test_a_retry_asks_no_step_again_that_an_earlier_run_had_answered(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(three_steps(sim), rows("x"), store=store))
    tries = iter((1, 0))

    def flaky(c: str) -> float:
        return 1 / (1 - next(tries))

    sim = simulate()
    chain = Chain([*(step for (step,) in three_steps(sim).stages), flaky])
    pool = sim.pool(chain, rows("x"), store=store)
    sim.run(pool)
    assert pool.status[FAILED] == 1
    sim.run(pool.aretry())
    assert pool.status[DONE] == 1
    assert not sim.ledger.answered


def test_an_earlier_answer_comes_back_when_its_prompt_does(simulate, store) -> None:
    for third, asks in (("three {b}", 3), ("3 {b}", 1), ("three {b}", 0)):
        sim = simulate()
        sim.run(sim.pool(three_steps(sim, third=third), rows("x"), store=store))
        assert sum(sim.ledger.answered.values()) == asks


def test_pools_of_different_names_are_different_runs_of_the_same_skill(simulate, store) -> None:
    for name, asks in (("a", 1), ("b", 1), ("a", 0)):
        sim = simulate()
        sim.run(sim.pool(items=rows("x"), store=store, name=name))
        assert sum(sim.ledger.answered.values()) == asks
    with Reader(store) as reader:
        assert sorted(run.name for run in reader.runs()) == ["a", "b"]


def test_a_new_name_of_a_skill_takes_no_run_that_somebody_named(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("x"), store=store, name="mine"))
    sim.run(sim.pool(sim.skill(name="new"), rows("x"), store=store))
    with Reader(store) as reader:
        assert sorted(run.name for run in reader.runs()) == ["mine", "new"]


def test_dedupe_never_takes_a_column_for_a_field_of_another(simulate) -> None:
    sim = simulate()
    items = [{"c": {"d": "x"}, "c.d": "one"}, {"c": {"d": "x"}, "c.d": "two"}]
    assert list(sim.run(sim.pool(sim.skill("{c.d}"), items, dedupe=True))) == ["one", "two"]
    fields = [{"c": {"d": "x", "e": 1}}, {"c": {"d": "y", "e": 1}}, {"c.d": "z"}]
    assert list(sim.run(sim.pool(sim.skill("{c.d}"), fields, dedupe=True))) == ["x", "y", "z"]


def test_dedupe_asks_for_nested_keys_in_each_order_that_the_prompt_has(simulate) -> None:
    sim = simulate()
    items = [{"row": {"a": 1, "b": 2}}, {"row": {"b": 2, "a": 1}}, {"row": {"a": 1, "b": 2}}]
    sim.run(sim.pool(sim.skill("{row}"), items, dedupe=True))
    assert sum(sim.ledger.answered.values()) == 2


def test_items_that_were_added_are_all_that_is_asked(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("a", "b"), store=store))
    again = simulate()
    results = again.run(again.pool(items=rows("new", "b", "a"), store=store))
    assert list(results) == ["new", "b", "a"]
    assert asked(again, "new")


def test_items_of_the_same_content_are_samples_of_their_own(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("a", "a", "a"), store=store))
    assert asked(sim, "a", "a", "a")
    again = simulate()
    again.run(again.pool(items=rows("a", "a", "a", "a"), store=store))
    assert asked(again, "a")


@pytest.mark.parametrize("kept", [False, True])
def test_dedupe_sends_identical_calls_once_also_those_in_flight(simulate, store, kept) -> None:
    sim = simulate()
    pool = sim.pool(
        items=rows("a", "b", "a", "a"), dedupe=True, max_flows=4, store=store if kept else None
    )
    assert list(sim.run(pool)) == ["a", "b", "a", "a"]
    assert asked(sim, "a", "b")
    assert pool.results.usage.input_tokens == sum(
        record.usage.input_tokens for record in pool.results.records[:2]
    )


def test_dedupe_finds_what_an_earlier_run_asked(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("a"), dedupe=True, store=store))
    again = simulate()
    results = again.run(again.pool(items=rows("a", "a", "b"), dedupe=True, store=store))
    assert list(results) == ["a", "a", "b"]
    assert asked(again, "b")


def test_a_typed_answer_that_dedupe_finds_again_is_what_it_was(simulate, store) -> None:
    sim = simulate()
    for count in (1, 2):
        pool = sim.pool(
            sim.skill("{text}", output=Review), rows(*[SAID] * count), dedupe=True, store=store
        )
        assert sim.run(pool) == [Review(Verdict.HAM, 3)] * count
    assert sim.ledger.requests == 1


def test_the_same_run_is_not_at_work_twice_at_once(simulate, store) -> None:
    sim = simulate()
    pools = [sim.pool(items=2, store=store) for _ in range(2)]

    async def both() -> list[Any]:
        return await asyncio.gather(*(pool.arun() for pool in pools), return_exceptions=True)

    first, second = sim.run(both())
    assert list(first) == ["item 0", "item 1"]
    assert "this run is at work in this process" in str(second)
    assert sim.ledger.requests == 2


def test_a_deduped_call_that_fails_fails_for_all_that_wait_for_it(simulate) -> None:
    sim = simulate()
    bad = "[[sim: 400]]"
    pool = sim.pool(items=rows(bad, bad, bad), dedupe=True, max_flows=3)
    results = sim.run(pool)
    assert [type(error) for error in results.errors] == [BadRequest] * 3
    assert sim.ledger.requests == 1


def test_dedupe_with_one_flow_does_not_wait_for_itself(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=rows("a", "a", "[[sim: 500 times=1]]"), dedupe=True, max_flows=1)
    sim.run(pool)
    assert pool.status[DONE] == 3


def test_a_failed_item_is_tried_again_only_when_asked(simulate, store) -> None:
    items = rows("fine", "[[sim: 400 times=1]]")
    sim = simulate()
    sim.run(sim.pool(items=items, store=store))
    again = simulate()
    pool = again.pool(items=items, store=store)
    again.run(pool)
    assert (pool.status[DONE], pool.status[FAILED], again.ledger.requests) == (1, 1, 0)
    pool = sim.pool(items=items, store=store)
    sim.run(pool.aretry())
    assert (pool.status[DONE], pool.status[FAILED], sim.ledger.requests) == (2, 0, 3)


def test_retry_in_the_same_process_keeps_each_sample_its_own_row(simulate, store) -> None:
    sim = simulate()
    text = "[[sim: 400 times=1]]"  # the first of the two is refused
    pool = sim.pool(items=rows(text, text), store=store, max_flows=1)
    sim.run(pool)
    assert pool.status[FAILED] == 1
    sim.run(pool.aretry())
    assert pool.status[DONE] == 2
    again = simulate()
    again.run(again.pool(items=rows(text, text), store=store))
    assert again.ledger.requests == 0


def test_a_retry_after_a_run_that_met_a_failed_item_goes_on_with_its_row(simulate, store) -> None:
    sim = simulate()
    chain = Chain([(sim.skill("one {text}"), "a"), (sim.skill("[[sim: 400 times=1]] {a}"), "b")])
    sim.run(sim.pool(chain, rows("x"), store=store))
    pool = sim.pool(chain, rows("x"), store=store)
    sim.run(pool)
    assert pool.status[FAILED] == 1
    sim.run(pool.aretry())
    assert pool.status[DONE] == 1
    assert sim.ledger.requested_times("one x") == 1


def test_chains_in_one_store_stay_apart(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(sim.skill("sum {text}"), rows("a"), store=store))
    sim.run(sim.pool(sim.skill("tell {text}"), rows("a", "b"), store=store))
    with Reader(store) as reader:
        assert [reader.counts(run.id)[DONE] for run in reader.runs()] == [2, 1]
    again = simulate()
    assert again.run(again.pool(again.skill("sum {text}"), rows("a"), store=store)) == ["sum a"]
    assert not again.ledger.answered


def test_shared_variables_are_part_of_what_is_asked(simulate, store) -> None:
    sim = simulate()
    skill = sim.skill("{text} in {language}")
    sim.run(sim.pool(skill, rows("a"), store=store).arun({"language": "French"}))
    sim.run(sim.pool(skill, rows("a"), store=store).arun({"language": "Dutch"}))
    assert asked(sim, "a in French", "a in Dutch")


def test_how_often_and_how_fast_is_no_part_of_what_is_asked(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(sim.skill(timeout=5.0), rows("a"), store=store, max_flows=3, retries=1))
    sim.run(sim.pool(sim.skill(retries=9), rows("a"), store=store))
    assert asked(sim, "a")


def test_a_key_tells_items_apart_whatever_else_changed(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=[{"text": "a", "id": 1}], store=store, key="id"))
    sim.run(
        sim.pool(
            items=[{"text": "changed", "id": 1}, {"text": "b", "id": 2}], store=store, key="id"
        )
    )
    assert asked(sim, "a", "b")


def test_nobody_is_told_before_the_answer_is_safe(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=30, max_flows=4, store=store)

    async def check() -> int:
        seen = 0
        async for record in pool.astream():
            with sqlite3.connect(store) as db:
                (found,) = db.execute(
                    "SELECT count(*) FROM results JOIN items ON items.id = item WHERE output = ?",
                    (f'"{record.output}"',),
                ).fetchone()
            db.close()
            seen += found
        return seen

    assert sim.run(check()) == 30


def test_a_lazy_source_is_met_again_too(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=iter(rows("a", "b")), store=store))
    again = simulate()
    results = again.run(again.pool(items=iter(rows("a", "b", "c")), store=store))
    assert list(results) == ["a", "b", "c"]
    assert asked(again, "c")


class Verdict(Enum):
    SPAM = "spam"
    HAM = "ham"


@dataclass
class Review:
    verdict: Verdict
    score: int


SAID = '[[sim: say={"verdict": "ham", "score": 3}]]'


def test_typed_answers_come_back_as_what_they_were(simulate, store) -> None:
    sim = simulate()
    first = sim.run(sim.pool(sim.skill("{text}", output=Review), rows(SAID), store=store))
    again = simulate()
    pool = again.pool(again.skill("{text}", output=Review), rows(SAID), store=store)
    assert again.run(pool) == first == [Review(Verdict.HAM, 3)]
    assert again.ledger.requests == 0


def test_a_step_s_typed_answer_is_what_the_next_one_gets_of_it_again(simulate, store) -> None:
    def chain(sim: Any, words: str) -> Chain:
        review = sim.skill("{text}", output=Review)
        return Chain([(review, "review"), (lambda review: words + review.verdict.name, "said")])

    sim = simulate()
    assert sim.run(sim.pool(chain(sim, "it is "), rows(SAID), store=store)) == ["it is HAM"]
    again = simulate()
    assert again.run(again.pool(chain(again, "it's "), rows(SAID), store=store)) == ["it's HAM"]
    assert again.ledger.requests == 0


# Without the script.


def test_a_loaded_pool_has_the_results_and_goes_on(simulate, store) -> None:
    sim = simulate()
    chain = Chain([(sim.skill("one {text}"), "a"), (sim.skill("two {a}"), "b")], name="pair")
    sim.run(cut(sim.pool(chain, rows("x", "y", "z"), max_flows=1, store=store), 2.5))
    again = simulate()
    pool = Pool.load(store, environment=again.environment, progress=False)
    assert list(pool.results) == ["two one x", None, None]
    assert pool.status == {**dict.fromkeys(Status, 0), DONE: 1, PENDING: 2}
    assert list(again.run(pool)) == ["two one x", "two one y", "two one z"]
    assert pool.status[DONE] == 3
    assert asked(again, "one y", "two one y", "one z", "two one z")


def test_a_loaded_pool_retries_what_failed(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("a", "[[sim: 400 times=1]]"), store=store))
    pool = Pool.load(store, environment=sim.environment, progress=False)
    assert type(pool.results.failed[0].error) is BadRequest
    sim.run(pool.aretry())
    assert (pool.status[DONE], sim.ledger.requests) == (2, 3)


def test_shared_variables_come_back_with_the_run(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(sim.skill("{text} in {language}"), rows("a", "b"), max_flows=1, store=store)

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun({"language": "Dutch"}))
        await asyncio.sleep(1.5)
        pool.cancel()
        await running

    sim.run(main())
    again = simulate()
    loaded = Pool.load(store, environment=again.environment, progress=False)
    assert list(again.run(loaded)) == ["a in Dutch", "b in Dutch"]


def test_a_plain_function_must_be_passed_in_again(store) -> None:
    def shout(text):
        return text.upper()

    Pool(shout, rows("a", "b"), store=store).run()
    with pytest.raises(InvalidInput, match=r"'shout' can't be saved.*Pool\.load"):
        Pool.load(store)
    assert list(Pool.load(store, shout).results) == ["A", "B"]


def test_of_several_runs_one_is_named(simulate, store) -> None:
    sim = simulate()
    sim.run(sim.pool(items=rows("a"), store=store, name="first"))
    sim.run(sim.pool(items=rows("b"), store=store, name="second"))
    with pytest.raises(InvalidInput, match=r"several runs: name one of 2 \(second\), 1 \(first\)"):
        Pool.load(store)
    with pytest.raises(InvalidInput, match="no run 'third'"):
        Pool.load(store, run="third")
    assert list(Pool.load(store, run="first").results) == ["a"]


def test_resume_without_a_store_says_what_goes_on(simulate) -> None:
    with pytest.raises(InvalidInput, match=r"make the pool with store='run\.db'"):
        simulate().pool(items=1).resume()


# What can't be kept.


def test_an_item_that_can_not_be_kept_is_refused_before_anything_is_paid(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=[{"text": "a"}, {"text": "b", "image": object()}], store=store)
    with pytest.raises(
        InvalidInput, match=r"items\[1\]: a value of type builtins\.object can't be"
    ):
        sim.run(pool)
    assert sim.ledger.requests == 0


def test_an_output_that_can_not_be_kept_is_given_and_done_again(store) -> None:
    calls = []

    def odd(text):
        calls.append(text)
        return object()

    with pytest.warns(RuntimeWarning, match=r"items\[0\]: its output holds a value of type"):
        assert Pool(odd, rows("a"), store=store).run()[0] is not None
    with pytest.warns(RuntimeWarning, match="a resumed run does such items again"):
        Pool(odd, rows("a"), store=store).run()
    assert calls == ["a", "a"]


def test_a_full_disk_ends_the_run_with_everything_that_was_told_in_the_store(
    simulate, store
) -> None:
    sim = simulate()
    pool = sim.pool(
        items=[{"text": f"{n} " + "x" * 200} for n in range(200)], max_flows=4, store=store
    )
    told: list[str] = []

    async def main() -> None:
        with open_store(store) as held:
            running = asyncio.ensure_future(collect())
            await asyncio.sleep(3.5)
            (pages,) = held._db.execute("PRAGMA page_count").fetchone()
            held._db.execute(f"PRAGMA max_page_count = {pages}")
            await running

    async def collect() -> None:
        async for record in pool.astream():
            if record.status is DONE:
                told.append(record.output)

    with pytest.raises(StoreFailed, match="the disk is full: make room"):
        sim.run(main())
    assert pool.status[DONE] == len(told) < 200
    assert {type(r.error) for r in pool.results.failed} == {NotFinished}
    again = simulate()
    resumed = again.pool(items=pool.items, store=store)
    again.run(resumed)
    assert resumed.status == {**dict.fromkeys(Status, 0), DONE: 200}
    assert not {digest_of(text) for text in told} & again.ledger.answered.keys()


def test_a_store_that_is_a_folder_or_no_path_is_refused(simulate, tmp_path) -> None:
    sim = simulate()
    with pytest.raises(StoreRefused, match="is a folder: name a file"):
        sim.run(sim.pool(items=1, store=tmp_path))
    with pytest.raises(InvalidInput, match="store=7: name a file"):
        sim.pool(items=1, store=7)
    with pytest.raises(InvalidInput, match="key=7: use a variable's name"):
        sim.pool(items=1, store="x.db", key=7)


def test_a_store_that_is_refused_ends_a_stream_too(simulate, tmp_path) -> None:
    sim = simulate()

    async def main() -> None:
        async for _ in sim.pool(items=1, store=tmp_path).astream():
            pass

    with pytest.raises(StoreRefused, match="is a folder: name a file"):
        sim.run(main())
    with pytest.raises(StoreRefused, match="is a folder: name a file"):
        list(Pool(len, rows("one"), store=tmp_path, progress=False).stream())


def test_a_cancelled_item_is_still_to_do(simulate, store) -> None:
    sim = simulate()
    pool = sim.pool(items=4, max_flows=2, store=store, deadline=1.5)
    sim.run(pool)
    assert pool.status[CANCELLED] == 2
    with Reader(store) as reader:
        (run,) = reader.runs()
        assert reader.counts(run.id) == {**dict.fromkeys(Status, 0), DONE: 2, PENDING: 2}
        assert run.reason == "the run's deadline of 1.5 s passed"


def test_a_ceiling_counts_what_earlier_processes_spent(simulate, store) -> None:
    def pool_of(sim: Any, tokens: int) -> Pool:
        skill = sim.skill(options={"max_tokens": 10})
        pool: Pool = sim.pool(skill, 20, store=store, max_tokens_total=tokens, max_flows=2)
        return pool

    sim = simulate()
    first = pool_of(sim, 320)
    sim.run(first)
    assert 0 < first.status[DONE] < 20
    again = simulate()
    second = pool_of(again, 320)
    again.run(second)
    assert (second.status[DONE], again.ledger.requests) == (first.status[DONE], 0)
    assert second.spent.tokens == first.spent.tokens
    third = simulate()
    raised = pool_of(third, 100_000)
    third.run(raised)
    assert raised.status[DONE] == 20


def test_what_may_have_been_spent_at_a_cut_counts_in_the_next_run(simulate, store) -> None:
    sim = simulate()
    skill = sim.skill(options={"max_tokens": 10})
    pool = sim.pool(skill, 4, store=store, max_tokens_total=1000, max_flows=4)
    sim.run(cut(pool, 0.5))
    assert pool.spent.unknown_tokens > 0
    with Reader(store) as reader:
        (run,) = reader.runs()
        assert reader.spent(run.id).unknown_tokens == pool.spent.unknown_tokens
