"""What a Python type asks of an answer: its JSON Schema, and how a value becomes an instance.

msgspec knows dataclasses, Structs, TypedDicts, enums and literals; a type with a pydantic model in it is
pydantic's, which is found among the loaded modules and never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from flowpool.errors import InvalidInput
from flowpool.structured.plain import is_pydantic
from flowpool.structured.schemas import Made, choices_schema, inlined, rebuilt

Convert = Callable[[Any], Any]


class Misfit(ValueError):
    """A value that the type refuses. faults: what is wrong with it, each in a line."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__(*faults)


def of_type(kind: Any) -> tuple[Made, Convert]:
    """The schema of a type, and what makes an instance of a value or raises `Misfit`.

    Raises `InvalidInput` for what JSON has no form for.
    """
    if isinstance(kind, type) and issubclass(kind, Enum):
        return choices_schema([member.value for member in kind]), _member_of(kind)
    if get_origin(kind) is Literal:
        return choices_schema(get_args(kind)), _by_msgspec(kind)
    if _holds_pydantic(kind, set()):
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
    return inlined(rebuilt(schema, _untitled)), _by_msgspec(kind)


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
        try:
            return kind(value)
        except ValueError as error:
            raise Misfit(str(error)) from None

    return convert


def _by_msgspec(kind: Any) -> Convert:
    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise Misfit(str(error)) from None

    return convert


def _of_pydantic(kind: Any) -> tuple[Made, Convert]:
    pydantic = sys.modules["pydantic"]
    try:
        adapter = pydantic.TypeAdapter(kind)
        schema = adapter.json_schema()
    except Exception as error:  # pydantic has many kinds, and each is a message here
        why = str(error).strip().splitlines()[0]
        raise InvalidInput(f"Skill(output={_name(kind)}): pydantic has no schema: {why}.") from None

    def convert(value: Any) -> Any:
        try:
            return _validated(adapter, msgspec.json.encode(value))
        except pydantic.ValidationError as error:
            raise Misfit(*map(_fault, error.errors(include_url=False))) from None

    return inlined(rebuilt(schema, _untitled)), convert


def _validated(adapter: Any, body: bytes) -> Any:
    """By the aliases that the schema shows; what a record keeps has the fields' own names."""
    try:
        return adapter.validate_json(body)
    except ValueError as error:
        try:
            return adapter.validate_json(body, by_alias=False, by_name=True)
        except (ValueError, TypeError):  # TypeError: an older pydantic without by_name
            raise error from None


def _fault(error: Mapping[str, Any]) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"])
    return f"${path}: {error['msg']}"


def _untitled(schema: Made) -> Made:
    """Titles repeat the names, and would be paid for with every call."""
    if isinstance(schema.get("title"), str):
        del schema["title"]
    return schema


def _holds_pydantic(kind: Any, seen: set[Any]) -> bool:
    if "pydantic" not in sys.modules:
        return False
    if is_pydantic(kind) or hasattr(kind, "__pydantic_validator__"):
        return True
    parts = list(get_args(kind))
    is_record = is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "__struct_fields__")
    if is_record and kind not in seen:
        seen.add(kind)
        try:
            parts += get_type_hints(kind).values()
        except (NameError, TypeError):
            return False
    return any(_holds_pydantic(part, seen) for part in parts)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or repr(kind)
