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

from flowpool.attachments import Attachment, attachment_of
from flowpool.chain import DEFAULT_KEY, Chain, Step, as_runner
from flowpool.errors import InvalidInput
from flowpool.folders import Folders, folders, is_beneath, is_url, local_path
from flowpool.model import Model, Spread, checked_options
from flowpool.pipeline.spec import (
    ChainFile,
    ChainSpec,
    Input,
    ModelSpec,
    Output,
    Pipeline,
    RunnerFile,
    RunnerSpec,
    RunOptions,
    SkillSpec,
    SpreadSpec,
    StepSpec,
    arguments,
    split_error,
)
from flowpool.pipeline.yaml import FileError, at, dump, load
from flowpool.settings import Settings
from flowpool.skill import Skill
from flowpool.structured import answer_of
from flowpool.tools.base import FunctionTool, Tool

Runner = Skill | Chain | Tool
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
# What people write is smaller; what is larger would take the parser long.
MAX_BYTES = 1_000_000
_OWN_TOOLS = "flowpool.tools"
# Options of a step that open what is closed by default.
_REACHING = ("allow_private", "root")


def write(runner: Runner, path: Path) -> None:
    """Writes a runner's definition to a YAML file."""
    path.write_text(dump(describe(runner)), encoding="utf-8")


def read(path: Path, *, api_key: str | None = None, trusted: bool = False) -> Runner:
    """The runner that a YAML file defines.

    Raises `InvalidInput`, naming the file and the line, for what can't be run; also for a Python
    function outside flowpool unless `trusted`.
    """
    builder = _Builder(api_key, None if trusted else folders(path.parent))
    return _in_file(path, lambda text: _built(text, builder.runner))


def build(data: Any, allowed: Folders | None, *, api_key: str | None = None) -> Runner:
    """The runner that plain data defines, as `describe` gives it; raises as `read`, without the file's name.

    allowed: the folders that its paths are kept to; None trusts it.
    """
    return _Builder(api_key, allowed).runner(data, "")


def read_pipeline(path: Path, allowed: Folders | None) -> Pipeline:
    """The pipeline that a YAML file defines: a runner, and beside it `input`, `output` and `run`. Raises as `read`.

    A file with a runner alone is one too, whose input and output are still to be said. Paths are the file's: those
    that aren't absolute begin in its folder. allowed: as in `build`; where they lead is for its runner to see.
    """
    builder = _Builder(None, allowed, path.parent)
    return _in_file(path, lambda text: _built(text, builder.pipeline))


def _in_file(path: Path, make: Callable[[str], T]) -> T:
    try:
        return make(_read_text(path))
    except FileError as error:
        line = f", line {error.line}" if error.line else ""
        raise InvalidInput(f"{path}{line}: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def _built(text: str, build: Callable[[Any, str], T]) -> T:
    data, lines = load(text)
    try:
        return build(data, "")
    except FileError as error:
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
    given = {name: value for name, value in fields.items() if value not in (None, "", {})}
    return _plain(given, runner.name)


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
    if step.retry_on is not None:
        raise InvalidInput(
            f"the step {runner.name!r} can't be saved: its retry_on is Python, leave it out."
        )
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
            f"the step {tool.name!r} can't be saved: define its function at the top of a module that is imported, "
            "not in the script that is run."
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
    """Makes runners of plain data; `where` is the path in the file that an error names, as `steps[1].skill`."""

    def __init__(
        self, api_key: str | None, allowed: Folders | None, folder: Path | None = None
    ) -> None:
        self._api_key = api_key
        self._allowed = allowed
        self._trusted = allowed is None
        self._folder = folder

    def pipeline(self, data: Any, where: str) -> Pipeline:
        data = dict(_mapping(data, where))
        if "model" in data:
            _refuse_terms_of_a_skill(data)
            return Pipeline(self.runner(data, where))
        if not data.keys() & {"steps", *RunnerSpec.__struct_fields__}:
            odd = next((name for name in data if name not in ChainFile.__struct_fields__), "")
            more = f", and {odd!r} is not known" if odd else ""
            _refuse(str(odd), f"no skill, steps, chain, tool or function in it{more}.", "")
        _fields(data, ChainFile if "steps" in data else RunnerFile, where)
        parts = {
            name: self._part(data.pop(name), name, kind)
            for name, kind in (("input", Input), ("output", Output), ("run", RunOptions))
            if name in data
        }
        return Pipeline(self.runner(data, where), **parts)

    def _part(self, data: Any, where: str, kind: type[Any]) -> Any:
        """Input, output or run settings; a text is a path."""
        data = {"path": data} if isinstance(data, str) and where != "run" else data
        part = _read(_fields(data, kind, where), kind, where)
        if isinstance(part, Input):
            self._make(part.reading, where)
        if isinstance(part, RunOptions):
            for name in data.keys() & set(Settings.__struct_fields__):
                self._make(
                    partial(Settings.checked, **{name: getattr(part, name)}), at(where, name)
                )
        name = "store" if isinstance(part, RunOptions) else "path"
        path = getattr(part, name)
        is_path = isinstance(path, str) and path != "-" and not is_url(path)
        if is_path and self._folder is not None:
            part = msgspec.structs.replace(part, **{name: str(self._folder / local_path(path))})
        return part

    def runner(self, data: Any, where: str) -> Runner:
        data = _mapping(data, where)
        if "steps" in data:
            return self.chain(data, where)
        if "model" in data:
            return self.skill(data, where)
        if data.keys() & set(RunnerSpec.__struct_fields__):
            return self._one_of(_fields(data, RunnerSpec, where), where)
        return _refuse(where, "no 'steps' (a chain) and no 'model' (a skill) in it.", "")

    def chain(self, data: Any, where: str) -> Chain:
        fields = _fields(data, ChainSpec, where, "the chain")
        steps, list_at = fields["steps"], at(where, "steps")
        if not isinstance(steps, list) or not steps:
            _refuse(list_at, "a list with at least one step.")
        fields["steps"] = [self._stage(entry, f"{list_at}[{i}]") for i, entry in enumerate(steps)]
        spec = _read(fields, ChainSpec, where)
        return self._make(lambda: Chain(**arguments(spec)), where)

    def skill(self, data: Any, where: str) -> Skill:
        fields = _fields(data, SkillSpec, where, "the skill")
        if "output" in fields:
            fields["output"] = self._output(fields["output"], at(where, "output"))
            self._make(partial(answer_of, fields["output"]), at(where, "output"))
        self._check_options(fields.get("options"), at(where, "options"))
        if not self._trusted:
            fields |= {
                name: self._kept(fields[name]) for name in ("prompt", "input") if name in fields
            }
        models = fields["model"] if isinstance(fields["model"], list) else [fields["model"]]
        fields["model"] = [self._choice(model, at(where, "model")) for model in models]
        spec = _read(fields, SkillSpec, where)
        return self._make(lambda: Skill(**arguments(spec)), where)

    def _output(self, data: Any, where: str) -> Any:
        """What the answer must be: a type that is named only where the file is trusted, else its schema."""
        if not isinstance(data, Mapping) or "python" not in data:
            return data
        _check_dotted(data["python"], where, "python")
        if not self._trusted:
            return {name: value for name, value in data.items() if name != "python"}
        return self._import(data["python"], where)

    def _kept(self, parts: Any) -> Any:
        """A prompt whose images and files are kept to the folders that the file may read."""
        if isinstance(parts, Mapping):
            attachment = attachment_of(parts)
            if attachment is not None and not (attachment.root and self._is_beneath(attachment)):
                return msgspec.structs.replace(attachment, root=self._allowed)
            return {name: self._kept(value) for name, value in parts.items()}
        return [self._kept(part) for part in parts] if isinstance(parts, list) else parts

    def _is_beneath(self, attachment: Attachment) -> bool:
        """Whether the file's own `root` is one that it may name."""
        assert self._allowed is not None
        return is_beneath(attachment.root, self._allowed)

    def _one_of(self, data: Mapping[str, Any], where: str) -> Runner:
        """The runner that one of the names says: skill, tool, chain or function."""
        kinds = [kind for kind in RunnerSpec.__struct_fields__ if kind in data]
        if len(kinds) != 1:
            _refuse(where, f"name one of {', '.join(RunnerSpec.__struct_fields__)}.")
        make: Mapping[str, Callable[[Any], Runner]] = {
            "skill": lambda value: self.skill(value, at(where, "skill")),
            "chain": lambda value: self.chain(value, at(where, "chain")),
            "tool": lambda value: _own_tool(value, where, self._allowed),
            "function": lambda value: self._function(value, where),
        }
        return make[kinds[0]](data[kinds[0]])

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
        fields = _fields(entry, StepSpec, where)
        runner = self._one_of(fields, where)
        spec = _read(fields, StepSpec, where)
        for name in _REACHING if not self._trusted else ():
            if (spec.options or {}).get(name):
                _refuse(
                    at(where, f"options.{name}"),
                    f"{name} reaches further than a file may that isn't trusted: load it with trusted=True "
                    "(--trusted).",
                )
        return runner, spec.key or DEFAULT_KEY, spec.inputs, spec.options

    def _choice(self, data: Any, where: str) -> Model | Spread:
        if not isinstance(data, Mapping) or "spread" not in data:
            return self._model(data, where)
        shared = _fields(data, SpreadSpec, where)["spread"]
        if not isinstance(shared, list):
            _refuse(at(where, "spread"), "a list of models.")
        models = [self._model(one, f"{where}.spread[{i}]") for i, one in enumerate(shared)]
        return self._make(partial(Spread, models), where)

    def _model(self, data: Any, where: str) -> Model:
        if isinstance(data, str):
            return self._make(
                lambda: Model(data, api_key=self._api_key, trusted=self._trusted), where
            )
        spec = _read(_fields(data, ModelSpec, where), ModelSpec, where)
        self._check_options(spec.options, at(where, "options"))
        return self._make(
            lambda: Model(**arguments(spec), api_key=self._api_key, trusted=self._trusted), where
        )

    def _check_options(self, options: Any, where: str) -> None:
        """Refuses an option of a call at its own line."""
        for name, value in options.items() if isinstance(options, Mapping) else ():
            self._make(partial(checked_options, {name: value}), at(where, str(name)))

    def _make(self, make: Callable[[], T], where: str) -> T:
        """What `make` gives; what it can't be made of is wrong at `where`."""
        try:
            return make()
        except FileError:
            raise
        except (InvalidInput, TypeError) as error:
            return _refuse(where, str(error), "")


def _refuse_terms_of_a_skill(data: Mapping[str, Any]) -> None:
    """Beside a bare skill, `input` and `output` are its own, and `run` is nobody's."""
    for name in ("input", "output", "run"):
        value = data.get(name)
        is_path = isinstance(value, str) or (isinstance(value, Mapping) and "path" in value)
        if (name == "run" and name in data) or is_path:
            _refuse(
                name,
                f"beside a bare model, {name} would be the prompt's own: put model, prompt and the like "
                "under `skill:`.",
            )


def _own_tool(name: Any, where: str, allowed: Folders | None) -> Tool:
    own = import_module(_OWN_TOOLS)
    found = getattr(own, name, None) if isinstance(name, str) else None
    if not isinstance(found, Tool):
        _refuse(where, f"no tool {name!r}: use fetch or to_markdown.")
    kept: Tool = own.kept_to(found, allowed)
    return kept


def _check_dotted(dotted: Any, where: str, what: str) -> None:
    if not isinstance(dotted, str) or not all(dotted.partition(":")):
        _refuse(where, f"{what} is 'module:name', not {dotted!r}.")


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        found = "nothing" if data is None else type(data).__name__
        _refuse(where, f"names with values are needed, and there is {found}.")
    return data


def _fields(
    data: Any, kind: type[msgspec.Struct], where: str, label: str = "the file"
) -> dict[str, Any]:
    """The values by name, once they are names of the struct and none that it needs is lacking."""
    fields = dict(_mapping(data, where))
    for name in fields:
        if name in ("api_key", "key") and "key" not in kind.__struct_fields__:
            _refuse(
                at(where, name),
                "keys don't belong in a file: set the provider's environment variable.",
                where or label,
            )
        if name not in kind.__struct_fields__:
            known = ", ".join(kind.__struct_fields__)
            _refuse(at(where, str(name)), f"{name!r} is not known: use {known}.", where or label)
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in fields:
            _refuse(where, f"no {field.name!r} in it.", where or label)
    return fields


def _read(fields: dict[str, Any], kind: type[S], where: str) -> S:
    """The struct of these values; what is of another type is named at its own line."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        words, inner = split_error(error)
        return _refuse((where + inner).lstrip("."), f"{words}.")


def _refuse(where: str, message: str, label: str | None = None) -> NoReturn:
    """Says what is wrong at a path of the file; `label` names it instead of the path itself."""
    if label is None or (where and not label):
        label = where or "the file"
    raise FileError(where, f"{label}: {message}" if label else message)
