from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flowpool import Pool, Record, Results, Skill, Status, Usage, read
from flowpool.errors import BadRequest, InvalidInput, NotFinished, StepFailed
from flowpool.run.environment import Environment
from flowpool.simulator import SimTransport, SimulatedProvider, run_virtual

GPT = "openai/gpt-5-mini"


def record(index: int, status: Status = Status.DONE, **fields: object) -> Record:
    return Record(index, {"n": index}, status, **fields)  # type: ignore[arg-type]


def test_results_are_a_list_of_outputs_in_order() -> None:
    results = Results([record(0, output="a"), record(1, Status.FAILED), record(2, output="c")])
    assert isinstance(results, list)
    assert results == ["a", None, "c"]
    assert list(zip("xyz", results, strict=True)) == [("x", "a"), ("y", None), ("z", "c")]
    assert [r.index for r in results.records] == [0, 1, 2]


def test_failed_has_every_record_without_an_output_and_errors_their_exceptions() -> None:
    error, reason = ValueError("odd"), NotFinished("cancelled")
    results = Results(
        [
            record(0, output="a"),
            record(1, Status.FAILED, error=error),
            record(2, Status.CANCELLED, error=reason),
            record(3, Status.PENDING),
        ]
    )
    assert [r.index for r in results.failed] == [1, 2, 3]
    assert results.errors == [error, reason]


def test_an_output_of_none_is_no_failure() -> None:
    results = Pool(lambda n: None, [{"n": 1}]).run()
    assert results == [None]
    assert not results.failed


def test_usage_is_the_sum_of_all_records() -> None:
    results = Results(
        [record(0, usage=Usage(10, 2)), record(1, Status.FAILED, usage=Usage(5)), record(2)]
    )
    assert results.usage == Usage(15, 2)
    assert Results([]).usage == Usage()


def test_cost_is_known_where_the_model_has_a_price() -> None:
    priced = record(0, model=GPT, usage=Usage(1_000_000, 0))
    unpriced = record(1, model="custom/mine", usage=Usage(1_000_000, 0))
    assert priced.cost
    assert priced.cost > 0
    assert unpriced.cost is None
    assert record(2).cost is None
    assert Results([priced, unpriced, priced]).cost == pytest.approx(2 * priced.cost)
    assert Results([unpriced, record(2)]).cost is None


def test_a_record_as_a_dict_is_plain_data() -> None:
    told = record(
        3, Status.FAILED, error=ValueError("odd"), duration=1.23456789, attempts=2
    ).as_dict()
    assert told == {
        "index": 3,
        "variables": {"n": 3},
        "status": 3,
        "output": None,
        "error": "ValueError: odd",
        "duration": 1.234568,
        "attempts": 2,
        "model": "",
        "input_tokens": 0,
        "output_tokens": 0,
    }
    assert type(told["status"]) is int
    assert record(0).as_dict()["error"] is None


def test_results_of_a_run_survive_pickling() -> None:
    async def run() -> Results:
        skill = Skill("gpt-5-mini", prompt="{text}", retries=0)
        texts = ["Hello there.", "[[sim: 400]] x", "[[sim: 500]] y"]
        environment = Environment(
            SimTransport(SimulatedProvider()), {"OPENAI_API_KEY": "key-canary"}, Random(0)
        )
        return await Pool(skill, [{"text": text} for text in texts], environment=environment).arun()

    results = run_virtual(run())
    back = pickle.loads(pickle.dumps(results))
    assert back == results == ["Hello there.", None, None]
    assert isinstance(back, Results)
    assert [str(e) for e in back.errors] == [str(e) for e in results.errors]
    assert isinstance(back.errors[0], BadRequest)
    assert back.usage == results.usage
    assert back.cost == results.cost


def test_a_functions_error_keeps_its_cause_in_a_pickle() -> None:
    def fails(n: int) -> int:
        raise ValueError(f"not {n}")

    [told] = pickle.loads(pickle.dumps(Pool(fails, [{"n": 1}]).run().records))
    error = told.error
    assert isinstance(error, StepFailed)
    assert repr(error.__cause__) == "ValueError('not 1')"


def test_records_tell_seconds_attempts_tokens_and_model() -> None:
    async def run() -> Results:
        skill = Skill("gpt-5-mini", prompt="[[sim: 500 times=1]] {text}")
        environment = Environment(
            SimTransport(SimulatedProvider()), {"OPENAI_API_KEY": "key-canary"}, Random(1)
        )
        await asyncio.sleep(5)
        return await Pool(skill, [{"text": "Hello there."}], environment=environment).arun()

    [told] = run_virtual(run()).records
    assert told.started == 5.0
    assert 0 < told.duration < 1
    assert (told.attempts, told.model, told.status) == (2, GPT, Status.DONE)
    assert told.usage.input_tokens
    assert told.usage.output_tokens


def test_a_slice_of_results_is_results_with_its_items_records() -> None:
    def halved(n: int) -> float:
        if n == 3:
            raise ValueError("three")
        return n / 2

    results = Pool(halved, [{"n": n} for n in range(6)], progress=False).run()
    part = results[2:5]
    assert type(part) is type(results)
    assert [*part] == [1.0, None, 2.0]
    assert [record.index for record in part.records] == [2, 3, 4]
    assert [record.index for record in part.failed] == [3]
    assert [record.index for record in results[::-1].records] == [5, 4, 3, 2, 1, 0]
    assert list(part.to_pandas()["n"]) == [2, 3, 4]
    assert results[:3].raise_if_incomplete() == [0.0, 0.5, 1.0]
    with pytest.raises(NotFinished, match="2 of 3 items are done"):
        part.raise_if_incomplete()
    assert results[0] == 0.0
    assert results[-1] == 2.5


@pytest.mark.parametrize(
    "made",
    [
        lambda results, folder: results.write(folder / "out.csv", inputs=["txt"]),
        lambda results, folder: results.write(folder / "out.jsonl", inputs="txt"),
        lambda results, folder: results.to_pandas(inputs=["id", "txt"]),
    ],
)
@pytest.mark.parametrize("make", [list, iter])
def test_an_input_column_that_isnt_there_is_refused_with_those_that_are(
    tmp_path: Path, made: Any, make: Any
) -> None:
    items = [{"id": 1, "text": "One"}, {"id": 2, "text": "Two", "more": "!"}]
    results = Pool(lambda text: text.upper(), make(items)).run()
    with pytest.raises(InvalidInput, match=r"inputs=.*: no column 'txt': there are id, text, more"):
        made(results, tmp_path)
    assert not list(tmp_path.iterdir())
    assert list(results.to_pandas(inputs=["text", "id"])) == ["text", "id", "output"]


def test_an_input_column_that_isnt_there_is_refused_before_the_run(tmp_path: Path) -> None:
    asked: list[str] = []
    (tmp_path / "rows.csv").write_text("number,body\n1,One\n")
    for items, names in (
        ([{"number": 1, "body": "One"}], "number, body"),
        (read(tmp_path / "rows.csv"), "number, body"),
        (read(tmp_path / "rows.csv", columns={"text": "body"}), "number, body"),
    ):
        pool = Pool(lambda number: asked.append(number), items)
        with pytest.raises(InvalidInput, match=f"no column 'txt': there are {names}"):
            pool.write(tmp_path / "out.csv", inputs=["txt"])
    assert not asked


def test_an_input_column_that_an_iterator_doesnt_have_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = iter([{"number": 1}, {"number": 2}])
    Pool(lambda number: number, items).write(tmp_path / "out.csv", inputs=["numbr"])
    assert [record.message for record in caplog.records] == [
        "inputs=: the first item has no 'numbr': there are number."
    ]
