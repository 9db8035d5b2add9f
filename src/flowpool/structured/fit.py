"""Makes a value fit its schema where the model plainly meant it: a number in quotes, Spam for spam.

Pure: gives a new value, and leaves what it isn't sure of for the checker to name.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec

from flowpool.structured.check import Schema, resolve, same
from flowpool.structured.text import Numeral

# Deeper, a schema that refers to itself would be followed without end; no answer that a model gives is so deep.
_NESTED_MOST = 100
# What a value of JSON may be for.
_KINDS_OF: dict[type, tuple[str, ...]] = {
    int: ("number", "integer"),
    float: ("number", "integer"),
    bool: ("boolean",),
    dict: ("object",),
    list: ("array",),
}


def fitted(value: Any, schema: Any, root: Any = None, depth: int = 0) -> Any:
    """`value` with what was plainly meant: for each of its parts by that part's schema.

    >>> fitted({"n": "42", "kind": "Spam"}, {"type": "object", "properties": {
    ...     "n": {"type": "integer"}, "kind": {"enum": ["spam", "ham"]}}})
    {'n': 42, 'kind': 'spam'}
    """
    root = schema if root is None else root
    schema = _followed(schema, root, value)
    if schema is None or depth > _NESTED_MOST:
        return value
    kinds = kinds_of(schema)
    if isinstance(value, str):
        return _from_text(value, schema, kinds, root, depth)
    if isinstance(value, list):
        return _from_list(value, schema, kinds, root, depth)
    if isinstance(value, dict):
        return _members(value, schema, root, depth)
    return _from_scalar(value, schema, kinds)


def _from_scalar(value: Any, schema: Schema, kinds: set[str]) -> Any:
    """A number, true, false or null where it fits, or as the text that is wanted there."""
    choices = schema.get("enum")
    if choices is not None and not any(same(value, one) for one in choices):
        texts = [_text_of(value)]
        if isinstance(value, float) and value.is_integer():
            texts.append(str(int(value)))
        return next((meant for text in texts if (meant := chosen(text, choices)) in choices), value)
    is_exact = isinstance(value, (int, Numeral))
    if kinds == {"string"} and is_exact and schema.get("format", "decimal") == "decimal":
        return _text_of(value)
    if isinstance(value, float) and kinds == {"integer"} and value.is_integer():
        return int(value)
    return value


def _text_of(value: Any) -> str:
    """A scalar as it stands in JSON."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return value.text if isinstance(value, Numeral) else repr(value)


def kinds_of(schema: Schema) -> set[str]:
    """The types that a schema allows, null aside; empty where it doesn't say."""
    kinds = schema.get("type", [])
    if not kinds and "properties" in schema:
        kinds = "object"
    return {kinds} if isinstance(kinds, str) else set(kinds) - {"null"}


def allows_null(schema: Any, root: Any) -> bool:
    """Whether null fits."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if "$ref" in schema:
        return allows_null(resolve(schema["$ref"], root), root)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return any(allows_null(sub, root) for sub in choices)
    if "enum" in schema or "const" in schema:
        return None in schema.get("enum", [schema.get("const", 0)])
    kinds = schema.get("type")
    return kinds is None or kinds == "null" or (not isinstance(kinds, str) and "null" in kinds)


def _followed(schema: Any, root: Any, value: Any) -> Schema | None:
    """The schema behind references, and that of several which a value is plainly meant for; else None."""
    for _ in range(_NESTED_MOST):
        if not isinstance(schema, Mapping):
            return None
        choices = schema.get("anyOf") or schema.get("oneOf")
        if "$ref" in schema:
            schema = resolve(schema["$ref"], root)
        elif choices:
            able = [sub for sub in choices if _may_be_for(sub, root, value)]
            if len(able) != 1:
                return None
            schema = able[0]
        else:
            return schema
    return None


def _may_be_for(schema: Any, root: Any, value: Any) -> bool:
    """Whether a schema is one that a value of such a kind and such names can be meant for."""
    for _ in range(_NESTED_MOST):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            break
        schema = resolve(schema["$ref"], root)
    if not isinstance(schema, Mapping) or "anyOf" in schema or "oneOf" in schema:
        return schema is not False
    kinds = kinds_of(schema)
    if not isinstance(value, (dict, list)):
        return schema.get("type") != "null"
    if kinds and ("object" if isinstance(value, dict) else "array") not in kinds:
        return False
    return isinstance(value, list) or _has_its_names(schema, value)


def _has_its_names(schema: Schema, value: dict[str, Any]) -> bool:
    named = schema.get("properties") or {}
    if not value.keys() >= set(schema.get("required", ())):
        return False
    if schema.get("additionalProperties") is False and not value.keys() <= named.keys():
        return False
    for name, sub in named.items():
        if name in value and isinstance(sub, Mapping):
            tags = [sub["const"]] if "const" in sub else sub.get("enum", ())
            if len(tags) == 1 and value[name] != tags[0]:
                return False
    return True


def _from_list(values: list[Any], schema: Schema, kinds: set[str], root: Any, depth: int) -> Any:
    if kinds == {"object"} and len(values) == 1 and isinstance(values[0], dict):
        return fitted(values[0], schema, root, depth + 1)  # an object in needless brackets
    return _items(values, schema, root, depth)


def _from_text(text: str, schema: Schema, kinds: set[str], root: Any, depth: int) -> Any:
    choices = schema.get("enum")
    if choices is not None:
        return chosen(text, choices)
    if len(kinds) != 1 or "string" in kinds:
        return text
    try:
        meant = msgspec.json.decode(text.strip())
    except (ValueError, RecursionError):
        return text
    if not kinds.isdisjoint(_KINDS_OF.get(type(meant), ())):
        return fitted(meant, schema, root, depth + 1)
    return text


def chosen(text: str, choices: Any) -> Any:
    """The one of `choices` that a text means, up to case, space and a closing point; else the text."""
    if text in choices:
        return text
    word = _bare(text)
    meant = [one for one in choices if one is not None and _bare(str(one)) == word]
    return meant[0] if len(meant) == 1 else text


def _bare(text: str) -> str:
    return text.strip(" \t\r\n\"'`*.").casefold()


def _items(values: list[Any], schema: Schema, root: Any, depth: int) -> list[Any]:
    first = schema.get("prefixItems") or ()
    others = schema.get("items", True)
    return [
        fitted(value, first[at] if at < len(first) else others, root, depth + 1)
        for at, value in enumerate(values)
    ]


def _members(value: dict[str, Any], schema: Schema, root: Any, depth: int) -> dict[str, Any]:
    named = schema.get("properties") or {}
    others = schema.get("additionalProperties", True)
    required = set(schema.get("required", ()))
    made = {}
    for name, inner in value.items():
        sub = named.get(name, others)
        if inner is None and name in named and name not in required and not allows_null(sub, root):
            continue  # strict modes can't leave a name out: null says that
        made[name] = fitted(inner, sub, root, depth + 1)
    return made


def with_defaults(value: Any, schema: Any, root: Any = None) -> Any:
    """`value` with a schema's defaults for the names that it leaves out."""
    root = schema if root is None else root
    schema = _followed(schema, root, value)
    if schema is None:
        return value
    if isinstance(value, list):
        return [with_defaults(inner, schema.get("items"), root) for inner in value]
    if not isinstance(value, dict):
        return value
    named = schema.get("properties") or {}
    made = {name: with_defaults(inner, named.get(name), root) for name, inner in value.items()}
    for name, sub in named.items():
        if name not in made and isinstance(sub, Mapping) and "default" in sub:
            made[name] = deepcopy(sub["default"])
    return made
