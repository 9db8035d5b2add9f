"""Texts that fit a regular expression: what a schema's `pattern` asks for. Pure; equal seeds make equal texts.

Python's own parser reads the expression. Lookaheads are not read but tried: what is made is matched at the end.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from random import Random
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from flowpool.errors import InvalidInput

_CHARACTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + "_-. "
_OF_CATEGORY = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase + string.digits,
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_NOT_WORD": "-.",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase,
}
# How much longer than its least a repeated part may become.
_MOST_MORE = 8
_TRIES = 200
# JavaScript's groups with a name, which JSON Schema's dialect has.
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")


def compiled(pattern: str) -> re.Pattern[str]:
    """Raises `InvalidInput` for an expression that can't be read."""
    try:
        return re.compile(_NAMED_GROUP.sub("(?P<", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidInput(f"The simulator can't read the pattern {pattern!r}: {error}") from None


def find_match(pattern: re.Pattern[str], text: str, fits: Callable[[str], bool]) -> str | None:
    """The first piece of `text` that the pattern matches as if it stood alone, and that `fits`."""
    try:
        inside = re.compile(pattern.pattern.removeprefix("^").removesuffix("$"), pattern.flags)
    except re.error:
        return None
    pieces = (found[0] for found in inside.finditer(text) if found[0])
    return next((piece for piece in pieces if pattern.search(piece) and fits(piece)), None)


def make_match(pattern: re.Pattern[str], fits: Callable[[str], bool], seed: int = 0) -> str | None:
    """A text that the pattern matches and that `fits`, or None where none is found."""
    tree = _parser.parse(pattern.pattern, pattern.flags)
    for attempt in range(_TRIES):
        maker = _Maker(Random(f"{seed} {attempt}"), most_more=attempt % _MOST_MORE)
        made = maker.text(tree)
        if pattern.search(made) and fits(made):
            return made
    return None


class _Maker:
    """Writes one text along an expression's tree."""

    def __init__(self, random: Random, most_more: int) -> None:
        self.random = random
        self.most_more = most_more
        self.groups: dict[int, str] = {}

    def text(self, tree: Iterable[tuple[Any, Any]]) -> str:
        return "".join(self._piece(str(kind), value) for kind, value in tree)

    def _piece(self, kind: str, value: Any) -> str:
        if kind == "LITERAL":
            return chr(value)
        if kind == "ANY":
            return self.random.choice(string.ascii_lowercase)
        if kind in ("IN", "NOT_LITERAL"):
            return self._one_of(value if kind == "IN" else [("NEGATE", None), ("LITERAL", value)])
        if kind == "BRANCH":
            return self.text(self.random.choice(value[1]))
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = value
            times = self.random.randint(least, min(int(most), least + self.most_more))
            return "".join(self.text(inner) for _ in range(times))
        if kind == "SUBPATTERN":
            made = self.text(value[3])
            self.groups[value[0]] = made
            return made
        if kind == "ATOMIC_GROUP":
            return self.text(value)
        return self.groups.get(value, "") if kind == "GROUPREF" else ""

    def _one_of(self, members: Iterable[tuple[Any, Any]]) -> str:
        named = [(str(kind), value) for kind, value in members]
        given = "".join(self._members(kind, value) for kind, value in named)
        if named[0][0] == "NEGATE":
            given = "".join(one for one in _CHARACTERS if one not in given)
        return self.random.choice(given) if given else ""

    def _members(self, kind: str, value: Any) -> str:
        if kind == "LITERAL":
            return chr(value)
        if kind == "RANGE":
            first, last = value
            return "".join(map(chr, range(first, min(last, first + 255) + 1)))
        return _OF_CATEGORY.get(str(value), "") if kind == "CATEGORY" else ""
