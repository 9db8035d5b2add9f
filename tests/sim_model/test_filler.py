"""What the simulator makes up fits the schema that it was asked for."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowpool.errors import InvalidInput
from flowpool.sim_model.filler import Filler

DOCUMENT = "The dam AB-1234 leaks by 7 metres since 2026-03-01. Write to eng@dam.example of it."


def fill(schema: dict[str, Any], document: str = DOCUMENT) -> Any:
    value = Filler(document, schema, [document]).fill(schema)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)
    return value


def text(**words: Any) -> dict[str, Any]:
    return {"type": "string", **words}


def number(**words: Any) -> dict[str, Any]:
    return {"type": "number", **words}


def listed(items: Any, **words: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **words}


def test_a_pattern_takes_the_piece_of_the_text_that_fits_it() -> None:
    assert fill(text(pattern=r"^[A-Z]{2}-\d{4}$")) == "AB-1234"
    assert fill(text(pattern="dam")) == DOCUMENT
    assert fill(text(pattern="dam", maxLength=3)) == "dam"


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{3}\d{2}$",
        r"^(red|green|blue)-\w+$",
        r"^\+?[1-9]\d{1,14}$",
        r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$",
        r"^(?<year>\d{4})/(?:0[1-9]|1[0-2])$",
        r"^(a|b)\1$",
        r"^x{0,3}[^x]$",
    ],
)
def test_a_pattern_that_nothing_in_the_text_fits_is_made_up_for(pattern: str) -> None:
    assert Filler("", {}, ["zz zz"]).fill(text(pattern=pattern, minLength=2))


def test_a_pattern_and_the_length_hold_both() -> None:
    assert len(fill(text(pattern="^[a-f0-9]+$", minLength=8, maxLength=8))) == 8


def test_a_pattern_that_nothing_can_fit_says_so() -> None:
    with pytest.raises(InvalidInput, match="no text that fits the pattern 'a' and its length"):
        fill(text(pattern="a", maxLength=0))
    with pytest.raises(InvalidInput, match=r"can't read the pattern '\('"):
        fill(text(pattern="("))


@pytest.mark.parametrize(
    "items",
    [
        text(),
        text(maxLength=4),
        text(pattern="^[ab]{3}$"),
        text(format="date"),
        text(format="email"),
        {"type": "integer", "minimum": 5, "maximum": 8},
        number(exclusiveMinimum=0, exclusiveMaximum=1),
        {"type": "boolean"},
        {"enum": ["dam", "bridge", None]},
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        {"anyOf": [{"type": "null"}, text()]},
    ],
    ids=str,
)
def test_items_that_must_differ_do(items: dict[str, Any]) -> None:
    assert len(fill(listed(items, uniqueItems=True, minItems=2), "No word of it.")) >= 2


def test_fewer_items_are_made_where_no_more_differ() -> None:
    assert fill(listed({"const": 1}, uniqueItems=True)) == [1]
    with pytest.raises(InvalidInput, match="asks for 3 items, and no more than 2 differ"):
        fill(listed({"type": "boolean"}, uniqueItems=True, minItems=3))


@pytest.mark.parametrize(
    ("format", "found"),
    [("date", "2026-03-01"), ("date-time", "2026-03-01T00:00:00Z"), ("email", "eng@dam.example")],
)
def test_a_format_takes_what_the_text_holds_of_it(format: str, found: str) -> None:
    assert fill(text(format=format)) == found


@pytest.mark.parametrize(
    "format", ["date", "date-time", "time", "duration", "email", "uri", "hostname", "ipv4", "ipv6"]
)
def test_a_format_is_made_up_where_the_text_has_none(format: str) -> None:
    assert fill(text(format=format), "No word of it.")


def test_what_all_of_several_ask_for_is_heeded() -> None:
    parts = [
        {"properties": {"a": text()}, "required": ["a"]},
        {"properties": {"b": {"$ref": "#/$defs/n"}}, "required": ["b"]},
    ]
    assert fill({"type": "object", "allOf": parts, "$defs": {"n": number()}}).keys() == {"a", "b"}


def test_names_that_must_be_there_are_whether_described_or_not() -> None:
    schema = {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}}
    assert isinstance(fill(schema)["a"], int)
    assert len(fill({"type": "object", "additionalProperties": text(), "minProperties": 2})) == 2


def test_a_tuple_has_an_item_of_each_kind() -> None:
    schema = {"type": "array", "prefixItems": [text(), {"type": "integer"}], "items": False}
    words, count = fill(schema)
    assert (type(words), type(count)) == (str, int)


def test_a_tree_ends_where_it_may() -> None:
    node = {
        "type": "object",
        "properties": {
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "children": listed({"$ref": "#"}),
        },
        "required": ["next", "children"],
    }
    assert json.dumps(fill(node)).count("next") < 200


def test_a_number_too_large_to_be_one_is_passed_over() -> None:
    assert fill({"type": "integer"}, "9" * 400) == 0


whole = st.integers(-20, 20)
numbers = st.builds(
    lambda least, more, step, kind: {
        "type": kind,
        "minimum": least,
        "maximum": least + more + 2 * (step or 1),
        **({"multipleOf": step} if step else {}),
    },
    whole,
    st.integers(0, 9),
    st.sampled_from([None, 1, 2, 5, 0.5]),
    st.sampled_from(["number", "integer"]),
)
texts = st.one_of(
    st.builds(
        lambda least, more: text(minLength=least, maxLength=least + more),
        st.integers(0, 90),
        st.integers(0, 9),
    ),
    st.sampled_from([text(format="date"), text(pattern=r"^\d{2,}x?$"), {"enum": ["a", "dam", 3]}]),
)
schemas = st.recursive(
    st.one_of(numbers, texts, st.just({"type": "boolean"}), st.just({"type": "null"})),
    lambda inner: st.one_of(
        st.builds(lambda items, least: listed(items, minItems=least), inner, st.integers(0, 3)),
        st.builds(lambda items: listed(items, uniqueItems=True), inner),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda p: {"type": "object", "properties": p, "required": list(p)}
        ),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
    ),
    max_leaves=6,
)


@given(schemas, st.sampled_from([DOCUMENT, "", "3 dams, 3 dams."]))
def test_what_is_made_up_fits(schema: dict[str, Any], document: str) -> None:
    fill(schema, document)
