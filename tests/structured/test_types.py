"""Types as the form of an answer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pytest
from tests.structured.kinds import (
    ADA,
    Cat,
    Circle,
    Dog,
    Invoice,
    Kind,
    Level,
    Mail,
    Node,
    Person,
    Point,
    Row,
    Share,
    Square,
    Tree,
    Zoo,
)

from flowpool.errors import InvalidInput
from flowpool.structured import answer_of

READ: list[tuple[Any, str, Any]] = [
    (Person, '{"name": "Ada", "age": 36, "tags": ["maths"], "born": "1815-12-10"}', ADA),
    (Person, '{"name": "Bob", "tags": null}', Person("Bob")),
    (Mail, '{"kind": "ham", "sentBy": {"name": "Bob"}}', Mail(Kind.HAM, Person("Bob"))),
    (Row, '{"city": "Paris", "people": 2}', {"city": "Paris", "people": 2}),
    (
        Invoice,
        '{"number": "A1", "lines": [{"name": "Bob"}], "sum": 2}',
        Invoice(number="A1", lines=[Person("Bob")], sum=2),
    ),
    (
        Tree,
        '{"name": "a", "children": [{"name": "b"}]}',
        Tree(name="a", children=[Tree(name="b")]),
    ),
    (Node, '{"name": "a", "left": {"name": "b"}}', Node("a", Node("b"))),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (
        Zoo,
        '{"animals": [{"kind": "dog", "tricks": null, "name": null}, {"kind": "cat", "lives": "7"}]}',
        Zoo(animals=[Dog(kind="dog"), Cat(kind="cat", lives=7)]),
    ),
    (Square | Circle, '{"answer": {"type": "Circle", "radius": "2", "label": null}}', Circle(2)),
    (list[Square | Circle], '[{"type": "Square", "side": 1, "label": null}]', [Square(1)]),
    (Kind, '{"answer": "ham"}', Kind.HAM),
    (Kind, "Ham.", Kind.HAM),
    (Level, '{"answer": 2}', Level.HIGH),
    (Share, '{"answer": 0.5}', Share.HALF),
    (Literal["yes", "no"], '{"answer": "no"}', "no"),
    (Literal["yes", "no"], '"no"', "no"),
    (Literal[1, 2], '{"answer": "2"}', 2),
    (list[Person], '{"items": [{"name": "Bob"}]}', [Person("Bob")]),
    (list[Person], '[{"name": "Bob"}]', [Person("Bob")]),
    (list[Person], '{"name": "Ann"}\n{"name": "Bob"}', [Person("Ann"), Person("Bob")]),
    (list[Tree], '{"items": [{"name": "a"}]}', [Tree(name="a")]),
    (list[Kind], '{"items": ["spam", "Ham"]}', [Kind.SPAM, Kind.HAM]),
    (list[str], '{"items": ["a"]}', ["a"]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (int, '{"answer": 42}', 42),
    (int, "42", 42),
    (float, '{"answer": "1.5"}', 1.5),
    (bool, '{"answer": "true"}', True),
    (date, '{"answer": "2026-01-02"}', date(2026, 1, 2)),
    (Person | None, '{"answer": {"name": "Bob"}}', Person("Bob")),
    (Person | None, '{"answer": null}', None),
    (Person | None, '{"name": "Bob"}', Person("Bob")),
    ({"choices": ["spam", "ham"]}, '{"answer": "spam"}', "spam"),
    ({"choices": ["spam", "ham"]}, '{"label": "SPAM"}', "spam"),
    (
        {"fields": {"name": "string", "age": "integer?", "kind": "a | b", "tags": ["string"]}},
        '{"name": "Bob", "kind": "A", "tags": []}',
        {"name": "Bob", "age": None, "kind": "a", "tags": []},
    ),
    ({"fields": [{"name": "string"}]}, '{"items": [{"name": "Bob"}]}', [{"name": "Bob"}]),
    ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "7"}', {"n": 7}),
    ({"type": "array", "items": {"type": "number"}}, "[1, 2.5]", [1, 2.5]),
    ({"schema": {"type": "string"}}, '{"answer": "x"}', "x"),
    ({"format": {"type": "json"}}, "[1]", [1]),
    ({"format": {"type": "json_schema", "schema": {"type": "integer"}}}, "7", 7),
    (None, "[1]", "[1]"),
    (str, "Any text", "Any text"),
    ({}, "Any text", "Any text"),
    ({"format": {"type": "text"}}, "{}", "{}"),
]


def test_a_type_whose_names_cannot_be_found_is_refused_with_the_fix() -> None:
    @dataclass
    class Inner:
        a: int

    @dataclass
    class Outer:
        inner: Inner

    with pytest.raises(InvalidInput, match=r"'Inner'.*: define the types"):
        answer_of(Outer)


def test_pydantic_is_not_imported_for_other_types() -> None:
    code = (
        "import sys; from dataclasses import dataclass; from flowpool.structured import answer_of\n"
        "@dataclass\nclass P:\n    name: str\n"
        "assert answer_of(list[P]).read('[{\"name\": \"x\"}]') == [P('x')]\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_answer_goes_to_other_processes_with_its_type() -> None:
    for output, text, expected in READ:
        if isinstance(output, (type, dict)) or output is None:
            assert pickle.loads(pickle.dumps(answer_of(output))).read(text) == expected
