"""Types that answers are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Literal, NotRequired, TypedDict

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
