"""The embedded model, flowpool-sim: answers with real extracts of what it is given. Pure and fast.

It is no language model: it picks the sentences whose words the text uses most, fills a schema with
what it finds (`filler`), and makes a text's vector of its words. Equal questions get equal answers.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

from flowpool.errors import InvalidInput
from flowpool.sim_model.filler import Filler
from flowpool.wire.json_in_words import PLAIN_JSON

NAME = "flowpool-sim"
_ABOUT = f"I am {NAME}, the model inside flowpool's simulator: I answer with extracts of what I am given."
_WHO = re.compile(r"\b(who|what) are you\b|\byour name\b|\bwhich model\b", re.IGNORECASE)
_JSON_PLEASE = re.compile(r"\b(?:as|in|only|valid|with)\s+(?:\w+\s+)?JSON\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_COUNT = re.compile(
    r"\b(one|two|three|four|five|\d)\s+(?:\w+\s+)?(sentence|bullet|point|keyword|word)",
    re.IGNORECASE,
)
_COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "about after also been before being between both could does during each from have having "
        "here into itself just like made many more most much only other over same should some such "
        "than that their them then there these they this those through under until very were what "
        "when where which while will with would your",
    )
)
# Characters of a document that its answers are made of: more would only take time.
_LONGEST_READ = 6_000
# What a schema that is written into a prompt is found by, and the words of which it has one at least.
_NAMES_SCHEMA = re.compile(r"json[ _-]?schema|\bschema:", re.IGNORECASE)
_SCHEMA_WORDS = frozenset({"type", "properties", "$ref", "$defs", "anyOf", "enum", "items"})
_JSON = json.JSONDecoder()


def answer(
    user: str, system: str = "", schema: dict[str, Any] | None = None, *, wants_json: bool = False
) -> str:
    """An answer to the last message `user`, in the light of `system`; JSON if `schema` or `wants_json`.

    >>> answer("Who are you?").startswith("I am flowpool-sim")
    True
    """
    user, form = _without_form(user)
    user, system = user[:_LONGEST_READ], f"{system}\n{form}"
    instruction, document = _split(user)
    if schema is not None:
        return _filled(document, schema)
    in_words, _ = _schema_in_words(system)
    if in_words is None:
        in_words, rest = _schema_in_words(user)
        document = rest if in_words is not None else document
    if in_words is not None:
        with suppress(InvalidInput):
            return _filled(document, in_words)
    wants_json = wants_json or _asks_for_json(system, instruction)
    about = len(user) < 200 and _WHO.search(user)
    text = _ABOUT if about else _extract(f"{system}\n{instruction}", document)
    return json.dumps({"answer": text}, ensure_ascii=False) if wants_json else text


def arguments(user: str, results: str, schema: dict[str, Any]) -> str:
    """A tool's arguments as JSON, of what the user said and what tools gave before."""
    document = _split(user[:_LONGEST_READ])[1] or user
    return _filled(f"{document}\n{results[:_LONGEST_READ]}" if results else document, schema)


def _filled(document: str, schema: dict[str, Any]) -> str:
    value = Filler(document, schema, _best_sentences(document, 6)).fill(schema)
    return json.dumps(value, ensure_ascii=False)


def vector(text: str, size: int) -> list[float]:
    """A text's vector of length 1: texts that share words point the same way."""
    numbers = [0.0] * size
    for word, count in (Counter(re.findall(r"\w+", text.lower())) + Counter([text])).items():
        drawn = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
        # Each word counts at two positions, so that two words seldom look the same.
        numbers[drawn % size] += count if drawn & 1 << 62 else -count
        numbers[(drawn >> 20) % size] += count if drawn & 1 << 63 else -count
    length = math.hypot(*numbers)
    return [number / length for number in numbers] if length else [1.0] + [0.0] * (size - 1)


@lru_cache(maxsize=8)
def fixed(characters: int) -> str:
    """An answer of so many characters that costs no work: for benches."""
    return ("This is an answer of the simulator. " * (characters // 36 + 1))[:characters]


def _split(user: str) -> tuple[str, str]:
    """A prompt's instruction and its document: the first paragraph, if it is short, and the rest."""
    instruction, _, document = user.partition("\n\n")
    if document.strip() and len(instruction) < 600:
        return instruction, document
    instruction, colon, document = user.partition(":")
    if colon and document.strip() and len(instruction) < 120:
        return instruction, document
    return "", user


def _without_form(user: str) -> tuple[str, str]:
    """A prompt without the words that ask for JSON, and those."""
    before, found, after = user.partition(PLAIN_JSON)
    if not found:
        return user, ""
    form, _, document = after.partition("\n\n")
    return before + document, PLAIN_JSON + form


def _schema_in_words(text: str) -> tuple[dict[str, Any] | None, str]:
    """The last JSON schema that a prompt spells out, or None, and the text after it."""
    named = _NAMES_SCHEMA.search(text)
    if named is None:
        return None, text
    found, rest, brace = None, text, text.find("{", named.end())
    while brace >= 0:
        try:
            value, end = _JSON.raw_decode(text, brace)
        except ValueError:
            end = brace + 1
        else:
            if _SCHEMA_WORDS & value.keys():
                found, rest = value, text[end:].strip() or text[: named.start()]
        brace = text.find("{", end)
    return found, rest


def _asks_for_json(system: str, instruction: str) -> bool:
    return "JSON" in system or _JSON_PLEASE.search(instruction) is not None


def _extract(instruction: str, document: str) -> str:
    asked = _COUNT.search(instruction)
    count = int(_COUNTS.get(asked[1].lower(), asked[1])) if asked else 1
    unit = asked[2].lower() if asked else "sentence"
    if unit in ("word", "keyword"):
        return ", ".join(word for word, _ in _words(document).most_common(max(1, count)))
    best = _best_sentences(document, max(1, count))
    if unit in ("bullet", "point"):
        return "\n".join(f"- {sentence}" for sentence in best)
    return " ".join(best)


def _words(text: str) -> Counter[str]:
    counts = Counter(_WORD.findall(text.lower()))
    for word in _STOP_WORDS & counts.keys():
        del counts[word]
    return counts


def _best_sentences(document: str, count: int) -> list[str]:
    """The `count` sentences that say most, in the order of the text."""
    pieces = (piece.strip(" \t#*->|") for piece in _SENTENCE_END.split(document))
    sentences = list(dict.fromkeys(filter(None, pieces)))
    if len(sentences) <= count:
        return sentences or [document.strip() or "There is nothing to read."]
    # Splitting at spaces costs a third of a regular expression's time.
    found = [[w for w in sentence.lower().split() if len(w) > 4] for sentence in sentences]
    weights = Counter(chain.from_iterable(found))
    for word in _STOP_WORDS & weights.keys():
        weights[word] = 0
    # Dividing by more than the number of words keeps headings of two words from winning.
    scores = [sum(map(weights.__getitem__, words)) / (len(words) + 6) for words in found]
    best = sorted(range(len(sentences)), key=scores.__getitem__, reverse=True)[:count]
    return [sentences[position] for position in sorted(best)]
