"""What a Python type asks of an answer: its JSON Schema, and how a value becomes an instance.

msgspec knows dataclasses, Structs, TypedDicts, enums and literals; a type with a pydantic model in it is
pydantic's, which is found among the loaded modules and never imported.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from enum import Enum, Flag
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from flowpool.errors import InvalidInput
from flowpool.structured.check import faults, fits, same
from flowpool.structured.plain import is_pydantic
from flowpool.structured.schemas import Made, choices_schema, inlined, rebuilt

Convert = Callable[[Any], Any]


class TypeReading(NamedTuple):
    """How a type is read. schema: what is asked for. convert: an instance of an answer's value, or `Misfit`.

    of_plain: an instance of what `plain` makes of one, where that has other names than the answer.
    """

    schema: Made
    convert: Convert
    of_plain: Convert | None = None


class Misfit(ValueError):
    """A value that the type refuses. faults: what is wrong with it, each in a line."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__(*faults)


def of_type(kind: Any) -> TypeReading:
    """How a type is read.

    Raises `InvalidInput` for what JSON has no form for.
    """
    parts = list(parts_of(kind))
    if any(isinstance(part, type) and issubclass(part, Flag) for part in parts):
        raise InvalidInput(
            f"Skill(output={_name(kind)}): JSON has no form for a Flag's combinations: ask for a list of an Enum."
        )
    if isinstance(kind, type) and issubclass(kind, Enum):
        return TypeReading(choices_schema([member.value for member in kind]), _member_of(kind))
    if get_origin(kind) is Literal:
        return TypeReading(choices_schema(get_args(kind)), _by_msgspec(kind))
    if any(map(_is_of_pydantic, parts)):
        if any(map(_is_of_msgspec, parts)):
            raise InvalidInput(
                f"Skill(output={_name(kind)}): it mixes pydantic's types with msgspec's Struct or Meta, "
                "which pydantic doesn't read: use those of one library."
            )
        return _of_pydantic(kind)
    try:
        schema = msgspec.json.schema(kind)
    except NameError as error:
        raise InvalidInput(
            f"Skill(output={_name(kind)}): {error}: define the types it names at the top of a module."
        ) from None
    except TypeError as error:
        why = str(error).splitlines()[0]
        raise InvalidInput(
            f"Skill(output={_name(kind)}): {why}; pass a dataclass, a pydantic model, a TypedDict, a Literal, an "
            "Enum, a list of one, or a JSON Schema."
        ) from None
    whole = inlined(rebuilt(schema, _untitled))
    # Of a decimal msgspec takes NaN, and numbers that have lost digits.
    return TypeReading(whole, _by_msgspec(kind, whole if "decimal" in repr(whole) else True))


def name_of(kind: Any) -> str:
    """A name for the schema, in the letters that providers take."""
    name = "".join(c for c in getattr(kind, "__name__", "answer") if c.isascii() and c.isalnum())
    return name[:64] if isinstance(kind, type) and name else "answer"


def dotted_of(kind: Any) -> str:
    """Where a type is found by importing it, as `module:name`, or nothing."""
    if not isinstance(kind, type) or get_origin(kind) is not None:
        return ""
    module, name = kind.__module__, kind.__qualname__
    return "" if module in ("__main__", "builtins") or "<" in name else f"{module}:{name}"


def field_names(kind: Any) -> tuple[str, ...] | None:
    """The names of a record type's fields, or None for other types."""
    if is_pydantic(kind):
        return tuple(kind.model_fields)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(kind.__dataclass_fields__) if is_dataclass(kind) else None


def _member_of(kind: type[Enum]) -> Convert:
    def convert(value: Any) -> Any:
        for member in kind:
            if same(value, member.value):
                return member
        try:
            found = kind._missing_(value)  # how the type itself reads other values
        except Exception:  # of a text alone, say
            found = None
        if found is None:
            raise Misfit(f"{value!r} is not a valid {kind.__name__}")
        return found

    return convert


def _by_msgspec(kind: Any, schema: Any = True) -> Convert:
    def convert(value: Any) -> Any:
        found = list(faults(value, schema))
        if found:
            raise Misfit(*found)
        try:
            return msgspec.convert(value, kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise Misfit(str(error)) from None

    return convert


def _of_pydantic(kind: Any) -> TypeReading:
    pydantic = importlib.import_module("pydantic")
    asked, held = _generators(pydantic)
    try:
        adapter = pydantic.TypeAdapter(kind)
        schema = adapter.json_schema(schema_generator=asked)
        must = rebuilt(adapter.json_schema(schema_generator=held), _checkable)
    except Exception as error:  # pydantic has many kinds, and each is a message here
        why = str(error).strip().splitlines()[0]
        raise InvalidInput(f"Skill(output={_name(kind)}): pydantic has no schema: {why}.") from None
    whole = inlined(rebuilt(schema, _untitled))
    checkable = rebuilt(whole, _checkable)

    is_exact = not _may_guess(must)

    def convert(value: Any) -> Any:
        body = json.dumps(value)
        if is_exact:
            with suppress(pydantic.ValidationError):
                return adapter.validate_json(body, strict=True)  # as nearly all fit
        found = list(faults(value, must))
        if found:
            raise Misfit(*found)
        try:
            output = adapter.validate_json(body)
        except pydantic.ValidationError as error:
            raise Misfit(*map(_fault, error.errors(include_url=False))) from None
        if not fits(value, checkable, checkable):
            _refuse_guesses(adapter, body)
        return output

    def of_plain(value: Any) -> Any:
        try:
            return adapter.validate_json(json.dumps(value), by_alias=False, by_name=True)
        except (pydantic.ValidationError, TypeError) as error:  # TypeError: an older pydantic
            raise Misfit(str(error)) from None

    return TypeReading(whole, convert, of_plain)


def _may_guess(schema: Made) -> bool:
    """Whether even pydantic's strict mode may take what isn't meant: "2020" for a time, true for a choice 1."""
    found: list[Any] = []

    def visit(part: Made) -> Made:
        choices = [*part.get("enum", ()), part.get("const", "")]
        found.extend(choice for choice in choices if not isinstance(choice, str))
        found.extend({part.get("format")} & {*_MOMENT_FORMATS, "decimal"})
        return part

    rebuilt(schema, visit)
    return bool(found)


# What pydantic calls validators that see a value first.
_OWN_CODE = frozenset({"function-before", "function-wrap", "function-plain"})


def _generators(pydantic: Any) -> tuple[Any, Any]:
    """What makes the schema that is asked for, and the one that a value must fit before pydantic reads it.

    The second leaves open what the type's own code reads first: only that can tell what it takes.
    """

    class Asked(pydantic.json_schema.GenerateJsonSchema):  # type: ignore[misc]
        def decimal_schema(self, schema: Any) -> Made:
            return {"type": "string", "format": "decimal"}  # a number of JSON would lose digits

    class Held(Asked):
        def generate_inner(self, schema: Any) -> Made:
            has_own = schema["type"] in _OWN_CODE or _reads_others(schema.get("cls"))
            return {} if has_own else super().generate_inner(schema)

    return Asked, Held


def _reads_others(kind: Any) -> bool:
    """Whether an Enum makes members of other values than theirs, by its `_missing_`."""
    own = getattr(kind, "_missing_", None)
    return own is not None and own.__func__ is not Enum._missing_.__func__  # type: ignore[attr-defined]


def _checkable(schema: Made) -> Made:
    """A schema of pydantic's without what it doesn't mean as JSON Schema does, or our checker can't tell."""
    schema.pop("uniqueItems", None)  # a set of what comes twice is a set
    if "oneOf" in schema:  # where one is left open, two may fit
        schema["anyOf"] = schema.pop("oneOf")
    formats = [
        one.get("format", "") for one in schema.get("anyOf", ()) if one.get("type") == "string"
    ]
    if "" in formats and not _MOMENT_FORMATS.isdisjoint(formats):
        schema["not"] = {"type": "string", "pattern": r"^\s*[+-]?[\d.]+\s*$"}  # a time to pydantic
    try:
        re.compile(schema.get("pattern", ""))
    except (re.error, TypeError):
        del schema["pattern"]
    return schema


def _refuse_guesses(adapter: Any, body: str) -> None:
    """Raises `Misfit` where a value became another one by pydantic's leniency: 2020 a moment in 1970, true 1.

    The validators of the type are heard: what they make of a value is looked at.
    """
    try:
        adapter.validate_json(body, strict=True)
    except ValueError as error:
        errors = error.errors(include_url=False)  # type: ignore[attr-defined]
        guesses = [one for one in errors if _is_guess(one["type"], one["input"])]
        if guesses:
            raise Misfit(*map(_fault, guesses)) from None


_MOMENT_FORMATS = frozenset({"date", "date-time", "time", "duration"})
_MOMENTS = frozenset({"date_type", "datetime_type", "time_type", "time_delta_type"})
_NUMBERS = frozenset({"int_type", "float_type", "decimal_type"})
_NUMERAL = re.compile(r"\s*[+-]?[\d_.]+(?:[eE][+-]?\d+)?\s*", re.ASCII)


def _is_guess(error: str, given: Any) -> bool:
    """Whether what pydantic's strict mode refuses, and its lax mode takes, isn't plainly meant."""
    is_numeral = isinstance(given, str) and _NUMERAL.fullmatch(given) is not None
    if error in _MOMENTS:
        return isinstance(given, (bool, int, float)) or is_numeral
    if error in _NUMBERS:
        return isinstance(given, bool) or (isinstance(given, str) and not is_numeral)
    if error == "bool_type":
        return str(given).strip().casefold() not in ("true", "false")
    return isinstance(given, bool)


def _fault(error: Mapping[str, Any]) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"])
    return f"${path}: {error['msg']}"


def _untitled(schema: Made) -> Made:
    """Titles repeat the names, and would be paid for with every call."""
    if isinstance(schema.get("title"), str):
        del schema["title"]
    return schema


def parts_of(kind: Any) -> Iterator[Any]:
    """A type and what it is made of: arguments, fields, what `Annotated` says of them; each once."""
    return _parts(kind, {})


def _parts(kind: Any, seen: dict[int, Any]) -> Iterator[Any]:
    if id(kind) in seen:
        return
    seen[id(kind)] = kind
    yield kind
    inner = [] if get_origin(kind) is Literal else [*get_args(kind)]
    inner += [get_origin(kind), *getattr(kind, "__metadata__", ())]
    inner += [getattr(kind, name, None) for name in ("__value__", "__supertype__")]
    is_record = is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "__struct_fields__")
    if is_pydantic(kind):
        for field in kind.model_fields.values():
            inner += [field.annotation, *field.metadata]
            inner += [field.default_factory, field.discriminator]
    elif is_record or hasattr(kind, "_field_defaults"):
        try:
            inner += get_type_hints(kind, include_extras=True).values()
        except (NameError, TypeError):
            return
    for part in inner:
        yield from _parts(part, seen)


def _is_of_pydantic(part: Any) -> bool:
    """Whether only pydantic reads this part of a type: a model, a type or a constraint of its own."""
    kind = part if isinstance(part, type) else type(part)
    return kind.__module__.partition(".")[0] in ("pydantic", "annotated_types") or any(
        hasattr(part, name) for name in ("__pydantic_validator__", "__get_pydantic_core_schema__")
    )


def _is_of_msgspec(part: Any) -> bool:
    return isinstance(part, msgspec.Meta) or hasattr(part, "__struct_fields__")


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or repr(kind)
