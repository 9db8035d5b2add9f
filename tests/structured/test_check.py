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


@pytest.mark.parametrize(
    ("name", "are", "are_not"),
    [
        ("date", ["2026-01-02"], ["2026-02-30", "20260102", "2026-1-2", "2026", "soon", ""]),
        (
            "date-time",
            ["2026-01-02T10:00:00Z", "2026-01-02 10:00", "2026-01-02T10:00:00.5+02:00"],
            ["2026-01-02", "2026-01-02T25:00:00Z", "1767312000"],
        ),
        ("time", ["10:00:00", "10:00:00Z"], ["25:00:00", "10", "36000"]),
        ("duration", ["PT5S", "P1DT2H", "P3W", "-PT0.5S"], ["P", "PT", "5", "1 hour"]),
        (
            "uuid",
            ["12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678"],
            ["1234", "{12345678-1234-5678-1234-567812345678}"],
        ),
        ("ipv4", ["10.0.0.1"], ["10.0.0.256", "10.0.0"]),
        ("ipv6", ["::1"], ["::1::", "10.0.0.1"]),
        ("email", ["a@b.c"], ["a@", "a b@c", "none"]),
        ("uri", ["https://a.test/b"], ["a.test/b", "no address"]),
        ("decimal", ["1.50", "-3", "1e5"], ["nan", "1,5", "", "Infinity"]),
        ("colour", ["anything"], []),
    ],
)
def test_a_format_that_is_known_is_held_to(name: str, are: list[str], are_not: list[str]) -> None:
    schema = {"type": "string", "format": name}
    assert [text for text in are if list(faults(text, schema))] == []
    assert [text for text in are_not if not list(faults(text, schema))] == []
    assert list(faults(5, {"format": name})) == []
