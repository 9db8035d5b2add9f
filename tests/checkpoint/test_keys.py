"""Keys that tell items apart: each is one item's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowpool import Pool
from flowpool.checkpoint.keys import Keys
from flowpool.errors import InvalidInput, InvalidItem

ITEMS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 1, "text": "c"}]
SAYS = r"key='id': items\[0\] and items\[2\] both have 1: use a key that no two items share"


def test_a_key_twice_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    asked: list[Any] = []
    pool = Pool(lambda text: asked.append(text), ITEMS, store=tmp_path / "run.db", key="id")
    with pytest.raises(InvalidInput, match=SAYS):
        pool.run()
    assert asked == []
    pool = Pool(lambda text: text, ITEMS, store=tmp_path / "fn.db", key=lambda item: "x" * 99)
    with pytest.raises(
        InvalidInput, match=r"key= items\[0\] and items\[1\] both have 'x{59}\.\.\.:"
    ):
        pool.run()


def test_a_key_that_comes_again_while_items_are_read_fails_its_item(tmp_path: Path) -> None:
    def items() -> Iterator[dict[str, Any]]:
        yield from ITEMS

    for _ in range(2):  # also of a run that is kept
        pool = Pool(
            lambda text: text.upper(), items(), store=tmp_path / "run.db", key="id", name="run"
        )
        records = list(pool.stream(ordered=True))
        assert [record.output for record in records] == ["A", "B", None]
        assert isinstance(records[2].error, InvalidItem)
        with pytest.raises(InvalidItem, match=SAYS):
            raise records[2].error


def test_items_in_another_order_keep_their_answers(tmp_path: Path) -> None:
    items = [{"id": n, "text": str(n)} for n in range(9)]
    for order in (items, items[::-1]):
        pool = Pool(lambda text: text, order, store=tmp_path / "run.db", key="id", name="run")
        assert pool.run() == [item["text"] for item in order]


def test_an_item_that_is_met_again_has_its_key_still() -> None:
    keys = Keys("id")
    for _ in range(2):
        for index, item in enumerate(ITEMS[:2]):
            keys.check(item, index)
    with pytest.raises(InvalidInput, match=SAYS):
        keys.check(ITEMS[2], 2)
    with pytest.raises(InvalidInput, match="no 'id', which key='id' tells items apart by"):
        keys.check({"n": 1}, 3)
