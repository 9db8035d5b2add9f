"""The settings of a run, declared once: for `Pool`'s arguments, a pipeline's `run`, a store and the command line.

A new setting is a field of `Settings` and a row of `_CHECKS` here, an argument of `Pool`, and its use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.values import Limits

OnError = Literal["raise", "stop", "collect", "skip"]
OnEmpty = Literal["ask", "skip", "fail"]
# Which exceptions of a function are tried again, beside those that tell by themselves that they may pass: classes,
# or a function of the exception that gives True, False, or None for those that it doesn't know.
RetryOn = type[Exception] | Collection[type[Exception]] | Callable[[Exception], bool | None]
RETRY_ON_FIX = "exception classes, or a function of the exception that gives True, False or None"


class Settings(Struct, frozen=True, kw_only=True):
    """How a run goes, where it overrides its runners. None leaves theirs. Seconds and dollars; see `Pool`."""

    max_flows: int | None = None
    timeout: float | None = None
    retries: int | None = None
    limits: Limits | None = None
    deadline: float | None = None
    on_error: OnError = "collect"
    max_cost: float | None = None
    max_tokens_total: int | None = None
    dedupe: bool = False
    constant_prompt: bool = False
    on_empty: OnEmpty = "ask"
    retry_on: Any = None  # what `RetryOn` is
    version: str | int | None = None
    tracing: Any = None  # what `tracing.open_tracer` takes

    @classmethod
    def checked(cls, **given: Any) -> Settings:
        """The settings; raises `InvalidInput` for a value that can't be meant."""
        for name, value in given.items():
            is_right, fix = _CHECKS[name]
            is_unset = value is None and getattr(cls(), name) is None
            if not is_unset and not is_right(value):
                raise InvalidInput(f"{name}={value!r}: use {fix}.")
        if given.get("max_flows") == "auto":
            given["max_flows"] = None
        return cls(**given)

    def remembers_steps(self, *, is_single: bool) -> bool:
        """Whether what a step was answered is of use again: where it has followers, or for others like it."""
        return self.dedupe or not is_single

    def changed(self, **given: Any) -> Settings:
        """These with others instead; None leaves one as it is. Raises as `checked` does."""
        kept = {name: getattr(self, name) for name in self.__struct_fields__}
        new = {name: value for name, value in given.items() if value is not None}
        return Settings.checked(**{**kept, **new})

    def stored(self) -> dict[str, Any]:
        """What a store keeps of them, as plain data. How a run is traced is each process's own affair, and what
        exceptions mean the script's.
        """
        kept = msgspec.structs.replace(self, tracing=None, retry_on=None)
        plain: dict[str, Any] = msgspec.to_builtins(kept)
        del plain["tracing"], plain["retry_on"]
        return plain


def is_retry_on(value: Any) -> bool:
    """Whether it is a `RetryOn`."""
    if isinstance(value, type):
        return issubclass(value, Exception)
    if isinstance(value, Collection) and not isinstance(value, str):
        return bool(value) and all(isinstance(one, type) and is_retry_on(one) for one in value)
    return callable(value)


def is_retried(retry_on: RetryOn | None, error: Exception) -> bool | None:
    """What `retry_on` says of an exception: whether it is tried again, None where it says nothing of it."""
    if retry_on is None:
        return None
    if isinstance(retry_on, (type, Collection)):
        kinds = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
        return isinstance(error, kinds) or isinstance(error.__cause__, kinds) or None
    said = retry_on(error)
    return None if said is None else bool(said)


def restored(plain: dict[str, Any]) -> dict[str, Any]:
    """What `Settings.stored` gave, as arguments of `Pool`; those that are unset are left out."""
    given = {
        name: plain[name] for name in Settings.__struct_fields__ if plain.get(name) is not None
    }
    if "limits" in given:
        given["limits"] = msgspec.convert(given["limits"], Limits)
    return given


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _at_least(least: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and bool(value >= least)
    )


def _anything(value: Any) -> bool:
    return True


# What each setting may be, and what to use instead of what it may not.
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_flows": (
        lambda value: value == "auto" or _at_least(1)(value),
        '1 or more, or "auto" to adapt to the provider',
    ),
    "timeout": (_is_amount, "seconds above 0"),
    "retries": (_at_least(0), "0 or more"),
    "limits": (lambda value: isinstance(value, Limits), "Limits(rpm=..., tpm=..., concurrent=...)"),
    "deadline": (_is_amount, "seconds above 0"),
    "on_error": (
        lambda value: value in get_args(OnError),
        f"one of {', '.join(map(repr, get_args(OnError)))}",
    ),
    "max_cost": (_is_amount, "dollars above 0"),
    "max_tokens_total": (_at_least(1), "1 or more"),
    "dedupe": (lambda value: isinstance(value, bool), "True or False"),
    "constant_prompt": (lambda value: isinstance(value, bool), "True or False"),
    "on_empty": (
        lambda value: value in get_args(OnEmpty),
        f"one of {', '.join(map(repr, get_args(OnEmpty)))}",
    ),
    "retry_on": (is_retry_on, RETRY_ON_FIX),
    "version": (lambda value: isinstance(value, (str, int)), "a text or a number"),
    "tracing": (_anything, ""),
}
