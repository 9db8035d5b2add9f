"""What flowpool 0.1.0 wrote down of a plan, a step, a call or an item: its stores go on without repeating a call.

What it didn't see (`docs/store.md`) isn't seen here either. Nothing new is written in this way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    """A run's definition."""
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
    """A step's definition."""
    if step in plan.subplans:
        return of_plan(plan.subplans[step])
    defaults = _or_text(step.defaults)
    if isinstance(step.runner, Skill):
        return digest("skill", _or_text(_of_skill(step.runner)), defaults)
    assert isinstance(step.runner, Tool)
    return digest("tool", _of_tool(step.runner), defaults)


def of_call(definition: bytes, given: Mapping[str, Any]) -> bytes:
    """A step's call: its definition and what it is given; raises `CantEncode`."""
    return digest(definition, given)


def of_item(variables: Mapping[str, Any]) -> bytes:
    """An item by its content; raises `CantEncode`."""
    return digest(b"item", variables)


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
