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
from datetime import date, datetime
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from flowpool.chain import DEFAULT_KEY, Chain, Step, as_runner
from flowpool.errors import InvalidInput
from flowpool.model import Model, Spread
from flowpool.pipeline.spec import Input, Output, Pipeline, RunOptions
from flowpool.pipeline.yaml import Misplaced, at, dumped, loaded
from flowpool.skill import Skill
from flowpool.tools.base import FunctionTool, Tool
from flowpool.values import Limits, Prices

Runner = Skill | Chain | Tool
T = TypeVar("T")
MAX_BYTES = 1_000_000
_OWN_TOOLS = "flowpool.tools"
CHAIN_FIELDS = {"name", "description", "variables", "on_step_error", "steps"}
STEP_FIELDS = {"skill", "tool", "chain", "function", "key", "inputs", "options"}
MODEL_FIELDS = {
    "name",
    "provider",
    "base_url",
    "options",
    "timeout",
    "retries",
    "limits",
    "prices",
}
SKILL_FIELDS = {
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
    path.write_text(dumped(describe(runner)), encoding="utf-8")


def read(path: Path, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that a YAML file defines.

    Raises `InvalidInput`, naming the file and the place in it, for what can't be run; also for a Python
    function outside flowpool unless `trusted`.
    """
    return _in_file(path, lambda text: _built(text, _Builder(api_key, trusted).runner))


def build(data: Any, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that plain data defines, as `describe` gives it; raises as `read`, without the file's name."""
    return _Builder(api_key, trusted).runner(data, "")


def read_pipeline(path: Path, *, trusted: bool = False) -> Pipeline:
    """The pipeline that a YAML file defines: a runner, and beside it `input`, `output` and `run`. Raises as `read`.

    A file with a runner alone is one too, whose input and output are still to be said. Paths are the file's: those
    that aren't absolute begin in its folder.
    """
    builder = _Builder(None, trusted, path.parent)
    return _in_file(path, lambda text: _built(text, builder.pipeline))


def _in_file(path: Path, make: Callable[[str], T]) -> T:
    try:
        return make(_read_text(path))
    except Misplaced as error:
        place = f"{path}, line {error.line}" if error.line else str(path)
        raise InvalidInput(f"{place}: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def _built(text: str, build: Callable[[Any, str], T]) -> T:
    data, lines = loaded(text)
    try:
        return build(data, "")
    except Misplaced as error:
        error.line = error.line or lines.of(error.where)
        raise


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


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise InvalidInput("no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput(
            f"larger than {MAX_BYTES:,} bytes: a chain's file is text that people write."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("not UTF-8 text.") from None


class _Builder:
    """Makes runners of plain data; `where` is the place in the file that an error names."""

    def __init__(self, api_key: str | None, trusted: bool, folder: Path | None = None) -> None:
        self._api_key = api_key
        self._trusted = trusted
        self._folder = folder

    def pipeline(self, data: Any, where: str) -> Pipeline:
        data = dict(_mapping(data, ""))
        if "model" in data:
            self._refuse_terms_of_a_skill(data)
            return Pipeline(self.runner(data, ""))
        told = {
            name: self._part(data.pop(name), name, kind)
            for name, kind in (("input", Input), ("output", Output), ("run", RunOptions))
            if name in data
        }
        kinds = [kind for kind in ("skill", "chain") if kind in data]
        if not kinds:
            if not data.keys() & {"steps", "tool", "function"}:
                odd = next((name for name in data if name not in CHAIN_FIELDS), "")
                more = f", and {odd!r} is not known" if odd else ""
                _refuse(str(odd), f"no skill, steps, chain, tool or function in it{more}.", "")
            return Pipeline(self.runner(data, ""), **told)
        inner = _known(data, set(kinds), "")[kinds[0]]
        runner = self.skill(inner, "skill") if kinds[0] == "skill" else self.chain(inner, "chain")
        return Pipeline(runner, **told)

    def _refuse_terms_of_a_skill(self, data: Mapping[str, Any]) -> None:
        for name in ("input", "output", "run"):
            value = data.get(name)
            is_path = isinstance(value, str) or (isinstance(value, Mapping) and "path" in value)
            if (name == "run" and name in data) or is_path:
                _refuse(
                    name,
                    f"beside a bare model, {name} would be the prompt's own: put model, prompt and the like "
                    "under `skill:`.",
                )

    def _part(self, data: Any, where: str, kind: type[Any]) -> Any:
        """Input, output or run terms; a text is a path."""
        fields = (
            {"path": data} if isinstance(data, str) and where != "run" else _mapping(data, where)
        )
        if odd := [name for name in fields if name not in kind.__struct_fields__]:
            known = ", ".join(kind.__struct_fields__)
            _refuse(at(where, str(odd[0])), f"{odd[0]!r} is not known: use {known}.", where)
        try:
            made = msgspec.convert(fields, kind)
            if isinstance(made, Input):
                made.reading()
        except (msgspec.ValidationError, InvalidInput) as error:
            words, _, place = str(error).partition(" - at `$")
            _refuse(f"{where}{place.strip('`')}", words.rstrip(".") + ".")
        name = "store" if isinstance(made, RunOptions) else "path"
        path = getattr(made, name)
        if isinstance(path, str) and path != "-" and self._folder is not None:
            made = msgspec.structs.replace(made, **{name: str(self._folder / path)})
        return made

    def runner(self, data: Any, where: str) -> Runner:
        data = _mapping(data, where)
        if "steps" in data:
            return self.chain(data, where)
        if "model" in data:
            return self.skill(data, where)
        if "tool" in data or "function" in data:
            return self.tool(_known(data, {"tool", "function"}, where), where)
        return _refuse(where, "no 'steps' (a chain) and no 'model' (a skill) in it.", "")

    def chain(self, data: Any, where: str) -> Chain:
        fields = dict(_known(data, CHAIN_FIELDS, where, "the chain"))
        steps = fields.get("steps")
        place = at(where, "steps")
        if not isinstance(steps, list) or not steps:
            _refuse(place, "a list with at least one step.")
        fields["steps"] = [self._stage(entry, f"{place}[{i}]") for i, entry in enumerate(steps)]
        return self._make(lambda: Chain(**fields), where)

    def skill(self, data: Any, where: str) -> Skill:
        fields = dict(_known(data, SKILL_FIELDS, where, "the skill"))
        if "model" not in fields:
            _refuse(where, "no 'model' in it.", where or "the skill")
        if "output" in fields:
            fields["output"] = self._output(fields["output"], at(where, "output"))
        models = fields.pop("model")
        models = models if isinstance(models, list) else [models]
        return self._make(
            partial(Skill, [self._choice(m, at(where, "model")) for m in models], **fields), where
        )

    def _output(self, data: Any, where: str) -> Any:
        """What the answer must be: a type that is named only where the file is trusted, else its schema."""
        if not isinstance(data, Mapping) or "python" not in data:
            return data
        _check_dotted(data["python"], where, "python")
        if not self._trusted:
            return {name: value for name, value in data.items() if name != "python"}
        return self._import(data["python"], where)

    def tool(self, data: Mapping[str, Any], where: str) -> Runner:
        if "tool" in data:
            name = data["tool"]
            found = (
                getattr(import_module(_OWN_TOOLS), name, None) if isinstance(name, str) else None
            )
            if not isinstance(found, Tool):
                _refuse(where, f"no tool {name!r}: use fetch or to_markdown.")
            return found
        return self._function(data["function"], where)

    def _function(self, dotted: Any, where: str) -> Runner:
        _check_dotted(dotted, where, "function")
        if not self._trusted:
            _refuse(
                where,
                f"it runs the Python function {dotted}: if you trust the file, "
                "load it with trusted=True (--trusted).",
            )
        return as_runner(self._import(dotted, where), where or "the file")

    def _import(self, dotted: str, where: str) -> Any:
        module, _, attribute = dotted.partition(":")
        try:
            return reduce(getattr, attribute.split("."), import_module(module))
        except (ImportError, AttributeError) as error:
            return _refuse(where, f"{dotted} can't be imported: {error}.")

    def _stage(self, entry: Any, where: str) -> Any:
        if isinstance(entry, list):
            return [self._step(one, f"{where}[{i}]") for i, one in enumerate(entry)]
        return self._step(entry, where)

    def _step(self, entry: Any, where: str) -> tuple[Any, ...]:
        data = _known(entry, STEP_FIELDS, where)
        kinds = [kind for kind in ("skill", "tool", "chain", "function") if kind in data]
        if len(kinds) != 1:
            _refuse(where, "name one of skill, tool, chain, function.")
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
            _refuse(f"{where}.spread", "a list of models.")
        models = [self._model(one, f"{where}.spread[{i}]") for i, one in enumerate(shared)]
        return self._make(partial(Spread, models), where)

    def _model(self, data: Any, where: str) -> Model:
        if isinstance(data, str):
            return self._make(lambda: Model(data, api_key=self._api_key), where)
        fields = dict(_known(data, MODEL_FIELDS, where))
        if "name" not in fields:
            _refuse(where, "no 'name' in it.")
        for field, kind in (("limits", Limits), ("prices", Prices)):
            if fields.get(field):
                fields[field] = self._make(
                    partial(msgspec.convert, fields[field], kind), at(where, field)
                )
        return self._make(lambda: Model(**fields, api_key=self._api_key), where)

    def _make(self, make: Callable[[], T], where: str) -> T:
        try:
            return make()
        except Misplaced:
            raise
        except (InvalidInput, TypeError, msgspec.ValidationError) as error:
            words, _, place = str(error).partition(" - at `$")
            if place:
                return _refuse(f"{where}{place.strip('`')}", f"{words}.")
            return _refuse(where, words, "")


def _check_dotted(dotted: Any, where: str, what: str) -> None:
    if not isinstance(dotted, str) or not all(dotted.partition(":")):
        _refuse(where, f"{what} is 'module:name', not {dotted!r}.")


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        found = "nothing" if data is None else type(data).__name__
        _refuse(where, f"names with values are needed, and there is {found}.")
    return data


def _known(value: Any, fields: set[str], where: str, label: str = "the file") -> Mapping[str, Any]:
    data = _mapping(value, where)
    for name in data:
        place = at(where, str(name))
        if name in ("api_key", "key") and "key" not in fields:
            _refuse(
                place,
                "keys don't belong in a file: set the provider's environment variable.",
                where or label,
            )
        if name not in fields:
            known = ", ".join(sorted(fields))
            _refuse(place, f"{name!r} is not known: use {known}.", where or label)
    return data


def _refuse(where: str, message: str, label: str | None = None) -> NoReturn:
    """Says what is wrong at a place; `label` names it in place of the place itself."""
    if label is None or (where and not label):
        label = where or "the file"
    raise Misplaced(where, f"{label}: {message}" if label else message)
