"""Pipelines as files: what they say, what is refused with its line, and the schema that editors check them by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowpool import Chain, Skill
from flowpool.errors import InvalidInput
from flowpool.pipeline import build
from flowpool.pipeline.spec import Input, Output, RunOptions
from flowpool.settings import Settings
from flowpool.values import Limits

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
WHOLE = """\
input:
  path: rows.csv
  limit: 10-20
output: out.csv
run:
  max_flows: 5
  limits: {rpm: 100}
  store: run.db
skill:
  model: gpt-5-mini
  prompt: "Hi {text}"
  output: {choices: [a, b]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(text)
    return path


def test_a_pipeline_is_a_runner_with_input_output_and_terms(tmp_path: Path) -> None:
    found = build.read_pipeline(written(tmp_path, WHOLE), None)
    assert isinstance(found.runner, Skill)
    assert found.input == Input(path=str(tmp_path / "rows.csv"), limit="10-20")
    assert found.output == Output(path=str(tmp_path / "out.csv"))
    assert found.run == RunOptions(
        max_flows=5, limits=Limits(rpm=100), store=str(tmp_path / "run.db")
    )


def test_a_runners_file_is_a_pipeline_that_says_no_more(tmp_path: Path) -> None:
    text = "model: gpt-5-mini\nprompt: Hi\noutput: {choices: [a, b]}\n"
    found = build.read_pipeline(written(tmp_path, text), None)
    assert (found.input, found.output, found.run) == (Input(), Output(), RunOptions())
    chain = build.read_pipeline(EXAMPLES[0], None).runner
    assert isinstance(chain, Chain)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("limit: 10-20", "limit: 20-10", "line 1: input: limit 20-10: write 10 for"),
        ("limit: 10-20", "limits: 1", "line 3: input: 'limits' is not known: use path, sql"),
        ("max_flows: 5", "max_flows: [5]", "line 6: run.max_flows: "),
        ("rpm: 100", "rpm: -1", "line 7: run.limits: Limits(rpm=-1.0): use a number above 0"),
        ("output: out.csv", "output: {format: xml}", "line 4: output.format: "),
        ("model: gpt-5-mini", "modl: gpt-5-mini", "line 10: skill: 'modl' is not known"),
        ("choices: [a, b]", "choices: a", "line 12: skill.output: output: choices is a list"),
        ("skill:", "skil:", "line 9: skil: no skill, steps, chain, tool or function in it"),
        ("input:", "inputs:", "line 1: the file: 'inputs' is not known"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = written(tmp_path, WHOLE.replace(old, new))
    with pytest.raises(InvalidInput, match=re.escape(f"pipeline.yaml, {words}")):
        build.read_pipeline(path, None)


@pytest.mark.parametrize("line", ["input: rows.csv", "output: {path: o.csv}", "run: {retries: 1}"])
def test_beside_a_bare_skill_they_are_refused_with_the_fix(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"model: gpt-5-mini\nprompt: Hi\n{line}\n")
    with pytest.raises(InvalidInput, match=r"line 3: .* put model, prompt .* under `skill:`"):
        build.read_pipeline(path, None)


def test_the_run_of_a_file_has_every_setting_of_a_pool() -> None:
    assert {*Settings.__struct_fields__} < {*RunOptions.__struct_fields__}
    defaults = RunOptions().pool()
    assert {name: defaults[name] for name in ("max_flows", "on_error")} == {
        "max_flows": "auto",
        "on_error": "collect",
    }
