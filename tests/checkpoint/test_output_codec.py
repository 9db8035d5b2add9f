"""Answers are equal before and after the store, of whatever type they are."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from tests.checkpoint.typed_kinds import KEPT, Bits, Cat, Mood, Person, Private, Share, Stamped
from tests.conftest import Simulation

from flowpool import Chain, Pool, Results
from flowpool.errors import InvalidOutput
from flowpool.structured import answer_of
from flowpool.structured.equal import are_equal
from flowpool.values import Status


def twice(runner: Any, items: Any, path: Path, simulate: type[Simulation], **settings: Any) -> Any:
    """The outputs of a run, those that its store gives another process, and how many calls both took."""
    seen: list[Any] = []
    for _ in range(2):
        sim = simulate()
        pool = sim.pool(
            runner(sim), items, store=path, name="run", constant_prompt=True, **settings
        )
        seen.append((sim.run(pool), sim.ledger.requests))
        stored = Pool.load(path, runner(sim), environment=sim.environment).results
        assert are_equal([*stored], [*seen[0][0]])
    return seen


@pytest.mark.parametrize(("kind", "said"), KEPT, ids=lambda part: re.sub(" at 0x.*", "", str(part)))
def test_an_accepted_answer_is_equal_before_and_after_the_store(
    kind: Any, said: str, tmp_path: Path, simulate: type[Simulation]
) -> None:
    (first, asked), (again, asked_again) = twice(
        lambda sim: sim.skill(f"[[sim: say={said}]]Say it.", output=kind),
        [{}],
        tmp_path / "s.db",
        simulate,
    )
    assert (asked, asked_again) == (1, 0)
    assert first.failed == again.failed == []
    assert type(again[0]) is type(first[0])
    assert are_equal(again[0], first[0])
    # A set's values are in any order.
    assert sorted(repr(again[0])) == sorted(repr(first[0])) or "object at" in repr(again[0])
    assert are_equal(answer_of(kind).read(said), first[0]) or kind is Stamped


def test_what_the_type_makes_of_a_value_is_made_once() -> None:
    assert answer_of(Share).read('{"part": 50}') == Share.model_construct(part=0.5)
    assert answer_of(Share).read('{"part": "50%"}').part == 0.5


def test_a_chains_typed_answers_come_back_each_as_its_own(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    def chain(sim: Simulation) -> Chain:
        share = sim.skill('[[sim: say={"part": 50}]]Say.', output=Share)
        mood = sim.skill('[[sim: say="fine"]]Say.', output=Mood)
        private = sim.skill('[[sim: say={"a": 4}]]{part}', output=Private)
        return Chain([[(share, "share"), (mood, "mood")], [(private, "private"), (share, "same")]])

    (first, asked), (again, asked_again) = twice(chain, [{}], tmp_path / "s.db", simulate)
    assert (asked, asked_again) == (4, 0)
    assert first[0]["same"].part == again[0]["same"].part == 0.5
    assert again[0]["private"]._seen == 8


def test_steps_of_an_item_that_did_not_end_come_back_the_same(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    seen: list[Any] = []
    fails = [True]

    def look(share: Share) -> float:
        seen.append(share)
        if fails.pop():
            raise OSError("not now")
        return share.part

    def chain(sim: Simulation) -> Chain:
        share = sim.skill('[[sim: say={"part": 50}]]Say.', output=Share)
        return Chain([(share, "share"), look], name="c")

    for _ in range(2):
        sim = simulate()
        pool = sim.pool(chain(sim), [{}], store=tmp_path / "s.db", constant_prompt=True)
        sim.run(_drained(pool))
        fails.append(False)
    assert [share.part for share in seen] == [0.5, 0.5]


async def _drained(pool: Pool) -> None:
    async for _ in pool.astream(retry_failed=True):
        pass


def test_answers_that_items_share_are_kept_for_each(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    (first, asked), (again, asked_again) = twice(
        lambda sim: sim.skill('[[sim: say={"part": 50}]]Say.', output=Share),
        [{"n": 1}, {"n": 2}, {"n": 3}],
        tmp_path / "s.db",
        simulate,
        dedupe=True,
    )
    assert (asked, asked_again) == (1, 0)
    assert [share.part for share in first] == [share.part for share in again] == [0.5] * 3


def test_what_a_chain_that_stopped_early_gave_is_not_taken_for_its_last_steps(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    def chain(said: str, kind: Any) -> Any:
        def made(sim: Simulation) -> Chain:
            first = sim.skill(f"[[sim: say={said}]]Say.", output=kind)
            last = sim.skill("[[sim: 400]]Say.", output=Person)
            return Chain([(first, "first"), last], on_step_error="stop")

        return made

    for at, (said, kind) in enumerate(
        [('{"name": "A"}', None), ('{"kind": "cat"}', Cat), ('{"part": 50}', Share)]
    ):
        (first, _), (again, _) = twice(chain(said, kind), [{}], tmp_path / f"{at}.db", simulate)
        assert first[0] == again[0] == answer_of(kind).read(said)
        assert type(again[0]) is (kind or str)


def test_files_and_sql_have_the_plain_form_whatever_is_kept_beside_it(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    path = tmp_path / "s.db"
    sim = simulate()
    skill = sim.skill('[[sim: say={"part": 50}]]Say.', output=Share)
    sim.run(sim.pool(skill, [{}], store=path, constant_prompt=True))
    untrusted = Pool.load(path, environment=sim.environment)
    assert untrusted.results == [{"part": 0.5}]


def test_a_value_that_no_way_gives_back_is_told_of_and_asked_again(
    tmp_path: Path, simulate: type[Simulation]
) -> None:
    sim = simulate()
    skill = sim.skill('[[sim: say={"a": 1}]]Say.', output=Bits)
    pool = sim.pool(skill, [{}], store=tmp_path / "s.db", constant_prompt=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        results: Results = sim.run(pool)
    assert isinstance(results[0], Bits)
    assert "a resumed run does such items again" in str(told[0].message)
    assert pool.status[Status.DONE] == 1


def check_by_environment(n: int) -> int:
    """A check whose change no store can see."""
    if "FLOWPOOL_TEST_REFUSES" in os.environ:
        raise {"value": ValueError, "key": KeyError}[os.environ["FLOWPOOL_TEST_REFUSES"]]("no more")
    return n


class Checked(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, value: int) -> int:
        return check_by_environment(value)


@dataclass
class CheckedAfter:
    n: int

    def __post_init__(self) -> None:
        check_by_environment(self.n)


@pytest.mark.parametrize("error", ["value", "key"])
@pytest.mark.parametrize("kind", [Checked, CheckedAfter])
def test_a_kept_answer_that_its_type_refuses_now_is_asked_again(
    kind: Any, error: str, tmp_path: Path, simulate: type[Simulation], monkeypatch: Any
) -> None:
    def skill(sim: Simulation) -> Any:
        return sim.skill('[[sim: say={"n": 1}]]Say.', output=kind)

    twice(skill, [{}, {}], tmp_path / "s.db", simulate)
    monkeypatch.setenv("FLOWPOOL_TEST_REFUSES", error)
    with pytest.warns(RuntimeWarning, match=f"2 kept answers of type {kind.__name__} do not fit"):
        loaded = Pool.load(tmp_path / "s.db", skill(simulate())).results
    assert loaded == [{"n": 1}] * 2
    sim = simulate()
    pool = sim.pool(skill(sim), [{}, {}], store=tmp_path / "s.db", name="run", constant_prompt=True)
    results = sim.run(pool)
    assert sim.ledger.requests >= 2
    assert len(results.failed) == 2
    assert pool.status[Status.FAILED] == 2


def test_a_kept_answer_of_a_chain_that_its_type_refuses_now_is_asked_again(
    tmp_path: Path, simulate: type[Simulation], monkeypatch: Any
) -> None:
    def chain(sim: Simulation) -> Chain:
        text = sim.skill("[[sim: say=fine]]Say.", name="text")
        return Chain([(text, "text"), sim.skill('[[sim: say={"n": 1}]]{text}', output=Checked)])

    twice(chain, [{}], tmp_path / "s.db", simulate)
    monkeypatch.setenv("FLOWPOOL_TEST_REFUSES", "value")
    sim = simulate()
    pool = sim.pool(chain(sim), [{}], store=tmp_path / "s.db", name="run", constant_prompt=True)
    results = sim.run(pool)
    assert isinstance(results.failed[0].error, InvalidOutput)


def test_a_steps_kept_answer_that_its_type_refuses_now_is_asked_again(
    tmp_path: Path, simulate: type[Simulation], monkeypatch: Any
) -> None:
    seen: list[Any] = []
    fails = [True]

    def look(checked: Checked) -> int:
        if fails.pop():
            raise OSError("not now")
        seen.append(checked)
        return checked.n

    def ask() -> int:
        sim = simulate()
        checked = sim.skill('[[sim: say={"n": 1}]]Say.', output=Checked)
        chain = Chain([(checked, "checked"), look], name="c")
        pool = sim.pool(chain, [{}], store=tmp_path / "s.db", constant_prompt=True)
        sim.run(_drained(pool))
        return sim.ledger.requests

    assert ask() == 1
    monkeypatch.setenv("FLOWPOOL_TEST_REFUSES", "value")
    assert ask() > 0
    assert seen == []
