"""Our checker says of every value what `jsonschema` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.structured.generated import SCHEMAS, SHARED, VALUES, rooted

from flowpool.errors import InvalidInput
from flowpool.structured.check import check_schema, faults
from flowpool.structured.schemas import inlined


@settings(max_examples=250, deadline=None, derandomize=True)
@given(SCHEMAS, SHARED, st.lists(VALUES, min_size=1, max_size=4))
def test_it_agrees_with_jsonschema(schema: Any, shared: Any, values: list[Any]) -> None:
    schema = rooted(schema, shared)
    check_schema(schema)
    for value in values:
        ours = list(faults(value, schema))
        assert bool(ours) != Draft202012Validator(schema).is_valid(value), ours


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
