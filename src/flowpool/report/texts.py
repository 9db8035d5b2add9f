"""What items say, cut to what a page has room for. Items that failed and the slowest ones keep their texts longest.

Texts are in chunks of items that follow each other, each packed by itself: a page unpacks those that it shows.
"""

from __future__ import annotations

import gzip
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flowpool.printable import printable
from flowpool.report.data import ItemData
from flowpool.structured import fields_of, plain
from flowpool.values import Status

CHUNK = 1000
# Characters that each text of an item may have: the most that fits is taken.
LEVELS = (
    *(2_000_000, 200_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 300, 200, 150, 100, 70),
    *(50, 30, 0),
)
# Of the items that took longest, so many keep their texts as those do that failed.
SLOWEST = 100
# Items by which it is found out how large all will be.
_SAMPLE = 1500
# The part of the room that they are fitted into: what a sample tells isn't exact, and a second try takes as long.
_SURE = 0.96

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
Text = str | list[Any]  # a text, or what is left of it and how many characters it had
Pairs = list[tuple[str, Text]]


class Texts(Struct, frozen=True):
    """Chunks of items' texts, each gzipped JSON, and in words what was cut."""

    chunks: list[bytes]
    cut: str = ""


def pack(data: bytes) -> bytes:
    """As a page's `DecompressionStream` takes it; the same bytes for the same data."""
    return gzip.compress(data, 5, mtime=0)


def item_texts(items: Sequence[ItemData], room: int) -> Texts:
    """The texts of all items in at most about `room` bytes."""
    longest = sorted(items, key=lambda item: -item.seconds)[:SLOWEST]
    first = {item.index for item in longest}
    first |= {item.index for item in items if item.status is Status.FAILED}
    is_first = [item.index in first for item in items]
    chunks, most, rest = fitted(items, is_first, _texts_of, room)
    return Texts(chunks, _words_of_cut(items, is_first, most, rest))


def fitted(
    rows: Sequence[T], is_first: Sequence[bool], texts_of: Callable[[T, int], Any], room: int
) -> tuple[list[bytes], int, int]:
    """Chunks of the texts of rows in at most about `room` bytes; how many characters the first and the others have.

    texts_of: a row's texts, each of at most so many characters. is_first: the rows whose texts are cut last.
    """
    most, rest = _levels(rows, is_first, texts_of, room)
    pairs = list(zip(rows, is_first, strict=True))
    while True:
        chunks = [
            pack(_encode([texts_of(row, most if first else rest) for row, first in chunk]))
            for chunk in (pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK))
        ]
        if sum(map(len, chunks)) <= room or not (rest or most):
            return chunks, most, rest
        rest = _less(rest)
        most = _less(most) if all(is_first) or not rest else most


def _levels(
    rows: Sequence[T], is_first: Sequence[bool], texts_of: Callable[[T, int], Any], room: float
) -> tuple[int, int]:
    """About how many characters the texts of the first rows, and of the others, may have."""
    preferred = [row for row, first in zip(rows, is_first, strict=True) if first]
    others = [row for row, first in zip(rows, is_first, strict=True) if not first]

    def size(some: Sequence[T], most: int) -> float:
        """About how many bytes their texts are, packed."""
        sample = some[:: max(1, len(some) // _SAMPLE)]
        packed = len(pack(_encode([texts_of(row, most) for row in sample])))
        return packed * len(some) / max(1, len(sample))

    def level(some: Sequence[T], left: float) -> int:
        # The first that fits: each is smaller than the one before.
        at = bisect_left(
            LEVELS, True, hi=len(LEVELS) - 1, key=lambda most: size(some, most) <= left
        )
        return LEVELS[at]

    room *= _SURE
    most = level(preferred, room * (0.6 if others else 1.0))
    return most, min(most, level(others, room - size(preferred, most))) if others else most


def _less(level: int) -> int:
    return LEVELS[min(LEVELS.index(level) + 1, len(LEVELS) - 1)]


def _texts_of(item: ItemData, most: int) -> list[Any]:
    """An item's texts, as the page reads them: variables, output, steps, what its error says."""
    steps = [(printable(step), value_texts(value, most)) for step, value in item.steps.items()]
    return [
        value_texts(item.variables, most),
        value_texts(item.output, most) if item.status is Status.DONE else None,
        steps,
        cut(item.message, most),
    ]


def value_texts(value: Any, most: int) -> Text | Pairs | None:
    """A value as a page shows it: its fields, each with its text, where it has some."""
    if value is None:
        return None
    if fields := fields_of(value):
        return [(printable(str(name)), cut(text_of(part), most)) for name, part in fields.items()]
    return cut(text_of(value), most)


def text_of(value: Any) -> str:
    """A value in words: a text as it is, other data as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value):,} bytes"
    try:
        data = msgspec.json.encode(plain(value, repr))
        if isinstance(value, (Mapping, list, tuple)):
            data = msgspec.json.format(data, indent=2)
        return data.decode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return repr(value)


def cut(text: str, most: int) -> Text:
    """The text, or what is left of it and how long it was."""
    return printable(text) if len(text) <= most else [printable(text[:most]), len(text)]


def _words_of_cut(items: Sequence[ItemData], is_first: Sequence[bool], most: int, rest: int) -> str:
    """Which texts were cut, in words; empty where none was."""
    cut_first = cut_others = 0
    if rest < LEVELS[0]:
        pairs = list(zip(items, is_first, strict=True))
        cut_others = sum(_is_longer(item, rest) for item, first in pairs if not first)
        cut_first = sum(_is_longer(item, most) for item, first in pairs if first)
    words = []
    if cut_others:
        what = f"cut to {rest:,} characters each" if rest else "left out"
        words.append(f"the texts of {cut_others:,} items are {what}")
    if cut_first:
        what = f"cut to {most:,} characters each" if most else "left out"
        words.append(f"those of {cut_first:,} that failed or took longest are {what}")
    elif words:
        words.append("items that failed and the slowest ones have theirs whole")
    return f"To keep this file small, {'; '.join(words)}. The store has all." if words else ""


def _is_longer(item: ItemData, most: int) -> bool:
    """Whether any text of the item has more characters than that."""
    parts = (item.variables, item.output, item.message, *item.steps.values())
    return any(_length(part, most) > most for part in parts)


def _length(value: Any, most: int) -> int:
    """How long the longest text of a value is, or the first that is longer than `most`."""
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value)
    if fields := fields_of(value):
        lengths = (_length(part, most) for part in fields.values())
        return next((length for length in lengths if length > most), 0)
    return len(text_of(value))
