"""Typed answers on their way: through chains, prompts, records and files of definitions, and back again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from tests.conftest import Simulation

from flowpool import Chain, Pool, Skill
from flowpool.data.cells import encoded
from flowpool.data.layout import Layout
from flowpool.errors import InvalidInput
from flowpool.pipeline.build import describe, read
from flowpool.template import as_text


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


@dataclass
class Page:
    title: str
    mood: Mood


class Review(msgspec.Struct):
    score: int
    page: Page


class Note(BaseModel):
    text: str


DOCUMENT = "Read:\n\nThe film is good. It has 7 songs. The songs are good."
PAGE = Page("T", Mood.GOOD)


@pytest.mark.parametrize("kind", [Page, Review, Note], ids=lambda kind: kind.__name__)
def test_a_typed_answer_spreads_as_a_dict_does(simulate: type[Simulation], kind: Any) -> None:
    sim = simulate()
    name = next(iter(kind.__annotations__))
    echo: list[Any] = []
    chain = Chain([(sim.skill(DOCUMENT, output=kind), "seen"), lambda **names: echo.append(names)])
    sim.run(sim.pool(chain, [{}]))
    [names] = echo
    assert isinstance(names["seen"], kind)
    assert names[name] == getattr(names["seen"], name)


def test_dotted_paths_reach_into_typed_answers(simulate: type[Simulation]) -> None:
    sim = simulate()
    chain = Chain(
        [
            (sim.skill(DOCUMENT, output=Review), "review"),
            (
                sim.skill("Say: {review.page.mood} {review.score} {mood}"),
                "said",
                {"mood": "page.mood"},
            ),
        ]
    )
    assert sim.run(sim.pool(chain, [{}])) == ["good 7 good"]


def test_a_tools_record_stays_one_value(simulate: type[Simulation]) -> None:
    sim = simulate()

    async def find(title: str) -> Page:
        return PAGE

    def look(page: Page, title: str) -> str:
        return f"{page.title} {title}"

    chain = Chain([(find, "page"), look])
    assert sim.run(sim.pool(chain, [{"title": "mine"}])) == ["T mine"]


def test_a_name_that_an_answer_lacks_is_refused_before_any_call(simulate: type[Simulation]) -> None:
    sim = simulate()
    chain = Chain([(sim.skill(output=Page), "page"), sim.skill("{titel}")])
    with pytest.raises(InvalidInput, match="no 'titel'"):
        sim.run(sim.pool(chain, 3))
    assert sim.ledger.requests == 0


def test_only_the_last_turn_of_a_conversation_is_typed(simulate: type[Simulation]) -> None:
    sim = simulate()
    talk = [
        {"role": "user", "parts": ["Think.\n\nThis is good."]},
        {"role": "assistant"},
        {"role": "user", "parts": ["So?"]},
    ]
    skill = Skill(sim.model(), {"messages": talk}, {"choices": ["good", "bad"]})
    assert sim.run(sim.pool(skill, [{}])) == ["good"]
    assert sim.ledger.requests == 2


def test_records_hold_instances_and_their_lines_plain_data(simulate: type[Simulation]) -> None:
    sim = simulate()
    skill = sim.skill(DOCUMENT, output=Review)
    pool: Pool = sim.pool(skill, [{"born": Mood.BAD}], constant_prompt=True)
    [review] = sim.run(pool)
    assert isinstance(review, Review)
    [record] = pool._session.records()
    told = {"score": 7, "page": {"title": review.page.title, "mood": "good"}}
    assert record.output is review
    assert record.as_dict()["output"] == told
    row = Layout().row(record)
    assert json.loads(encoded(row)) == {"born": "bad", **told}
    assert skill.answer.load(told) == review


def test_typed_values_stand_in_prompts_as_json() -> None:
    assert as_text(PAGE) == '{"title":"T","mood":"good"}'
    assert as_text([Note(text="x")]) == '[{"text":"x"}]'
    assert as_text(Mood.GOOD) == "good"
    assert as_text({"mood": Mood.BAD}) == '{"mood":"bad"}'


def saved(skill: Skill, path: Path) -> Path:
    Chain([skill]).save(path / "chain.yaml")
    return path / "chain.yaml"


def loaded(path: Path, **settings: Any) -> Skill:
    chain = read(path, **settings)
    assert isinstance(chain, Chain)
    skill = chain.stages[0][0].runner
    assert isinstance(skill, Skill)
    return skill


OUTPUTS: list[Any] = [
    {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}},
    {"choices": ["spam", "ham"]},
    {"fields": {"name": "string", "age": "integer?", "kind": "a | b", "tags": ["string"]}},
    {"fields": [{"name": "string", "when": {"day": "date"}}]},
    {"format": {"type": "json"}},
]


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_a_described_output_comes_back_as_it_was_written(output: Any, tmp_path: Path) -> None:
    skill = Skill("gpt-5-mini", prompt="x", output=output, output_retries=0)
    back = loaded(saved(skill, tmp_path))
    assert back.definition() == skill.definition()
    assert back.answer.format == skill.answer.format
    assert back.output_retries == 0


def test_the_short_form_reads_as_people_write_it(tmp_path: Path) -> None:
    (tmp_path / "skill.yaml").write_text(
        "model: gpt-5-mini\nprompt: 'Read {text}'\n"
        "output: {fields: {name: string, age: integer?, kind: spam | ham, tags: [string]}}\n"
    )
    skill = read(tmp_path / "skill.yaml")
    assert isinstance(skill, Skill)
    assert skill.answer.read('{"name": "A", "kind": "Ham", "tags": []}') == {
        "name": "A",
        "kind": "ham",
        "tags": [],
        "age": None,
    }


def test_a_type_is_saved_as_its_schema_and_loaded_where_the_file_is_trusted(
    tmp_path: Path,
) -> None:
    path = saved(Skill("gpt-5-mini", prompt="x", output=Note), tmp_path)
    told = describe(loaded(path))["output"]
    assert told == {
        "schema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        }
    }
    assert loaded(path).answer.read('{"text": "x"}') == {"text": "x"}
    trusted = loaded(path, trusted=True).answer
    assert trusted.kind is Note or trusted.kind.__name__ == "Note"
    assert isinstance(trusted.read('{"text": "x"}'), trusted.kind)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            "{python: 'no_such_module:X', schema: {type: string}}",
            "no_such_module:X can't be imported",
        ),
        ("{python: os, schema: {type: string}}", "skill.output: python is 'module:name', not 'os'"),
        ("{fields: {a: text}}", "skill.output: output.fields.a: 'text': use one of string"),
        ("{choices: spam}", "choices is a list"),
        ("json", "pass a type, a JSON Schema"),
    ],
)
def test_a_wrong_output_is_refused_with_its_place(output: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(f"steps:\n  - skill: {{model: gpt-5, prompt: x, output: {output}}}\n")
    with pytest.raises(InvalidInput) as caught:
        read(path, trusted=True)
    assert says in str(caught.value)
    assert "steps[0].skill" in str(caught.value)
