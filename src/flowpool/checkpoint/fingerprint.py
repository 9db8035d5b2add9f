"""What a runner, a step or a call is, as 16 bytes: the same in every run, and another once a prompt, a model, a
function's code or an input changes. How often and how fast a call is tried is no part of it. Knows no store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from flowpool.chain import Step
from flowpool.encoding import CantEncode, digest
from flowpool.integrations import ForeignTool
from flowpool.plan import Plan
from flowpool.skill import Skill
from flowpool.tools.base import Tool

_OWN_TOOLS = "flowpool.tools:"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def of_plan(plan: Plan) -> bytes:
    """What tells a run's definition from others."""
    return digest(
        "plan",
        plan.on_step_error,
        _or_text(plan.variables),
        [
            [[step.key, _sorted(step.inputs), of_step(plan, step).hex()] for step in stage]
            for stage in plan.stages
        ],
    )


def of_step(plan: Plan, step: Step) -> bytes:
    """What tells a step's definition from others, wherever in a chain it stands."""
    if step in plan.subplans:
        return of_plan(plan.subplans[step])
    defaults = _or_text(step.defaults)
    if isinstance(step.runner, Skill):
        return digest("skill", _or_text(_of_skill(step.runner)), defaults)
    assert isinstance(step.runner, Tool)
    return digest("tool", _of_tool(step.runner), defaults)


def of_steps(plan: Plan) -> Iterator[tuple[Step, bytes]]:
    """Every step that calls something, and what tells its definition from others."""
    for step in plan.steps():
        yield step, of_step(plan, step)


def of_call(step: Step, definition: bytes, variables: Mapping[str, Any]) -> bytes | None:
    """What tells a step's call from others: its definition and what it is given. None where nothing can tell."""
    try:
        return digest(definition, _given(step, variables))
    except CantEncode:
        return None


def of_item(variables: Mapping[str, Any]) -> bytes:
    """What tells an item from others by its content; raises `CantEncode`."""
    return digest(b"item", variables)


def of_key(key: Any) -> bytes:
    """What tells an item from others by what its pool's `key` gave for it; raises `CantEncode`."""
    return digest(b"key", key)


def _given(step: Step, variables: Mapping[str, Any]) -> dict[str, Any]:
    runner = step.runner
    if isinstance(runner, Tool):
        return runner.bind(variables, step.defaults)
    assert isinstance(runner, Skill)
    return {name: variables[name] for name in runner.used(variables)}


def _of_skill(skill: Skill) -> dict[str, Any]:
    """What makes its calls what they are; not how often they are tried, or what the skill is called."""
    definition = skill.definition()
    models = [
        [[m.provider, m.base_url, m.model, m.options] for m in choice.models]
        for choice in skill.choices
    ]
    parts = ("prompt", "input", "output", "variables", "options")
    return {"models": models, **{name: definition[name] for name in parts if name in definition}}


def _of_tool(tool: Tool) -> list[Any]:
    presets = _or_text(dict(tool._presets))
    if isinstance(tool, ForeignTool):
        return [presets, _ADDRESS.sub("", repr(tool.shown()))]
    if tool.dotted and tool.dotted.startswith(_OWN_TOOLS):
        return [tool.dotted, presets]
    function: Any = getattr(tool, "__wrapped__", None) or type(tool)
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', tool.name)}"
    return [name, presets, _codes(function)]


def _codes(function: Any) -> list[Any]:
    """A function's code and what it holds on to, or a class's: a changed function gives other answers."""
    if isinstance(function, type):
        return [found for _, one in sorted(vars(function).items()) for found in _codes(one)]
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    held = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    return [_of_code(code), _or_text([held, function.__defaults__, function.__kwdefaults__])]


def _of_code(code: CodeType) -> bytes:
    return digest(code.co_code, list(code.co_names), [_of_constant(one) for one in code.co_consts])


def _of_constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _of_code(value)
    # A set's order is another in each process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _sorted(names: Mapping[str, str]) -> list[list[str]]:
    return [[name, names[name]] for name in sorted(names)]


def _or_text(value: Any) -> Any:
    """The value, or how it is written where it can't be encoded."""
    try:
        digest(value)
    except CantEncode:
        return _ADDRESS.sub("", repr(value))
    return value
