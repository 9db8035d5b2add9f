"""Prompt templates: text with `{name}` or `{page.title}` in it. Other braces stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from math import isnan
from typing import Any

import msgspec

from flowpool.errors import InvalidItem
from flowpool.structured.plain import base_of, is_pydantic, plain

_VARIABLE = re.compile(r"\{([A-Za-z_]\w*(?:\.\w+)*)\}")
_to_json = msgspec.json.encode


class Template:
    """A text compiled once and rendered for each item.

    >>> Template("Hello {name}, {a: 1} stays.").render({"name": "Ada"})
    'Hello Ada, {a: 1} stays.'
    """

    __slots__ = ("_pieces", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = _VARIABLE.split(text)  # literal, path, literal, path, ..., literal
        self.names = frozenset(path.partition(".")[0] for path in self._pieces[1::2])

    @property
    def literal(self) -> str:
        """What stands in the text beside the variables."""
        return "".join(self._pieces[::2])

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with each variable replaced by its value; raises `InvalidItem` for one that is missing."""
        pieces = self._pieces
        if len(pieces) == 1:
            return self.text
        parts = list(pieces)
        for i in range(1, len(pieces), 2):
            path = pieces[i]
            value = variables[path] if path in variables else look_up(path, variables)
            parts[i] = value if type(value) is str else as_text(value)
        return "".join(parts)


def look_up(path: str, variables: Mapping[str, Any]) -> Any:
    """The value at a dotted path: `page.title` is `variables["page"]["title"]`, or the attribute of it."""
    name, *rest = path.split(".")
    if name not in variables:
        there = ", ".join(map(str, variables)) or "none"
        raise InvalidItem(f"no variable {name!r}; there are: {there}")
    value = variables[name]
    for step in rest:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, (list, tuple)) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif _is_field(value, step):
            value = getattr(value, step)
        else:
            raise InvalidItem(f"{path!r}: {step!r} isn't in {name!r}, a {type(value).__name__}")
    return value


def _is_field(value: Any, name: str) -> bool:
    """Whether `name` is an attribute with data: a method, such as any text's `title`, is none."""
    if isinstance(value, Mapping) or name.startswith("_"):
        return False
    return hasattr(value, name) and not callable(getattr(value, name))


def as_text(value: Any) -> str:
    """How a value stands in a prompt: text as it is, nothing for None, JSON for what is structured."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Enum):
        return as_text(value.value)
    value = base_of(value)
    if value is None or (type(value) is float and isnan(value)):
        return ""  # what a frame counts as missing
    if type(value) is int or type(value) is float:
        return str(value)
    if isinstance(value, (dict, list, tuple, bool, msgspec.Struct)) or _is_record(value):
        try:
            held = plain(value, str)
            return held if isinstance(held, str) else _to_json(held).decode()
        except (TypeError, ValueError, RecursionError):  # what JSON can't hold
            return str(value)
    return str(value)


def _is_record(value: Any) -> bool:
    return is_dataclass(value) or is_pydantic(type(value))
