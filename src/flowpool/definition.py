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

import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from flowpool.chain import DEFAULT_KEY, Chain, Step, as_runner
from flowpool.errors import InvalidInput
from flowpool.model import Model, Spread
from flowpool.skill import Skill
from flowpool.tools.base import FunctionTool, Tool
from flowpool.values import Limits, Prices

Runner = Skill | Chain | Tool
T = TypeVar("T")
MAX_BYTES = 1_000_000
MAX_DEPTH = 60
_OWN_TOOLS = "flowpool.tools"
_CHAIN_FIELDS = {"name", "description", "variables", "on_step_error", "steps"}
_STEP_FIELDS = {"skill", "tool", "chain", "function", "key", "inputs", "options"}
_MODEL_FIELDS = {
    "name",
    "provider",
    "base_url",
    "options",
    "timeout",
    "retries",
    "limits",
    "prices",
}
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
    "output_retries",
}


def write(runner: Runner, path: Path) -> None:
    """Writes a runner's definition to a YAML file."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 1 << 30  # folding a long line would lose some of its spaces
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.ignore_aliases = lambda data: True
    yaml.representer.add_representer(str, _represent_text)
    text = io.StringIO()
    yaml.dump(describe(runner), text)
    path.write_text(text.getvalue(), encoding="utf-8")


def _represent_text(representer: Any, text: str) -> Any:
    """Prompts of several lines stand as they are read; what YAML would change is quoted and escaped."""
    lines = text.split("\n")
    style = "|" if len(lines) > 1 and all(line.isprintable() for line in lines) else None
    if style is None and not text.isprintable():
        style = '"'
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def read(path: Path, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that a YAML file defines.

    Raises `InvalidInput`, naming the file and the place in it, for what can't be run; also for a Python
    function outside flowpool unless `trusted`.
    """
    try:
        return build(_load(path), api_key=api_key, trusted=trusted)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def build(data: Any, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that plain data defines, as `describe` gives it; raises as `read`, without the file's name."""
    runner: Runner = _Builder(api_key, trusted).runner(data, "")
    return runner


def describe(runner: Runner) -> dict[str, Any]:
    """A runner as plain data, without keys."""
    if isinstance(runner, Skill):
        return _plain(runner.definition(), runner.name)
    if isinstance(runner, Tool):
        if runner._presets:
            raise InvalidInput(f"{runner.name} with options can't be saved: save a chain with it.")
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
    told = {name: value for name, value in fields.items() if value not in (None, "", {})}
    return _plain(told, runner.name)


def _plain(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The same of dicts, lists and scalars alone; raises `InvalidInput` for what a file can't hold."""
    try:
        plain = msgspec.to_builtins(data, builtin_types=(bytes, date, datetime))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{name!r} can't be saved: {error}.") from None
    listed: dict[str, Any] = _listed(plain)
    return listed


def _listed(data: Any) -> Any:
    """The same with lists for tuples, which YAML doesn't tell apart."""
    if isinstance(data, dict):
        return {name: _listed(value) for name, value in data.items()}
    return [_listed(value) for value in data] if isinstance(data, (list, tuple)) else data


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
    presets = runner._presets if isinstance(runner, Tool) else {}
    if options := {**presets, **step.options}:
        entry["options"] = options
    return entry


def _tool_definition(tool: Tool) -> dict[str, Any]:
    dotted = tool.dotted or _class_path(tool)
    module, _, name = dotted.partition(":")
    if module == _OWN_TOOLS:
        return {"tool": name}
    if not dotted:
        raise InvalidInput(
            f"the step {tool.name!r} can't be saved: define its function at the top of a module."
        )
    return {"function": dotted}


def _class_path(tool: Tool) -> str:
    """Where the class of a tool is found that has nothing of its own, or nothing."""
    kind = type(tool)
    importable = kind.__module__ not in ("__main__", "builtins") and "<" not in kind.__qualname__
    if isinstance(tool, FunctionTool) or vars(tool) or not importable:
        return ""
    return f"{kind.__module__}:{kind.__qualname__}"


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
        _check_events(yaml.parse(text))
        return yaml.load(text)
    except UnicodeDecodeError:
        raise InvalidInput("not UTF-8 text.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise InvalidInput(f"{where}not YAML: {problem}") from None


def _check_events(events: Iterable[Any]) -> None:
    """Refuses, before anything is built of it, a file whose few words make very many values."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        if kind == "AliasEvent":
            raise InvalidInput("YAML aliases (*name) in it: write the value out.")
        depth += kind in ("SequenceStartEvent", "MappingStartEvent")
        depth -= kind in ("SequenceEndEvent", "MappingEndEvent")
        if depth > MAX_DEPTH:
            raise InvalidInput(f"nested more than {MAX_DEPTH} deep: name steps in a flat list.")


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
            return self.tool(_known(data, {"tool", "function"}, "the file"), "")
        raise InvalidInput("no 'steps' (a chain) and no 'model' (a skill) in it.")

    def chain(self, data: Any, where: str) -> Chain:
        fields = dict(_known(data, _CHAIN_FIELDS, where or "the chain"))
        steps = fields.get("steps")
        place = _at(where, "steps")
        if not isinstance(steps, list) or not steps:
            raise InvalidInput(f"{place}: a list with at least one step.")
        fields["steps"] = [self._stage(entry, f"{place}[{i}]") for i, entry in enumerate(steps)]
        return self._make(lambda: Chain(**fields), where)

    def skill(self, data: Any, where: str) -> Skill:
        fields = dict(_known(data, _SKILL_FIELDS, where or "the skill"))
        if "model" not in fields:
            raise InvalidInput(f"{where}: no 'model' in it.")
        if "output" in fields:
            fields["output"] = self._output(fields["output"], _at(where, "output"))
        models = fields.pop("model")
        models = models if isinstance(models, list) else [models]
        return self._make(
            partial(Skill, [self._choice(m, _at(where, "model")) for m in models], **fields), where
        )

    def _output(self, data: Any, where: str) -> Any:
        """What the answer must be: a type that is named only where the file is trusted, else its schema."""
        if not isinstance(data, Mapping) or "python" not in data:
            return data
        _check_dotted(data["python"], f"{where}: python")
        if not self._trusted:
            return {name: value for name, value in data.items() if name != "python"}
        return self._import(data["python"], where)

    def tool(self, data: Mapping[str, Any], where: str) -> Runner:
        where = where or "the file"
        if "tool" in data:
            name = data["tool"]
            found = (
                getattr(import_module(_OWN_TOOLS), name, None) if isinstance(name, str) else None
            )
            if not isinstance(found, Tool):
                raise InvalidInput(f"{where}: no tool {name!r}: use fetch or to_markdown.")
            return found
        return self._function(data["function"], where)

    def _function(self, dotted: Any, where: str) -> Runner:
        _check_dotted(dotted, f"{where}: function")
        if not self._trusted:
            raise InvalidInput(
                f"{where}: it runs the Python function {dotted}: if you trust the file, "
                "load it with trusted=True (--trusted)."
            )
        return as_runner(self._import(dotted, where), where)

    def _import(self, dotted: str, where: str) -> Any:
        module, _, attribute = dotted.partition(":")
        try:
            return reduce(getattr, attribute.split("."), import_module(module))
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
            "chain": lambda value: self.chain(value, f"{where}.chain"),
            "tool": lambda value: self.tool(data, where),
            "function": lambda value: self.tool(data, where),
        }
        runner = build[kinds[0]](data[kinds[0]])
        return runner, data.get("key", DEFAULT_KEY), data.get("inputs"), data.get("options")

    def _choice(self, data: Any, where: str) -> Model | Spread:
        if not isinstance(data, Mapping) or "spread" not in data:
            return self._model(data, where)
        shared = _known(data, {"spread"}, where)["spread"]
        if not isinstance(shared, list):
            raise InvalidInput(f"{where}.spread: a list of models.")
        models = [self._model(one, f"{where}.spread[{i}]") for i, one in enumerate(shared)]
        return self._make(partial(Spread, models), where)

    def _model(self, data: Any, where: str) -> Model:
        if isinstance(data, str):
            return self._make(lambda: Model(data, api_key=self._api_key), where)
        fields = dict(_known(data, _MODEL_FIELDS, where))
        if "name" not in fields:
            raise InvalidInput(f"{where}: no 'name' in it.")
        for field, kind in (("limits", Limits), ("prices", Prices)):
            if fields.get(field):
                fields[field] = self._make(
                    partial(msgspec.convert, fields[field], kind), _at(where, field)
                )
        return self._make(lambda: Model(**fields, api_key=self._api_key), where)

    def _make(self, make: Callable[[], T], where: str) -> T:
        try:
            return make()
        except (InvalidInput, TypeError, msgspec.ValidationError) as error:
            raise InvalidInput(f"{where}: {error}" if where else str(error)) from None


def _check_dotted(dotted: Any, what: str) -> None:
    if not isinstance(dotted, str) or not all(dotted.partition(":")):
        raise InvalidInput(f"{what} is 'module:name', not {dotted!r}.")


def _at(where: str, field: str) -> str:
    return f"{where}.{field}" if where else field


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        found = "nothing" if data is None else type(data).__name__
        _refuse(f"{where}: names with values are needed, and there is {found}.")
    return data


def _known(value: Any, fields: set[str], where: str) -> Mapping[str, Any]:
    data = _mapping(value, where)
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
