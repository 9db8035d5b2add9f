"""Our checker says of every value what `jsonschema` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from flowpool.errors import InvalidInput
from flowpool.structured.check import check_schema, faults
from flowpool.structured.fit import fitted
from flowpool.structured.schemas import inlined

NAMES = st.sampled_from(["a", "b", "cc"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2.5])
TEXTS = st.sampled_from(["", "a", "ab", "abc", "1"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
SIZES = st.integers(0, 3)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    named = st.dictionaries(NAMES, inner, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "minimum": NUMBERS,
            "exclusiveMaximum": NUMBERS,
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "minLength": SIZES,
            "maxLength": SIZES,
            "pattern": st.sampled_from(["^a", "b$", "[0-9]"]),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "minItems": SIZES,
            "maxItems": SIZES,
            "uniqueItems": st.booleans(),
            "contains": inner,
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "c"]), inner, max_size=1),
            "additionalProperties": inner,
            "propertyNames": inner,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "minProperties": SIZES,
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=1), max_size=1),
            "dependentSchemas": named,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "$ref": st.just("#/$defs/x"),
        },
    )


SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({"type": TYPES}), objects, max_leaves=4
)


def rooted(schema: Any, shared: Any) -> Any:
    return {**schema, "$defs": {"x": shared}} if isinstance(schema, dict) else schema


SHARED = st.sampled_from([{"type": "string"}, {"minimum": 1}, True, {"maxLength": 1}])


@settings(max_examples=250, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, st.lists(VALUES, min_size=1, max_size=4))
def test_it_agrees_with_jsonschema(schema: Any, shared: Any, values: list[Any]) -> None:
    schema = rooted(schema, shared)
    check_schema(schema)
    for value in values:
        ours = list(faults(value, schema))
        assert bool(ours) != Draft202012Validator(schema).is_valid(value), ours


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, st.lists(VALUES, min_size=1, max_size=4))
def test_inlining_changes_no_verdict(schema: Any, shared: Any, values: list[Any]) -> None:
    whole = rooted(schema, shared)
    for value in values:
        if isinstance(whole, dict):
            assert bool(list(faults(value, inlined(whole)))) == bool(list(faults(value, whole)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, VALUES)
def test_what_fits_is_left_as_it_is(schema: Any, shared: Any, value: Any) -> None:
    whole = rooted(schema, shared)
    if not list(faults(value, whole)):
        assert fitted(value, whole) == value


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (5, "output: a schema is an object, not 5"),
        ({"type": "text"}, "output: type 'text': use one of object, array"),
        ({"properties": {"a": {"enum": "x"}}}, "output.properties.a: enum is a list"),
        ({"anyOf": [{"pattern": "["}]}, r"output.anyOf[0]: pattern '[' is no pattern"),
        ({"$ref": "#/$defs/no"}, "output: $ref '#/$defs/no' leads nowhere"),
        (
            {"items": {"$ref": "https://host/x"}},
            "output.items: $ref 'https://host/x' leads elsewhere",
        ),
        ({"$dynamicRef": "#x"}, "output: $dynamicRef isn't checked here"),
    ],
)
def test_a_schema_that_can_not_be_held_against_anything_is_refused(schema: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_schema(schema)
    assert says in str(caught.value)


def test_a_schema_may_refer_to_itself() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["n"]}
    assert list(faults({"n": 1, "child": {"n": 2}}, tree)) == []
    assert list(faults({"n": 1, "child": {"m": 2}}, inlined(tree))) == ["$.child: has no 'n'"]
