"""Which of the store's rows each item of a source is."""

from __future__ import annotations

from random import Random

import pytest

from flowpool.store.claims import ItemMatcher
from flowpool.store.reading import Known


class Rows:
    """Rows in memory: ids from 1, one a letter; counts what it is asked."""

    def __init__(self, content: str) -> None:
        self.known = [Known(i, letter.encode(), None) for i, letter in enumerate(content, 1)]
        self.look_ups = 0

    def items_after(self, run: int, item: int) -> list[Known]:
        return self.known[item : item + 3]

    def items_like(self, run: int, hash: bytes) -> list[Known]:
        self.look_ups += 1
        return [row for row in self.known if row.hash == hash]


def claimed(stored: str, items: str) -> tuple[list[int | None], Rows]:
    """The row that each item claims."""
    rows = Rows(stored)
    claims = ItemMatcher(1, len(stored))
    found = [claims.claim(letter.encode(), rows) for letter in items]
    return [None if known is None else known.id for known in found], rows


def test_the_same_items_in_the_same_order_are_met_without_a_look_up() -> None:
    ids, rows = claimed("abcdefgh", "abcdefgh")
    assert ids == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows.look_ups == 0


def test_a_new_store_is_asked_nothing() -> None:
    ids, rows = claimed("", "abc")
    assert ids == [None, None, None]
    assert rows.look_ups == 0


@pytest.mark.parametrize(
    ("items", "ids"),
    [
        ("abxcd", [1, 2, None, 3, 4]),  # added in the middle
        ("acd", [1, 3, 4]),  # left out
        ("dcba", [4, 3, 2, 1]),
        ("bacd", [2, 1, 3, 4]),
        ("xyz", [None, None, None]),
    ],
)
def test_items_are_found_wherever_they_moved(items: str, ids: list[int | None]) -> None:
    assert claimed("abcd", items)[0] == ids


def test_items_of_the_same_content_stay_as_many_as_they_are() -> None:
    assert claimed("aab", "aaab")[0] == [1, 2, None, 3]
    assert claimed("abab", "bbaa")[0] == [2, 4, 1, 3]


def test_without_a_hash_the_rows_come_in_their_order() -> None:
    claims, rows = ItemMatcher(1, 3), Rows("abc")
    taken = [claims.claim(None, rows) for _ in range(4)]
    assert [row and row.id for row in taken] == [1, 2, 3, None]


def test_rows_written_after_the_pass_began_are_nobodys() -> None:
    claims, rows = ItemMatcher(1, 2), Rows("aba")
    assert [claims.claim(h, rows) for h in (b"a", b"b", b"a")][2] is None


@pytest.mark.parametrize("leap", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(20))
def test_any_order_claims_every_row_once(seed: int, leap: int, monkeypatch) -> None:
    monkeypatch.setattr(ItemMatcher, "LEAP", leap)
    random = Random(seed)
    stored = "".join(random.choices("abcdef", k=40))
    items = list(stored + "xyz")
    random.shuffle(items)
    ids, _ = claimed(stored, "".join(items))
    assert sorted(i for i in ids if i is not None) == list(range(1, 41))
    assert all(stored[i - 1] == letter for i, letter in zip(ids, items, strict=True) if i)
