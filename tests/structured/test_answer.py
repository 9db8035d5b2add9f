"""Types in, instances out: what a skill's `output` asks for, reads, and gives back from its plain form."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.structured.kinds import (
    READ,
    Invoice,
    Kind,
    Mail,
    Node,
    Person,
    Row,
    Tree,
)

from flowpool.errors import InvalidInput, InvalidOutput
from flowpool.structured import Answer, answer_of, plain
from flowpool.structured.check import check_schema


@pytest.mark.parametrize(("output", "text", "expected"), READ, ids=str)
def test_an_answer_becomes_an_instance_and_comes_back_from_its_plain_form(
    output: Any, text: str, expected: Any
) -> None:
    answer = answer_of(output)
    got = answer.read(text)
    assert got == expected
    assert type(got) is type(expected)
    kept = msgspec.json.decode(msgspec.json.encode(plain(got)))
    assert answer.load(kept) == expected


ANSWERS = [answer_of(output) for output, _, _ in READ]
TYPES = [output for output, _, _ in READ if answer_of(output).schema is not None]


@pytest.mark.parametrize("output", TYPES, ids=str)
def test_what_is_asked_for_is_an_object_without_needless_references(output: Any) -> None:
    wanted = answer_of(output).format
    assert wanted is not None
    assert wanted.schema is not None
    assert wanted.schema["type"] == "object"
    check_schema(wanted.schema)
    recursive = output in (Tree, Node, list[Tree])
    assert (b'"$ref"' in msgspec.json.encode(wanted.schema)) == recursive
    assert b'"title"' not in msgspec.json.encode(wanted.schema)


WRONG: list[tuple[Any, str, str]] = [
    (Person, '{"name": [5]}', "$.name: is an array, not a string"),
    (Person, '{"age": "x", "tags": 1}', "$: has no 'name'; $.age: is 'x', not an integer; $.tags:"),
    (Mail, '{"kind": "eggs", "sentBy": {"name": "B"}}', "not one of 'ham', 'spam'"),
    (Mail, '{"kind": "ham", "sentBy": {"name": "B"}, "score": 7}', "at most 1"),
    (Invoice, '{"number": "A", "sum": 1}', "$.number: "),
    (Invoice, '{"number": "A1"}', "has no 'sum'"),
    (Kind, '{"answer": "eggs"}', "$: is 'eggs', not one of 'spam', 'ham'"),
    (Kind, "It is spam, I think.", "isn't JSON"),
    (Kind, '{"answer": "spam"} or {"answer": "ham"}', "2 different answers"),
    (int, '{"answer": 1.5}', "$: is 1.5, not an integer"),
    (int, '{"answer": true}', "$: is true, not an integer"),
    (list[str], '{"items": "a"}', "$: is 'a', not an array"),
    ({"fields": {"n": "integer"}}, '{"n": 1, "m": 2}', "$.m: must not be there"),
    ({"format": {"type": "json"}}, '{"a": 1} {"a": 2}', "2 different answers"),
    ({"format": {"type": "json"}}, "Sorry.", "isn't JSON"),
    (dict[str, int], '{"a": [1, 2', "is cut: it ends in the middle"),
]


@pytest.mark.parametrize(("output", "text", "says"), WRONG, ids=str)
def test_what_does_not_fit_is_told_with_its_place(output: Any, text: str, says: str) -> None:
    answer = answer_of(output)
    with pytest.raises(InvalidOutput) as caught:
        answer.read(text)
    assert says in str(caught.value)
    assert "\n" not in caught.value.message
    assert caught.value.partial == text
    assert caught.value.message in answer.correction(caught.value)


def test_faults_are_told_up_to_a_few() -> None:
    answer = answer_of({"type": "array", "items": {"type": "integer"}})
    with pytest.raises(InvalidOutput, match="and 15 more"):
        answer.read(str(["x"] * 20))


REFUSED: list[tuple[Any, str]] = [
    ("json", "pass a type, a JSON Schema"),
    (5, "pass a type, a JSON Schema"),
    (["spam", "ham"], 'pass a type, a JSON Schema, {"choices": [...]}'),
    ({"shape": "x"}, '{"format": {"type": "json"}}'),
    ({"choices": []}, "choices is a list"),
    ({"choices": "spam"}, "choices is a list"),
    ({"choices": [["a"]]}, "the choice an array is no text or number"),
    ({"fields": {}}, "output.fields: {}: write string"),
    ({"fields": {"a": {"b": "text"}}}, "output.fields.a.b: 'text': use one of string"),
    ({"fields": {"a": 5}}, "output.fields.a: 5: write string"),
    ({"type": "objekt"}, "type 'objekt': use one of object"),
    ({"properties": {"a": {"type": "text"}}}, "output.properties.a: type 'text'"),
    ({"type": "string", "pattern": "("}, "pattern '(' is no pattern"),
    ({"$ref": "http://host/schema"}, "leads elsewhere"),
    ({"$ref": "#/$defs/X"}, "leads nowhere"),
    ({"type": "object", "unevaluatedProperties": False}, "isn't checked here"),
    ({"schema": 5}, "is a JSON Schema, not 5"),
    (complex, "complex"),
    (object, "object"),
    (Person | Row, "Type unions may not contain more than one"),
]


@pytest.mark.parametrize(("output", "says"), REFUSED, ids=str)
def test_what_cannot_be_asked_for_is_refused_in_one_line(output: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        answer_of(output)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_references_that_unfold_without_end_are_refused() -> None:
    bomb = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 10} for n in range(9)}
    with pytest.raises(InvalidInput, match="unfold into too many"):
        answer_of({"$ref": "#/$defs/a0", "$defs": {**bomb, "a9": {"type": "string"}}})


def test_a_choice_keeps_the_order_it_was_written_in() -> None:
    wanted = answer_of(Kind).format
    assert wanted is not None
    assert wanted.schema == {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["spam", "ham"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def test_what_an_answer_spreads_is_known_before_any_call() -> None:
    def names(output: Any) -> Any:
        return answer_of(output).names

    assert names(Person) == ("name", "age", "tags", "born")
    assert names(Invoice) == ("number", "lines", "total")
    assert names(Mail) == ("kind", "sent_by", "score")
    assert names(list[Person]) == names(Kind) == names(None) == ()
    assert names({"fields": {"a": "string"}}) == ("a",)
    assert names(dict[str, int]) is names({"format": {"type": "json"}}) is None


def test_defaults_are_not_shared_between_outputs() -> None:
    answer = answer_of({"properties": {"tags": {"type": "array", "default": []}}})
    first = answer.read("{}")
    first["tags"].append("x")
    assert answer.read("{}") == {"tags": []}


def test_a_kept_output_that_no_longer_fits_is_told() -> None:
    answer: Answer = answer_of(Person)
    with pytest.raises(InvalidOutput, match="a kept output doesn't fit"):
        answer.load({"nome": "x"})


@pytest.mark.parametrize("output", [Tree, Node, {"format": {"type": "json"}}, dict[str, Any]])
def test_an_answer_of_any_depth_is_read_or_told(output: Any) -> None:
    answer = answer_of(output)
    for depth in (50, 300, 700, 5000):
        text = '{"name": "a", "children": [' * depth + "]}" * depth
        with suppress(InvalidOutput):
            answer.read(text)
        with suppress(InvalidOutput):
            answer.read('{"name": "a", "left": ' * depth + '{"name": 5}' + "}" * depth)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["", "a", "spam", "Ham.", "1", "true", "null", "[1]", '{"a": 1}', "2026-01-02"]
    )
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["answer", "items", "name", "kind", "type", "age", "city", "a", ""]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(JSON)
def test_any_json_is_read_or_refused_and_what_is_read_comes_back(value: Any) -> None:
    text = json.dumps(value)
    for answer in ANSWERS:
        with suppress(InvalidOutput):
            output = answer.read(text)
            assert answer.load(plain(output)) == output


@pytest.mark.parametrize(
    ("choices", "text", "output"),
    [
        (["1", "2", "3", "4", "5"], "4", "4"),
        (["1", "2", "3", "4", "5"], '{"answer": 4}', "4"),
        (["1", "2"], '[{"answer": 2}]', "2"),
        (["1", "2"], "2.0", "2"),
        (["true", "false"], "true", "true"),
        (["true", "false"], "True", "true"),
        (["true", "false"], '{"answer": false}', "false"),
        (["yes", "null"], "null", "null"),
        (["1.5", "2.50"], "2.50", "2.50"),
        ([1, 2], '"2"', 2),
    ],
)
def test_a_choice_that_reads_as_json_is_that_choice(choices, text, output) -> None:
    read = answer_of({"choices": choices}).read(text)
    assert (read, type(read)) == (output, type(output))


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"zip": 90210}', "90210"),
        ('{"zip": 01234}', "01234"),
        ('{"zip": 1.10}', "1.10"),
        ('```json\n{"zip": 1.10,}\n```', "1.10"),
        ('{"zip": true}', "true"),
        ('{"zip": 12345678901234567890}', "12345678901234567890"),
    ],
)
@pytest.mark.parametrize("with_price", [False, True])
def test_a_number_where_a_text_is_wanted_is_its_text(text, output, with_price) -> None:
    fields = {"zip": "string"} | ({"price": "number"} if with_price else {})
    more = '{"price": 2.50, ' if with_price else "{"
    read = answer_of({"fields": fields}).read(text.replace("{", more))
    assert read == {"zip": output} | ({"price": 2.5} if with_price else {})
    assert type(read.get("price", 0.0)) is float


def test_null_and_objects_are_no_text_and_zeros_in_front_no_number() -> None:
    for text in ('{"zip": null}', '{"zip": {"a": 1}}', '{"zip": [1]}'):
        with pytest.raises(InvalidOutput, match="not a string"):
            answer_of({"fields": {"zip": "string"}}).read(text)
    with pytest.raises(InvalidOutput, match="not an integer"):
        answer_of({"fields": {"n": "integer"}}).read('{"n": 007}')
