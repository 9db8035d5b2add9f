"""What a pool was told, checked. Knows no I/O."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.values import Limits

OnError = Literal["raise", "stop", "collect", "skip"]


class Settings(Struct, frozen=True):
    """What a pool was told, where it overrides its runners. None leaves theirs."""

    max_flows: int | None = None
    timeout: float | None = None
    retries: int | None = None
    limits: Limits | None = None
    deadline: float | None = None
    on_error: OnError = "collect"


def checked(
    max_flows: Any, on_error: Any, timeout: Any, retries: Any, limits: Any, deadline: Any
) -> Settings:
    """The settings; raises `InvalidInput` for a value that can't be meant."""
    if max_flows not in ("auto", None) and (not _is_whole(max_flows) or max_flows < 1):
        raise InvalidInput(
            f'max_flows={max_flows!r}: use 1 or more, or "auto" to adapt to the provider.'
        )
    if on_error not in get_args(OnError):
        raise InvalidInput(
            f"on_error={on_error!r}: use one of {', '.join(map(repr, get_args(OnError)))}."
        )
    for name, value in (("timeout", timeout), ("deadline", deadline)):
        if value is not None and not (_is_number(value) and 0 < value < math.inf):
            raise InvalidInput(f"{name}={value!r}: use seconds above 0.")
    if retries is not None and not (_is_whole(retries) and retries >= 0):
        raise InvalidInput(f"retries={retries!r}: use 0 or more.")
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidInput(f"limits={limits!r}: use Limits(rpm=..., tpm=..., concurrent=...).")
    flows = max_flows if isinstance(max_flows, int) else None
    return Settings(flows, timeout, retries, limits, deadline, on_error)


def first_told(*values: float | None) -> float:
    """The first value that isn't None; the last one is the default."""
    return next(value for value in values if value is not None)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
