"""What each provider is told of a schema: its own keywords, and nothing that changes what fits."""

from __future__ import annotations

from typing import Any

import pytest
from tests.structured.kinds import READ

from flowpool.structured import answer_of
from flowpool.structured.check import faults, subschemas
from flowpool.wire import schema_dialects

FORMATS = [(answer_of(output).format, text) for output, text, _ in READ]
SCHEMAS = [
    wanted.schema for wanted, _ in FORMATS if wanted is not None and wanted.schema is not None
]
KNOWN = {
    "anthropic": {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum"),
        *("description", "format"),
    },
    "gemini": {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum"),
        *("description", "format", "$ref", "$defs", "title", "prefixItems"),
        *("minItems", "maxItems", "minimum", "maximum"),
    },
}


def nodes(schema: Any) -> list[dict[str, Any]]:
    found = [schema] if isinstance(schema, dict) else []
    for _, sub in subschemas(schema) if found else ():
        found += nodes(sub)
    return found


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_no_provider_is_told_a_keyword_that_it_refuses(schema: Any) -> None:
    made = {
        "anthropic": schema_dialects.for_anthropic(schema),
        "gemini": schema_dialects.for_gemini(schema),
    }
    for name, fit in made.items():
        for node in nodes(fit) if fit is not None else ():
            assert node.keys() <= KNOWN[name], name
            assert isinstance(node.get("type", ""), str) or name == "gemini"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"const": "a"}, {"enum": ["a"], "type": "string"}),
        ({"enum": ["a", None]}, {"enum": ["a", None]}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"oneOf": [{"type": "null"}]}, {"anyOf": [{"type": "null"}]}),
        ({"type": "string", "format": "uri"}, {"type": "string", "description": '(format: "uri")'}),
        (
            {"type": "integer", "minimum": 1, "description": "How many", "examples": [2]},
            {"type": "integer", "description": "How many (minimum: 1)"},
        ),
        (
            {"allOf": [{"type": "string"}], "description": "x"},
            {"type": "string", "description": "x"},
        ),
    ],
)
def test_anthropic_is_told_the_same_in_fewer_keywords(schema: Any, told: Any) -> None:
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    fit = schema_dialects.for_anthropic(whole)
    assert fit is not None
    assert fit["properties"]["a"] == told


@pytest.mark.parametrize(
    "open_",
    [
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
        {"allOf": [{"type": "string"}, {"minLength": 1}]},
        {"type": "string", "not": {"maxLength": 3}},
    ],
)
def test_what_strict_modes_can_not_hold_is_left_whole(open_: Any) -> None:
    whole = {"type": "object", "properties": {"a": open_}, "required": ["a"]}
    fit, strict = schema_dialects.for_openai(whole)
    assert not strict
    assert fit["properties"]["a"] == open_
    assert schema_dialects.for_anthropic(whole) is None


@pytest.mark.parametrize(
    ("sub", "nullable"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"enum": ["a", None], "type": ["string", "null"]}),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        ),
    ],
)
def test_what_may_be_missing_may_be_null_in_openais_strict_mode(sub: Any, nullable: Any) -> None:
    fit, strict = schema_dialects.for_openai({"type": "object", "properties": {"a": sub}})
    assert strict
    assert fit["properties"]["a"] == nullable
    assert fit["required"] == ["a"]
    assert list(faults({"a": None}, fit)) == []


def test_a_schema_is_made_fit_once_and_left_as_it_was() -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    made = schema_dialects.for_openai(schema)
    assert schema_dialects.for_openai(schema) is made
    assert schema == {"type": "object", "properties": {"a": {"const": 1}}}
    for n in range(1000):  # others don't pile up
        schema_dialects.for_openai({"type": "object", "properties": {"a": {"const": n}}})
    assert schema_dialects.for_openai(schema) == made
