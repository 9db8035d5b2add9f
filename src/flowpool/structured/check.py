"""Holds a value against a JSON Schema (2020-12's assertions), and says everything that doesn't fit.

Written here because the words go to a model, all at once and short; because `jsonschema` would bring five
packages and 90 ms of import for what is these few rules; and because a schema from a file must not fetch
anything. A test holds it to `jsonschema`'s verdicts. Of `format` it checks those that have one meaning everywhere,
and leaves the others for annotations, as the standard has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from typing import Any

from flowpool.call_options import one_edit_away
from flowpool.errors import InvalidInput

Schema = Mapping[str, Any]
Faults = Iterator[str]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: is_number(v),
    "integer": lambda v: is_number(v) and (isinstance(v, int) or v.is_integer()),
}
# Keywords that are checked; others are annotations, unless they are nearly one of these.
_KEYWORDS = frozenset(
    {"type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}
    | {"$defs", "additionalProperties", "pattern", "patternProperties", "minimum", "maximum"}
    | {"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "format"}
)
_DAY, _CLOCK = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?"
# How a text of each format looks, and what raises `ValueError` for one that looks so and isn't.
_FORMATS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    name: (re.compile(pattern, re.ASCII), read)
    for name, pattern, read in (
        ("date", _DAY, date.fromisoformat),
        ("date-time", f"{_DAY}[Tt ]{_CLOCK}", datetime.fromisoformat),
        ("time", _CLOCK, time.fromisoformat),
        (
            "duration",
            r"[+-]?P(?=.)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+(?:[.,]\d+)?S)?)?)",
            str,
        ),
        ("uuid", "[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\\1){3}[0-9a-fA-F]{12}", str),
        ("ipv4", r"[\d.]+", IPv4Address),
        ("ipv6", r"[\da-fA-F:.]+", IPv6Address),
        ("email", r"[^@\s]+@[^@\s]+", str),
        ("uri", r"[A-Za-z][A-Za-z\d+.-]*:\S+", str),
        ("decimal", r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", str),
    )
}
_REFUSED = ("$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems")


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def check_schema(schema: Any, where: str = "output") -> None:
    """Raises `InvalidInput`, with the path, for a schema that can't be held against anything."""
    _check(schema, schema, where)


def _check(schema: Any, root: Any, where: str) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise InvalidInput(f"{where}: a schema is an object, not {schema!r}.")
    _check_keywords(schema, where)
    if "$ref" in schema:
        resolve(schema["$ref"], root, where)
    for path, sub in subschemas(schema):
        _check(sub, root, f"{where}.{path}")


def _check_keywords(schema: Schema, where: str) -> None:
    for name in schema:
        meant = one_edit_away(name, _KEYWORDS) if isinstance(name, str) else None
        if meant is not None:
            raise InvalidInput(f"{where}: {name!r} is no keyword: did you mean {meant!r}?")
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind not in _TYPES:
            raise InvalidInput(f"{where}: type {kind!r}: use one of {', '.join(_TYPES)}.")
    for name in _REFUSED:
        if name in schema:
            raise InvalidInput(f"{where}: {name} isn't checked here: leave it out.")
    try:
        re.compile(schema.get("pattern", ""))
    except (re.error, TypeError):
        raise InvalidInput(f"{where}: pattern {schema['pattern']!r} is no pattern.") from None
    if not isinstance(schema.get("enum", []), (list, tuple)):
        raise InvalidInput(f"{where}: enum is a list of values.")


def subschemas(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Every schema that stands directly in this one, with its path."""
    for key in ("items", "additionalProperties", "not", "if", "then", "else", "contains"):
        if key in schema:
            yield key, schema[key]
    if "propertyNames" in schema:
        yield "propertyNames", schema["propertyNames"]
    for key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
        for name, sub in (schema.get(key) or {}).items():
            yield f"{key}.{name}", sub
    for key in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for i, sub in enumerate(schema.get(key) or ()):
            yield f"{key}[{i}]", sub


def resolve(ref: Any, root: Any, where: str = "output") -> Any:
    """The schema that a `$ref` within the same schema names."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        raise InvalidInput(f"{where}: $ref {ref!r} leads elsewhere: put it into $defs.")
    found = root
    for step in filter(None, ref[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, Mapping) and name in found:
            found = found[name]
        else:
            raise InvalidInput(f"{where}: $ref {ref!r} leads nowhere.")
    return found


def faults(value: Any, schema: Any, root: Any = None, at: str = "$") -> Faults:
    """What of `value` doesn't fit, each with its path: `$.age: is 'x', not an integer`."""
    root = schema if root is None else root
    if schema is True or schema == {}:
        return
    if schema is False:
        yield f"{at}: must not be there"
        return
    if "$ref" in schema:
        yield from faults(value, resolve(schema["$ref"], root), root, at)
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(_TYPES[kind](value) for kind in kinds):
            yield f"{at}: is {shown(value)}, not {_a(kinds)}"
            return
    yield from _value_faults(value, schema, at)
    if isinstance(value, dict):
        yield from _object_faults(value, schema, root, at)
    elif isinstance(value, list):
        yield from _array_faults(value, schema, root, at)
    yield from _joined_faults(value, schema, root, at)


def fits(value: Any, schema: Any, root: Any) -> bool:
    return next(faults(value, schema, root), None) is None


def _value_faults(value: Any, schema: Schema, at: str) -> Faults:
    if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
        yield f"{at}: is {shown(value)}, not one of {', '.join(map(shown, schema['enum']))}"
    if "const" in schema and not same(value, schema["const"]):
        yield f"{at}: is {shown(value)}, not {shown(schema['const'])}"
    if is_number(value):
        yield from _number_faults(value, schema, at)
    elif isinstance(value, str):
        yield from _bounds(len(value), schema, at, "minLength", "maxLength", " characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: is {shown(value)}, which doesn't match {schema['pattern']}"
        if not _has_format(value, schema.get("format")):
            yield f"{at}: is {shown(value)}, not in the format {schema['format']}"


def _has_format(text: str, name: Any) -> bool:
    """Whether a text is of a format; any is of those that aren't known."""
    if not isinstance(name, str) or name not in _FORMATS:
        return True
    pattern, read = _FORMATS[name]
    if not pattern.fullmatch(text):
        return False
    try:
        read(text)
    except ValueError:
        return False
    return True


def _number_faults(value: float, schema: Schema, at: str) -> Faults:
    yield from _bounds(value, schema, at, "minimum", "maximum", "")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{at}: is {value}, not above {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{at}: is {value}, not below {schema['exclusiveMaximum']}"
    if "multipleOf" in schema and not _is_multiple(value, schema["multipleOf"]):
        yield f"{at}: is {value}, not a multiple of {schema['multipleOf']}"


def _object_faults(value: dict[str, Any], schema: Schema, root: Any, at: str) -> Faults:
    yield from _bounds(len(value), schema, at, "minProperties", "maxProperties", " names")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: has no {name!r}"
    yield from _member_faults(value, schema, root, at)
    yield from _dependent_faults(value, schema, root, at)


def _member_faults(value: dict[str, Any], schema: Schema, root: Any, at: str) -> Faults:
    """What of each name and its value doesn't fit."""
    named = schema.get("properties") or {}
    patterns = schema.get("patternProperties") or {}
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        path = f"{at}.{name}"
        subs = [named[name]] if name in named else []
        subs += [sub for pattern, sub in patterns.items() if re.search(pattern, name)]
        for sub in subs or [others]:
            yield from faults(inner, sub, root, path)
        if "propertyNames" in schema:
            yield from faults(name, schema["propertyNames"], root, path)


def _dependent_faults(value: dict[str, Any], schema: Schema, root: Any, at: str) -> Faults:
    """What is lacking or wrong because another name is there."""
    for name, needed in (schema.get("dependentRequired") or {}).items():
        if name in value:
            yield from (f"{at}: has {name!r} but no {n!r}" for n in needed if n not in value)
    for name, sub in (schema.get("dependentSchemas") or {}).items():
        if name in value:
            yield from faults(value, sub, root, at)


def _array_faults(value: list[Any], schema: Schema, root: Any, at: str) -> Faults:
    yield from _bounds(len(value), schema, at, "minItems", "maxItems", " items")
    first = schema.get("prefixItems") or ()
    others = schema.get("items", True)
    for i, inner in enumerate(value):
        sub = first[i] if i < len(first) else others
        yield from faults(inner, sub, root, f"{at}[{i}]")
    if schema.get("uniqueItems") and _has_twins(value):
        yield f"{at}: holds the same value twice"
    if "contains" in schema:
        found = sum(fits(inner, schema["contains"], root) for inner in value)
        if not schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)):
            yield f"{at}: {found} of its items are as they should be"


def _joined_faults(value: Any, schema: Schema, root: Any, at: str) -> Faults:
    for sub in schema.get("allOf") or ():
        yield from faults(value, sub, root, at)
    if schema.get("anyOf"):
        yield from _none_of(value, schema["anyOf"], root, at)
    if schema.get("oneOf"):
        fitting = sum(fits(value, sub, root) for sub in schema["oneOf"])
        if fitting == 0:
            yield from _none_of(value, schema["oneOf"], root, at)
        elif fitting > 1:
            yield f"{at}: fits {fitting} of the schemas that exclude each other"
    if "not" in schema and fits(value, schema["not"], root):
        yield f"{at}: is {shown(value)}, which is excluded"
    if "if" in schema:
        branch = "then" if fits(value, schema["if"], root) else "else"
        yield from faults(value, schema.get(branch, True), root, at)


def _none_of(value: Any, choices: list[Any], root: Any, at: str) -> Faults:
    """The faults by the choice that is nearest: the one whose first fault lies deepest."""
    nearest: list[str] = []
    for sub in choices:
        found = list(faults(value, sub, root, at))
        if not found:
            return
        if not nearest or _depth(found) > _depth(nearest):
            nearest = found
    yield from nearest


def _depth(found: list[str]) -> tuple[int, int]:
    return len(found[0].partition(": ")[0]), -len(found)


def _bounds(size: float, schema: Schema, at: str, least: str, most: str, unit: str) -> Faults:
    if least in schema and size < schema[least]:
        yield f"{at}: {size}{unit}, at least {schema[least]} are needed"
    if most in schema and size > schema[most]:
        yield f"{at}: {size}{unit}, at most {schema[most]} are allowed"


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    quotient = value / step
    return abs(quotient - round(quotient)) < 1e-9


def same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true isn't 1, at any depth."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def _has_twins(values: list[Any]) -> bool:
    return any(same(one, other) for at, one in enumerate(values) for other in values[:at])


def shown(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    text = {True: "true", False: "false", None: "null"}.get(value) if not is_number(value) else None
    text = text or repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _a(kinds: list[str]) -> str:
    words = [f"an {k}" if k[0] in "aio" else k if k == "null" else f"a {k}" for k in kinds]
    return " or ".join(words)
