"""What a function says of itself: its parameters as JSON Schema, and its docstring's words.

Pure reading of signatures, annotations and docstrings. Must not know tools, or call the function.
"""

from __future__ import annotations

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
        options = [type_schema(a) for a in args if a is not type(None)]
        return options[0] if len(options) == 1 else {} if {} in options else {"anyOf": options}
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return {"type": "object"}
    if inspect.isclass(origin) and issubclass(origin, (Sequence, set, frozenset)):
        items = type_schema(args[0]) if args else {}
        return {"type": "array", "items": items} if items else {"type": "array"}
    return {"type": "object"} if typing.is_typeddict(hint) else {}


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
