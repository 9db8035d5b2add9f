"""Types that answers are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
from pydantic import BaseModel, Field


class Kind(Enum):
    SPAM = "spam"
    HAM = "ham"


class Share(Enum):
    HALF = 0.5
    WHOLE = 1.0


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Person:
    name: str
    age: int | None = None
    tags: list[str] = field(default_factory=list)
    born: date | None = None


class Mail(msgspec.Struct, rename="camel"):
    kind: Kind
    sent_by: Person
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Row(TypedDict):
    city: str
    people: NotRequired[int]


class Invoice(BaseModel):
    number: str = Field(min_length=2)
    lines: list[Person] = []
    total: float = Field(alias="sum")


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Node(msgspec.Struct):
    name: str
    left: Node | None = None


@pydantic.dataclasses.dataclass
class Point:
    x: int
    y: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9
    name: str = "?"


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []
    name: str = "?"


class Zoo(BaseModel):
    animals: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


class Square(msgspec.Struct, tag=True):
    side: float
    label: str = ""


class Circle(msgspec.Struct, tag=True):
    radius: float
    label: str = ""


ADA = Person("Ada", 36, ["maths"], date(1815, 12, 10))

# A type, an answer of a model's, and what it is read as.
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
