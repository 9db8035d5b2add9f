"""Which rows are taken: where, sample, limit and columns, in this order."""

from __future__ import annotations

from typing import Any

import pytest

from flowpool import Pool, read
from flowpool.errors import InvalidInput

ROWS = [{"n": n, "body": f"text {n}"} for n in range(1000)]


def numbers(**options: Any) -> list[int]:
    return [row["n"] for row in read(ROWS, **options)]


def test_where_may_be_a_function_of_a_row() -> None:
    assert numbers(where=lambda row: row["n"] < 3) == [0, 1, 2]


def test_limit_is_a_number_of_rows_or_a_slice() -> None:
    assert numbers(limit=3) == [0, 1, 2]
    assert numbers(limit=slice(2, 5)) == [2, 3, 4]
    assert numbers(limit=slice(998, None)) == [998, 999]
    assert read(ROWS, limit=slice(990, 2000)).length == 10


def test_a_sample_of_some_rows_is_seeded_in_order_and_as_likely_for_each() -> None:
    first = numbers(sample=20, seed=1)
    assert first == numbers(sample=20, seed=1) == sorted(first)
    assert first != numbers(sample=20, seed=2)
    assert len(first) == read(ROWS, sample=20).length == 20
    drawn = [n for seed in range(200) for n in numbers(sample=20, seed=seed)]
    assert 440 < sum(n < 500 for n in drawn) / 4000 * 1000 < 560
    assert numbers(sample=5000) == list(range(1000))


def test_a_share_is_drawn_row_by_row() -> None:
    found = numbers(sample=0.1, seed=3)
    assert found == sorted(found)
    assert 70 < len(found) < 130
    assert read(ROWS, sample=0.1).length is None


def test_they_follow_one_another_where_sample_limit() -> None:
    found = numbers(where="n >= 500", sample=10, limit=4)
    assert len(found) == 4
    assert all(n >= 500 for n in found)
    assert found == numbers(where="n >= 500", sample=10)[:4]


def test_columns_give_the_data_the_prompts_names() -> None:
    [row] = read(ROWS, columns={"text": "body"}, limit=1)
    assert list(row.items()) == [("n", 0), ("text", "text 0")]  # in the data's own order
    # A column that had the name before is left out.
    assert list(read([{"text": "old", "body": "new"}], columns={"text": "body"})) == [
        {"text": "new"}
    ]
    swapped = read([{"a": 1, "b": 2}], columns={"a": "b", "b": "a"})
    assert list(swapped) == [{"a": 2, "b": 1}]


def test_a_row_without_the_named_column_is_bad() -> None:
    with pytest.raises(InvalidInput, match=r"no column 'body' \(there are: n\)"):
        list(read([{"n": 1}], columns={"text": "body"}))
    rows = read([{"n": 1}, {"body": "x"}], columns={"text": "body"}, skip_bad_rows=True)
    assert list(rows) == [{"text": "x"}]
    assert rows.skipped == 1


def test_a_selection_that_leaves_nothing_is_told() -> None:
    with pytest.raises(InvalidInput, match="no rows are left by the selection"):
        numbers(where="n > 5000")


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": True},
        {"limit": slice(5, 2)},
        {"limit": slice(0, 10, 2)},
        {"limit": "10"},
        {"sample": 0},
        {"sample": 1.5},
        {"sample": -0.1},
        {"where": 5},
        {"columns": {"a": "x", "b": "x"}},
        {"format": "xml"},
        {"sql": "select 1"},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        read(ROWS, **options)


def test_a_pool_takes_columns_and_limit_itself() -> None:
    pool = Pool(lambda text: text.upper(), ROWS, columns={"text": "body"}, limit=2, progress=False)
    assert pool.run() == ["TEXT 0", "TEXT 1"]
    assert pool.run() == ["TEXT 0", "TEXT 1"]
    with pytest.raises(InvalidInput, match=r"belong to read\(\)"):
        Pool(len, read(ROWS), limit=2)
