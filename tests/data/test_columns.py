"""The types of the columns that answers make."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest

from flowpool import Pool, Record, Results, Status, read

DAY = datetime.date(2024, 2, 29)
AT = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)


def answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"label": "x", "score": 1}


def run(frame: Any, fn: Any = answer, **options: Any) -> Results:
    return Pool(fn, frame, progress=False, **options).run()


class Kind(enum.Enum):
    GOOD = "good"


@dataclass
class Judged:
    kind: Kind
    when: datetime.date
    price: Decimal
    tags: list[str]


class JudgedStruct(msgspec.Struct):
    kind: Kind
    when: datetime.date
    price: Decimal
    tags: list[str]


class JudgedModel(pydantic.BaseModel):
    kind: Kind
    when: datetime.date
    price: Decimal
    tags: list[str]


FIELDS: dict[str, Any] = {
    "kind": Kind.GOOD,
    "when": DAY,
    "price": Decimal("1.5"),
    "tags": ["a"],
}
PLAIN = {"kind": "good", "when": DAY, "price": Decimal("1.5"), "tags": ["a"]}


@pytest.mark.parametrize("to", ["to_pandas", "to_polars", "to_arrow"])
@pytest.mark.parametrize("kind", [Judged, JudgedStruct, JudgedModel, dict])
def test_typed_answers_become_typed_columns(to: str, kind: Any) -> None:
    answers = [kind(**FIELDS), None]
    found = getattr(run([{"n": 1}, {"n": 2}], lambda n: answers[n - 1]), to)()
    rows = list(read(found))
    assert rows[0] == {"n": 1, **PLAIN, "output": None}
    assert rows[1] == {"n": 2, **dict.fromkeys(PLAIN), "output": None}


@pytest.mark.parametrize("to", ["to_pandas", "to_polars", "to_arrow"])
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([1, None], [1, None]),
        ([True, None], [True, None]),
        ([1, 2.5], [1.0, 2.5]),
        ([2**70, None], None),
        ([1, "two"], None),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([[1], "two"], None),
        ([DAY, AT], None),
        ([{"a": [{"b": 1}]}, {"a": []}], None),
        ([float("nan"), float("inf")], None),
        ([np.int64(3), np.float32(0.5)], [3.0, 0.5]),
    ],
    ids=str,
)
def test_any_answers_make_a_frame(to: str, answers: list[Any], expected: list[Any] | None) -> None:
    records = [Record(i, {"n": i}, Status.DONE, answer) for i, answer in enumerate(answers)]
    found = getattr(Results(records), to)()
    if expected is not None:
        assert [row["output"] for row in read(found)] == expected
    else:
        assert len(list(read(found))) == len(answers)
