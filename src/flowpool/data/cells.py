"""Values as plain data, for whatever is written or put into a frame."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import json
import math
import uuid
from typing import Any

import msgspec

from flowpool.structured import plain
from flowpool.structured.plain import base_of, is_missing

_SCALARS = {str, int, float, bool, type(None)}
# What keeps its type in frames and Parquet.
_TYPED = (
    *(bytes, decimal.Decimal, uuid.UUID),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
)


def typed(value: Any) -> Any:
    """A value of dicts, lists, text, numbers, dates and the like; whatever else it is becomes its repr."""
    if type(value) in _SCALARS:
        return value
    return plain(value, repr, _TYPED)


def encoded(value: Any) -> bytes:
    """A value as JSON, on one line. NaN is null, as every missing value; infinity, which JSON lacks, its name."""
    try:
        text = msgspec.json.encode(value, enc_hook=_in_json)
    except (UnicodeEncodeError, RecursionError, TypeError):
        # Half of a character, which JSON can only hold escaped; a key that isn't text.
        return json.dumps(_finite(_in_json(value))).encode()
    if b"null" in text and (finite := _finite(built := _in_json(value))) != built:
        return encoded(finite)
    return text


def encodable(value: Any) -> Any:
    """Plain data with its halves of characters, which no other form than JSON can hold, escaped.

    >>> encodable({"a": ["\\ud800"]})
    {'a': ['\\\\ud800']}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {encodable(name): encodable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(part) for part in value]
    return value


def as_text(value: Any) -> str:
    """A value as the text of a cell: nothing for None, JSON for what has parts."""
    value = base_of(value.value if isinstance(value, enum.Enum) else value)
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    text = encoded(value).decode("utf-8", "surrogatepass")
    return str(msgspec.json.decode(text)) if text.startswith('"') else text


def _in_json(value: Any) -> Any:
    return plain(value, repr)


def _finite(value: Any) -> Any:
    """Plain data with what JSON has no number for as null, or by its name."""
    if isinstance(value, float):
        if value != value:
            return None
        return value if abs(value) != math.inf else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return value
