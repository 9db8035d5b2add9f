"""A tool: a function used as a step, and how an item's variables become its arguments.

Must not know where a tool runs: no event loop, thread, process or I/O. `mode` says what it needs, and the
engine gives it that; `drive` is handed in by the package for those who call an async tool plainly.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from flowpool.errors import InvalidInput
from flowpool.folders import local_path
from flowpool.tools.schema import (
    annotations_of,
    docstring_of,
    has_kwargs,
    is_async,
    is_mapping,
    may_be_row,
    name_of,
    output_names,
    parameters_schema,
    signature_of,
)
from flowpool.values import Caps

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Mode = Literal["async", "thread", "process"]
Prepare = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What calling a tool gave: `output` when `success`, else `error`, the exception's text."""

    success: bool
    output: Any = None
    error: str | None = None


class Tool:
    """A step that computes, fetches or converts. Subclass it and write `run`, or use `@tool`.

    Attributes:
        name: how reports call it; the class's name unless given.
        description: one sentence, for people and models.
        parameters: JSON Schema of the arguments; read from `run`'s signature unless given.
        mode: "async" (awaited on the loop), "thread" (may block) or "process" (CPU-bound).
        max_flows: most calls of it at once by default; None leaves that to the engine.
        dotted: "module:name" where a worker process or a chain file finds it; None if nowhere.
        options_only: parameters that an item's variables never fill, only a step's options.
        outputs: the names that its dict output adds to the variables; none for other outputs, None if
            only a run can tell.
        caps: the most that a call in a worker process may take.
        prepare: an async function from arguments to arguments, awaited on the loop before the call.
        from_steps: by parameter, what becomes of an argument that came out of a step of a chain.
        reads: parameters that name a file: a store tells its content from another.
        version: a text or number of your own: another one is another tool to a store, which sees code that
            changed, and not, say, a service that did.

    Example:
        class Shout(Tool):
            name = "shout"
            description = "Writes it louder."

            def run(self, text: str) -> str:
                return text.upper()

        Shout()("hello")  # ToolResult(success=True, output='HELLO', error=None)
    """

    name: str = ""
    description: str = ""
    parameters: Mapping[str, Any] = {"type": "object", "properties": {}, "required": []}
    mode: Mode = "thread"
    max_flows: int | None = None
    dotted: str | None = None
    options_only: frozenset[str] = frozenset()
    outputs: Iterable[str] | None = None
    prepare: Prepare | None = None
    caps: Caps = Caps()
    from_steps: Mapping[str, Callable[[Any], Any]] = {}
    reads: frozenset[str] = frozenset()
    version: str | int | None = None

    drive: ClassVar[Callable[[Coroutine[Any, Any, Any]], Any]]
    _presets: Mapping[str, Any] = {}
    _takes_all = False  # it has **kwargs: every variable is an argument
    _row: str | None = None  # the sole parameter, when it may take the whole variables
    _is_mapping = False  # it is annotated as what takes them

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "name" not in own and not cls.name:
            cls.name = cls.__name__
        if "description" not in own and not cls.description:
            cls.description = docstring_of(cls)[0]
        if "run" in own and "parameters" not in own:
            cls.parameters = parameters_schema(cls.run, skip=("self",))
            cls._takes_all = has_kwargs(signature_of(cls.run))
        if "run" in own and "mode" not in own and inspect.iscoroutinefunction(own["run"]):
            cls.mode = "async"

    @property
    def fn(self) -> Callable[..., Any]:
        """What the engine calls, with the arguments that `bind` gave."""
        return self.run

    def run(self, **kwargs: Any) -> Any:
        """The tool's work: its output, or whatever it raises."""
        raise NotImplementedError(f"{self.name}: write run(self, **kwargs)")

    def __call__(self, input: Any = None, options: Any = None, **kwargs: Any) -> Any:
        """The outcome as a `ToolResult`; never raises.

        `input` is a dict of arguments, or the one argument that the parameter `input` (else the first
        one) takes; `options` is a dict of further arguments.
        """
        try:
            arguments = {**self._arguments(input), **(options or {}), **kwargs}
            return ToolResult(True, self._finish(self.run(**{**self._presets, **arguments})))
        except Exception as error:
            return ToolResult(False, error=str(error) or type(error).__name__)

    def bind(
        self, variables: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The arguments that an item's `variables` give; `options` are a step's defaults for them.

        Only declared parameters are read. A function of one parameter that is named by no variable, and
        is annotated as a mapping or not at all, takes them whole. Raises `InvalidInput` for a required
        parameter that nothing fills.
        """
        given = {**self._presets, **self._declared(options or {})}
        given |= {k: v for k, v in self._declared(variables).items() if k not in self.options_only}
        lacking = [name for name in self._required if name not in given]
        if lacking and lacking == [self._row]:
            return given | {lacking[0]: dict(variables)}
        if lacking:
            raise InvalidInput(self._lacks(lacking[0], variables))
        return given

    def missing(self, names: Iterable[str]) -> list[str]:
        """The required parameters that variables of these names can't fill."""
        there = (set(names) - self.options_only) | set(self._presets)
        lacking = [name for name in self._required if name not in there]
        return [] if lacking == [self._row] else lacking

    def unread(self, options: Iterable[str], aliases: Collection[str]) -> list[str]:
        """Those of a step's options, and of the names that its map gives to variables, that it has no use for."""
        if self._takes_all:
            return []
        known = set(self._names)
        odd = [name for name in options if name not in known]
        takes_whole = self._is_mapping and self._row not in aliases
        if not takes_whole:
            odd += [name for name in aliases if name not in known - self.options_only]
        return odd

    def _files(self, arguments: Mapping[str, Any]) -> list[PurePath]:
        """The files that a call with these arguments reads, as far as its parameters tell."""
        named = (arguments.get(name) for name in sorted(self.reads))
        return [local_path(one) for one in named if isinstance(one, (str, PurePath)) and one]

    def with_options(self, **options: Any) -> Tool:
        """A copy with these arguments preset: `fetch.with_options(allow_private=True)`."""
        unknown = [name for name in options if name not in self._names and not self._takes_all]
        if unknown:
            takes = ", ".join(self._names)
            raise InvalidInput(f"{self.name}: no parameter {unknown[0]!r}: it takes {takes}")
        preset = object.__new__(type(self))
        vars(preset).update(vars(self))
        preset._presets = {**self._presets, **options}
        return preset

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def _names(self) -> list[str]:
        return list(self.parameters.get("properties", ()))

    @property
    def _required(self) -> list[str]:
        return list(self.parameters.get("required", ()))

    def _declared(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if self._takes_all:
            return dict(values)
        return {name: values[name] for name in self._names if name in values}

    def _arguments(self, value: Any) -> dict[str, Any]:
        names = self._names
        if value is None:
            return {}
        if isinstance(value, Mapping) and value and all(key in names for key in value):
            return dict(value)
        return {"input" if "input" in names or not names else names[0]: value}

    def _lacks(self, parameter: str, variables: Mapping[str, Any]) -> str:
        there = ", ".join(map(str, variables)) or "none"
        return (
            f"{self.name}: nothing fills its parameter {parameter!r}: name one of the variables "
            f"({there}) in the step's map, as {{{parameter!r}: variable}}"
        )

    def _finish(self, result: Any) -> Any:
        return type(self).drive(result) if inspect.iscoroutine(result) else result


class FunctionTool(Tool, Generic[Parameters, Result]):
    """A tool made of a function: calling it calls the function and gives what that gives.

    That is how it differs from a `Tool` subclass, whose call gives a `ToolResult`. For an async function
    a call gives the coroutine; `run(**kwargs)` waits for it.
    """

    def __init__(
        self,
        fn: Callable[Parameters, Result],
        *,
        name: str | None = None,
        description: str | None = None,
        cpu_bound: bool = False,
        max_flows: int | None = None,
        options_only: Iterable[str] = (),
        reads: Iterable[str] = (),
        version: str | int | None = None,
    ) -> None:
        if max_flows is not None and (not isinstance(max_flows, int) or max_flows < 1):
            raise InvalidInput(f"max_flows={max_flows!r}: use 1 or more")
        self._fn: Callable[..., Result] = fn
        self.name = name or name_of(fn)
        self.description = description or docstring_of(fn)[0]
        self.max_flows = max_flows
        self.options_only = frozenset(options_only)
        self.reads = frozenset(reads)
        self.version = version
        self.dotted = _dotted(fn)
        self.outputs = output_names(annotations_of(fn).get("return", Any))
        self._read(fn)
        for what in ("options_only", "reads"):
            for unknown in getattr(self, what) - set(self._names):
                raise InvalidInput(f"{self.name}: {what} names {unknown!r}, which is no parameter")
        if version is not None and not isinstance(version, (str, int)):
            raise InvalidInput(f"{self.name}: version={version!r}: use a text or a number")
        self.mode = "thread"
        if is_async(fn):
            self.mode = "async"
        elif cpu_bound and self.dotted and not self._positional:
            self.mode = "process"
        self.__wrapped__ = fn
        self.__doc__ = fn.__doc__
        self.__name__ = self.name

    @property
    def fn(self) -> Callable[..., Any]:
        """The function, which takes the arguments that `bind` gave."""
        return self._by_name if self._positional else self._fn

    def run(self, /, **kwargs: Any) -> Any:
        """The function's result, or whatever it raises; an async function is waited for."""
        return self._finish(self.fn(**{**self._presets, **kwargs}))

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """What the function gives for these arguments: the coroutine, if it is async."""
        return self._fn(*args, **{**self._presets, **kwargs})

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """In a class body the tool acts as the method it was made of."""
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.dotted is None:
            raise TypeError(f"{self.name} can't be pickled: define it at the top of a module")
        return _restore, (self.dotted, dict(self._presets))

    def _read(self, fn: Callable[..., Any]) -> None:
        signature = signature_of(fn)
        self.parameters = parameters_schema(fn)
        if signature is None:  # a built-in without a signature: one argument, by position
            self.parameters = {"type": "object", "properties": {"value": {}}, "required": ["value"]}
            self._positional, self._row = ["value"], "value"
            return
        known = signature.parameters.values()
        self._positional = [p.name for p in known if p.kind is p.POSITIONAL_ONLY]
        self._takes_all = has_kwargs(signature)
        if len(self._required) == 1:
            sole = self._required[0]
            hint = annotations_of(fn).get(sole, signature.parameters[sole].annotation)
            self._row = sole if may_be_row(hint) else None
            self._is_mapping = is_mapping(hint)

    def _by_name(self, /, **kwargs: Any) -> Any:
        args = [kwargs.pop(name) for name in self._positional if name in kwargs]
        return self._fn(*args, **kwargs)


class ToolMaker(Protocol):
    """What `tool(...)` gives without a function: it makes a tool of one."""

    def __call__(self, fn: Callable[Parameters, Result], /) -> FunctionTool[Parameters, Result]: ...


@overload
def tool(
    fn: Callable[Parameters, Result],
    *,
    name: str | None = ...,
    description: str | None = ...,
    cpu_bound: bool = ...,
    max_flows: int | None = ...,
    options_only: Iterable[str] = ...,
    reads: Iterable[str] = ...,
    version: str | int | None = ...,
) -> FunctionTool[Parameters, Result]: ...


@overload
def tool(
    fn: None = None,
    *,
    name: str | None = ...,
    description: str | None = ...,
    cpu_bound: bool = ...,
    max_flows: int | None = ...,
    options_only: Iterable[str] = ...,
    reads: Iterable[str] = ...,
    version: str | int | None = ...,
) -> ToolMaker: ...


def tool(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    cpu_bound: bool = False,
    max_flows: int | None = None,
    options_only: Iterable[str] = (),
    reads: Iterable[str] = (),
    version: str | int | None = None,
) -> FunctionTool[..., Any] | ToolMaker:
    """Makes a function a tool, with or without brackets: `@tool`, `@tool(cpu_bound=True)`.

    Args:
        fn: a plain or async function. A plain one runs in a thread, so it may block.
        name: how reports call it; the function's name unless given.
        description: one sentence; the docstring's first paragraph unless given.
        cpu_bound: run it in a worker process. That needs a function at the top of an importable module:
            one of a script or notebook runs in a thread.
        max_flows: most calls of it at once. None leaves that to the engine.
        options_only: parameters that only a step's options may set, never an item's variables.
        reads: parameters that name a file, such as `["path"]`: to a store, another content is another call.
        version: a text or number of your own: with another one a store asks anew.

    Returns the `FunctionTool`, which is called like the function. Raises `InvalidInput` for a
    `max_flows` below 1.

    Example:
        @tool
        def words(text: str) -> int:
            "Counts the words of a text."
            return len(text.split())
    """
    settings: dict[str, Any] = {
        "name": name,
        "description": description,
        "cpu_bound": cpu_bound,
        "max_flows": max_flows,
        "options_only": options_only,
        "reads": reads,
        "version": version,
    }
    if fn is None:
        return cast("ToolMaker", functools.partial(FunctionTool, **settings))
    return FunctionTool(fn, **settings)


def _restore(dotted: str, presets: dict[str, Any]) -> Tool:
    module, _, path = dotted.partition(":")
    found: Any = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    made = found if isinstance(found, Tool) else FunctionTool(found)
    return made.with_options(**presets) if presets else made


def _dotted(fn: Callable[..., Any]) -> str | None:
    module, path = getattr(fn, "__module__", None), getattr(fn, "__qualname__", "")
    importable = module not in (None, "__main__", "builtins") and path and "<" not in path
    return f"{module}:{path}" if importable and not inspect.ismethod(fn) else None
