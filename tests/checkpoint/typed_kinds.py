"""Types whose answers a store must give back equal, and what a model says for each."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID, uuid4

import msgspec
import pydantic
import typing_extensions
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PositiveInt,
    PrivateAttr,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    WrapValidator,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from tests.structured.kinds import Level

T = TypeVar("T")
DAY = "2026-01-02"
MOMENT = "2026-01-02T10:00:00Z"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Mood(StrEnum):
    GOOD = "good"

    @classmethod
    def _missing_(cls, value: object) -> Mood | None:
        return cls.GOOD if value == "fine" else None


class Share(BaseModel):
    """Read as per cent, held as a part of one."""

    part: float

    @field_validator("part", mode="before")
    @classmethod
    def of_percent(cls, value: Any) -> Any:
        return value / 100 if isinstance(value, (int, float)) else float(value.strip("%")) / 100


class Renamed(BaseModel):
    name: str

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, value: Any) -> Any:
        return {"name": value["name"].removeprefix("x")} if isinstance(value, dict) else value


class Account(BaseModel):
    user: str
    password: SecretStr


class Hidden(BaseModel):
    shown: int
    note: str = Field(exclude=True)


class Box(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int
    height: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width * self.height


class Aliased(BaseModel):
    total: float = Field(alias="sum")
    inner: Annotated[int, Field(validation_alias="in", serialization_alias="out")]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Private(BaseModel):
    a: int
    _seen: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        self._seen = self.a * 2


class Rounded(BaseModel):
    value: Annotated[float, PlainSerializer(lambda v: f"{v:.1f}")]
    when: date

    @field_serializer("when")
    def year(self, value: date) -> int:
        return value.year


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Zoo(BaseModel):
    animals: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


def _shape(value: Any) -> str:
    names = value if isinstance(value, dict) else type(value).model_fields
    return "cat" if "lives" in names else "dog"


class Told(BaseModel):
    animal: Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(_shape)
    ]


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int


class Numbers(RootModel[list[int]]):
    pass


class Enums(BaseModel):
    model_config = ConfigDict(use_enum_values=True)
    color: Color
    mood: Mood


class Stamped(BaseModel):
    """Another id with each reading."""

    text: str
    id: UUID = Field(default_factory=uuid4)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)
    tags: frozenset[str]
    pair: tuple[int, str]
    keys: dict[int, date]


class Everything(BaseModel):
    day: date
    moment: datetime
    clock: time
    took: timedelta
    price: Decimal
    id: UUID
    data: bytes
    url: AnyUrl
    host: IPv4Address
    path: Path
    level: Level
    ratio: float
    many: set[int]
    ordered: OrderedDict[str, int] = Field(default_factory=OrderedDict)


@pydantic.dataclasses.dataclass
class Point:
    x: Annotated[int, BeforeValidator(lambda v: v * 2)]
    y: int


@dataclass
class Person:
    name: str
    age: int | None = None
    born: date | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Same:
    name: str
    parts: list[Person]


@dataclass
class Limited:
    n: Annotated[int, Field(ge=5)]


@dataclass
class Derived:
    a: int
    b: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.b = self.a + 1


@dataclass
class Pair(Generic[T]):
    first: T
    second: T


class Row(TypedDict, total=False):
    city: str
    since: date


class Strict(typing_extensions.TypedDict):
    n: Annotated[int, Field(ge=5)]


class Spot(NamedTuple):
    x: int
    label: str = "?"


class Mail(msgspec.Struct, rename="camel", frozen=True):
    sent_by: Person
    kind: Color
    price: Decimal
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Packed(msgspec.Struct, array_like=True):
    a: int
    b: str


class Lean(msgspec.Struct, omit_defaults=True, eq=False):
    a: int = 1
    b: list[int] = []


class Square(msgspec.Struct, tag=True):
    side: float


class Circle(msgspec.Struct, tag="round"):
    radius: float


class Node(msgspec.Struct):
    name: str
    left: Node | None = None


class Slot(msgspec.Struct, Generic[T]):
    held: T


UserId = NewType("UserId", int)
Upper = Annotated[str, AfterValidator(str.upper)]
Halved = Annotated[float, WrapValidator(lambda value, handler: handler(value) / 2)]

EVERYTHING = (
    f'{{"day": "{DAY}", "moment": "{MOMENT}", "clock": "10:00:00", "took": "PT90S", "price": 12345678901234567.10,'
    '"id": "12345678-1234-5678-1234-567812345678", "data": "abc", "url": "https://a.test/b?c=d", '
    '"host": "10.0.0.1", "path": "a/b.txt", "level": 2, "ratio": 0.1, "many": [3, 1, 1], '
    '"ordered": {"b": 1, "a": 2}}'
)

# A type, and an answer of a model's that it takes.
KEPT: list[tuple[Any, str]] = [
    (Share, '{"part": 50}'),
    (Share, '{"part": "50%"}'),
    (list[Share], '[{"part": 50}, {"part": 1}]'),
    (dict[str, Share], '{"a": {"part": 50}}'),
    (Share | None, '{"answer": {"part": 50}}'),
    (Renamed, '{"name": "xxxa"}'),
    (Account, '{"user": "ada", "password": "tell nobody"}'),
    (Hidden, '{"shown": 1, "note": "not shown"}'),
    (Box, '{"width": 2, "height": 3}'),
    (Aliased, '{"sum": 2.5, "in": 3}'),
    (Open, '{"a": 1, "b": [1, {"c": null}], "$type": "date"}'),
    (Private, '{"a": 4}'),
    (Rounded, '{"value": 0.123, "when": "2026-01-02"}'),
    (Tree, '{"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}'),
    (Zoo, '{"animals": [{"kind": "dog", "tricks": ["sit"]}, {"kind": "cat"}]}'),
    (Cat | Dog, '{"answer": {"kind": "dog"}}'),
    (Told, '{"animal": {"kind": "cat", "lives": 3}}'),
    (Page[Cat], '{"items": [{"kind": "cat"}], "total": 1}'),
    (Page[int], '{"items": [1, 2], "total": 2}'),
    (Numbers, "[1, 2]"),
    (Enums, '{"color": "red", "mood": "fine"}'),
    (Stamped, '{"text": "a"}'),
    (Frozen, '{"tags": ["b", "a"], "pair": [1, "x"], "keys": {"7": "2026-01-02"}}'),
    (Everything, EVERYTHING),
    (Point, '{"x": 3, "y": 1}'),
    (Person, '{"name": "Ada", "born": "1815-12-10", "tags": ["a"]}'),
    (Person, '{"name": "Ada", "age": null}'),
    (Same, '{"name": "a", "parts": [{"name": "b"}]}'),
    (Limited, '{"n": 7}'),
    (Derived, '{"a": 1}'),
    (Pair[int], '{"first": 1, "second": 2}'),
    (Pair[Cat], '{"first": {"kind": "cat"}, "second": {"kind": "cat", "lives": 1}}'),
    (Row, '{"city": "Paris", "since": "2026-01-02"}'),
    (Row, "{}"),
    (Strict, '{"n": 7}'),
    (Spot, '[1, "x"]'),
    (Mail, '{"sentBy": {"name": "Ada"}, "kind": "red", "price": 1.10}'),
    (Packed, '[1, "x"]'),
    (Lean, "{}"),
    (Lean, '{"b": [1]}'),
    (Square | Circle, '{"answer": {"type": "round", "radius": 1}}'),
    (Node, '{"name": "a", "left": {"name": "b"}}'),
    (Slot[Person], '{"held": {"name": "Ada"}}'),
    (Color, "blue"),
    (Level, "2"),
    (Mood, '"fine"'),
    (Literal["a", "b"], "a"),
    (Literal[1, 2, None], "2"),
    (UserId, "5"),
    (Upper, '"abc"'),
    (Halved, "3"),
    (PositiveInt, "3"),
    (Annotated[str, StringConstraints(to_lower=True)], '"ABC"'),
    (Annotated[int, msgspec.Meta(ge=2)], "3"),
    (SecretStr, '"tell nobody"'),
    (list[SecretStr], '["a", "b"]'),
    (AnyUrl, '"https://a.test/"'),
    (bool, "true"),
    (int, "123456789012345678901234567890"),
    (float, "3"),
    (bytes, '"YWJj"'),
    (date, f'"{DAY}"'),
    (datetime, f'"{MOMENT}"'),
    (time, '"10:00:00"'),
    (timedelta, '"PT90.5S"'),
    (Decimal, "12345678901234567.10"),
    (UUID, '"12345678-1234-5678-1234-567812345678"'),
    (tuple[int, str], '[1, "x"]'),
    (tuple[date, ...], f'["{DAY}"]'),
    (set[str], '["b", "a"]'),
    (frozenset[int], "[2, 1]"),
    (dict[int, date], f'{{"7": "{DAY}"}}'),
    (dict[str, Any], '{"$type": "date", "value": 1}'),
    (list[Any], '[1, "x", null, {"a": [true]}]'),
    (int | str | None, '"x"'),
    (int | str | None, "null"),
    (date | None, f'"{DAY}"'),
    (list[tuple[str, Decimal | None]], '[["a", "1.50"], ["b", null]]'),
]

_count = itertools.count()


class Bits(pydantic.BaseModel):
    """Neither shown nor the same at its second reading."""

    a: int
    serial: int = Field(default_factory=lambda: next(_count), exclude=True)
