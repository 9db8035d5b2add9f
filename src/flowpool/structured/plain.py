"""Values as JSON's own kinds, and what of a value are its fields. Used by records, stores and prompts alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import msgspec

# Subclasses of plain types, of which msgspec takes only the types themselves.
_PLAINER: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    (Mapping, dict),
    (PurePath, str),
)
_WITHOUT_FIELDS = frozenset({str, int, float, bool, list, tuple, bytes, type(None)})


def plain(
    value: Any,
    otherwise: Callable[[Any], Any] | None = None,
    keep: tuple[type, ...] = (),
) -> Any:
    """`value` as dicts, lists, texts, numbers, booleans and None: what JSON can hold.

    Takes dataclasses, msgspec Structs, pydantic models, enums, dates, sets and what holds them. `otherwise`
    stands in for what JSON has no form for; without it that raises `TypeError`. Values of the types in `keep`, such
    as dates, stay what they are.

    >>> from flowpool import Status
    >>> plain({"status": Status.DONE, "tags": {"a"}})
    {'status': 2, 'tags': ['a']}
    """

    def hook(value: Any) -> Any:
        if is_pydantic(type(value)):
            return value.model_dump(mode="python" if keep else "json")
        for kind, change in _PLAINER:
            if isinstance(value, kind):
                return change(value)
        if hasattr(value, "tolist") and type(value).__module__.partition(".")[0] == "numpy":
            return value.tolist()
        if otherwise is None:
            raise TypeError(f"a {type(value).__name__} has no form in JSON")
        return otherwise(value)

    try:
        return msgspec.to_builtins(value, builtin_types=keep, str_keys=True, enc_hook=hook)
    except RecursionError:
        if otherwise is None:
            raise TypeError(
                f"a {type(value).__name__} is nested too deep, or within itself"
            ) from None
        return otherwise(value)


def is_pydantic(kind: type) -> bool:
    """Whether `kind` is a model of pydantic 2, found without importing it."""
    return any(
        base.__name__ == "BaseModel" and base.__module__.partition(".")[0] == "pydantic"
        for base in getattr(kind, "__mro__", ())
    ) and hasattr(kind, "model_validate")


def fields_of(value: Any) -> Mapping[str, Any]:
    """What a value spreads into a chain's variables: a dict's items, a record's fields, else nothing."""
    kind = type(value)
    if kind in _WITHOUT_FIELDS:
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in kind.__struct_fields__}
    if is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in fields(kind)}
    if is_pydantic(kind):
        return {name: getattr(value, name) for name in kind.model_fields}
    return {}
