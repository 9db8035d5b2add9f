"""Conditions on rows, in words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from flowpool import read
from flowpool.data.filter import condition
from flowpool.errors import InvalidInput

ROW = {"stars": "5", "n": 3, "lang": "de", "none": None, "share": 0.5, "tags": ["a"]}
ROW |= {"Review Text": "good {n}", "user.name": "a", "class": 1, "2nd": 2}
ROW |= {"id": "9007199254740993", "big": 2**53 + 1, "amount": Decimal("1.1")}
ROWS = [{"n": n, "body": f"text {n}"} for n in range(1000)]


def numbers(**options: Any) -> list[int]:
    return [row["n"] for row in read(ROWS, **options)]


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("n == 3", True),
        ("n != 3", False),
        ("stars >= 4", True),
        ("stars < 4", False),
        ("4 < stars", True),
        ("stars == '5'", True),
        ("stars in [4, 5]", True),
        ("stars not in (4, 5)", False),
        ("1 < n <= 3", True),
        ("lang == 'de' and n > 5", False),
        ("lang == 'de' or n > 5", True),
        ("not lang == 'fr'", True),
        ("lang in ['de', 'fr'] and (n == 1 or n == 3)", True),
        ("'e' in lang", True),
        ("'a' in tags", True),
        ("none is None", True),
        ("none is not None", False),
        ("none > 1", False),
        ("lang > 1", False),
        ("n == -3", False),
        ("share < 1", True),
        ("lang", True),
        ("none", False),
        ("not none", True),
        ("{Review Text} == 'good {n}'", True),
        ('{Review Text} == "bad"', False),
        ("{n} == 3 and { Review Text } != ''", True),
        ("not {user.name} in {'b', 'c'}", True),
        ("{class} == 1 or {2nd} == 2", True),
        ("n in {3}", True),
        ("id == 9007199254740993", True),
        ("id == 9007199254740992", False),
        ("id in [9007199254740992, 1]", False),
        ("id in ['9007199254740993']", True),
        ("id > 9007199254740992", True),
        ("big == 9007199254740993", True),
        ("big in ['9007199254740993']", True),
        ("big not in ['9007199254740992']", True),
        ("big < 9007199254740993.5", True),
        ("amount == 1.1 and amount == '1.1' and amount < 2", True),
    ],
)
def test_a_condition_in_words_holds_as_it_reads(words: str, holds: bool) -> None:
    assert condition(words)(ROW) is holds


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("n = 3", "write such as"),
        ("", "write such as"),
        ("n ==", "write such as"),
        ("__import__('os')", "is neither a column nor a value"),
        (
            "n.real == 3",
            "'n.real' is neither a column nor a value (a column of that name is {n.real})",
        ),
        ("[x for x in n]", "is neither a column nor a value"),
        ("n + 1 == 4", "'n + 1' is neither"),
        ("(lambda: 1)()", "is neither"),
        ("n == f'{n}'", "is neither"),
        ("(" * 5000 + "n" + ")" * 5000, "write such as"),
    ],
)
def test_anything_else_is_refused_and_never_run(words: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        read(ROWS, where=words)


def test_a_condition_on_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"there is no column 'm' \(there are: n, body\)"):
        numbers(where="m > 1")


def test_a_row_that_a_condition_cannot_be_asked_of_is_bad() -> None:
    mixed = [{"n": 1}, {"m": 1}, {"n": 3}]
    for where in ("n > 0", lambda row: row["n"] > 0):
        with pytest.raises(InvalidInput, match="where"):
            list(read(mixed, where=where))
        rows = read(mixed, where=where, skip_bad_rows=True)
        assert list(rows) == [{"n": 1}, {"n": 3}]
        assert rows.skipped == 1
