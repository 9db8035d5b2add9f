"""What a skill's answer must be, and how a model's text becomes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from flowpool.errors import InvalidInput, InvalidOutput
from flowpool.structured import types
from flowpool.structured.check import check_schema, faults, same
from flowpool.structured.fit import chosen, fitted, with_defaults
from flowpool.structured.schemas import Made, choices_schema, fields_schema, inlined
from flowpool.structured.text import CutJson, NoJson, values_in, without_numerals, without_thoughts
from flowpool.structured.types import Convert, Misfit
from flowpool.values import AnswerColumns, OutputFormat

# What a correction quotes of an answer's faults: how many, and how many characters of each. All of it is paid for.
_MOST_FAULTS = 5
_LONGEST_FAULT = 200
_FRACTION = re.compile(r"\d[.eE]")
_KEYWORDS = frozenset(
    {"type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs"}
)


class Accepted(NamedTuple):
    """An output, and the value of JSON that it was made of."""

    output: Any
    value: Any


class Answer:
    """The type of a skill's answers. `format` is what the model is asked for; None leaves it text.

    `names` are the variables that an answer spreads into a chain, or None where only an answer can tell.

    >>> answer_of({"choices": ["spam", "ham"]}).read("**Spam**.")
    'spam'
    """

    __slots__ = ("_convert", "_of_plain", "_wrapper", "format", "kind", "names", "schema", "source")

    def __init__(
        self,
        kind: Any = None,
        schema: Made | None = None,
        convert: Convert | None = None,
        of_plain: Convert | None = None,
        *,
        name: str = "answer",
    ) -> None:
        self.kind = kind
        self.schema = schema
        self.source: Any = None  # what `answer_of` made it of
        self.format: OutputFormat | None = None
        self._convert = convert or (lambda value: value)
        self._of_plain = of_plain
        self._wrapper = ""
        self.names: tuple[str, ...] | None = ()
        if schema is not None:
            self._wrapper = _wrapper_of(schema)
            self.names = () if self._wrapper else _names(kind, schema)
            self.format = OutputFormat("json_schema", _wrapped(schema, self._wrapper), name)

    def __repr__(self) -> str:
        return f"Answer({self.kind or self.schema or 'text'!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return answer_of, (self.source,)

    def columns(self, name: str) -> AnswerColumns:
        """Its answers as columns; `name` is that of one without fields."""
        schema = self.schema or {}
        if self.names is None:
            return AnswerColumns(name)
        if not self.names:
            values = schema.get("enum", ("",) if self.format is None else ())
            is_text = bool(values) and all(isinstance(value, str) for value in values)
            return AnswerColumns(name, kind="string" if is_text else _kind(schema))
        properties = schema.get("properties", {})
        return AnswerColumns(name, {each: _kind(properties.get(each, {})) for each in self.names})

    def read(self, text: str) -> Any:
        """The output that a model's text holds; raises `InvalidOutput` in words for people and models."""
        return self.accept(text).output

    def accept(self, text: str) -> Accepted:
        """`read`, with the value that the output was made of, out of which `load` makes the same again."""
        if self.format is None:
            return Accepted(text, text)
        try:
            found = values_in(text)
        except CutJson as error:
            raise InvalidOutput(f"the answer's JSON is cut: {error}", partial=text) from None
        except NoJson as error:
            found = self._bare(without_thoughts(text))
            if not found:
                raise InvalidOutput(f"the answer isn't JSON: {error}", partial=text) from None
        outputs, wrong = self._convert_all(found, self._fit)
        if not outputs and _FRACTION.search(text):
            # Where a text is wanted, a fraction is that text as it was written.
            with suppress(NoJson):
                outputs, wrong = self._convert_all(values_in(text, exact=True), self._fit_meant)
        if len(outputs) == 1:
            return outputs[0]
        if outputs:
            wrong = f"it holds {len(outputs)} different answers, and one is asked for"
        raise InvalidOutput(f"the answer doesn't fit: {wrong}", partial=text)

    def load(self, value: Any) -> Any:
        """The output again that was made of a value, or that `plain` made a value of; raises `InvalidOutput`."""
        if self.kind is None:
            return value
        try:
            try:
                return self._convert(value)
            except Exception:
                if self._of_plain is None:
                    raise
                return self._of_plain(value)
        except Exception as error:  # the type's own code may raise anything
            why = _in_a_line(error) if isinstance(error, Misfit) else repr(error)
            raise InvalidOutput(f"a kept output doesn't fit: {why}") from None

    def correction(self, error: InvalidOutput) -> str:
        """The message to a model that gave an invalid answer."""
        return (
            f"That can't be used: {error.message}.\n"
            "Answer again with the whole corrected JSON and nothing else."
        )

    def _bare(self, text: str) -> list[Any]:
        """A choice that stands there as a word."""
        choices = (self.schema or {}).get("enum", ())
        meant = chosen(text.strip(), choices)
        return [meant] if meant in choices else []

    def _convert_all(
        self, found: list[Any], fit: Callable[[Any], Accepted]
    ) -> tuple[list[Accepted], str]:
        """The different outputs among the values that were found, and what is wrong with the first that is none."""
        if self._wrapper == "items" and len(found) > 1 and not any(map(self._is_whole, found)):
            found = [found]  # one object a line, where a list is asked for
        outputs: list[Accepted] = []
        wrong = ""
        for value in found:
            for meant in self._unwrapped(value):
                try:
                    accepted = fit(meant)
                    is_new = not any(same(accepted.value, one.value) for one in outputs)
                except (Misfit, RecursionError) as error:
                    wrong = wrong or _in_a_line(error)
                    continue
                if is_new:
                    outputs.append(accepted)
                break
        return outputs, wrong

    def _is_whole(self, value: Any) -> bool:
        return isinstance(value, list) or self._wrapper in value

    def _unwrapped(self, value: Any) -> list[Any]:
        """What a value may mean where the answer was wrapped in an object for the provider's sake."""
        if self._wrapper and isinstance(value, list) and len(value) == 1:
            inner = value[0]
            value = inner if isinstance(inner, dict) and self._wrapper in inner else value
        if not self._wrapper or not isinstance(value, dict):
            return [value]
        if self._wrapper in value:
            return [value[self._wrapper]]
        return [value, *value.values()] if len(value) == 1 else [value]

    def _fit(self, value: Any) -> Accepted:
        if self.schema is None:
            return Accepted(value, value)
        try:
            return Accepted(self._convert(value), value)
        except Misfit:
            return self._fit_meant(value)

    def _fit_meant(self, value: Any) -> Accepted:
        meant = without_numerals(fitted(value, self.schema))
        try:
            return Accepted(self._convert(meant), meant)
        except Misfit as error:
            if self.kind is None:
                raise
            found = list(faults(meant, self.schema))  # all of them, in one form
            raise Misfit(*(found or error.faults)) from None


TEXT = Answer()


def answer_of(output: Any) -> Answer:
    """The answer that a skill's `output` describes; raises `InvalidInput` for what can't be asked for."""
    if output is None or output is str:
        return TEXT
    answer = _of_mapping(output) if isinstance(output, Mapping) else _of_type(output)
    if answer is not TEXT:
        answer.source = output
    return answer


def _of_type(output: Any) -> Answer:
    if isinstance(output, (str, bytes, int, float, list, tuple)):
        raise InvalidInput(f"output {output!r}: {_FORMS}.")
    return Answer(output, *types.of_type(output), name=types.name_of(output))


_FORMS = (
    'pass a type, a JSON Schema, {"choices": [...]}, {"fields": {...}}, {"format": {"type": "json"}} '
    'or {"format": {"type": "json_schema", "schema": {...}}}'
)
# Each short form, and what may stand beside it.
_SHORT_FORMS: Mapping[str, tuple[str, ...]] = {"choices": (), "fields": (), "schema": ("name",)}
# Of AIchain's form, by its type.
_OF_A_FORMAT = {"text": ("type",), "json": ("type",), "json_schema": ("type", "schema", "name")}


def _of_mapping(output: Mapping[str, Any]) -> Answer:
    for form, beside in _SHORT_FORMS.items():
        if form in output:
            _refuse_unread(output, (form, *beside), "output")
            break
    if "choices" in output:
        return _of_schema(choices_schema(output["choices"]))
    if "fields" in output:
        return _of_schema(fields_schema(output["fields"]))
    if "schema" in output:
        return _of_schema(output["schema"], output.get("name"))
    if not output or not _KEYWORDS.isdisjoint(output):
        return _of_schema(output) if output else TEXT
    _refuse_unread(output, ("modalities", "format"), "output", _FORMS)
    return _of_format(output)


def _refuse_unread(
    given: Mapping[str, Any], known: tuple[str, ...], where: str, fix: str = ""
) -> None:
    """Raises `InvalidInput` for what nobody would read."""
    for name in given:
        if name not in known:
            use = fix or f"use {' and '.join(known)}"
            raise InvalidInput(f"{where}: {name!r} is not known here: {use}.")


def _of_format(output: Mapping[str, Any]) -> Answer:
    """AIchain's form: modalities, and a format."""
    if list(output.get("modalities") or ["text"]) != ["text"]:
        raise InvalidInput(
            f'output: modalities {output["modalities"]!r}: only ["text"] is answered.'
        )
    form = output.get("format", {"type": "text"})
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind in _OF_A_FORMAT:
        _refuse_unread(form, _OF_A_FORMAT[kind], "output.format")
    if kind == "text":
        return TEXT
    if kind == "json":
        return _any_json()
    if kind == "json_schema" and isinstance(form, Mapping) and "schema" in form:
        return _of_schema(form["schema"], form.get("name"))
    raise InvalidInput(f"output: {_FORMS}.")


def _any_json() -> Answer:
    answer = Answer()
    answer.format = OutputFormat("json")
    answer.names = None
    return answer


def _of_schema(schema: Any, name: Any = None) -> Answer:
    if not isinstance(schema, Mapping):
        raise InvalidInput(f'output: "schema": {{...}} is a JSON Schema, not {schema!r}.')
    check_schema(schema)
    whole = inlined(msgspec.to_builtins(schema))

    def convert(value: Any) -> Any:
        value = with_defaults(value, whole)
        found = list(faults(value, whole))
        if found:
            raise Misfit(*found)
        return value

    return Answer(None, whole, convert, name=name if isinstance(name, str) and name else "answer")


def _wrapper_of(schema: Made) -> str:
    """The name under which the answer stands in an object, as strict modes need one; empty for an object."""
    is_object = schema.get("type") == "object" and schema.keys().isdisjoint(
        {"anyOf", "oneOf", "allOf", "enum", "const", "$ref"}
    )
    if is_object:
        return ""
    return "items" if schema.get("type") == "array" else "answer"


def _wrapped(schema: Made, wrapper: str) -> Made:
    if not wrapper:
        return schema
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    made: Made = {
        "type": "object",
        "properties": {wrapper: inner},
        "required": [wrapper],
        "additionalProperties": False,
    }
    return {**made, "$defs": schema["$defs"]} if "$defs" in schema else made


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema's one JSON type, null aside; "" where it has several."""
    kinds = [one.get("type") for one in schema.get("anyOf", (schema,))]
    kinds = [one for kind in kinds for one in (kind if isinstance(kind, list) else [kind])]
    [*found] = {kind for kind in kinds if kind != "null"}
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _names(kind: Any, schema: Made) -> tuple[str, ...] | None:
    names = types.field_names(kind) if kind is not None else None
    if names is not None:
        return names
    is_open = bool(schema.get("additionalProperties")) or "patternProperties" in schema
    return None if is_open or "properties" not in schema else tuple(schema["properties"])


def _in_a_line(error: Misfit | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    lines = [
        fault if len(fault) <= _LONGEST_FAULT else fault[:_LONGEST_FAULT] + "..."
        for fault in error.faults
    ]
    more = f"; and {len(lines) - _MOST_FAULTS} more" if len(lines) > _MOST_FAULTS else ""
    return "; ".join(lines[:_MOST_FAULTS]) + more
