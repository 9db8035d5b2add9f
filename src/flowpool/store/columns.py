"""Values as SQLite can take them: a value that it can't would cost the whole batch. Pure."""

from __future__ import annotations

from math import isfinite
from typing import Any

# SQLite's integers have 64 bits; sums of them must fit, too.
MOST = 2**53


def storable_text(value: Any) -> Any:
    """A text as it can be written: half of a character stands escaped. What is no text stays what it is.

    >>> storable_text("caf\\udce9")
    'caf\\\\udce9'
    """
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def storable_number(value: Any) -> Any:
    """A number as it can be written and summed: what is too large is the largest, what is none is 0.

    >>> storable_number(2**70), storable_number(float("nan")), storable_number(None)
    (9007199254740992, 0.0, None)
    """
    if isinstance(value, float):
        return value if isfinite(value) else 0.0
    return value if value is None else max(-MOST, min(MOST, value))
