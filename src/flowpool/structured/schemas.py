"""JSON Schemas made and remade: the short forms that people write, references inlined. Pure, knows no types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flowpool.errors import InvalidInput
from flowpool.structured.check import resolve, shown

Made = dict[str, Any]

_NESTED = frozenset(
    {"items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames"}
)
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
# What an inlined schema has no use for.
_DROPPED = frozenset({"$defs", "definitions", "$ref", "$schema", "$id"})
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated"})
# References that refer to one another can unfold without end: no schema that a provider takes has so many parts.
_MOST_NODES = 20_000
_SCALARS = ("string", "integer", "number", "boolean")
_FIELD = re.compile(r"\s*(.+?)\s*(\?)?\s*")


def rebuilt(schema: Any, change: Callable[[Made], Any]) -> Any:
    """A copy of a schema in which `change` has had every object, the innermost first."""
    if not isinstance(schema, Mapping):
        return schema
    made: Made = {
        key: _in_parts(key, value, lambda sub: rebuilt(sub, change))
        for key, value in schema.items()
    }
    return change(made)


def _in_parts(key: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """A keyword's value, with each schema in it changed."""
    if key in _NESTED:
        return change(value)
    if key in _NAMED and isinstance(value, Mapping):
        return {name: change(sub) for name, sub in value.items()}
    if key in _LISTED and isinstance(value, (list, tuple)):
        return [change(sub) for sub in value]
    return value


def inlined(schema: Mapping[str, Any]) -> Made:
    """The same schema without references, but those of a schema to itself; those stay, in `$defs`.

    >>> inlined({"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer"}}})
    {'type': 'integer'}
    """
    return _Inliner(schema).whole()


class _Inliner:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.names: dict[str, str] = {}  # of what refers to itself
        self.nodes = 0

    def whole(self) -> Made:
        made: Made = self._inline(self.root, ("#",))
        kept: Made = {}
        while missing := [ref for ref, name in self.names.items() if name not in kept]:
            for ref in missing:
                kept[self.names[ref]] = self._inline(resolve(ref, self.root), (ref,))
        return {**made, "$defs": kept} if kept else made

    def _inline(self, schema: Any, within: tuple[str, ...]) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise InvalidInput("output: the schema's references unfold into too many parts.")
        made: Made = {
            key: _in_parts(key, value, lambda sub: self._inline(sub, within))
            for key, value in schema.items()
            if key not in _DROPPED
        }
        ref = schema.get("$ref")
        if ref is None:
            return made
        if ref in within:
            return {"$ref": f"#/$defs/{self._name(ref)}", **made}
        target = self._inline(resolve(ref, self.root), (*within, ref))
        if not made:
            return target
        if isinstance(target, dict) and made.keys() <= _ANNOTATIONS:
            return {**target, **made}
        return {"allOf": [target, made]}

    def _name(self, ref: str) -> str:
        name = ref.rpartition("/")[2] if "/" in ref else "root"
        while self.names.get(ref, name) in (self.names.keys() - {ref}):
            name += "_"
        return self.names.setdefault(ref, name)


def choices_schema(choices: Any) -> Made:
    """The schema of one of several given values; raises `InvalidInput`."""
    if isinstance(choices, str) or not isinstance(choices, (list, tuple)) or not choices:
        raise InvalidInput(f"output: choices is a list, such as [spam, ham], not {choices!r}.")
    for choice in choices:
        if choice is not None and not isinstance(choice, (str, int, float)):
            raise InvalidInput(f"output: the choice {shown(choice)} is no text or number.")
    if all(isinstance(choice, str) for choice in choices):
        return {"type": "string", "enum": list(choices)}
    return {"enum": list(choices)}


def fields_schema(fields: Any, where: str = "output.fields") -> Made:
    """The schema of fields as people write them: {name: string, age: integer?, tags: [string]}.

    A field is string, integer, number, boolean, date, `a | b` for a choice, [...] for a list, {...} for fields of
    its own; with ? it may be missing, and is then None.

    >>> fields_schema({"kind": "spam | ham", "age": "integer?"})["required"]
    ['kind']
    """
    if isinstance(fields, Mapping) and fields:
        made: Made = {"type": "object", "properties": {}, "required": []}
        for name, field in fields.items():
            sub = fields_schema(field, f"{where}.{name}")
            made["properties"][str(name)] = sub
            if "default" not in sub:
                made["required"].append(str(name))
        made["additionalProperties"] = False
        return made
    if isinstance(fields, (list, tuple)) and len(fields) == 1:
        return {"type": "array", "items": fields_schema(fields[0], f"{where}[0]")}
    if isinstance(fields, str) and (match := _FIELD.fullmatch(fields)):
        schema = _word_schema(match[1], where)
        return _or_null(schema) if match[2] else schema
    raise InvalidInput(
        f"{where}: {fields!r}: write string, integer, number, boolean, date, 'a | b' for a choice, "
        "[string] for a list, {...} for fields, with ? where it may be missing."
    )


def _word_schema(word: str, where: str) -> Made:
    if "|" in word:
        return choices_schema([choice.strip() for choice in word.split("|")])
    if word in _SCALARS:
        return {"type": word}
    if word in ("date", "date-time"):
        return {"type": "string", "format": word}
    raise InvalidInput(f"{where}: {word!r}: use one of {', '.join(_SCALARS)}, date, or 'a | b'.")


def _or_null(schema: Made) -> Made:
    if "enum" in schema:
        return {"enum": [*schema["enum"], None], "default": None}
    return {**schema, "type": [schema["type"], "null"], "default": None}
