"""Fills a JSON schema with what a document holds, and makes up what it doesn't. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from flowpool.errors import InvalidInput
from flowpool.sim_model import patterns

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Schemas may refer to themselves: deeper parts are left out, or empty.
_DEEPEST = 12
# From here on lists are as short as they may be.
_DEEP = 4
# How often something is made anew until it differs from what stands beside it.
_TRIES = 40
# Parts of a narrow range that numbers are taken from.
_PARTS = 64
_FORMATS: dict[str, tuple[str, str]] = {
    # format: (what of it the text may hold, what is made up: `{n}` counts from 1, `{more}` from 0)
    "date": (r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d)\b", "2026-01-{n:02}"),
    "date-time": (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "{day}T00:00:{more:02}Z"),
    "time": (r"\b\d\d:\d\d:\d\dZ", "00:00:{more:02}Z"),
    "duration": (r"\bP\d+D\b", "P{n}D"),
    "email": (r"\b[\w.]+@[\w-]+\.\w{2,}\b", "sim{n}@example.com"),
    "uri": (r"\bhttps?://[\w./-]*\w", "https://example.com/{n}"),
    "hostname": (r"(?!)", "host{n}.example.com"),
    "ipv4": (r"(?!)", "192.0.2.{n}"),
    "ipv6": (r"(?!)", "2001:db8::{n}"),
    "uuid": (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "00000000-0000-4000-8000-{n:012}"),
}  # fmt: skip


class Filler:
    """Fills `root` from `document`, each value taken once while there are enough.

    extracts: the document's sentences that say most, at least one. Raises `InvalidInput` for what nothing fits.
    """

    def __init__(self, document: str, root: dict[str, Any], extracts: Sequence[str]) -> None:
        self.document = document
        self.lower = document.lower()
        self.root = root
        numbers = map(float, _NUMBER.findall(document)[:200])
        self.numbers = [number for number in numbers if math.isfinite(number)]
        self.extracts = extracts
        self.next_number = self.next_extract = 0
        # Above 0, what is made differs from what was made with another one.
        self.variant = 0

    def fill(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choose(schema["enum"])
        kind = _kind(schema)
        if depth > _DEEPEST:
            return None
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("number", "integer"):
            return self._number(schema, kind)
        if kind == "boolean":
            return (name.replace("_", " ").lower() in self.lower) ^ bool(self.variant % 2)
        return None if kind == "null" else self._string(schema)

    def _resolve(self, schema: Any, depth: int) -> dict[str, Any]:
        """The schema behind a `$ref`, one of an `anyOf` that isn't null, all of an `allOf`: one without those."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, dict):
                return {}
            rest = dict(schema)
            reference = rest.pop("$ref", None)
            choices = rest.pop("anyOf", None) or rest.pop("oneOf", None)
            every = rest.pop("allOf", None)
            if isinstance(reference, str):
                found = self._referred(reference)
                schema = {**found, **rest} if isinstance(found, dict) else rest
            elif choices:
                schema = {**rest, **_preferred(choices, null=depth > _DEEP)}
            elif every:
                schema = _merged([rest, *(self._resolve(one, depth) for one in every)])
            else:
                return schema
        return {}

    def _referred(self, reference: str) -> Any:
        found: Any = self.root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                name = name.replace("~1", "/").replace("~0", "~")
                found = found.get(name, {}) if isinstance(found, dict) else {}
        return found

    def _choose(self, choices: list[Any]) -> Any:
        """The choice that the text names most often; the first of equals."""
        named = [self.lower.count(str(choice).lower() or "\0") for choice in choices]
        ranked = sorted(range(len(choices)), key=named.__getitem__, reverse=True)
        return choices[ranked[self.variant % len(ranked)]]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = [name for name in properties if depth < _DEEPEST or name in required]
        filled = {name: self.fill(properties[name], name, depth + 1) for name in names}
        others = schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        for name in required:
            if name not in filled:
                filled[name] = self.fill(others, name, depth + 1)
        for number in range(1, schema.get("minProperties", 0) - len(filled) + 1):
            filled[f"name_{number}"] = self.fill(others, "", depth + 1)
        return filled

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        first = schema.get("prefixItems") or []
        wanted = len(first) or 2
        if depth > _DEEP and not first:
            wanted = least
        items = schema.get("items", not first)
        if items is False:
            most = min(most, len(first))
        length = int(min(max(least, wanted), most))
        made: list[Any] = []
        for position in range(length):
            item = first[position] if position < len(first) else items
            if schema.get("uniqueItems"):
                if not self._add_different(made, item, name, depth):
                    break
            else:
                made.append(self.fill(item, name, depth + 1))
        if len(made) < least:
            what = f" of {name!r}" if name else ""
            raise InvalidInput(
                f"The schema{what} asks for {least} items, and no more than {len(made)} differ."
            )
        return made

    def _add_different(self, made: list[Any], schema: Any, name: str, depth: int) -> bool:
        """Adds an item that isn't in `made` yet, if there is one."""
        kept = self.variant
        taken = {json.dumps(one, sort_keys=True) for one in made}
        try:
            for again in range(_TRIES):
                self.variant = kept + again
                item = self.fill(schema, name, depth + 1)
                if json.dumps(item, sort_keys=True) not in taken:
                    made.append(item)
                    return True
            return False
        finally:
            self.variant = kept

    def _number(self, schema: dict[str, Any], kind: str) -> float | int:
        number = 0.0
        if self.numbers:
            number = self.numbers[self.next_number % len(self.numbers)]
            self.next_number += 1
        step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
        least, most = _bounds(schema, step)
        number = min(max(number, least), most)
        if self.variant:
            number = _varied(number, self.variant, step, least, most)
        if step:
            number = _multiple(number, step, least, most)
        whole = kind == "integer" or float(number).is_integer()
        return int(number) if whole else number

    def _string(self, schema: dict[str, Any]) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)

        def fits(text: str) -> bool:
            return bool(least <= len(text) <= most)

        if schema.get("pattern"):
            return self._matching(schema["pattern"], fits)
        if schema.get("format") in _FORMATS:
            return self._of_format(schema["format"])
        extract = self.extracts[self.next_extract % len(self.extracts)]
        self.next_extract += 1
        if self.variant:
            extract = f"{self.variant} {extract}"
        while len(extract) < least:
            extract += f" {extract}" if extract else "sim"
        return extract if fits(extract) else extract[: int(most)]

    def _matching(self, written: str, fits: Callable[[str], bool]) -> str:
        pattern = patterns.compiled(written)
        if not self.variant:
            candidates = (*self.extracts, *self.document.split())
            for candidate in candidates:
                if pattern.search(candidate) and fits(candidate):
                    return candidate
            found = patterns.find_match(pattern, self.document, fits)
            if found is not None:
                return found
        made = patterns.make_match(pattern, fits, self.variant)
        if made is None:
            raise InvalidInput(
                f"The simulator finds no text that fits the pattern {written!r} and its length."
            )
        return made

    def _of_format(self, format: str) -> str:
        """The first of its format that the text names, or one of ours."""
        held, made = _FORMATS[format]
        found = re.search(held, self.document)
        if found and not self.variant:
            return found[0]
        day = re.search(_FORMATS["date"][0], self.document)
        return made.format(
            n=self.variant + 1, more=self.variant, day=day[0] if day else "2026-01-01"
        )


def _preferred(choices: list[Any], *, null: bool) -> dict[str, Any]:
    """The first of the choices that is null, or that isn't, as far as there is one."""
    wanted = [choice for choice in choices if (_kind(choice) == "null") == null]
    chosen = (wanted or choices)[0]
    return chosen if isinstance(chosen, dict) else {}


def _bounds(schema: dict[str, Any], step: float) -> tuple[float, float]:
    """The least and the most that a number may be; bounds that are themselves excluded are stepped inside."""
    least = schema.get("minimum", -math.inf)
    most = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    above = least if above is True else above  # the fourth draft's form
    below = most if below is True else below
    inside = step or 1
    if not step and above is not None and below is not None:
        inside = min(1, (below - above) / _PARTS)
    if above is not None and above is not False:
        least = max(least, above + inside)
    if below is not None and below is not False:
        most = min(most, below - inside)
    return least, most


def _varied(number: float, by: int, step: float, least: float, most: float) -> float:
    """Another number within the bounds for each `by`, as long as there are."""
    unit = step or min(1, (most - least) / _PARTS) or 1
    if math.isinf(most):
        return number + by * unit
    if math.isinf(least):
        return number - by * unit
    count = math.floor((most - least) / unit) + 1
    return least + (round((number - least) / unit) + by) % count * unit


def _multiple(number: float, step: float, least: float, most: float) -> float:
    """The multiple of `step` that is nearest to `number` within the bounds, a whole number where that is one."""
    nearest = round(number / step) * step
    if nearest < least:
        nearest = math.ceil(least / step) * step
    if nearest > most:
        nearest = math.floor(most / step) * step
    whole = float(round(nearest))
    return whole if (whole / step).is_integer() and least <= whole <= most else nearest


def _merged(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """What fits all of them, as far as they don't contradict each other."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for word, value in schema.items():
            if word == "properties":
                value = {**merged.get(word, {}), **value}
            elif word == "required":
                value = [*merged.get(word, ()), *value]
            merged[word] = value
    return merged


def _kind(schema: Any) -> str:
    """A schema's type in lower case (Gemini writes STRING), the first that isn't null."""
    kind = schema.get("type", "") if isinstance(schema, dict) else ""
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if not kind and isinstance(schema, dict):
        if "properties" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
    return str(kind).lower() or "string"
