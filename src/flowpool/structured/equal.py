"""Whether two values are equal, of whatever types they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def are_equal(one: Any, other: Any) -> bool:
    """Whether two values are of one type and hold the same, also where their type compares by identity.

    >>> are_equal(float("nan"), float("nan")), are_equal(1, True)
    (True, False)
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(are_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(are_equal, one, other))
    try:
        if one == other or (one != one and other != other and not hasattr(one, "__dict__")):
            return True
        states = one.__getstate__(), other.__getstate__()
    except Exception:  # a type's own code, such as a comparison of arrays
        return False
    return states[0] is not None and are_equal(*states)
