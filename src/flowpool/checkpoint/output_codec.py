"""A runner's output as the store keeps it, and back: typed answers as JSON's own kinds. Knows no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowpool.chain import Chain
from flowpool.encoding import CantEncode, encode
from flowpool.errors import InvalidOutput
from flowpool.skill import Skill
from flowpool.structured import plain
from flowpool.tools.base import Tool

Runner = Skill | Chain | Tool


def encoded(runner: Runner, output: Any) -> bytes:
    """The output as JSON; raises `CantEncode` for what would not come back the same."""
    return encode(_each_answer(runner, output, _plain))


def restored(runner: Runner, output: Any) -> Any:
    """The output again that was encoded and decoded."""
    return _each_answer(runner, output, _load)


def has_types(runner: Runner) -> bool:
    """Whether its outputs may be of other kinds than JSON's own, and so need `restored`."""
    if isinstance(runner, Skill):
        return runner.answer.kind is not None
    return isinstance(runner, Chain) and any(has_types(step.runner) for step in runner.stages[-1])


def _each_answer(runner: Runner, output: Any, change: Callable[[Skill, Any], Any]) -> Any:
    """The output with each skill's typed answer in it changed."""
    if isinstance(runner, Skill):
        return output if runner.answer.kind is None else change(runner, output)
    if isinstance(runner, Tool):
        return output
    last = runner.stages[-1]
    if len(last) == 1:
        return _each_answer(last[0].runner, output, change)
    if not isinstance(output, Mapping):
        return output
    steps = {step.key: step.runner for step in last}
    return {
        key: _each_answer(steps[key], value, change) if key in steps else value
        for key, value in output.items()
    }


def _plain(skill: Skill, output: Any) -> Any:
    try:
        return plain(output)
    except TypeError as error:
        raise CantEncode(str(error)) from None


def _load(skill: Skill, output: Any) -> Any:
    try:
        return skill.answer.load(output)
    except InvalidOutput:  # another step's, where a chain ended early
        return output
