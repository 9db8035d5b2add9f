"""What a plan, a step, a call or an item is, as 16 bytes: the same in every run, and others once a prompt, a model,
a function's code, a file's content or an input changes. How often and how fast a call is tried is no part of it,
nor is what a runner is called. Knows no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import PurePath
from typing import Any

from flowpool.attachments import Attachment, attachment_of
from flowpool.braces import variable_in
from flowpool.chain import Chain, Step
from flowpool.checkpoint.code_identity import CodeIdentity, stripped
from flowpool.encoding import MOST_DEEP, CantEncode, digest, encode
from flowpool.errors import FlowpoolError
from flowpool.folders import folders, is_beneath
from flowpool.plan import Plan
from flowpool.skill import Skill
from flowpool.structured.types import parts_of
from flowpool.template import look_up
from flowpool.tools.base import Tool

# The content of a file as some bytes; None where it can't be read.
ContentOf = Callable[[PurePath], bytes | None]
_PARTS_OF_A_SKILL = ("prompt", "input", "output", "variables", "options")


def unread(_: PurePath) -> None:
    """Knows no file's content: what names one is its path."""


def of_plan(plan: Plan, steps: Mapping[Step, bytes] | None = None) -> bytes:
    """What tells a run's definition from others. steps: what each of its steps is, where that is known."""
    steps = of_steps(plan) if steps is None else steps
    stages = []
    for stage in plan.stages:
        parts = []
        for step in stage:
            inner = plan.subplans.get(step)
            whole = steps[step] if inner is None else of_plan(inner, steps)
            parts.append([step.key, sorted(map(list, step.inputs.items())), whole.hex()])
        stages.append(parts)
    return digest("plan", plan.on_step_error, _or_text(in_order(plan.variables)), stages)


def of_steps(
    plan: Plan, content_of: ContentOf = unread, versions: Sequence[Any] = ()
) -> dict[Step, bytes]:
    """What tells each step that calls something from others, wherever in a chain it stands.

    versions: what was said by hand of all of them.
    """
    return dict(_of_steps(plan, CodeIdentity(_of_runner), content_of, list(versions)))


def _of_steps(
    plan: Plan, code: CodeIdentity, content_of: ContentOf, versions: list[Any]
) -> Iterator[tuple[Step, bytes]]:
    for step in (step for stage in plan.stages for step in stage):
        own = versions if step.version is None else [*versions, step.version]
        if step in plan.subplans:
            yield from _of_steps(plan.subplans[step], code, content_of, own)
        else:
            made = _of_step(step, code, content_of)
            yield step, digest(made, own) if own else made


def has_versions(plan: Plan) -> bool:
    """Whether a step or tool says a version."""
    steps = [step for stage in plan.stages for step in stage]
    said = (one for step in steps for one in (step.version, getattr(step.runner, "version", None)))
    return any(one is not None for one in said) or any(map(has_versions, plan.subplans.values()))


def of_call(
    step: Step,
    definition: bytes,
    variables: Mapping[str, Any],
    contents: Sequence[bytes | None] = (),
) -> bytes | None:
    """What tells a step's call from others: its definition and what it is given. None where nothing can tell.

    contents: those of the files that it names.
    """
    try:
        return _of_values(definition, given(step, variables), contents)
    except CantEncode:
        return None


def of_item(variables: Mapping[str, Any], contents: Sequence[bytes | None] = ()) -> bytes:
    """What tells an item from others by its content, and by that of the files it names; raises `CantEncode`."""
    return _of_values(b"item", variables, contents)


def of_key(key: Any) -> bytes:
    """What tells an item from others by what its pool's `key` gave for it; raises `CantEncode`."""
    return digest(b"key", key)


def given(step: Step, variables: Mapping[str, Any]) -> dict[str, Any]:
    """What a step's call gets of the variables."""
    runner = step.runner
    if isinstance(runner, Tool):
        return runner.bind(variables, step.defaults)
    assert isinstance(runner, Skill)
    return {name: variables[name] for name in runner.used(variables)}


# Files


def names_files(step: Step) -> bool:
    """Whether a step's call may name a file."""
    runner = step.runner
    if isinstance(runner, Skill):
        return not all(one.is_literal for one in runner.attachments)
    return isinstance(runner, Tool) and bool(runner.reads)


def files_of_call(
    step: Step, variables: Mapping[str, Any], made: Set[str] = frozenset()
) -> list[PurePath]:
    """The files that a step's call names by its variables. made: those that came out of a step."""
    runner = step.runner
    if isinstance(runner, Tool):
        if not runner.reads:
            return []
        arguments = runner.bind(variables, step.defaults)
        content = runner.from_steps.keys() & made
        return runner._files({k: v for k, v in arguments.items() if k not in content})
    assert isinstance(runner, Skill)
    found = []
    for attachment in runner.attachments:
        if not attachment.is_literal:
            found += _file_of(attachment, variables, made)
    return found


def files_of_item(plan: Plan, variables: Mapping[str, Any]) -> list[PurePath]:
    """The files that the steps' calls name by what an item itself has."""
    found = []
    known = {**plan.variables, **variables}
    for stage in plan.stages:
        for step in stage:
            seen = {**known, **_aliases(step, known)}
            if step in plan.subplans:
                found += files_of_item(plan.subplans[step], seen)
                continue
            with suppress(FlowpoolError):  # it gets more from the steps before it
                found += files_of_call(step, seen)
        for step in stage:
            known.pop(step.key, None)
    return found


def _aliases(step: Step, known: Mapping[str, Any]) -> dict[str, Any]:
    aliases = {}
    for name, path in step.inputs.items():
        if variable_in(path, known) is not None:
            with suppress(FlowpoolError):
                aliases[name] = look_up(path, known)
    return aliases


def _file_of(
    attachment: Attachment, variables: Mapping[str, Any], made: Set[str] = frozenset()
) -> list[PurePath]:
    with suppress(FlowpoolError):
        rendered = attachment.render(variables, made)
        if isinstance(rendered, Attachment) and isinstance(rendered.source, PurePath):
            root = rendered.root
            allowed = root if root is None or isinstance(root, tuple) else folders(root)
            # What a file may not name isn't looked into either.
            return (
                [rendered.source] if allowed is None or is_beneath(rendered.source, allowed) else []
            )
    return []


# Definitions


def _of_step(step: Step, code: CodeIdentity, content_of: ContentOf) -> bytes:
    if isinstance(step.runner, Skill):
        skill = _or_text(_of_skill(step.runner, code, content_of))
        return digest("skill", skill, _or_text(step.defaults))
    assert isinstance(step.runner, Tool)
    return digest("function", step.runner.version, code.of(step.runner), code.of(step.defaults))


def _of_runner(runner: Skill | Chain) -> str:
    """A skill or chain that a function's code names."""
    return of_plan(Plan(runner)).hex()


def _of_skill(skill: Skill, code: CodeIdentity, content_of: ContentOf) -> dict[str, Any]:
    """What makes its calls what they are; not how often they are tried, or what the skill is called."""
    definition = skill.definition()
    models = [
        [[m.provider, m.base_url, m.model, m.options] for m in choice.models]
        for choice in skill.choices
    ]
    parts = {name: definition[name] for name in _PARTS_OF_A_SKILL if name in definition}
    if "output" in parts:
        parts |= in_order({"output": parts["output"]})
    kind = skill.answer.kind
    if kind is not None and (read_by := code.of_code_in(parts_of(kind))):
        parts["read by"] = read_by
    if "variables" in parts:
        parts["variables"] = in_order(parts["variables"])
    if any(one.is_literal for one in skill.attachments):
        input, _, prompt = skill._source
        both = (("input", input), ("prompt", prompt))
        parts |= {name: _by_content(value, content_of) for name, value in both if value is not None}
    return {"models": models, **parts}


def _by_content(value: Any, content_of: ContentOf) -> Any:
    """A prompt with the content of each of its own files instead of the path."""
    attachment = value if isinstance(value, Attachment) else None
    if isinstance(value, Mapping):
        attachment = attachment_of(value)
        if attachment is None:
            return {name: _by_content(inner, content_of) for name, inner in value.items()}
    if attachment is not None:
        for path in _file_of(attachment, {}) if attachment.is_literal else ():
            if (content := content_of(path)) is not None:
                name = attachment.name or ("" if attachment.kind == "image" else path.name)
                return [attachment.kind, content, attachment.media_type, name]
        return attachment.as_part()
    if isinstance(value, (list, tuple)):
        return [_by_content(inner, content_of) for inner in value]
    return value


# Values


def _of_values(
    head: bytes, values: Mapping[str, Any], contents: Sequence[bytes | None] = ()
) -> bytes:
    """Values by name, in any order of their names; the order of what they hold counts."""
    ordered = in_order(values)
    return digest(head, ordered, list(contents)) if contents else digest(head, ordered)


def in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name; each dict in them as a text that has its names in their order, as prompts have it."""
    return {name: _ordered(value) if _has_order(value) else value for name, value in values.items()}


def _ordered(value: Any) -> Any:
    try:
        return ["in this order", encode(value).decode()]
    except CantEncode:
        return value


def _has_order(value: Any, depth: int = 0) -> bool:
    """Whether there is a dict in it with names in an order."""
    if isinstance(value, Mapping):
        return len(value) > 1 or (
            depth < MOST_DEEP and any(_has_order(one, depth + 1) for one in value.values())
        )
    if isinstance(value, (list, tuple)) and depth < MOST_DEEP:
        return any(_has_order(one, depth + 1) for one in value)
    return False


def _or_text(value: Any) -> Any:
    """The value, or how it is written where it can't be encoded."""
    try:
        digest(value)
    except CantEncode:
        return stripped(repr(value))
    return value
