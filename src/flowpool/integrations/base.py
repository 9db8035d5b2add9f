"""A tool made of another framework's object. Knows none of the frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from flowpool import providers
from flowpool.errors import InvalidInput
from flowpool.tools.base import Tool
from flowpool.tools.schema import docstring_of, is_async, only_keywords, signature_of
from flowpool.usage import NO_USAGE, Usage


class ForeignAnswer(Struct, frozen=True):
    """What an object's method gave: its output in plain form, the tokens it counted, the model if there was one."""

    output: Any
    usage: Usage = NO_USAGE
    model: str = ""  # "provider/model", as a record has it


class ForeignTool(Tool):
    """Another framework's object, called by its own method.

    takes: the variable that is its one value; it may have another name in an item of one variable. None where it
    takes all variables: by keyword if it takes nothing else, else as a dict.
    """

    def __init__(
        self,
        target: Any,
        call: Callable[..., Any],
        *,
        name: str | None = None,
        takes: str | None = None,
        needs: Iterable[str] = (),
    ) -> None:
        own = getattr(target, "name", None)
        self.name = name or (own if isinstance(own, str) and own else type(target).__name__)
        self.description = docstring_of(target)[0]
        self.mode = "async" if is_async(call) or call.__name__ in ("ainvoke", "acall") else "thread"
        self.takes = takes
        self.parameters = {"type": "object", "properties": {}, "required": list(needs)}
        self._target = target
        self._call = call
        self._by_keyword = takes is None and only_keywords(signature_of(call))

    @property
    def fn(self) -> Callable[..., Any]:
        """The object's method, behind a function that takes the variables as arguments."""
        return self._invoke

    def run(self, **kwargs: Any) -> Any:
        """The method's output, or whatever it raises; an async method is waited for."""
        return self.answer(self._finish(self._invoke(**kwargs))).output

    def bind(
        self, variables: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All variables over the step's options, or the one that is its value.

        Raises `InvalidInput` when nothing tells which one that is.
        """
        given = {**self._presets, **(options or {}), **variables}
        if self.takes is None:
            return given
        if self.takes in given:
            return {self.takes: given[self.takes]}
        if len(given) == 1:
            return {self.takes: next(iter(given.values()))}
        raise InvalidInput(self._lacks(self.takes, variables))

    def missing(self, names: Iterable[str]) -> list[str]:
        """The variables it needs that are not among these names."""
        there = set(names) | set(self._presets)
        if self.takes is None:
            return [name for name in self._required if name not in there]
        return [] if self.takes in there or len(there) == 1 else [self.takes]

    def unread(self, options: Iterable[str], aliases: Iterable[str]) -> list[str]:
        """Those that its one value has no use for; none where it takes all variables."""
        return [] if self.takes is None else [name for name in options if name != self.takes]

    def answer(self, output: Any) -> ForeignAnswer:
        """What the method gave, in plain form; frameworks say here where their answers keep it."""
        return output if isinstance(output, ForeignAnswer) else ForeignAnswer(output)

    def shown(self) -> list[Any]:
        """What the object shows of itself, by which a store tells it from another or from what it was before."""
        target = self._target
        kind = f"{type(target).__module__}:{type(target).__qualname__}"
        own: Any = type(target).__repr__
        if own is not object.__repr__:
            return [kind, repr(target)]
        parts = getattr(target, "__dict__", {})
        return [kind, *sorted(f"{name}={value!r}" for name, value in parts.items())]

    def _invoke(self, /, **variables: Any) -> Any:
        if self.takes is not None:
            return self._call(variables[self.takes])
        return self._call(**variables) if self._by_keyword else self._call(variables)


def refuse(target: Any, why: str) -> InvalidInput:
    """What to raise for an object that can't run."""
    return InvalidInput(f"{type(target).__name__} can't run in a pool: {why}.")


def priced(model: Any, provider: Any = None) -> str:
    """ "provider/model" as a record has it; empty where the provider is unknown."""
    if not isinstance(model, str) or not model:
        return ""
    if isinstance(provider, str) and provider in providers.PROVIDERS:
        return f"{provider}/{model}"
    try:
        return "/".join(providers.split(model))
    except InvalidInput:
        return ""


def count(source: Any, *path: str) -> int:
    """The number at a path of attributes or keys; 0 where there is none."""
    for name in path:
        source = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
    return source if isinstance(source, int) and source > 0 else 0


def openai_usage(source: Any) -> Usage:
    """Usage as OpenAI's chat completions have it, which most frameworks pass on: an object or a dict."""
    return Usage(
        count(source, "prompt_tokens"),
        count(source, "completion_tokens"),
        count(source, "prompt_tokens_details", "cached_tokens"),
        0,
        count(source, "completion_tokens_details", "reasoning_tokens"),
    )
