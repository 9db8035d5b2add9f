"""Values as JSON's own kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from flowpool.structured import fields_of, plain


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


@dataclass
class Page:
    title: str
    mood: Mood


class Note(BaseModel):
    text: str


PAGE = Page("T", Mood.GOOD)


def test_plain_refuses_what_json_has_no_form_for_unless_told_what_to_do() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "Odd()"

    class Name(str):
        pass

    endless: list[Any] = []
    endless.append(endless)
    assert plain({"a": [Odd()], "b": {Mood.BAD}, 1: Name("x")}, repr) == {
        "a": ["Odd()"],
        "b": ["bad"],
        "1": "x",
    }
    assert plain(endless, repr) == "[[...]]"
    with pytest.raises(TypeError, match="a Odd has no form in JSON"):
        plain(Odd())
    with pytest.raises(TypeError, match="a list is nested too deep"):
        plain(endless)


def test_what_has_no_fields_spreads_nothing() -> None:
    assert fields_of(PAGE) == {"title": "T", "mood": Mood.GOOD}
    assert fields_of(Note(text="x")) == {"text": "x"}
    assert not any(map(fields_of, ["text", 5, [PAGE], None, Mood.GOOD, Page]))
