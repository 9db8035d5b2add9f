"""What items say, cut to what there is room for."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any

from flowpool.report.data import ItemData
from flowpool.report.texts import item_texts, text_of, value_texts
from flowpool.values import Status


def words(seed: int, length: int) -> str:
    chance = Random(seed)
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz ", k=length))


def items(count: int, length: int) -> list[ItemData]:
    return [
        ItemData(
            n,
            {"text": words(n, length)},
            Status.FAILED if n % 100 == 7 else Status.DONE,
            words(-n, length),
        )
        for n in range(count)
    ]


def unpacked(chunks: list[bytes]) -> list[Any]:
    return [row for chunk in chunks for row in json.loads(gzip.decompress(chunk))]


def test_texts_that_have_room_are_whole_and_nothing_is_said() -> None:
    texts = item_texts(items(1500, 50), 1_000_000)
    assert texts.cut == ""
    assert len(texts.chunks) == 2
    assert unpacked(texts.chunks)[1200][0] == [["text", words(1200, 50)]]


def test_failed_items_keep_their_texts_and_the_page_says_what_was_cut() -> None:
    texts = item_texts(items(1000, 1000), 200_000)
    rows = unpacked(texts.chunks)
    assert sum(map(len, texts.chunks)) <= 200_000
    assert rows[107][0] == [["text", words(107, 1000)]]
    [[_, (left, length)]] = rows[500][0]
    assert length == 1000
    assert words(500, 1000).startswith(left)
    assert "the texts of " in texts.cut
    assert "items that failed and the slowest ones have theirs whole" in texts.cut


def test_even_preferred_texts_are_cut_where_they_alone_are_too_much() -> None:
    few = [ItemData(n, words(n, 100_000), Status.FAILED) for n in range(20)]
    texts = item_texts(few, 100_000)
    assert sum(map(len, texts.chunks)) <= 100_000
    assert "those of 20 that failed or took longest are cut to" in texts.cut


def test_text_of_others_is_spelt_out_where_it_would_do_something() -> None:
    assert value_texts("a\x1b[31m\u202eb\x00\ud800", 100) == r"a\x1b[31m\u202eb\x00\ud800"


def test_data_is_shown_as_json_and_bytes_by_their_size() -> None:
    assert text_of([1, {"a": "b"}]) == '[\n  1,\n  {\n    "a": "b"\n  }\n]'
    assert text_of(b"12345") == "5 bytes"
    assert text_of(None) == "null"
