"""What a pool was told, checked. Knows no I/O."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

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
    max_cost: float | None = None
    max_tokens_total: int | None = None
    dedupe: bool = False
    tracing: Any = None  # what `tracing.open_tracer` takes


def checked(
    max_flows: Any,
    on_error: Any,
    timeout: Any,
    retries: Any,
    limits: Any,
    deadline: Any,
    max_cost: Any = None,
    max_tokens_total: Any = None,
    dedupe: Any = False,
    tracing: Any = None,
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
    told = Settings(
        flows,
        timeout,
        retries,
        limits,
        deadline,
        on_error,
        dedupe=bool(dedupe),
        tracing=tracing,
    )
    return with_ceiling(told, max_cost, max_tokens_total)


def with_ceiling(told: Settings, max_cost: Any, max_tokens_total: Any) -> Settings:
    """The settings with another ceiling for what is spent; None leaves theirs."""
    if max_cost is not None and not (_is_number(max_cost) and 0 < max_cost < math.inf):
        raise InvalidInput(f"max_cost={max_cost!r}: use dollars above 0.")
    if max_tokens_total is not None and not (_is_whole(max_tokens_total) and max_tokens_total > 0):
        raise InvalidInput(f"max_tokens_total={max_tokens_total!r}: use 1 or more.")
    return replace(
        told,
        max_cost=told.max_cost if max_cost is None else max_cost,
        max_tokens_total=told.max_tokens_total if max_tokens_total is None else max_tokens_total,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
