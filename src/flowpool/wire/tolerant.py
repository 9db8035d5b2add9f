"""Reads bodies as JSON, or as a stream of it, though they aren't quite the standard's. Knows no wire's names.

What can't be read to its end raises `UnreadableBody`, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

Tree = dict[str, Any]

# Digits of a number that is read as it stands: Python's own reading takes a time that grows with their square.
_MOST_DIGITS = 400
_ENDS = re.compile(r"\[DONE\]\s*|\s+")
# Not all that Python takes for a line's end is one here: texts hold the others.
_LINE_END = re.compile(r"\r\n|\n|\r")
_FIELD = re.compile(r"(data|event|id|retry)?:(.*)")


class UnreadableBody(ValueError):
    """It isn't JSON, or ends in the middle, or what should be a text is something else."""


class BodyValues(Struct, frozen=True):
    """A body's values: one, or many where it was streamed. ended: whether the stream says that it ends."""

    values: list[Any]
    is_streamed: bool = False
    ended: bool = False


# Bytes to values.


def read(body: bytes) -> BodyValues:
    """The values of a body: JSON, or a stream of it, as events or line by line.

    Takes what Python's own JSON can hold beyond the standard: NaN, raw control characters, half a character.
    Raises `UnreadableBody`.
    """
    try:
        return _read(body.decode(json.detect_encoding(body), "replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(str(error)) from None


def _read(text: str) -> BodyValues:
    text = text.lstrip("\ufeff \t\r\n")
    values: list[Any] = []
    rest = text
    if text[:1] in ("{", "[", '"'):
        value, end = _decode(text, 0)
        values, rest = [value], text[end:].strip()
        if not rest:
            return _unwrapped(value)
    events = _events(rest)
    found = list(_values(events))
    if not found and not values:
        raise UnreadableBody("no JSON in it")
    return BodyValues(values + found, is_streamed=True, ended="[DONE]" in events[-20:])


def _unwrapped(value: Any) -> BodyValues:
    """A list of answers is a stream that was gathered; JSON in a text is that JSON."""
    if isinstance(value, list):
        return BodyValues(value, is_streamed=True)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return BodyValues([_decode(value.strip(), 0)[0]])
    return BodyValues([value])


def _events(text: str) -> str:
    """What a stream of events holds, without what frames it; lines that are none stand as they are."""
    lines = []
    for line in _LINE_END.split(text):
        field = _FIELD.match(line)
        if field is None:
            lines.append(line)
        elif field[1] == "data":
            lines.append(field[2].removeprefix(" "))
    return "\n".join(lines).strip()


def _values(text: str) -> Iterator[Any]:
    at = 0
    while at < len(text):
        skipped = _ENDS.match(text, at)
        if skipped:
            at = skipped.end()
        else:
            value, at = _decode(text, at)
            yield value


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else float("inf")


_decode = json.JSONDecoder(strict=False, parse_int=_number).raw_decode
