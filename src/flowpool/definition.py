"""Chains and skills as YAML files: read and written as plain data. Keys are never written.

A file is one runner:

    name: per_url
    steps:
      - tool: fetch
        key: page
        inputs: {url: source}
      - tool: to_markdown
        key: text
        inputs: {source: page}
      - skill:
          model: claude-haiku-4-5
          prompt: "Summarise in one sentence: {text}"
        key: summary
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from flowpool.chain import DEFAULT_KEY, Chain, Step
from flowpool.errors import InvalidInput
from flowpool.model import Model
from flowpool.skill import Skill
from flowpool.tools.base import Tool, as_tool
from flowpool.values import Limits

Runner = Skill | Chain | Tool
MAX_BYTES = 1_000_000
_OWN_TOOLS = "flowpool.tools"
_CHAIN_FIELDS = {"name", "description", "variables", "on_step_error", "steps"}
_STEP_FIELDS = {"skill", "tool", "chain", "function", "key", "inputs", "options"}
_MODEL_FIELDS = {"name", "provider", "base_url", "options", "timeout", "retries", "limits"}
_SKILL_FIELDS = {
    "name",
    "description",
    "model",
    "prompt",
    "input",
    "output",
    "variables",
    "options",
    "timeout",
    "retries",
    "retry_delay",
}


def write(runner: Runner, path: Path) -> None:
    """Writes a runner's definition to a YAML file."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 100
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[attr-defined]
    data = describe(runner)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)


def read(path: Path, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that a YAML file defines.

    Raises `InvalidInput`, naming the file and the place in it, for what can't be run; also for a Python
    function outside flowpool unless `trusted`.
    """
    try:
        data = _load(path)
        return _Builder(api_key, trusted).runner(data, "")
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def describe(runner: Runner) -> dict[str, Any]:
    """A runner as plain data, without keys."""
    if isinstance(runner, Skill):
        return runner.definition()
    if isinstance(runner, Tool):
        return _tool_definition(runner)
    fields: dict[str, Any] = {
        "name": runner.name,
        "description": runner.description,
        "variables": runner.variables,
        "on_step_error": None if runner.on_step_error == "raise" else runner.on_step_error,
        "steps": [
            _step_definition(stage[0]) if len(stage) == 1 else [_step_definition(s) for s in stage]
            for stage in runner.stages
        ],
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _step_definition(step: Step) -> dict[str, Any]:
    runner = step.runner
    if isinstance(runner, Tool):
        entry: dict[str, Any] = _tool_definition(runner)
    else:
        kind = "skill" if isinstance(runner, Skill) else "chain"
        entry = {kind: describe(runner)}
    if step.key != DEFAULT_KEY:
        entry["key"] = step.key
    if step.inputs:
        entry["inputs"] = step.inputs
    if step.options:
        entry["options"] = step.options
    return entry


def _tool_definition(tool: Tool) -> dict[str, Any]:
    own = import_module(_OWN_TOOLS)
    if getattr(own, tool.name, None) is tool:
        return {"tool": tool.name}
    dotted = tool.dotted or ""
    if not dotted:
        raise InvalidInput(
            f"the step {tool.name!r} can't be saved: define its function at the top of a module."
        )
    return {"function": dotted}


def _load(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        raise InvalidInput("no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput(
            f"larger than {MAX_BYTES:,} bytes: a chain's file is text that people write."
        )
    try:
        text = path.read_text(encoding="utf-8")
        yaml = YAML(typ="safe", pure=True)
        if any(type(event).__name__ == "AliasEvent" for event in yaml.parse(text)):
            raise InvalidInput("has YAML aliases (*name): write the value out.")
        return yaml.load(text)
    except UnicodeDecodeError:
        raise InvalidInput("not UTF-8 text.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise InvalidInput(f"{where}not YAML: {getattr(error, 'problem', error)}") from None


class _Builder:
    """Makes runners of plain data; `where` is the place in the file that an error names."""

    def __init__(self, api_key: str | None, trusted: bool) -> None:
        self._api_key = api_key
        self._trusted = trusted

    def runner(self, data: Any, where: str) -> Runner:
        data = _mapping(data, where or "the file")
        if "steps" in data:
            return self.chain(data, where)
        if "model" in data:
            return self.skill(data, where)
        if "tool" in data or "function" in data:
            return self.tool(data, where)
        raise InvalidInput("no 'steps' (a chain) and no 'model' (a skill) in it.")

    def chain(self, data: Any, where: str) -> Chain:
        data = _known(data, _CHAIN_FIELDS, where or "the chain")
        steps = data.get("steps")
        if not isinstance(steps, list) or not steps:
            raise InvalidInput(f"{where}steps: a list with at least one step.")
        return Chain(
            [self._stage(entry, f"{where}steps[{i}]") for i, entry in enumerate(steps)],
            data.get("variables"),
            data.get("name"),
            data.get("description"),
            data.get("on_step_error", "raise"),
        )

    def skill(self, data: Any, where: str) -> Skill:
        fields = dict(_known(data, _SKILL_FIELDS, where or "the skill"))
        if "model" not in fields:
            raise InvalidInput(f"{where}: no 'model'.")
        models = fields.pop("model")
        models = models if isinstance(models, list) else [models]
        return self._make(
            lambda: Skill([self._model(m, f"{where}.model") for m in models], **fields), where
        )

    def tool(self, data: Mapping[str, Any], where: str) -> Tool:
        if "tool" in data:
            name = data["tool"]
            found = (
                getattr(import_module(_OWN_TOOLS), name, None) if isinstance(name, str) else None
            )
            if not isinstance(found, Tool):
                raise InvalidInput(f"{where}: no tool {name!r}: use fetch or to_markdown.")
            return found
        return self._function(data["function"], where)

    def _function(self, dotted: Any, where: str) -> Tool:
        module, _, attribute = str(dotted).partition(":")
        if not module or not attribute:
            raise InvalidInput(f"{where}: function is 'module:name', not {dotted!r}.")
        if not self._trusted:
            raise InvalidInput(
                f"{where}: it runs the Python function {dotted}: if you trust the file, "
                "load it with trusted=True (--trusted)."
            )
        try:
            return as_tool(reduce(getattr, attribute.split("."), import_module(module)))
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"{where}: {dotted} can't be imported: {error}.") from None

    def _stage(self, entry: Any, where: str) -> Any:
        if isinstance(entry, list):
            return [self._step(one, f"{where}[{i}]") for i, one in enumerate(entry)]
        return self._step(entry, where)

    def _step(self, entry: Any, where: str) -> tuple[Any, ...]:
        data = _known(entry, _STEP_FIELDS, where)
        kinds = [kind for kind in ("skill", "tool", "chain", "function") if kind in data]
        if len(kinds) != 1:
            raise InvalidInput(f"{where}: name one of skill, tool, chain, function.")
        build: Mapping[str, Callable[[Any], Runner]] = {
            "skill": lambda value: self.skill(value, f"{where}.skill"),
            "chain": lambda value: self.chain(value, f"{where}.chain."),
            "tool": lambda value: self.tool(data, where),
            "function": lambda value: self.tool(data, where),
        }
        runner = build[kinds[0]](data[kinds[0]])
        return runner, data.get("key", DEFAULT_KEY), data.get("inputs"), data.get("options")

    def _model(self, data: Any, where: str) -> Model:
        if isinstance(data, str):
            return self._make(lambda: Model(data, api_key=self._api_key), where)
        fields = dict(_known(data, _MODEL_FIELDS, where))
        if "name" not in fields:
            raise InvalidInput(f"{where}: no 'name'.")
        if fields.get("limits"):
            fields["limits"] = self._make(lambda: msgspec.convert(fields["limits"], Limits), where)
        return self._make(lambda: Model(**fields, api_key=self._api_key), where)

    def _make(self, make: Callable[[], Any], where: str) -> Any:
        try:
            return make()
        except (InvalidInput, TypeError, msgspec.ValidationError) as error:
            raise InvalidInput(f"{where}: {error}" if where else str(error)) from None


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        _refuse(f"{where}: names with values, not {type(data).__name__}.")
    return data


def _known(data: Any, fields: set[str], where: str) -> Mapping[str, Any]:
    data = _mapping(data, where)
    for name in data:
        if name in ("api_key", "key") and "key" not in fields:
            _refuse(
                f"{where}: keys don't belong in a file: set the provider's environment variable."
            )
        if name not in fields:
            _refuse(f"{where}: {name!r} is not known: use {', '.join(sorted(fields))}.")
    return data


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(message)
