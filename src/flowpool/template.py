"""Prompt templates: text with `{name}` or `{page.title}` in it. `braces` says which braces are a variable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

import msgspec

from flowpool.braces import head_of, nearest, nearly, parsed, variable_in
from flowpool.errors import InvalidItem
from flowpool.structured.plain import base_of, is_missing, is_pydantic, plain

_to_json = msgspec.json.encode
# Rows of a file have the same names, or a few kinds of them.
_MOST_NAMES = 64


class Template:
    r"""A text compiled once and rendered for each item.

    names: the paths of its variables, `page.title` among them. doubtful: what stands between other braces, which
    are a variable only where one has just that name.

    >>> Template(r"Hello {name}, {a: 1} and \{b} stay.").render({"name": "Ada"})
    'Hello Ada, {a: 1} and {b} stay.'
    """

    __slots__ = ("_by_names", "_pieces", "doubtful", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._by_names: dict[tuple[str, ...], list[str]] = {}
        self._pieces, self.doubtful = _pieces(text, ())
        self.names = frozenset(self._pieces[1::2])

    @property
    def literal(self) -> str:
        """What stands in the text beside the variables."""
        return "".join(self._pieces[::2])

    def sole(self, names: Collection[str]) -> str | None:
        """The path of its variable, where it is nothing but that. names: the variables that there are."""
        pieces = self._pieces if not self.doubtful else self._pieces_for(tuple(names))
        is_sole = len(pieces) == 3 and not (pieces[0] + pieces[2]).strip()
        return pieces[1] if is_sole else None

    def variables(self, names: Collection[str]) -> frozenset[str]:
        """Those of these variables that it uses."""
        found = (variable_in(path, names) for path in self.names)
        return frozenset(name for name in found if name is not None) | self.doubtful & set(names)

    def mistake(self, names: Collection[str]) -> str | None:
        """What is wrong with braces that are nearly one of these variables; None where none are."""
        for path in sorted(self.names):
            meant = variable_in(path, names) is None and nearest(path, names)
            if meant:
                return _meant(path, meant)
        for text in sorted(self.doubtful - set(names)):
            if (meant := nearly(text, names)) is not None:
                return _meant(text, meant)
        return None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with each variable replaced by its value; raises `InvalidItem` for one that is missing."""
        pieces = self._pieces if not self.doubtful else self._pieces_for(tuple(variables))
        if len(pieces) == 1:
            return pieces[0]
        parts = list(pieces)
        for i in range(1, len(pieces), 2):
            path = pieces[i]
            value = variables[path] if path in variables else look_up(path, variables)
            parts[i] = value if type(value) is str else as_text(value)
        return "".join(parts)

    def empty(self, variables: Mapping[str, Any]) -> list[str]:
        """The paths of its variables that have nothing in them."""
        pieces = self._pieces if not self.doubtful else self._pieces_for(tuple(variables))
        return [path for path in dict.fromkeys(pieces[1::2]) if _has_nothing(path, variables)]

    def _pieces_for(self, names: tuple[str, ...]) -> list[str]:
        """Its pieces where these are the variables; raises `InvalidItem` for braces that are nearly one."""
        if (known := self._by_names.get(names)) is None:
            if mistake := self.mistake(names):
                raise InvalidItem(mistake)
            if len(self._by_names) >= _MOST_NAMES:
                self._by_names.clear()
            known, _ = self._by_names[names], _ = _pieces(self.text, names)
        return known


def _pieces(text: str, columns: Collection[str]) -> tuple[list[str], frozenset[str]]:
    """Literal, path, literal, path, ..., literal; and what stands between braces that are no variable."""
    pieces, doubtful = [""], set()
    for braces in parsed(text):
        pieces[-1] += braces.before
        if braces.text is None:
            continue
        if braces.is_name or braces.text in columns:
            pieces += [braces.text, ""]
        else:
            pieces[-1] += braces.raw
            doubtful.add(braces.text)
    return pieces, frozenset(doubtful)


def _meant(text: str, column: str) -> str:
    """What to write instead of braces that are nearly a variable."""
    return (
        f"{{{text}}} in the prompt is no variable, and nearly {column!r}: write {{{column}}} for its value, or "
        f"\\{{{text}}} for the braces themselves"
    )


def look_up(path: str, variables: Mapping[str, Any]) -> Any:
    """The value at a dotted path: `page.title` is `variables["page"]["title"]`, or the attribute of it.

    A variable of just that name comes first.
    """
    name = variable_in(path, variables)
    if name is None:
        there = ", ".join(map(str, variables)) or "none"
        raise InvalidItem(f"no variable {head_of(path)!r}; there are: {there}")
    value = variables[name]
    for step in path[len(name) + 1 :].split(".") if path != name else ():
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


def _has_nothing(path: str, variables: Mapping[str, Any]) -> bool:
    try:
        return is_empty(variables[path] if path in variables else look_up(path, variables))
    except InvalidItem:
        return False


def is_empty(value: Any) -> bool:
    """Whether there is nothing of a value in a prompt: a missing one, or text without a character that shows."""
    if isinstance(value, str):
        return not value or value.isspace()
    return is_missing(value)


def as_text(value: Any) -> str:
    """How a value stands in a prompt: text as it is, nothing for a missing one, JSON for what is structured."""
    if isinstance(value, str):
        return value
    if isinstance(value, Enum):
        return as_text(value.value)
    value = base_of(value)
    if is_missing(value):
        return ""
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
