"""Values as JSON text and back the same: what the store keeps, and what distinguishes calls. Pure.

JSON's own types stand as they are. Others that steps often pass on (bytes, dates, tuples, decimals, NaN, dicts with
keys that aren't text) stand as `{"$type": name, "value": ...}`. What can't be given back the same isn't encoded.
A typed answer that doesn't show all it was made of stands beside that, as `Answered`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from flowpool.errors import FlowpoolError
from flowpool.structured import plain
from flowpool.structured.plain import base_of

TAG = "$type"
_ANSWER = "answer"
_MARK = TAG.encode()
# No data is meant to be so deep: what is holds itself, and Python's own limit of recursion would end the run.
MOST_DEEP = 200
_to_json = msgspec.json.Encoder().encode
_to_sorted_json = msgspec.json.Encoder(order="deterministic").encode
_from_json = msgspec.json.Decoder().decode

_WRITE: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda value: b64encode(value).decode()),
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("Decimal", str),
    UUID: ("UUID", str),
    float: ("float", repr),
    int: ("int", str),
    str: ("str", lambda value: b64encode(value.encode("utf-8", "surrogatepass")).decode()),
}
_READ: dict[str, Callable[[Any], Any]] = {
    "bytes": b64decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "Decimal": Decimal,
    "UUID": UUID,
    "float": float,
    "int": int,
    "str": lambda value: b64decode(value).decode("utf-8", "surrogatepass"),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}


class Answered(Struct, frozen=True):
    """A typed answer as it is kept where its plain form alone wouldn't make the same again.

    value: its plain form. made_of: the value that was accepted. by: whose answer it is among the runner's typed
    ones, where another's was expected; -1 for one that has no type.
    """

    value: Any
    made_of: Any = None
    by: int | None = None


class CantEncode(FlowpoolError, TypeError):
    """A value that can't be kept and given back the same."""


def encode(value: Any) -> bytes:
    """The value as JSON; raises `CantEncode`, naming what can't be kept.

    >>> encode({"text": "a", "page": (1, 2)})
    b'{"text":"a","page":{"$type":"tuple","value":[1,2]}}'
    """
    return _dump(value, _to_json)


def decode(data: bytes, *, typed: bool = False) -> Any:
    """The value that was encoded; raises `ValueError` or msgspec's `DecodeError` for what never was.

    typed: gives an `Answered` as such, not its plain form alone.

    >>> decode(encode({"page": (1, 2)}))
    {'page': (1, 2)}
    """
    value = _from_json(data)
    if _MARK not in data:
        return value
    try:
        return _restored(value, typed)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"a tagged value that can't be given back ({error})") from None


def digest(*values: Any) -> bytes:
    """16 bytes that tell these values from all others, whatever the order of names in their dicts.

    Raises `CantEncode` for a value that `encode` refuses.
    """
    made = blake2b(digest_size=16)
    for value in values:
        if type(value) is not bytes:
            try:
                value = _dump(value, _to_sorted_json)
            except CantEncode as error:  # a typed value: what it is made of tells as much
                value = _dump(_parts(value, error), _to_sorted_json)
        made.update(value)
        made.update(b"\0")
    return made.digest()


def _parts(value: Any, error: CantEncode) -> Any:
    try:
        return plain(value, keep=tuple(_WRITE))
    except TypeError:
        raise error from None


def _dump(value: Any, to_json: Callable[[Any], bytes]) -> bytes:
    try:
        return to_json(value if _is_plain(value, 0) else _plain(value, 0))
    except UnicodeEncodeError:  # half of a character, somewhere
        return to_json(_plain(value, 0, whole_text=False))


def _is_plain(value: Any, depth: int) -> bool:
    """Whether the value is of JSON's types alone, as most are: then it stands as it is."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is dict:
        return depth < MOST_DEEP and _is_plain_dict(value, depth + 1)
    if kind is list:
        return depth < MOST_DEEP and all(
            type(one) is str or _is_plain(one, depth + 1) for one in value
        )
    if kind is int:
        return bool(-(2**63) <= value < 2**64)
    return kind is float and isfinite(value)


def _is_plain_dict(value: dict[Any, Any], depth: int) -> bool:
    return (
        TAG not in value
        and all(type(name) is str for name in value)
        and all(type(one) is str or _is_plain(one, depth) for one in value.values())
    )


def _plain(value: Any, depth: int, whole_text: bool = True) -> Any:
    """The same of JSON's types alone. whole_text: no text holds half of a character."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if depth > MOST_DEEP and kind is not str:
        raise CantEncode(f"a value nested more than {MOST_DEEP} deep")
    if kind in _IN_JSON:
        return value if _IN_JSON[kind](value, whole_text) else _tagged(value, kind)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](value, depth + 1, whole_text)
    if kind in _WRITE:
        return _tagged(value, kind)
    if kind is Answered:
        parts = {"value": value.value, "made_of": value.made_of, "by": value.by}
        return {TAG: _ANSWER, **_plain_dict(parts, depth + 1, whole_text)}
    base = base_of(value)
    # An array would come back as a list.
    if base is not value and (type(base) is not list or isinstance(value, list)):
        return _plain(base, depth, whole_text)
    raise CantEncode(f"a value of type {_name(kind)}")


def _plain_dict(value: dict[Any, Any], depth: int, whole_text: bool) -> dict[str, Any]:
    if TAG not in value and all(
        type(name) is str and (whole_text or _is_whole(name)) for name in value
    ):
        return {name: _plain(one, depth, whole_text) for name, one in value.items()}
    pairs = [[_plain(part, depth, whole_text) for part in pair] for pair in value.items()]
    return {TAG: "dict", "value": pairs}


def _plain_list(value: Iterable[Any], depth: int, whole_text: bool) -> list[Any]:
    return [_plain(one, depth, whole_text) for one in value]


def _plain_tuple(value: tuple[Any, ...], depth: int, whole_text: bool) -> dict[str, Any]:
    return {TAG: "tuple", "value": _plain_list(value, depth, whole_text)}


def _plain_set(value: Set[Any], depth: int, whole_text: bool) -> dict[str, Any]:
    parts = _plain_list(sorted(value, key=repr), depth, whole_text)
    return {TAG: type(value).__name__, "value": parts}


_CONTAINERS: dict[type, Callable[[Any, int, bool], Any]] = {
    dict: _plain_dict,
    list: _plain_list,
    tuple: _plain_tuple,
    set: _plain_set,
    frozenset: _plain_set,
}
# Which values of JSON's scalar types it can hold.
_IN_JSON: dict[type, Callable[[Any, bool], bool]] = {
    str: lambda value, whole_text: whole_text or _is_whole(value),
    int: lambda value, _: -(2**63) <= value < 2**64,
    float: lambda value, _: isfinite(value),
}


def _tagged(value: Any, kind: type) -> dict[str, Any]:
    name, write = _WRITE[kind]
    return {TAG: name, "value": write(value)}


def _restored(value: Any, typed: bool) -> Any:
    if isinstance(value, list):
        return [_restored(one, typed) for one in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {name: _restored(one, typed) for name, one in value.items()}
    inner = _restored(value["value"], typed)
    if value[TAG] != _ANSWER:
        return _READ[value[TAG]](inner)
    made_of = _restored(value["made_of"], typed)
    return Answered(inner, made_of, value["by"]) if typed else inner


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
