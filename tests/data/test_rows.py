from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from flowpool import Pool
from flowpool.errors import InvalidInput, InvalidItem


def lazy() -> Iterator[dict[str, int]]:
    yield {"n": 1}
    yield {"n": 2}


async def later() -> AsyncIterator[dict[str, int]]:
    yield {"n": 1}
    await asyncio.sleep(0)
    yield {"n": 2}


class Table:
    """Iterable, of unknown length, again and again."""

    def __iter__(self) -> Iterator[dict[str, int]]:
        return lazy()


SOURCES: list[tuple[Any, int | None]] = [
    ([{"n": 1}, {"n": 2}], 2),
    (({"n": 1}, {"n": 2}), 2),
    ({"a": {"n": 1}, "b": {"n": 2}}.values(), 2),
    (lazy(), None),
    (iter([{"n": 1}, {"n": 2}]), None),
    (map(dict, [{"n": 1}, {"n": 2}]), None),
    (Table(), None),
    (later(), None),
]


@pytest.mark.parametrize(("items", "length"), SOURCES, ids=lambda value: type(value).__name__)
def test_items_may_come_from_anything_with_rows(items: Any, length: int | None) -> None:
    pool = Pool(lambda n: n * 10, items)
    assert pool.run() == [10, 20]
    assert pool._session._source.length == length


def test_a_table_that_can_be_read_again_can_be_run_again() -> None:
    pool = Pool(lambda n: n, Table())
    assert pool.run() == pool.run() == [1, 2]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([], "items is empty: there is nothing to run."),
        ((), "items is empty"),
        ({}.values(), "items is empty"),
        ({"text": "x"}, "items is one dict: pass a list of dicts, one for each item."),
        (5, "items is int: pass dicts in a list or any iterable, a data frame, or the path of a"),
        (None, "items is NoneType: pass dicts in a list"),
        ("rows", "rows: no such file or folder."),
    ],
)
def test_what_holds_no_rows_is_refused_at_once(items: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Pool(len, items)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def run_of(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (
            ["one"],
            "items[0] is 'one', not a dict: pass variables by name, such as {'text': 'one'}.",
        ),
        ([{"text": "x"}, None], "items[1] is None, not a dict"),
        (
            [{"text": "x"}, {"txt": "y"}],
            "items[1] has no 'text', which 'run_of' needs (it has: txt)",
        ),
        ([{"text": "x", 5: "y"}], "items[0] has the name 5: variable names are text."),
    ],
)
def test_a_list_with_a_bad_item_is_refused_before_the_first_call(items: Any, says: str) -> None:
    calls: list[str] = []

    def noted(text: str) -> str:
        calls.append(text)
        return text

    noted.__name__ = "run_of"
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Pool(noted, items).run()
    assert not calls
    assert "\n" not in str(caught.value)


def test_a_lazy_sources_bad_item_fails_alone() -> None:
    results = Pool(run_of, iter([{"text": "x"}, "bad", {"txt": "y"}, {"text": "z"}])).run()
    assert results == ["x", None, None, "z"]
    assert all(isinstance(error, InvalidItem) for error in results.errors)
    assert "items[1] is 'bad', not a dict" in str(results.errors[0])
    assert "items[2] has no 'text'" in str(results.errors[1])


def test_a_sources_own_failure_ends_the_run_and_is_raised() -> None:
    def breaks() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise OSError("the table is gone")

    with pytest.raises(OSError, match="the table is gone"):
        Pool(lambda n: n, breaks()).run()
