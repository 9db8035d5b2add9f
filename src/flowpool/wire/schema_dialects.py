"""JSON Schemas in the dialect that each provider enforces. What one can't enforce is said in the description.

A provider refuses a schema with a keyword that it doesn't know, so each has its list. The answer is held to the
whole schema afterwards, whatever was sent. A schema is made fit once, not for every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from msgspec import json

from flowpool.structured.schemas import Made, rebuilt

# What every provider's subset has.
CORE = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum"}
    | {"$ref", "$defs", "description"}
)
_OPENAI = CORE | {
    *("pattern", "format", "minItems", "maxItems", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_ANTHROPIC = CORE | {"format"}
_GEMINI = CORE | {"format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "title"}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
# Left out: they say nothing to a model.
_SILENT = frozenset({"default", "discriminator", "$comment", "$schema", "$id", "examples", "title"})
# They make an answer's shape, so that a schema without them would be another one.
SHAPES = frozenset(
    {"allOf", "patternProperties", "prefixItems", "not", "if", "then", "else", "dependentSchemas"}
)
_KINDS: dict[type, str] = {
    **{str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"},
}

T = TypeVar("T")
# A run has a schema a step; more of them come only from schemas that are made anew for each call, which are then
# better forgotten than kept.
_MOST_KEPT = 256


def once(make: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """Keeps what was made of a schema for the next call with the very same one."""
    kept: dict[int, tuple[Mapping[str, Any], T]] = {}

    @wraps(make)
    def made(schema: Mapping[str, Any]) -> T:
        found = kept.get(id(schema))
        if found is None or found[0] is not schema:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            found = kept[id(schema)] = schema, make(schema)
        return found[1]

    return made


@once
def for_openai(schema: Mapping[str, Any]) -> tuple[Made, bool]:
    """The schema, and whether it is one for strict mode: every object closed, every property required.

    A property that may be missing becomes one that may be null, which the reader of the answer knows.
    """
    made: Made = rebuilt(rebuilt(schema, plainer), closed)
    if not _has_one_shape(made):
        return made, False
    strict: Made = rebuilt(made, lambda node: _all_required(in_keywords(node, _OPENAI)))
    return strict, True


@once
def for_anthropic(schema: Mapping[str, Any]) -> Made | None:
    """The schema for structured output, or None where that can't hold it and a tool's input can."""
    made: Made = rebuilt(rebuilt(schema, plainer), closed)
    if not _has_one_shape(made) or "$defs" in made:
        return None
    fit: Made = rebuilt(made, lambda node: one_type(in_keywords(node, _ANTHROPIC)))
    return fit


@once
def for_gemini(schema: Mapping[str, Any]) -> Made:
    """The schema in the keywords that Gemini knows."""
    made: Made = rebuilt(schema, lambda node: in_keywords(plainer(node), _GEMINI))
    return made


def closed(node: Made) -> Made:
    """The node, allowing no other names than its own unless it says so."""
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    return node


def plainer(node: Made) -> Made:
    """The same said with fewer keywords."""
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "enum" in node and "type" not in node:
        kinds = list(dict.fromkeys(_KINDS.get(type(value), "") for value in node["enum"]))
        if "" not in kinds:
            node["type"] = kinds[0] if len(kinds) == 1 else kinds
    joined = node.get("allOf")
    if isinstance(joined, list) and len(joined) == 1 and isinstance(joined[0], dict):
        del node["allOf"]
        node = {**joined[0], **node}
    return node


def _has_one_shape(schema: Any) -> bool:
    """Whether every part says what it is, and no object is open: what strict modes can hold."""
    found = True

    def look(node: Made) -> Made:
        nonlocal found
        says = not node.keys().isdisjoint({"type", "anyOf", "enum", "$ref"})
        is_object = node.get("type") == "object"
        is_list = node.get("type") == "array"
        is_open = is_object and (node.get("additionalProperties") is not False)
        found = found and says and not is_open and SHAPES.isdisjoint(node)
        found = found and (not is_list or isinstance(node.get("items"), Mapping))
        return node

    rebuilt(schema, look)
    return found


def in_keywords(node: Made, known: frozenset[str], formats: frozenset[str] = _FORMATS) -> Made:
    """The node in `known` keywords and `formats` alone; the others are said in its description."""
    if "$ref" in node:
        return {key: node[key] for key in ("$ref", "$defs") if key in node}
    kept: Made = {}
    said = []
    for key, value in node.items():
        refused = key == "format" and value not in formats
        refused = refused or (key == "pattern" and "(?" in str(value))  # no engine looks around
        if key in known and not refused:
            kept[key] = value
        elif key not in _SILENT:
            said.append(f"{key}: {json.encode(value).decode()}")
    if said:
        words = f"({', '.join(said)})"
        kept["description"] = f"{kept['description']} {words}" if "description" in kept else words
    return kept


def one_type(node: Made) -> Made:
    """The node with one type at most."""
    kinds = node.get("type")
    if isinstance(kinds, list) and "enum" in node:
        del node["type"]  # the values say it
    elif isinstance(kinds, list):
        said = {key: node.pop(key) for key in ("description", "$defs") if key in node}
        null = {"type": "null"}
        node = said | {"anyOf": [null if k == "null" else {**node, "type": k} for k in kinds]}
    return node


def _all_required(node: Made) -> Made:
    named = node.get("properties")
    if named is None:
        return node
    required = set(node.get("required", ()))
    node["properties"] = {
        name: sub if name in required else _or_null(sub) for name, sub in named.items()
    }
    node["required"] = list(named)
    return node


def _or_null(schema: Made) -> Made:
    if "anyOf" in schema:
        has_null = {"type": "null"} in schema["anyOf"]
        return schema if has_null else {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    if "null" in kinds:
        return schema
    made = {**schema, "type": [*kinds, "null"]}
    if "enum" in schema:
        made["enum"] = [*schema["enum"], None]
    return made
