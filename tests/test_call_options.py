"""Options of a call: a value of a wrong kind and a misspelt name are refused before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowpool import Chain, Model, Skill
from flowpool.errors import InvalidInput
from flowpool.pipeline.build import read_pipeline

MAKERS: list[Callable[[dict[str, Any]], Any]] = [
    lambda options: Model("gpt-5-mini", options),
    lambda options: Skill("gpt-5-mini", prompt="{text}", options=options),
    lambda options: Model("gemini-2.5-flash", {"generationConfig": options}),
]


@pytest.mark.parametrize("make", MAKERS, ids=["model", "skill", "generationConfig"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_tokens": "abc"}, "the option max_tokens='abc': use a whole number."),
        ({"max_tokens": "200"}, "the option max_tokens='200': use a whole number."),
        ({"max_tokens": True}, "max_tokens=True: use a whole number"),
        ({"max_tokens": 2.5}, "max_tokens=2.5: use a whole number"),
        ({"maxOutputTokens": "9"}, "maxOutputTokens='9': use a whole number"),
        ({"seed": []}, "seed=[]: use a whole number"),
        ({"temperature": "warm"}, "temperature='warm': use a number"),
        ({"temperature": float("nan")}, "temperature=nan: use a number"),
        ({"top_p": False}, "top_p=False: use a number"),
        ({"stop": 1}, "stop=1: use a text or a list of texts"),
        ({"stop": ["a", 1]}, "stop=['a', 1]: use a text"),
        ({"temprature": 0}, "the option 'temprature' is not known: did you mean 'temperature'?"),
        ({"temperatrue": 0}, "did you mean 'temperature'?"),
        ({"max_token": 9}, "did you mean 'max_tokens'?"),
        ({"max-tokens": 9}, "did you mean 'max_tokens'?"),
        ({"Temperature": 9}, "did you mean 'temperature'?"),
        ({"top_pp": 1}, "did you mean 'top_p'?"),
        ({"stops": "x"}, "did you mean 'stop'?"),
        ({"tools": "search"}, "tools='search': use a list"),
        ({"reasoning_effort": 3}, "reasoning_effort=3: use a text"),
        ({"response_format": "json"}, "response_format='json': use a dict"),
        ({"parallel_tool_calls": 0}, "parallel_tool_calls=0: use True or False"),
        ({5: 5}, "the option 5: names of options are text"),
    ],
)
def test_an_option_that_can_t_be_meant_is_refused_by_its_name(
    make: Callable[[dict[str, Any]], Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS, ids=["model", "skill", "generationConfig"])
def test_options_of_a_server_s_own_and_those_left_open_are_taken(
    make: Callable[[dict[str, Any]], Any],
) -> None:
    own = {
        "speed": "fast",
        "top_a": 0.1,
        "top_n": 1,
        "mirostat": 2,
        "k": 5,
        "p": 0.9,
        "maxTokens": 5,
    }
    usual = {
        "max_tokens": 5,
        "temperature": 1,
        "top_p": 0.5,
        "stop": ["x"],
        "seed": -1,
        "user": "u",
    }
    for options in (own, usual, dict.fromkeys(usual)):
        make(options)


def test_a_file_s_options_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "skill.yaml"
    path.write_text(
        "model: gpt-5-mini\nprompt: say {text}\noptions:\n  seed: 1\n  max_tokens: many\n"
    )
    with pytest.raises(InvalidInput, match=r"skill.yaml, line 5: .*max_tokens='many': use a whole"):
        Chain.load(path)
    path.write_text("model: {name: gpt-5-mini, options: {temprature: 0}}\nprompt: say {text}\n")
    with pytest.raises(InvalidInput, match=r"skill.yaml, line \d: .*did you mean 'temperature'"):
        Chain.load(path)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("run:\n  timeout: 5\n  retries: -1", "line 5: run.retries: retries=-1: use 0 or more"),
        ("  output:\n    choises: [a]", "line 3: skill.output: output: 'choises' is not known"),
    ],
)
def test_a_pipeline_s_settings_are_refused_at_their_own_line(
    tmp_path: Path, lines: str, says: str
) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"skill: {{model: gpt-5-mini, prompt: '{{text}}'}}\ninput: rows.csv\n{lines}\n")
    if lines.startswith("  "):
        path.write_text(f"skill:\n  model: gpt-5-mini\n{lines}\n  prompt: '{{text}}'\n")
    with pytest.raises(InvalidInput) as caught:
        read_pipeline(path, None)
    assert says in str(caught.value)
