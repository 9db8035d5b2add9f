"""Values as JSON's own kinds, and what of a value are its fields. Used by records, stores and prompts alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

# Types that a subclass of theirs is taken for, and how it becomes one: msgspec takes only the types themselves.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    (bytes, bytes),
    (datetime, lambda v: datetime.combine(_date(v), _time(v))),
    (date, lambda v: _date(v)),
    (time, lambda v: _time(v)),
    (timedelta, lambda v: timedelta(v.days, v.seconds, v.microseconds)),
    (Decimal, Decimal),
    (UUID, lambda v: UUID(int=v.int)),
    (Mapping, dict),
    (list, list),
    (set, set),
    (frozenset, frozenset),
)
_ARE_BASES = frozenset(kind for kind, _ in _BASES) | {bool, type(None), dict, tuple}
# Whose values stand for others: a missing one, one of Python's own, a list.
_FRAMES = frozenset(("numpy", "pandas", "polars", "pyarrow"))
_MISSING = frozenset(("NaTType", "NAType"))
_AS_PYTHON = ("tolist", "to_list", "as_py", "to_pylist")
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
        if (base := base_of(value)) is not value:
            return base
        if isinstance(value, PurePath):
            return str(value)
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
    except TypeError:
        if not keep:
            raise
        return plain(value, otherwise)  # as a dict whose keys are dates, which only JSON's form has


def base_of(value: Any) -> Any:
    """The value as the plain type that it is a kind of: a subclass as its base, what a frame holds as Python's own.

    A value that a frame counts as missing is None. What is of no such kind is given back as it is, and so are enums
    and tuples with names.

    >>> class Answer(str): ...
    >>> type(base_of(Answer("yes")))
    <class 'str'>
    """
    kind = type(value)
    if kind in _ARE_BASES or isinstance(value, Enum):
        return value
    if kind.__module__.partition(".")[0] in _FRAMES:
        return _of_frame(value, kind)
    for base, change in _BASES:
        if isinstance(value, base):
            return change(value)
    return value


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None itself, NaN, and what frames have, NaT and NA.

    >>> is_missing(float("nan")), is_missing(0.0)
    (True, False)
    """
    value = base_of(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or (isinstance(value, float) and value != value)


def _of_frame(value: Any, kind: type) -> Any:
    if kind.__name__ in _MISSING:
        return None
    dtype: Any = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") in ("M", "m") and hasattr(value, "astype"):
        # Nanoseconds would come as whole numbers.
        unit = "datetime64[us]" if dtype.kind == "M" else "timedelta64[us]"
        return (value if "[D]" in dtype.name else value.astype(unit)).tolist()
    for base, change in _BASES:
        if isinstance(value, base):
            return change(value)
    for name in _AS_PYTHON:
        if hasattr(value, name):
            return getattr(value, name)()
    return str(value) if kind.__name__ in ("Period", "Interval") else value


def _date(value: date) -> date:
    return date(value.year, value.month, value.day)


def _time(value: Any) -> time:
    parts = (value.hour, value.minute, value.second, value.microsecond)
    return time(*parts, tzinfo=value.tzinfo, fold=value.fold)


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
