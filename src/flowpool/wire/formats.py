"""What the wires share in asking for JSON: words for those without a native mode, and schemas made fit.

Providers that enforce a schema want every object closed; this closes those that say nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from msgspec import json

from flowpool.errors import BadRequest, CallError
from flowpool.values import Call, OutputFormat, Text

PLAIN_JSON = "Answer with one JSON value and nothing else."

_NESTED = frozenset({"items", "additionalProperties", "not", "contains"})
_NAMED = frozenset({"properties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
# One of these stands in the words of a server that refuses a format.
_FORMAT_WORDS = (
    *("response_format", "responseformat", "json_schema", "jsonschema", "json_object", "json mode"),
    *("output_config", "output_format", "responsemimetype", "response_mime_type", "text.format"),
    *("structured output", "schema", "guided", "grammar", "tool_choice"),
)
# OpenAI's strict mode refuses a schema with one of these.
_NOT_STRICT = frozenset(
    {"default", "oneOf", "allOf", "not", "patternProperties", "prefixItems", "contains"}
    | {"if", "then", "else", "dependentRequired", "dependentSchemas", "propertyNames"}
)
# Anthropic refuses a schema with one of these; a checker of the answer may still hold it to them.
CONSTRAINTS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "minItems", "maxItems", "uniqueItems"}
)


def schema_of(output: OutputFormat | None) -> Mapping[str, Any] | None:
    """The schema that the answer must fit, or None when any JSON, or no JSON, is asked for."""
    return output.schema if output is not None and output.kind == "json_schema" else None


def in_words(schema: Mapping[str, Any] | None) -> str:
    """The instruction for a model whose provider can't enforce the format."""
    if schema is None:
        return PLAIN_JSON
    return f"{PLAIN_JSON} It must fit this JSON Schema:\n{json.encode(schema).decode()}"


def refuses_format(error: CallError, output: OutputFormat | None) -> bool:
    """Whether a server won't have a call for the way in which it asks for its format."""
    if output is None or output.form == "words" or not isinstance(error, BadRequest):
        return False
    said = error.message.lower()
    return error.status in (400, 422) and any(word in said for word in _FORMAT_WORDS)


def says_json(call: Call) -> bool:
    """Whether a message speaks of JSON: OpenAI's plain JSON mode refuses calls where none does."""
    return any(
        isinstance(part, Text) and ("JSON" in part.text or "json" in part.text)
        for message in call.messages
        for part in message.parts
    )


def closed(schema: Mapping[str, Any], drop: Set[str] = frozenset()) -> dict[str, Any]:
    """A copy whose objects with properties allow no others unless they say so, without `drop`'s keywords."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in drop:
            continue
        if key in _NESTED and isinstance(value, Mapping):
            made[key] = closed(value, drop)
        elif key in _NAMED and isinstance(value, Mapping):
            made[key] = {name: _closed_if_schema(sub, drop) for name, sub in value.items()}
        elif key in _LISTED and isinstance(value, list | tuple):
            made[key] = [_closed_if_schema(sub, drop) for sub in value]
        else:
            made[key] = value
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _closed_if_schema(value: Any, drop: Set[str]) -> Any:
    return closed(value, drop) if isinstance(value, Mapping) else value


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes this schema: objects closed, every property required."""
    if not isinstance(schema, Mapping):
        return True
    if not _NOT_STRICT.isdisjoint(schema) or not _object_is_strict(schema):
        return False
    return (
        all(is_strict(schema[key]) for key in _NESTED & schema.keys())
        and all(is_strict(sub) for key in _NAMED & schema.keys() for sub in schema[key].values())
        and all(is_strict(sub) for sub in schema.get("anyOf", ()))
    )


def _object_is_strict(schema: Mapping[str, Any]) -> bool:
    if schema.get("type") != "object" and "properties" not in schema:
        return True
    required = set(schema.get("required", ()))
    return schema.get("additionalProperties") is False and required >= set(
        schema.get("properties", ())
    )
