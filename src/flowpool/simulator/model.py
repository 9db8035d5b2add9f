"""The embedded model, flowpool-sim: answers with real extracts of what it is given. Pure and fast.

It is no language model: it picks the sentences whose words the text uses most, and fills a schema with
what it finds. Equal questions get equal answers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import Any

from flowpool.wire.json_in_words import PLAIN_JSON

NAME = "flowpool-sim"
_ABOUT = f"I am {NAME}, the model inside flowpool's simulator: I answer with extracts of what I am given."
_WHO = re.compile(r"\b(who|what) are you\b|\byour name\b|\bwhich model\b", re.IGNORECASE)
_JSON_PLEASE = re.compile(r"\b(?:as|in|only|valid|with)\s+(?:\w+\s+)?JSON\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_DATE = re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d)\b")
_TIMES = {"date": "{}", "date-time": "{}T00:00:00Z", "time": "00:00:00Z"}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
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
# Schemas may refer to themselves: deeper parts are left empty.
_DEEPEST_SCHEMA = 12


def answer(
    user: str, system: str = "", schema: dict[str, Any] | None = None, *, wants_json: bool = False
) -> str:
    """An answer to the last message `user`, in the light of `system`; JSON if `schema` or `wants_json`.

    >>> answer("Who are you?").startswith("I am flowpool-sim")
    True
    """
    user, form = _without_form(user)
    user, system = _plain(user), f"{system}\n{form}"
    instruction, document = _split(user)
    if schema is None:
        schema = _schema_in_words(system)
        wants_json = wants_json or _asks_for_json(system, instruction)
    if schema is not None:
        return json.dumps(_Filler(document, schema).fill(schema), ensure_ascii=False)
    about = len(user) < 200 and _WHO.search(user)
    text = _ABOUT if about else _extract(f"{system}\n{instruction}", document)
    return json.dumps({"answer": text}, ensure_ascii=False) if wants_json else text


@lru_cache(maxsize=8)
def fixed(characters: int) -> str:
    """An answer of so many characters that costs no work: for benches."""
    return ("This is an answer of the simulator. " * (characters // 36 + 1))[:characters]


def _plain(text: str) -> str:
    from flowpool.simulator.directives import without_directives

    return without_directives(text)[:_LONGEST_READ]


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


def _schema_in_words(system: str) -> dict[str, Any] | None:
    """The JSON schema that a system prompt spells out, or None."""
    _, found, after = system.partition("JSON Schema")
    brace = after.find("{")
    if not found or brace < 0:
        return None
    try:
        schema = json.JSONDecoder().raw_decode(after, brace)[0]
    except ValueError:
        return None
    return schema if isinstance(schema, dict) else None


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


class _Filler:
    """Fills a JSON schema with what a document holds, each value taken once while there are enough."""

    def __init__(self, document: str, root: dict[str, Any]) -> None:
        self.document = document
        self.lower = document.lower()
        self.root = root
        self.numbers = [float(number) for number in _NUMBER.findall(document)[:200]]
        self.extracts = _best_sentences(document, 6)
        self.next_number = self.next_extract = 0

    def fill(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choose(schema["enum"])
        kind = _kind(schema)
        if depth > _DEEPEST_SCHEMA:
            return None
        if kind == "object":
            properties = schema.get("properties") or {}
            return {key: self.fill(value, key, depth + 1) for key, value in properties.items()}
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("number", "integer"):
            return self._number(schema, kind)
        if kind == "boolean":
            return name.replace("_", " ").lower() in self.lower
        return None if kind == "null" else self._string(schema)

    def _resolve(self, schema: Any) -> dict[str, Any]:
        """The schema behind a `$ref`, or the first choice of an `anyOf` that isn't null."""
        for _ in range(_DEEPEST_SCHEMA):
            if not isinstance(schema, dict):
                return {}
            if isinstance(schema.get("$ref"), str):
                schema = self._referred(schema["$ref"])
                continue
            choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if not choices:
                return schema
            schema = next((c for c in choices if _kind(c) != "null"), choices[0])
        return {}

    def _referred(self, reference: str) -> Any:
        found: Any = self.root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                found = found.get(name, {}) if isinstance(found, dict) else {}
        return found

    def _choose(self, choices: list[Any]) -> Any:
        """The choice that the text names most often; the first of equals."""
        return max(choices, key=lambda choice: self.lower.count(str(choice).lower() or "\0"))

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        length = min(max(schema.get("minItems", 0), 2), schema.get("maxItems", 2))
        return [self.fill(schema.get("items", {}), name, depth + 1) for _ in range(length)]

    def _number(self, schema: dict[str, Any], kind: str) -> float | int:
        number = 0.0
        if self.numbers:
            number = self.numbers[self.next_number % len(self.numbers)]
            self.next_number += 1
        number = max(number, schema.get("minimum", number))
        number = min(number, schema.get("maximum", number))
        return int(number) if kind == "integer" or number.is_integer() else number

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _TIMES:
            return self._time(schema["format"])
        extract = self.extracts[self.next_extract % len(self.extracts)]
        self.next_extract += 1
        return extract[: schema.get("maxLength", len(extract))]

    def _time(self, format: str) -> str:
        """The first day that the text names, or one of ours, in a schema's format."""
        found = _DATE.search(self.document)
        return _TIMES[format].format(found[0] if found else "2026-01-01")


def _kind(schema: Any) -> str:
    """A schema's type in lower case (Gemini writes STRING), the first that isn't null."""
    kind = schema.get("type", "") if isinstance(schema, dict) else ""
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if not kind and isinstance(schema, dict) and "properties" in schema:
        return "object"
    return str(kind).lower() or "string"
