"""Items that have nothing for a variable of a prompt: asked about and told, passed over, or failed."""

from __future__ import annotations

from typing import Any

import pytest

from flowpool import Chain
from flowpool.errors import InvalidInput, InvalidItem
from flowpool.values import Status

EMPTY = ["", " \n", None, float("nan")]
ROWS: list[dict[str, Any]] = [{"text": text} for text in ("full", *EMPTY)]


def test_items_with_nothing_in_them_are_asked_about_and_told_of_once(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=ROWS)
    with pytest.warns(RuntimeWarning, match="4 of 5 items have nothing in 'text'") as told:
        sim.run(pool)
    assert len(told) == 1
    assert sim.ledger.requests == 5
    assert pool.snapshot.empty == {"text": 4}


def test_a_missing_value_is_no_text_in_a_prompt(simulate) -> None:
    sim = simulate()
    with pytest.warns(RuntimeWarning, match="nothing in 'b'"):
        results = sim.run(sim.pool(sim.skill("({a}{b})"), [{"a": "x", "b": float("nan")}]))
    assert list(results) == ["(x)"]


def test_with_skip_no_call_is_made_and_the_output_is_none(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=ROWS, on_empty="skip")
    assert list(sim.run(pool)) == ["full", None, None, None, None]
    assert pool.status[Status.DONE] == 5
    assert sim.ledger.requests == 1
    assert pool.snapshot.empty == {"text": 4}


def test_with_fail_an_item_fails_without_a_call(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=ROWS, on_empty="fail"))
    assert [type(error) for error in results.errors] == [InvalidItem] * 4
    assert str(results.errors[0]) == "there is nothing in 'text', and on_empty=\"fail\""
    assert sim.ledger.requests == 1


def test_a_step_that_yields_nothing_feeds_no_skill_that_is_to_skip(simulate) -> None:
    def cut(text: str) -> str:
        return ""

    sim = simulate()
    chain = Chain([(cut, "short"), (sim.skill("{short}"), "said"), (sim.skill("{said}"), "again")])
    assert list(sim.run(sim.pool(chain, 3, on_empty="skip"))) == [None] * 3
    assert sim.ledger.requests == 0


def test_what_is_empty_for_all_items_is_so_by_intent(simulate) -> None:
    sim = simulate()
    pool = sim.pool(sim.skill("{text}{more}"), 2, on_empty="fail")
    assert list(sim.run(pool.arun({"more": ""}))) == ["item 0", "item 1"]
    assert not pool.snapshot.empty


def test_what_to_do_is_one_of_three(simulate) -> None:
    with pytest.raises(InvalidInput, match="on_empty='drop': use one of 'ask', 'skip', 'fail'"):
        simulate().pool(on_empty="drop")
