"""What a call is: the same in every process, another once something of it changes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from flowpool import Chain, Model, Skill
from flowpool.checkpoint import fingerprint
from flowpool.plan import Plan
from flowpool.tools import fetch

SCRIPT = """
from flowpool import Chain, Skill
from flowpool.checkpoint import fingerprint
from flowpool.plan import Plan
factor = {"a", "b", "c"}
def keep(text):
    return text if text in {"one", "two", "three"} else None
plan = Plan(Chain([(keep, "kept"), Skill("gpt-5-mini", prompt="{kept}")]))
print(fingerprint.of_plan(plan).hex())
"""


def plan_of(runner: Any) -> bytes:
    return fingerprint.of_plan(Plan(runner if isinstance(runner, Chain) else Chain([runner])))


def call_of(runner: Any, variables: dict[str, Any]) -> bytes | None:
    ((step, definition),) = fingerprint.of_steps(Plan(Chain([runner]))).items()
    return fingerprint.of_call(step, definition, variables)


def test_a_definition_is_the_same_in_every_process() -> None:
    made = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1] != ""


def test_whatever_changes_the_answer_changes_the_definition() -> None:
    def base(**changes: Any) -> Skill:
        return Skill(**{"model": "gpt-5-mini", "prompt": "{text}", **changes})

    skills = [
        base(),
        base(prompt="{text}!"),
        base(model="gpt-5"),
        base(model=Model("gpt-5-mini", {"temperature": 0})),
        base(model=Model("gpt-5-mini", base_url="http://localhost:1/v1")),
        base(options={"max_tokens": 5}),
        base(output={"format": {"type": "json"}}),
        base(model=["gpt-5-mini", "gpt-5"]),
    ]
    assert len({plan_of(skill) for skill in skills}) == len(skills)


def test_names_and_patience_don_t() -> None:
    plain = Skill("gpt-5-mini", prompt="{text}")
    told = Skill(
        Model("gpt-5-mini", timeout=3, retries=1, api_key="sk-secret"),
        prompt="{text}",
        name="named",
        description="words",
        timeout=4,
        retries=7,
        retry_delay=0.1,
    )
    assert plan_of(plain) == plan_of(told)


def test_a_function_is_its_code_and_what_it_holds_on_to() -> None:
    def times(factor: int) -> Any:
        return lambda text: text * factor

    assert plan_of(times(2)) == plan_of(times(2))
    assert plan_of(times(2)) != plan_of(times(3))
    assert plan_of(lambda text: text + "a") != plan_of(lambda text: text + "b")


def test_a_call_is_what_its_step_reads_and_nothing_else() -> None:
    skill = Skill("gpt-5-mini", prompt="{text}")
    assert call_of(skill, {"text": "a", "other": 1}) == call_of(skill, {"text": "a", "other": 2})
    assert call_of(skill, {"text": "a"}) != call_of(skill, {"text": "b"})
    assert call_of(fetch, {"url": "http://a"}) != call_of(fetch, {"url": "http://b"})


def test_a_call_with_what_can_not_be_told_apart_is_none() -> None:
    assert call_of(Skill("gpt-5-mini", prompt="{text}"), {"text": object()}) is None
