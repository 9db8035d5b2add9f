"""A chain: steps in order, each with a runner, an output key and a map of its inputs."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from flowpool import wiring
from flowpool.errors import InvalidInput
from flowpool.folders import local_path
from flowpool.model import check_times, checked_mapping
from flowpool.runner import Runner, checked_variables
from flowpool.sealed import Sealed
from flowpool.settings import RETRY_ON_FIX, RetryOn, is_retry_on
from flowpool.skill import Skill
from flowpool.tools.base import Tool
from flowpool.tools.conversion import as_tool

OnStepError = Literal["raise", "stop", "skip"]
DEFAULT_KEY = "result"
_OWN_OPTIONS = ("max_flows", "timeout", "retries", "retry_on", "version")


class Step:
    """One step: its runner, the variable its output is stored under, and where its inputs come from.

    `inputs` maps a parameter to the variable (or dotted path) that fills it. `max_flows`, `timeout` (seconds),
    `retries`, `retry_on` and `version` are the step's own; `defaults` are further arguments of a tool.
    """

    __slots__ = (
        "defaults",
        "inputs",
        "key",
        "max_flows",
        "retries",
        "retry_on",
        "runner",
        "timeout",
        "version",
    )

    def __init__(
        self,
        runner: Skill | Chain | Tool,
        key: str = DEFAULT_KEY,
        inputs: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        options = dict(options or {})
        self.runner = runner
        self.key = key
        self.inputs = dict(inputs or {})
        self.max_flows: int | None = options.pop("max_flows", None)
        self.timeout: float | None = options.pop("timeout", None)
        self.retries: int | None = options.pop("retries", None)
        self.retry_on: RetryOn | None = options.pop("retry_on", None)
        self.version: str | int | None = None
        if not (isinstance(runner, Tool) and "version" in runner._names):  # else it is an argument
            self.version = options.pop("version", None)
        self.defaults = options

    def __repr__(self) -> str:
        return f"Step({self.runner.name!r}, {self.key!r})"

    @property
    def options(self) -> dict[str, Any]:
        """The step's options as they were written."""
        own = {name: getattr(self, name) for name in _OWN_OPTIONS}
        return {name: value for name, value in own.items() if value is not None} | self.defaults


Stage = tuple[Step, ...]


class Chain(Sealed, Runner[Any]):
    """Steps in order; each sees every variable so far.

    steps: each a runner, `(runner, key)`, `(runner, key, {parameter: variable})` or
        `(runner, key, {...}, {options})`. A runner is a `Skill`, a `Tool`, another `Chain` or any function. The key
        names the step's output (default `"result"`); a dict output is also spread into the variables.
        A list of steps instead of a step runs them side by side. Options: `max_flows` (calls of this
        step at once), `timeout` (seconds an attempt), `retries`, `retry_on` and `version` (another one is another
        step to a store); others are arguments of the tool.
    variables: values that steps see when no item gives them.
    on_step_error: `"raise"` fails the item, `"stop"` ends it with the last good output, `"skip"` warns and goes on.

    After `run()`: `history` has a dict a step, `accumulated` all variables. Raises `InvalidInput` for steps that
    can't work.

    >>> chain = Chain([(len, "size", {"obj": "word"}), (lambda size: f"{size} letters", "line")])
    >>> chain.run({"word": "ada"})
    '3 letters'
    """

    def __init__(
        self,
        steps: Sequence[Any],
        variables: Mapping[str, Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        on_step_error: OnStepError = "raise",
    ) -> None:
        if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
            raise InvalidInput("Chain(steps): pass a list with at least one step.")
        _check_on_step_error(on_step_error)
        for text in (name, description):
            if text is not None and not isinstance(text, str):
                raise InvalidInput(f"Chain: name and description are text, not {text!r}.")
        self.stages = tuple(_stage(entry, i) for i, entry in enumerate(steps))
        self.variables = checked_mapping(variables, "variables")
        self.name = name or "chain"
        self.description = description or ""
        self.on_step_error: OnStepError = on_step_error
        self.history: list[dict[str, Any]] = []
        self.accumulated: dict[str, Any] = {}
        self._seal(Chain)

    def _changing(self) -> tuple[str, ...]:
        return "history", "accumulated"

    def __repr__(self) -> str:
        names = " -> ".join("+".join(s.runner.name for s in stage) for stage in self.stages)
        return f"Chain({names})"

    def run(
        self, variables: Mapping[str, Any] | None = None, on_step_error: OnStepError | None = None
    ) -> Any:
        """The last step's output for `variables`; raises what went wrong. Fills `history` and `accumulated`."""
        if on_step_error is not None:
            _check_on_step_error(on_step_error)
        given = checked_variables(variables)
        output = wiring.load("pool").run_one(self, given, on_step_error)
        self._warn_of_skipped(on_step_error)
        return output

    async def arun(
        self, variables: Mapping[str, Any] | None = None, on_step_error: OnStepError | None = None
    ) -> Any:
        """`run()` for async code."""
        if on_step_error is not None:
            _check_on_step_error(on_step_error)
        given = checked_variables(variables)
        output = await wiring.load("pool").arun_one(self, given, on_step_error)
        self._warn_of_skipped(on_step_error)
        return output

    def _warn_of_skipped(self, on_step_error: OnStepError | None) -> None:
        if (on_step_error or self.on_step_error) != "skip":
            return
        for entry in self.history:
            if "error" in entry:
                message = f"step {entry['step']} ({entry['name']}) was skipped: {entry['error']}"
                warnings.warn(message, RuntimeWarning, stacklevel=3)

    def save(self, path: str | Path) -> None:
        """Writes the chain as YAML; keys are never written. Raises `InvalidInput` for a step without a name
        that a file could hold (a lambda, a local function)."""
        from flowpool.pipeline import build

        build.write(self, local_path(path))

    @classmethod
    def load(cls, path: str | Path, api_key: str | None = None, *, trusted: bool = False) -> Chain:
        """The chain in a YAML file. `api_key` is for its models; by default the environment's is used.

        A step that names a Python function outside flowpool is only imported with `trusted=True`.
        """
        from flowpool.pipeline import build

        runner = build.read(local_path(path), api_key=api_key, trusted=trusted)
        return runner if isinstance(runner, cls) else cls([runner])


def _check_on_step_error(value: Any) -> None:
    if value not in get_args(OnStepError):
        choices = ", ".join(map(repr, get_args(OnStepError)))
        raise InvalidInput(f"on_step_error={value!r}: use one of {choices}.")


def _stage(entry: Any, position: int) -> Stage:
    where = f"steps[{position}]"
    if not isinstance(entry, list):
        return (_step(entry, where),)
    if not entry:
        raise InvalidInput(f"{where}: a list of steps to run side by side needs at least one.")
    stage = tuple(_step(one, f"{where}[{i}]") for i, one in enumerate(entry))
    keys = [step.key for step in stage]
    for key in keys:
        if keys.count(key) > 1:
            raise InvalidInput(
                f"{where}: two steps side by side store under {key!r}: give each its own key."
            )
    return stage


def _step(entry: Any, where: str) -> Step:
    if isinstance(entry, Step):
        _check_read(entry.runner, entry.defaults, entry.inputs, where)
        return entry
    runner, *rest = entry if isinstance(entry, tuple) else (entry,)
    if len(rest) > 3:
        raise InvalidInput(
            f"{where}: a step is (runner, key, inputs, options), not {len(rest) + 1} values."
        )
    defaults: list[Any] = [DEFAULT_KEY, None, None]
    key, inputs, options = [*rest, *defaults[len(rest) :]]
    _check_step(key, inputs, options, where)
    found = as_runner(runner, where)
    checked = _options(options, where)
    own = {name: value for name, value in checked.items() if name not in _OWN_OPTIONS}
    _check_read(found, own, inputs or {}, where)
    return Step(found, key, inputs, checked)


def _check_step(key: Any, inputs: Any, options: Any, where: str) -> None:
    """Raises `InvalidInput` for a step's parts that are of the wrong kind."""
    if not isinstance(key, str) or not key:
        raise InvalidInput(f"{where}: the output key is a name, not {key!r}.")
    for value, what in ((inputs, "inputs {parameter: variable}"), (options, "options")):
        if value is not None and not isinstance(value, Mapping):
            raise InvalidInput(f"{where}: {what} is a dict, not {value!r}.")
    for parameter, source in (inputs or {}).items():
        if not isinstance(parameter, str) or not isinstance(source, str):
            raise InvalidInput(
                f"{where}: inputs map names to names, not {parameter!r}: {source!r}."
            )


def _check_read(
    runner: Skill | Chain | Tool, options: Iterable[str], inputs: Collection[str], where: str
) -> None:
    """Raises `InvalidInput` for an option or an input that the step's runner doesn't read."""
    if isinstance(runner, Tool):
        takes = ", ".join(runner._names) or "none"
        for unread in runner.unread(options, inputs):
            raise InvalidInput(
                f"{where}: {runner.name} doesn't take {unread!r}: its parameters are {takes}; "
                f"the step's own options are {', '.join(_OWN_OPTIONS)}."
            )
        return
    for unread in options:
        raise InvalidInput(
            f"{where}: the option {unread!r} is not known: use {', '.join(_OWN_OPTIONS)}, "
            "or set a model's options on the skill."
        )
    if isinstance(runner, Skill):
        for unread in inputs:
            if not runner.used({unread}):
                raise InvalidInput(
                    f"{where}: inputs map {unread!r}, and the prompt of {runner.name!r} has no {{{unread}}}: "
                    f"it has {', '.join(sorted(runner.names)) or 'no variables'}."
                )


def _options(options: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    checked = {name: value for name, value in (options or {}).items() if value is not None}
    width = checked.get("max_flows", 1)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise InvalidInput(f"{where}: max_flows={width!r}: use 1 or more.")
    if "retry_on" in checked and not is_retry_on(checked["retry_on"]):
        raise InvalidInput(f"{where}: retry_on={checked['retry_on']!r}: use {RETRY_ON_FIX}.")
    version = checked.get("version", 1)
    if not isinstance(version, (str, int)):
        raise InvalidInput(f"{where}: version={version!r}: use a text or a number.")
    try:
        check_times(checked.get("timeout"), checked.get("retries"))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    return checked


def as_runner(runner: Any, where: str = "runner") -> Skill | Chain | Tool:
    """`runner` as flowpool runs it: a skill or chain as it is, anything callable as a tool."""
    if isinstance(runner, (Skill, Chain)):
        return runner
    try:
        return as_tool(runner)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
