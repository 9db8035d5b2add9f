"""Subclasses and what frames hold, as the plain values that they stand for: in prompts, files and the store."""

from __future__ import annotations

import datetime as dt
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from flowpool.data.cells import as_text as as_cell
from flowpool.data.cells import encoded, typed
from flowpool.encoding import CantEncode, decode, digest, encode
from flowpool.structured.plain import base_of
from flowpool.template import as_text

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

NOON = dt.datetime(2024, 1, 2, 12, 30)
BERLIN = dt.timezone(dt.timedelta(hours=1))


def sub(kind: type, *arguments: Any) -> Any:
    """An instance of a subclass that was made just now."""
    return type(f"Own{kind.__name__}", (kind,), {})(*arguments)


SUBCLASSES = [
    (sub(str, "yes"), "yes"),
    (sub(int, 3), 3),
    (sub(float, 1.5), 1.5),
    (sub(bytes, b"x"), b"x"),
    (sub(Decimal, "1.50"), Decimal("1.50")),
    (sub(dt.datetime, 2024, 1, 2, 12, 30), NOON),
    (sub(dt.date, 2024, 1, 2), NOON.date()),
    (sub(dt.time, 12, 30), NOON.time()),
    (sub(dt.timedelta, 1), dt.timedelta(1)),
    (UUID(int=7), UUID(int=7)),
    (sub(dict, {"a": 1}), {"a": 1}),
    (sub(list, [1]), [1]),
    (OrderedDict(a=1), {"a": 1}),
    (defaultdict(int, a=1), {"a": 1}),
    (Counter("aa"), {"a": 2}),
]
OF_FRAMES = [
    (pd.Timestamp(NOON), NOON),
    (pd.Timestamp(NOON, tz=BERLIN), NOON.replace(tzinfo=BERLIN)),
    (pd.Timedelta(days=1), dt.timedelta(1)),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Period("2024-01"), "2024-01"),
    (np.datetime64(NOON, "ns"), NOON),
    (np.datetime64("2024-01-02"), NOON.date()),
    (np.datetime64("NaT"), None),
    (np.timedelta64(1, "D"), dt.timedelta(1)),
    (np.str_("x"), "x"),
    (np.bytes_(b"x"), b"x"),
    (np.int8(3), 3),
    (np.float32(1.5), 1.5),
    (np.float64(1.5), 1.5),
    (np.bool_(True), True),
]
ARRAYS = [
    (np.arange(2000), list(range(2000))),
    (np.ones((2, 2)), [[1.0, 1.0], [1.0, 1.0]]),
    (np.array([NOON], "datetime64[ns]"), [NOON]),
    (pd.Series([1, 2]), [1, 2]),
    (pd.Index(["a"]), ["a"]),
    (pd.Categorical(["a"]), ["a"]),
]


@pytest.mark.parametrize(("value", "base"), [*SUBCLASSES, *OF_FRAMES], ids=repr)
def test_a_subclass_and_a_frame_s_value_are_what_they_stand_for(value: Any, base: Any) -> None:
    for found in (base_of(value), decode(encode(value)), typed(value)):
        assert type(found) is type(base)
        assert found == base
    assert as_text(value) == as_text(base)
    assert as_cell(value) == as_cell(base)
    assert encoded([value]) == encoded([base])
    assert as_text({"in": [value]}) == as_text({"in": [base]})
    assert digest({"a": value}) == digest({"a": base})


@pytest.mark.parametrize(("array", "values"), ARRAYS, ids=lambda value: type(value).__name__)
def test_an_array_stands_whole_as_a_list(array: Any, values: list[Any]) -> None:
    assert as_text(array) == as_text(values)
    assert as_text({"a": array}) == as_text({"a": values})
    assert as_cell(array) == as_cell(values)
    assert digest({"a": array}) == digest({"a": values})
    with pytest.raises(CantEncode):  # a list would come back
        encode(array)


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NaT, pd.NA])
def test_what_is_missing_is_no_text_alone_and_null_within_others(missing: Any) -> None:
    assert as_text(missing) == as_cell(missing) == ""
    assert as_text({"a": [missing]}) == as_cell({"a": [missing]}) == '{"a":[null]}'
    assert encoded({"a": missing}) == b'{"a":null}'


def test_a_set_of_its_own_kind_is_a_set() -> None:
    assert base_of(sub(set, {1})) == decode(encode(sub(set, {1}))) == {1}


def test_an_enum_keeps_its_meaning() -> None:
    Answer = Enum("Answer", {"YES": "yes"}, type=str)  # noqa: N806
    assert base_of(Answer.YES) is Answer.YES
    assert as_text(Answer.YES) == as_cell(Answer.YES) == "yes"
    with pytest.raises(CantEncode):
        encode(Answer.YES)


def test_a_dict_whose_keys_are_dates_is_written_with_their_text() -> None:
    assert typed({NOON.date(): pd.NaT}) == {"2024-01-02": None}
