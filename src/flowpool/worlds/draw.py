"""Parameters of a world as a person writes them: what is given is taken, the rest is drawn, all is written down.

cap most=20 latency=0.2            one mechanism, two of its parameters
chance share=0.01..0.05            drawn from a range, evenly by ratio
bucket depth=1|10 + chance         drawn from some values; two mechanisms at once
"""

from __future__ import annotations

import math
from random import Random

from flowpool.errors import InvalidInput

# A mechanism, and what is given of it.
Piece = tuple[str, dict[str, str]]


class Draw:
    """The parameters of one mechanism: `given` ones by name, and a random for what isn't given."""

    def __init__(self, random: Random, given: dict[str, str]) -> None:
        self.random = random
        self.given = given
        self.drawn: dict[str, str] = {}

    def number(self, name: str, low: float, high: float) -> float:
        """A number, evenly by ratio between `low` and `high` unless it is given."""
        text = self.given.get(name)
        if text is not None:
            low, high = self._range(name, text)
        value = low if low == high else low * math.exp(self.random.random() * math.log(high / low))
        value = float(f"{value:.4g}")
        self.drawn[name] = f"{value:g}"
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number, evenly by ratio."""
        value = max(1, round(self.number(name, low, high)))
        self.drawn[name] = str(value)
        return value

    def pick(self, name: str, *choices: str) -> str:
        """One of some words: those given, or any of `choices`; a word that stands twice is as likely again."""
        allowed = tuple(dict.fromkeys(choices))
        text = self.given.get(name)
        words = choices if text is None else tuple(text.split("|"))
        for word in words:
            if word not in allowed:
                raise InvalidInput(f"{name}={word}: use one of {', '.join(allowed)}")
        word = self.random.choice(words)
        self.drawn[name] = word
        return word

    def _range(self, name: str, text: str) -> tuple[float, float]:
        if "|" in text:
            text = self.random.choice(text.split("|"))
        low, _, high = text.partition("..")
        try:
            ends = float(low), float(high or low)
        except ValueError:
            raise InvalidInput(f"{name}={text}: write a number, or two as in 4..20") from None
        if not 0.0 <= ends[0] <= ends[1] or (ends[0] == 0.0 < ends[1]):
            raise InvalidInput(f"{name}={text}: write a number above 0, or two as in 4..20")
        return ends


def parse(text: str) -> list[Piece]:
    """The mechanisms of a world and what is given of each: "cap most=20 + chance" -> [("cap", ...), ...]."""
    parts = []
    for piece in text.split("+"):
        words = piece.split()
        if not words:
            raise InvalidInput(
                f"world {text!r}: write KIND NAME=VALUE ..., with + between two kinds"
            )
        given = {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not (name and equals and value):
                raise InvalidInput(f"world {text!r}: {word!r} is no NAME=VALUE")
            given[name] = value
        parts.append((words[0], given))
    return parts


def written(kind: str, drawn: dict[str, str]) -> str:
    """A mechanism and its parameters, as `parse` reads them."""
    return " ".join([kind, *(f"{name}={value}" for name, value in drawn.items())])
