from __future__ import annotations

import functools
import importlib
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool import Chain, Limits, Model, Skill
from flowpool.errors import InvalidInput
from flowpool.pipeline import build
from flowpool.tools import fetch, to_markdown
from flowpool.values import Media

SUMMARISE = Skill("claude-haiku-4-5", prompt="Summarise in one sentence: {text}", name="summarise")


def round_trip(runner: Any, folder: Path) -> Any:
    """The runner read back from its file; checks that its description is the same, in the same order."""
    path = folder / "runner.yaml"
    build.write(runner, path)
    back = build.read(path, trusted=True)
    description = build.describe(runner)
    assert build.describe(back) == description
    assert in_order(build.describe(back)) == in_order(description)
    return back


def in_order(data: Any) -> Any:
    if isinstance(data, dict):
        return [(name, in_order(value)) for name, value in data.items()]
    return [in_order(value) for value in data] if isinstance(data, list) else data


# Round trips

SKILLS = [
    SUMMARISE,
    Skill(
        [
            Model("gpt-5-mini", {"temperature": 1e-05, "stop": ["a", "b"]}, limits=Limits(rpm=3)),
            Model("qwen3", base_url="http://127.0.0.1:9/v1", timeout=5, retries=0),
            Model("gpt-5", provider="openai-responses"),
            Model("openai/gpt-5", provider="openrouter"),
            "groq/llama-4",
        ],
        {
            "messages": (
                {"role": "system", "parts": ["Be {mood}.\n\nAlways.\n"]},
                {"role": "user", "parts": ("See", Media("image/png", url="http://host/{name}"))},
                {"role": "assistant"},
                {"role": "user", "parts": [{"type": "file", "url": "http://host/a.pdf"}]},
            )
        },
        {
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {"z": {}, "a": {}}},
            }
        },
        {"mood": "kind", "since": date(2024, 1, 1), "several": (1, None, True)},
        {"max_tokens": 50},
        "look",
        "Looks at it.",
        2,
        0.5,
        timeout=1.5,
    ),
]


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_a_skill_comes_back_from_its_file(skill: Skill, tmp_path: Path) -> None:
    back = round_trip(skill, tmp_path)
    assert back.names == skill.names
    assert [repr(model) for model in back.models] == [repr(model) for model in skill.models]
    assert [model.model for model in back.models] == [model.model for model in skill.models]
    assert [model.limits for model in back.models] == [model.limits for model in skill.models]


def shout(text: str, mark: str = "!") -> str:
    return text.upper() + mark


def test_chains_of_every_form_come_back_from_their_files(tmp_path: Path) -> None:
    inner = Chain([(SUMMARISE, "inner")], {"text": "x"}, "inner chain", "Inside.", "skip")
    chain = Chain(
        [
            (fetch, "page", {"url": "source"}, {"allow_private": True, "timeout": 5}),
            (to_markdown, "text", {"source": "page"}),
            [
                (SUMMARISE, "a"),
                (inner, "b", {"text": "page.title"}, {"max_flows": 3, "retries": 1}),
            ],
            SUMMARISE,
        ],
        {"no": "on", "yes": False},
        "per_url",
        "Fetches and tells.",
        "stop",
    )
    back = round_trip(chain, tmp_path)
    assert repr(back) == repr(chain)
    text = (tmp_path / "runner.yaml").read_text()
    assert text.startswith("name: per_url\ndescription: Fetches and tells.\nvariables:\n  no: on")


def test_the_order_of_names_in_a_file_is_theirs_in_the_definition(tmp_path: Path) -> None:
    round_trip(Skill("gpt-5-mini", prompt="x", variables={"z": 1, "a": 2, "m": 3}), tmp_path)
    text = (tmp_path / "runner.yaml").read_text()
    assert re.findall(r"^ *(\w+):", text, re.M) == ["model", "prompt", "variables", "z", "a", "m"]


def test_a_shared_value_is_written_out_each_time(tmp_path: Path) -> None:
    model = Model("gpt-5-mini", {"temperature": 0})
    chain = Chain([(Skill(model, prompt="a"), "a"), (Skill(model, prompt="b"), "b")])
    round_trip(chain, tmp_path)
    assert "&" not in (tmp_path / "runner.yaml").read_text()


@settings(deadline=None, derandomize=True)
@given(st.text(min_size=1).filter(str.strip))
def test_every_prompt_comes_back_to_the_letter(prompt: str) -> None:
    path = _scratch() / "prompt.yaml"
    build.write(Skill("gpt-5-mini", prompt=prompt), path)
    assert build.describe(build.read(path))["prompt"] == prompt


@pytest.mark.parametrize(
    "prompt",
    ["no", "on", "null", "~", "1e5", "2024-01-01", "- x", "a: b", "# x", "x " * 200 + "  end", "a\n\n  b \n\n",
     "\n lead", "a\tb\n\tc", "a\r\nb", "\x85\u2028\ufeff", "x\x00y", "---\na", "%TAG", "'", '"', "é\n😀"],
)  # fmt: skip
def test_prompts_that_yaml_would_read_otherwise_come_back(prompt: str, tmp_path: Path) -> None:
    assert (
        build.describe(round_trip(Skill("gpt-5-mini", prompt=prompt), tmp_path))["prompt"] == prompt
    )


def test_a_prompt_of_several_lines_can_be_read_in_its_file(tmp_path: Path) -> None:
    round_trip(Skill("gpt-5-mini", prompt="Summarise:\n\n{text}"), tmp_path)
    assert "prompt: |-\n  Summarise:\n\n  {text}\n" in (tmp_path / "runner.yaml").read_text()


@functools.cache
def _scratch() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp())


def test_a_tools_preset_arguments_are_the_steps_options_in_its_file(tmp_path: Path) -> None:
    build.write(Chain([(fetch.with_options(allow_private=True), "page")]), tmp_path / "c.yaml")
    [[step]] = Chain.load(tmp_path / "c.yaml", trusted=True).stages
    assert (step.runner, step.options) == (fetch, {"allow_private": True})


MODULE = """
from flowpool import Skill, Tool, tool

def shout(text):
    return text.upper()

class Whisper(Tool):
    def run(self, text):
        return text.lower()

class Named(Tool):
    def __init__(self, word):
        self.word = word

    def run(self, text):
        return self.word

ask = Skill("gpt-5-mini", prompt="{text}")
"""


def test_functions_and_tools_of_a_module_are_named_by_module_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "steps_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("steps_of_mine")
    chain = Chain([(mine.shout, "loud"), (mine.Whisper, "low"), (mine.Whisper(), "lower")])
    functions = [entry["function"] for entry in build.describe(chain)["steps"]]
    assert functions == ["steps_of_mine:shout", "steps_of_mine:Whisper", "steps_of_mine:Whisper"]
    assert repr(round_trip(chain, tmp_path)) == repr(chain)
    with pytest.raises(InvalidInput, match="the step 'Named' can't be saved"):
        build.describe(Chain([mine.Named("x")]))
    (tmp_path / "c.yaml").write_text("function: steps_of_mine:ask")
    assert build.read(tmp_path / "c.yaml", trusted=True) is mine.ask


# What can't be saved


def test_what_a_file_cannot_hold_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text("old")

    def local(text: str) -> str:
        return text

    for runner in (
        Chain([local]),
        Chain([lambda text: text]),
        Chain([functools.partial(shout, mark="?")]),
        Chain([Skill("gpt-5-mini", prompt="x", variables={"a": object()})]),
        Chain([SUMMARISE], {"a": {1: [print]}}),
    ):
        with pytest.raises(InvalidInput, match="can't be saved: ") as caught:
            runner.save(path)
        assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    with pytest.raises(InvalidInput, match="fetch with options can't be saved"):
        build.describe(fetch.with_options(timeout=5))


def test_keys_are_never_written(tmp_path: Path) -> None:
    client = {"default_headers": {"Authorization": "Bearer key-canary"}, "api_key": "key-canary"}
    for model in (Model("gpt-5-mini", api_key="key-canary"), Model("gpt-5-mini", None, client)):
        Chain([Skill(model, prompt="x")]).save(tmp_path / "c.yaml")
        assert "canary" not in (tmp_path / "c.yaml").read_text()


# Reading


def test_a_key_given_at_loading_is_for_the_files_models(tmp_path: Path) -> None:
    Chain([SUMMARISE, (Chain([SUMMARISE]), "x")]).save(tmp_path / "c.yaml")
    chain = Chain.load(tmp_path / "c.yaml", "key-canary")
    [[first], [second]] = chain.stages
    assert isinstance(first.runner, Skill)
    assert isinstance(second.runner, Chain)
    inner = second.runner.stages[0][0].runner
    assert isinstance(inner, Skill)
    for skill in (first.runner, inner):
        assert skill.models[0].endpoint({}).key.reveal() == "key-canary"


def test_a_file_with_a_skill_or_tool_loads_as_a_chain_of_one(tmp_path: Path) -> None:
    for text in ("model: gpt-5-mini\nprompt: Say {text}\n", "tool: fetch\n"):
        (tmp_path / "c.yaml").write_text(text)
        assert len(Chain.load(tmp_path / "c.yaml").stages) == 1


def test_no_and_on_are_words(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: gpt-5-mini\nprompt: no\nname: on\nvariables: {yes: off}\n")
    skill = build.read(path)
    assert isinstance(skill, Skill)
    assert (skill.name, skill.variables, skill.names) == ("on", {"yes": "off"}, frozenset())


def test_a_python_function_runs_only_from_a_trusted_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("steps:\n  - function: string:capwords\n    inputs: {s: text}\n")
    with pytest.raises(
        InvalidInput, match=r"steps\[0\]: it runs the Python function string:capwords: if you"
    ):
        Chain.load(path)
    chain = Chain.load(path, trusted=True)
    assert chain.stages[0][0].runner.name == "capwords"
    path.write_text("steps:\n  - function: flowpool.pipeline.build:_scratch.x\n")
    with pytest.raises(InvalidInput, match=r"steps\[0\]: .* can't be imported"):
        Chain.load(path, trusted=True)
    path.write_text("steps:\n  - function: no_such_module_here:x\n")
    with pytest.raises(InvalidInput, match=r"can't be imported: No module named"):
        Chain.load(path, trusted=True)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
STEP = "steps:\n  - "
BAD = [
    ("", "the file: names with values are needed, and there is nothing"),
    ("just text", "the file: names with values are needed, and there is str"),
    ("a: [", "line 1: not YAML: "),
    ("name: x\n\tsteps: y", "line 2: not YAML: "),
    ("name: x\nname: y", 'line 2: not YAML: found duplicate key "name"'),
    ("a: 1\n--- \nb: 2", "line 2: not YAML: "),
    ("x: !!python/object/apply:os.getcwd []", "line 1: not YAML: could not determine a constructor"),
    ("x: !code y", "line 1: not YAML: "),
    ("a: \x01", "not YAML: "),
    (BOMB, "YAML aliases (*name) in it: write the value out"),
    ("[" * 5000 + "]" * 5000, "nested more than 60 deep"),
    ("[" * 400_000, "nested more than 60 deep"),
    ("a: b", "no 'steps' (a chain) and no 'model' (a skill) in it"),
    ("on: no\nsteps: []", "the chain: 'on' is not known: use name, description"),
    ("steps: no", "steps: a list with at least one step"),
    ("steps: []", "steps: a list with at least one step"),
    ("steps: [null]", "steps[0]: names with values are needed, and there is nothing"),
    ("steps: [fetch]", "steps[0]: names with values are needed, and there is str"),
    (STEP + "{}", "steps[0]: name one of skill, tool, chain, function"),
    (STEP + "{tool: fetch, function: a:b}", "steps[0]: name one of skill, tool, chain, function"),
    (STEP + "{tool: fetch, ouput: x}", "steps[0]: 'ouput' is not known: use skill, tool, chain, function, key"),
    (STEP + "tool: no", "steps[0]: no tool 'no': use fetch or to_markdown"),
    (STEP + "tool: [fetch]", "steps[0]: no tool ['fetch']"),
    (STEP + "tool: as_tool", "steps[0]: no tool 'as_tool'"),
    (STEP + "function: os.system", "steps[0]: function is 'module:name', not 'os.system'"),
    (STEP + "function: os:system", "load it with trusted=True (--trusted)"),
    (STEP + "{tool: fetch, key: 5}", "steps[0].key: Expected `str | null`, got `int`"),
    (STEP + "{tool: fetch, inputs: url}", "steps[0].inputs: Expected `object | null`, got `str`"),
    (STEP + "{tool: fetch, options: {max_flows: no}}", "steps[0]: max_flows='no': use 1 or more"),
    (STEP + "chain: {steps: [{tool: nope}]}", "steps[0].chain.steps[0]: no tool 'nope'"),
    (STEP + "chain: {steps: [{tool: fetch, key: 5}]}", "steps[0].chain.steps[0].key: Expected `str | null`"),
    (STEP + "- {tool: fetch}\n    - {skill: 5}", "steps[0][1].skill: names with values are needed"),
    (STEP + "- {tool: fetch}\n    - {tool: fetch}", "steps[0]: two steps side by side store under 'result'"),
    (STEP + "skill: {prompt: x}", "steps[0].skill: no 'model' in it"),
    (STEP + "skill: {model: gpt-5}", "steps[0].skill: Skill: pass either prompt='...' or input="),
    (STEP + "tool: fetch\non_step_error: no", "on_step_error='no': use one of 'raise', 'stop', 'skip'"),
    (STEP + "tool: fetch\nname: 2024-01-01", "line 3: name: Expected `str | null`, got `date`"),
    (STEP + "tool: fetch\nvariables: no", "line 3: variables: Expected `object | null`, got `str`"),
    ("model: nope\nprompt: x", "model: model 'nope' names no known provider"),
    ("model: {provider: openai}\nprompt: x", "model: no 'name' in it"),
    ("model: {name: gpt-5, api_key: k}\nprompt: x", "model: keys don't belong in a file: set the provider's"),
    ("model: {name: gpt-5, key: k}\nprompt: x", "model: keys don't belong in a file"),
    ("api_key: k\nmodel: gpt-5\nprompt: x", "the skill: keys don't belong in a file"),
    ("model: gpt-5\nprompt: x\noptions: {api_key: k}", "pass Model(api_key=...)"),
    ("model: {name: gpt-5, base_url: 'http://a:b@c'}\nprompt: x", "model: base_url holds a user or password"),
    ("model: {name: gpt-5, limits: {rpm: many}}\nprompt: x", "model.limits.rpm: "),
    ("model: {name: gpt-5, limits: {rpm: 0}}\nprompt: x", "model.limits: Limits(rpm=0.0): use a number above 0"),
    ("model: {name: gpt-5, limits: 5}\nprompt: x", "model.limits: "),
    ("model: {name: gpt-5, timeout: -1}\nprompt: x", "model.timeout: Expected `float` > 0.0"),
    ("model: gpt-5\nprompt: {x: y}", "line 2: prompt: Expected `str | array | null`, got `object`"),
    ("model: gpt-5\nprompt: [x, 5]", "prompt: a part is text, {'text': ...}, {'image': path"),
    ("model: gpt-5\nprompt: x\nretries: many", "line 3: retries: Expected `int | null`, got `str`"),
    ("tool: fetch\nkey: page", "the file: keys don't belong"),
    ("tool: fetch\nurl: x", "the file: 'url' is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD, ids=[says for _, says in BAD])
def test_a_bad_file_is_refused_in_one_line_that_says_where(
    text: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Chain.load(path)
    message = str(caught.value)
    assert re.match(re.escape(str(path)) + r"(, line \d+)?: ", message)
    assert "\n" not in message


def test_what_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(
        "name: two\nsteps:\n  - tool: fetch\n    key: page\n  - skill:\n      model:\n        name: gpt-5-mini\n"
        "        limits:\n          rpm: many\n      prompt: hi\n"
    )
    with pytest.raises(
        InvalidInput, match=r"chain.yaml, line 9: steps\[1\].skill.model.limits.rpm: "
    ):
        Chain.load(path)
    path.write_text("name: two\nsteps:\n  - tool: fetch\n\n    kye: page\n")
    with pytest.raises(InvalidInput, match=r"chain.yaml, line 5: steps\[0\]: 'kye' is not known"):
        Chain.load(path)
    path.write_text("name: two\nsteps:\n  - tool: [\n")
    with pytest.raises(InvalidInput, match=r"chain.yaml, line 4: not YAML"):
        Chain.load(path)


def test_files_that_no_person_wrote_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.yaml"
    with pytest.raises(InvalidInput, match=r"chain.yaml: no such file"):
        Chain.load(path)
    with pytest.raises(InvalidInput, match="no such file"):
        Chain.load(tmp_path)
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8 text"):
        Chain.load(path)
    path.write_text("# " + "x" * build.MAX_BYTES)
    with pytest.raises(InvalidInput, match="larger than 1,000,000 bytes"):
        Chain.load(path)
