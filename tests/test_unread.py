"""Options that nobody would read: each is refused by its name, before anything is paid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Limits, Model, Pool, Skill, read, tool
from flowpool.chain import Step
from flowpool.errors import InvalidInput
from flowpool.tools import fetch

ROWS = [{"text": "a"}]
USER = {"role": "user", "parts": ["{text}"]}


def skill(**settings: Any) -> Skill:
    return Skill("gpt-5-mini", prompt="{text}", **settings)


def pool(**settings: Any) -> Pool:
    return Pool(skill(), ROWS, **settings)


def same(text: str) -> str:
    return text


def sole(t):
    return t


def sole_or_none(t=None):
    return t


def whole(row: dict[str, Any]) -> int:
    return len(row)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Chain([(fetch, "page", {}, {"retrys": 3})]), "fetch doesn't take 'retrys': its"),
        (lambda: Chain([Step(fetch, "page", {}, {"retrys": 3})]), "doesn't take 'retrys'"),
        (lambda: Chain([(fetch, "page", {"ur": "link"})]), "fetch doesn't take 'ur'"),
        (lambda: Chain([(fetch, "p", {"allow_private": "x"})]), "doesn't take 'allow_private'"),
        (lambda: Chain([(same, "page", None, {"txt": 3})]), "same doesn't take 'txt'"),
        (
            lambda: Chain([(sole, "u", {"z": "text"})]),
            "sole doesn't take 'z': its parameters are t;",
        ),
        (lambda: Chain([(sole_or_none, "u", {"z": "text"})]), "sole_or_none doesn't take 'z'"),
        (lambda: Chain([(sole, "u", {"t": "text", "z": "n"})]), "sole doesn't take 'z'"),
        (lambda: Chain([(whole, "u", {"row": "page", "z": "n"})]), "whole doesn't take 'z'"),
        (lambda: Chain([[(sole, "u", {"z": "text"})]]), "steps[0][0]: sole doesn't take 'z'"),
        (lambda: Chain([(skill(), "x", {"txt": "page"})]), "has no {txt}: it has text"),
        (lambda: skill(options={"n": 3}), "n=3 is paid 3 times"),
        (lambda: Model("gemini-2.5-flash", {"generationConfig": {"candidateCount": 2}}), "paid 2"),
        (lambda: Model("gpt-5-mini", {"timeout": 3}), "pass timeout= to Model(...)"),
        (lambda: Model("gpt-5-mini", {"messages": []}), "'messages'] would replace the prompt"),
        (lambda: Skill("gpt-5", {"messages": [USER], "top_p": 0}), "input: 'top_p'"),
        (lambda: Skill("gpt-5", {"messages": [{**USER, "name": "x"}]}), "0]: 'name' is not known"),
        (lambda: Skill("gpt-5", prompt=[{"text": "{t}", "cache_control": {}}]), "'cache_control'"),
        (lambda: Skill("gpt-5", prompt=[{"image": "{p}", "detail": "high"}]), "'detail' is not"),
        (lambda: skill(retries=True), "retries=True: use 0 or more"),
        (lambda: skill(timeout=True), "timeout=True: use seconds"),
        (lambda: skill(output_retries=True), "output_retries=True"),
        (lambda: tool(same, options_only=("txt",)), "options_only names 'txt'"),
        (lambda: Pool(skill(), ROWS, key="text"), "key='text' tells items apart in a store"),
        (lambda: pool(progress="log.txt"), "progress='log.txt': use True"),
        (lambda: pool(name=5), "name and description are text"),
        (lambda: pool(columns=["text"]), "columns=['text']: use"),
        (lambda: Pool(same, ROWS, max_cost=1.0), "max_cost=1.0 bounds the calls of skills"),
        (lambda: Pool(same, ROWS).retry(max_tokens_total=9), "max_tokens_total=9 bounds"),
        (lambda: Pool(same, ROWS, limits=Limits(tpm=9)), "tpm=9) counts a model's tokens, and"),
        (lambda: Pool(same, ROWS, limits=Limits(output_tpm=9)), "output_tpm=9) counts"),
        (
            lambda: Pool(Chain([same, same]), ROWS, limits=Limits(rpm=9)),
            "no step of 'chain' asks one: give its steps max_flows",
        ),
        (lambda: skill(output={"choises": ["a"]}), "output: 'choises' is not known here: pass"),
        (lambda: skill(output={"choices": ["a"], "strict": True}), "'strict' is not known here"),
        (lambda: skill(output={"fields": {"a": "string"}, "required": ["a"]}), "'required' is not"),
        (lambda: skill(output={"schema": {"type": "object"}, "nme": "x"}), "use schema and name"),
        (lambda: skill(output={"format": {"type": "json", "x": 1}}), "output.format: 'x' is not"),
        (lambda: skill(output={"format": {"type": "text"}, "modality": []}), "'modality' is not"),
        (
            lambda: skill(output={"type": "object", "propertis": {}}),
            "output: 'propertis' is no keyword: did you mean 'properties'?",
        ),
        (
            lambda: skill(output={"properties": {"a": {"type": "string", "enums": ["x"]}}}),
            "output.properties.a: 'enums' is no keyword: did you mean 'enum'?",
        ),
        (lambda: read(ROWS, format="csv"), "format='csv' is for files"),
        (lambda: read(".", format="csv"), "is a folder"),
    ],
)
def test_what_nobody_would_read_is_refused_by_name(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "retries", "deadline", "items"])
def test_a_pool_stays_as_it_was_made(name: str) -> None:
    pool = Pool(same, ROWS)
    with pytest.raises(AttributeError, match=rf"pool.{name} can't be changed: pass {name}= to"):
        setattr(pool, name, 5)


@pytest.mark.parametrize(
    ("made", "name", "says"),
    [
        (skill(), "temperature", r"pass options={'temperature': \.\.\.} to Skill"),
        (skill(), "retries", r"pass retries= to Skill"),
        (skill(), "prompt", r"pass prompt= to Skill"),
        (Model("gpt-5-mini"), "temperature", r"pass options={'temperature': \.\.\.} to Model"),
        (Model("gpt-5-mini"), "base_url", r"pass base_url= to Model"),
        (Chain([same]), "on_step_error", r"pass on_step_error= to Chain"),
        (Chain([same]), "retries", r"leave it out"),
    ],
)
def test_what_is_set_on_a_runner_afterwards_is_refused(made: Any, name: str, says: str) -> None:
    with pytest.raises(AttributeError, match=rf"\.{name} can't be changed: {says}"):
        setattr(made, name, 0)


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    class Named(Skill):
        def __init__(self) -> None:
            super().__init__("gpt-5-mini", prompt="{text}")
            self.language = "en"

    assert Named().language == "en"


def test_one_answer_may_be_asked_for_by_name() -> None:
    assert skill(options={"n": 1}).options == {"n": 1}


def test_what_is_annotated_as_a_row_takes_any_names() -> None:
    assert Chain([(whole, "n", {"whatever": "text"})]).run({"text": "a"}) == 2


def test_options_of_a_file_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    results = Pool(same, ROWS, limits=Limits(concurrent=1)).run()
    with pytest.raises(InvalidInput, match="only CSV and TSV"):
        results.write(tmp_path / "x.jsonl", spreadsheet_safe=True)
    with pytest.raises(InvalidInput, match="append and overwrite: say one of them"):
        results.write(tmp_path / "x.csv", append=True, overwrite=True)
    assert list(results.to_pandas(inputs="text")) == ["text", "output"]


def test_an_unknown_option_of_a_step_is_named_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text("steps:\n  - tool: fetch\n    key: page\n    options: {retrys: 3}\n")
    with pytest.raises(InvalidInput, match=r"chain.yaml, line \d: .*fetch doesn't take 'retrys'"):
        Chain.load(path)


@pytest.mark.parametrize("name", [":memory:", "file:run.db?mode=memory", "sqlite:///run.db"])
def test_a_store_is_a_file_and_nothing_else(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no file's path: name one, such as 'run.db'"):
        Pool(same, ROWS, store=name)
