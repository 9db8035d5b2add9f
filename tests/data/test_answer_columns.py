"""The columns of answers that nobody got: they are there, empty, and of the type that they would have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import read_table

from flowpool import Chain, read
from flowpool.values import AnswerColumns, Status

FIELDS = {"fields": {"name": "string", "age": "integer?", "share": "number", "is_new": "boolean"}}
TYPES = {"name": pa.string(), "age": pa.int64(), "share": pa.float64(), "is_new": pa.bool_()}


def failed(simulate: Any, output: Any = None, items: Any = 3, **settings: Any) -> Any:
    """The results of a run all of whose calls fail."""
    sim = simulate()
    prompt = "[[sim: 400 times=9]] {text}"
    results = sim.run(sim.pool(sim.skill(prompt, output=output), items, **settings))
    assert {record.status for record in results.records} == {Status.FAILED}
    return results


def test_a_run_without_answers_has_their_columns_with_their_types(simulate) -> None:
    table = failed(simulate, FIELDS).to_arrow()
    assert {name: table.schema.field(name).type for name in TYPES} == TYPES
    assert table.column("age").null_count == 3
    frame = failed(simulate, FIELDS).to_pandas()
    assert list(map(str, frame.dtypes))[1:] == ["object", "Int64", "float64", "boolean"]
    frame = failed(simulate, FIELDS).to_polars()
    assert list(map(str, frame.dtypes)) == ["String", "String", "Int64", "Float64", "Boolean"]


def test_text_and_choices_are_a_column_of_text(simulate) -> None:
    for output in (None, {"choices": ["a", "b"]}):
        assert failed(simulate, output).to_arrow().schema.field("output").type == pa.string()
    assert failed(simulate).to_arrow(output="said").column_names == ["text", "said"]


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_files_have_the_columns_too(simulate, tmp_path: Path, name: str) -> None:
    failed(simulate, FIELDS).write(tmp_path / name)
    [first, *_] = read(tmp_path / name)
    assert list(first) == ["text", *TYPES]
    if name == "x.parquet":
        schema = read_table(tmp_path / name).schema
        assert {column: schema.field(column).type for column in TYPES} == TYPES


def test_a_frame_comes_back_with_them(simulate) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"text": ["a", "b"], "name": [1, 2]})
    found = failed(simulate, FIELDS, frame).frame()
    assert found.columns == ["text", "name", "name_output", "age", "share", "is_new"]
    assert found.schema["name_output"] == polars.String


def test_what_a_plan_knows_of_its_answers(simulate) -> None:
    sim = simulate()
    skill = sim.skill(output=FIELDS)
    known = sim.pool(skill)._session.plan.answers
    assert known.fields == {
        "name": "string",
        "age": "integer",
        "share": "number",
        "is_new": "boolean",
    }

    def answers(runner: Any) -> AnswerColumns:
        found: AnswerColumns = sim.pool(runner)._session.plan.answers
        return found

    assert answers(Chain([(sim.skill(), "said")])) == AnswerColumns("said", {}, "string")
    assert answers(Chain([[(sim.skill(), "a"), (skill, "b")]])).fields == {"a": "string", "b": ""}
    assert answers(lambda text: text) == AnswerColumns("output")
    assert answers(sim.skill(output={"format": {"type": "json"}})) == AnswerColumns("output")
    assert answers(sim.skill(output=list[int])) == AnswerColumns("output", {}, "array")


def test_an_answer_that_was_skipped_adds_no_column(simulate) -> None:
    sim = simulate()
    rows = [{"text": ""}, {"text": "b"}]
    results = sim.run(sim.pool(sim.skill(output=FIELDS), rows, on_empty="skip"))
    assert results.to_arrow().column_names == ["text", *TYPES]
