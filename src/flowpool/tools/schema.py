"""What a function says of itself: its parameters as JSON Schema, and its docstring's words.

Pure reading of signatures, annotations and docstrings. Must not know tools, or call the function.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

Schema = dict[str, Any]
Docs = tuple[str, dict[str, str]]

_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
    tuple: "array",
    set: "array",
}
# Annotations of a sole parameter that may take the whole variables: none at all, or a mapping.
_ROW_TYPES = (inspect.Parameter.empty, Any, dict, Mapping)
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_HEADING = re.compile(r"^(Args|Arguments|Parameters):$")
_SECTION = re.compile(r"^[A-Z]\w+:$")


def signature_of(fn: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of `fn`; None for the built-ins that have none."""
    try:
        return inspect.signature(fn)
    except (ValueError, TypeError):
        return None


def annotations_of(fn: Any) -> dict[str, Any]:
    """The evaluated annotations of `fn`; empty where a name in them can't be found."""
    target = inspect.unwrap(fn.func if hasattr(fn, "func") else fn)
    if not (inspect.isfunction(target) or inspect.ismethod(target) or inspect.isclass(target)):
        target = vars(type(target)).get("__call__", target)
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError):
        return {}


def parameters_schema(fn: Callable[..., Any], skip: Iterable[str] = ()) -> Schema:
    """The JSON Schema object of what `fn` takes; `skip` leaves parameters out."""
    signature = signature_of(fn)
    hints, words = annotations_of(fn), docstring_of(fn)[1]
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for parameter in signature.parameters.values() if signature else ():
        if parameter.name in skip or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        entry = type_schema(hints.get(parameter.name, Any))
        if parameter.name in words:
            entry["description"] = words[parameter.name]
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        elif isinstance(parameter.default, (str, int, float, bool)):
            entry["default"] = parameter.default
        properties[parameter.name] = entry
    return {"type": "object", "properties": properties, "required": required}


def type_schema(hint: Any) -> Schema:
    """The JSON Schema of one annotation; `{}` (anything) for what JSON can't say."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is typing.Annotated:
        return type_schema(args[0])
    if origin in (Union, types.UnionType):
        return _union_schema(args)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return {"type": "object"}
    if inspect.isclass(origin) and issubclass(origin, (Sequence, set, frozenset)):
        items = type_schema(args[0]) if args else {}
        return {"type": "array", "items": items} if items else {"type": "array"}
    return {"type": "object"} if typing.is_typeddict(hint) else {}


def _union_schema(members: Iterable[Any]) -> Schema:
    """The schema of one of several types; that one may be None goes without saying."""
    options = [type_schema(member) for member in members if member is not type(None)]
    if len(options) == 1:
        return options[0]
    return {} if {} in options else {"anyOf": options}


def docstring_of(fn: Any) -> Docs:
    """The first paragraph of the docstring in one line, and the words of each entry under `Args:`."""
    lines = (inspect.getdoc(fn) or "").splitlines()
    first = " ".join(line.strip() for line in _paragraph(lines))
    start = next((i for i, line in enumerate(lines) if _HEADING.match(line)), None)
    return first, _entries(lines[start + 1 :]) if start is not None else {}


def _paragraph(lines: list[str]) -> list[str]:
    end = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    return lines[:end]


def _entries(lines: list[str]) -> dict[str, str]:
    """Reads `name (type): words`, where deeper lines carry on the entry above them."""
    found: dict[str, str] = {}
    name, indent = "", None
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0 or _SECTION.match(line):
            break
        indent = depth if indent is None else indent
        entry = _ENTRY.match(line.strip()) if depth <= indent else None
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def name_of(fn: Callable[..., Any]) -> str:
    """What reports call `fn`."""
    inner = fn.func if isinstance(fn, functools.partial) else fn
    name = getattr(inner, "__name__", None) or type(inner).__name__
    return "function" if name == "<lambda>" else str(name)


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine."""
    call = getattr(fn, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(call)


def has_kwargs(signature: inspect.Signature | None) -> bool:
    """Whether every keyword is accepted."""
    known = signature.parameters.values() if signature else ()
    return any(p.kind is p.VAR_KEYWORD for p in known)


def only_keywords(signature: inspect.Signature | None) -> bool:
    """Whether keywords are the only way to pass anything."""
    known = signature.parameters.values() if signature else ()
    by_position = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in known)
    return has_kwargs(signature) and not by_position


def output_names(returned: Any) -> Iterable[str] | None:
    """The names in a dict of the annotated type; none for other types, None where the type doesn't tell."""
    if typing.is_typeddict(returned):
        return tuple(typing.get_type_hints(returned))
    return () if returned in (str, int, float, bool, bytes, list, type(None)) else None


def may_be_row(hint: Any) -> bool:
    """Whether a sole parameter annotated so may take all variables: as a mapping, or not annotated."""
    return any(hint is kind for kind in _ROW_TYPES) or is_mapping(hint)


def is_mapping(hint: Any) -> bool:
    """Whether a parameter is annotated as a mapping."""
    origin = getattr(hint, "__origin__", hint)
    return inspect.isclass(origin) and issubclass(origin, Mapping)
