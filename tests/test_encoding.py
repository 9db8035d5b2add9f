"""Values as JSON and back the same."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowpool.encoding import CantEncode, decode, digest, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.integers() | st.text())
    ),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_is_encoded_comes_back_the_same(value) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        date(2026, 3, 1),
        time(12, 30),
        timedelta(days=-1, microseconds=5),
        Decimal("0.10"),
        UUID(int=7),
        {1: "a", "b": 2},
        {"$type": "no type of ours", "value": 1},
        {"deep": [{"a": (1, {2, 3})}]},
        math.inf,
        2**70,
        "half a character: \ud800",
    ],
)
def test_what_json_lacks_comes_back_the_same(value) -> None:
    assert decode(encode(value)) == value


def test_nan_stays_nan() -> None:
    assert math.isnan(decode(encode(math.nan)))


def test_plain_values_stand_as_plain_json() -> None:
    assert encode({"a": [1, 2.5, None, True, "é"]}) == '{"a":[1,2.5,null,true,"é"]}'.encode()


@pytest.mark.parametrize("value", [object(), [lambda: 0], {"a": Exception("no")}])
def test_what_can_not_come_back_is_refused_by_its_type(value) -> None:
    with pytest.raises(CantEncode, match="a value of type "):
        encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list = []
    loop.append(loop)
    with pytest.raises(CantEncode, match="nested more than"):
        encode(loop)


def test_a_digest_doesn_t_depend_on_the_order_of_names_and_does_on_all_else() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different = [{"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": 1.5}, {"a": [1]}, {"a": (1,)}]
    assert len({digest(value) for value in different}) == len(different)
    assert digest("ab", "c") != digest("a", "bc")
