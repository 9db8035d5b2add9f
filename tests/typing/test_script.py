"""Strict type checkers read a user's script without a complaint, and find what is wrong in another."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from mypy import api

from flowpool import Pool, Skill
from flowpool.pool import PoolOptions
from flowpool.skill import SkillOptions

SCRIPT = Path(__file__).with_name("script.py")
SOURCES = SCRIPT.parents[2] / "src"
# Each line is wrong as its comment says.
WRONG = '''
from flowpool import Pool, Skill, tool

@tool
def words(text: str) -> int:
    """Counts the words of a text."""
    return len(text.split())

words(5)  # arg-type
words("a", lest=1)  # call-arg
Skill("gpt-5-mini", prompt="a", outptu=int)  # call-overload
Pool(words, [], max_flow=3)  # call-overload
Pool(words, []).run()[0] + 1  # operator
'''


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What mypy says of both scripts, as of a user's who has no configuration."""
    wrong = tmp_path_factory.mktemp("scripts") / "wrong.py"
    wrong.write_text(WRONG)
    patch = pytest.MonkeyPatch()
    with patch.context() as changed:
        changed.setenv("MYPYPATH", str(SOURCES))
        cache = tmp_path_factory.mktemp("mypy")
        options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={cache}"]
        said, problems, _ = api.run([*options, str(SCRIPT), str(wrong)])
    assert problems == ""
    return said


def test_mypy_has_no_complaint_about_a_users_script(told: str) -> None:
    assert [line for line in told.splitlines() if "script.py" in line] == []


def test_mypy_finds_each_mistake(told: str) -> None:
    found = re.findall(r"wrong\.py:(\d+): error: .*\[([\w-]+)\]", told)
    lines = enumerate(WRONG.splitlines(), 1)
    marked = {number: line.split("  # ") for number, line in lines if "  # " in line}
    assert {int(number): code for number, code in found} == {
        number: parts[-1] for number, parts in marked.items()
    }


@pytest.mark.parametrize(
    ("made", "options"), [(Pool, PoolOptions), (Skill, SkillOptions)], ids=["Pool", "Skill"]
)
def test_type_checkers_know_every_option(made: Any, options: Any) -> None:
    taken = [*signature(made).parameters]
    first = taken[: 4 if made is Pool else 3]  # by their place
    assert [*first, *get_type_hints(options)] == taken
