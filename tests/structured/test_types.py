"""Types as the form of an answer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, Flag, IntEnum, IntFlag
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from tests.structured.kinds import (
    READ,
)

from flowpool.errors import InvalidInput, InvalidOutput
from flowpool.structured import answer_of


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


class Level(IntEnum):
    LOW = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Mode(IntFlag):
    A = 1


class Loose(Enum):
    YES = "yes"

    @classmethod
    def _missing_(cls, value: object) -> Loose | None:
        return cls.YES if str(value).startswith("y") else None


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class Event(BaseModel):
    """Its own code sees some values first."""

    day: Annotated[date, BeforeValidator(_stripped)]
    at: datetime | None = None
    count: Annotated[int, BeforeValidator(lambda v: len(v) if isinstance(v, list) else v)] = 0
    level: Level | None = None


class Moved(BaseModel):
    day: date
    ok: bool = True

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, value: Any) -> Any:
        return value.get("event", value) if isinstance(value, dict) else value


class Said(BaseModel):
    when: datetime | date | str


OWN_CODE: list[tuple[Any, str, Any]] = [
    (Event, '{"day": " 2026-01-02 "}', Event(day=date(2026, 1, 2))),
    (Event, '{"day": "2026-01-02", "count": ["a", "b"]}', Event(day=date(2026, 1, 2), count=2)),
    (Event, '{"day": "2026-01-02", "count": "2"}', Event(day=date(2026, 1, 2), count=2)),
    (Moved, '{"event": {"day": "2026-01-02"}}', Moved(day=date(2026, 1, 2))),
    (Moved, '{"event": {"day": "2026-01-02", "ok": "true"}}', Moved(day=date(2026, 1, 2))),
    (Loose, '{"answer": "yep"}', Loose.YES),
    (Said, '{"when": "soon"}', Said(when="soon")),
    (Said, '{"when": "2026-01-02"}', Said(when=date(2026, 1, 2))),
]


@pytest.mark.parametrize(("kind", "said", "meant"), OWN_CODE, ids=str)
def test_what_a_types_own_code_takes_is_taken(kind: Any, said: str, meant: Any) -> None:
    assert answer_of(kind).read(said) == meant


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Event, '{"day": 2020}'),
        (Event, '{"day": "2020"}'),
        (Event, '{"day": "2026-01-02", "at": 2020}'),
        (Event, '{"day": "2026-01-02", "at": "2020"}'),
        (Event, '{"day": "2026-01-02", "at": "2026-01-02"}'),
        (Event, '{"day": "2026-01-02", "count": true}'),
        (Event, '{"day": "2026-01-02", "level": true}'),
        (Moved, '{"event": {"day": 86400}}'),
        (Moved, '{"event": {"day": "2026-01-02", "ok": 1}}'),
        (Moved, '{"event": {"day": "2026-01-02", "ok": "on"}}'),
        (Moved, '{"day": 86400}'),
        (Loose, '{"answer": "no"}'),
        (Said, '{"when": "2020"}'),
        (Said, '{"when": 2020}'),
        (Level, '{"answer": true}'),
        (dict[str, Level], '{"a": true}'),
    ],
    ids=str,
)
def test_a_lenient_reading_is_no_answer(kind: Any, said: str) -> None:
    with pytest.raises(InvalidOutput):
        answer_of(kind).read(said)


@dataclass
class Rated:
    stars: Annotated[int, Field(ge=1, le=5)]


class Row(TypedDict):
    rights: list[Right]


class Packet(msgspec.Struct):
    n: Annotated[int, Field(ge=5)]


class Mixed(BaseModel):
    n: Annotated[int, msgspec.Meta(ge=5)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Annotated[int, Field(ge=5)], "3"),
        (Annotated[int, msgspec.Meta(ge=5)], "3"),
        (list[Annotated[int, Field(ge=5)]], "[7, 3]"),
        (Rated, '{"stars": 6}'),
        (list[Rated], '[{"stars": 6}]'),
        (Annotated[str, Field(pattern="^a")], '"b"'),
    ],
    ids=str,
)
def test_a_constraint_holds_wherever_it_stands(kind: Any, said: str) -> None:
    with pytest.raises(InvalidOutput, match="doesn't fit"):
        answer_of(kind).read(said)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Right, "a Flag's combinations: ask for a list of an Enum"),
        (Mode, "a Flag's combinations"),
        (Row, "a Flag's combinations"),
        (dict[str, Right | None], "a Flag's combinations"),
        (Packet, "mixes pydantic's types with msgspec's"),
        (Mixed, "mixes pydantic's types with msgspec's"),
    ],
    ids=str,
)
def test_a_type_that_would_not_be_held_to_what_it_says_is_refused(kind: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        answer_of(kind)
