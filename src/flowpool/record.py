"""How one item ended, and what each of its calls used. Plain data: knows no files, frames or runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from reprlib import Repr
from typing import Any, Generic, TypeVar

from msgspec import Struct

from flowpool import prices, wiring
from flowpool.attachments import brief
from flowpool.errors import message_of
from flowpool.structured import plain
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import Output, Prices, Status

T = TypeVar("T")
# Items and characters of each that are shown: what fits a screen.
SHOWN_ITEMS, SHOWN_CHARACTERS = 20, 200
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = SHOWN_CHARACTERS
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 10


class CallCost(Struct, frozen=True):
    """What one call used: of `provider/model`, at the prices that were configured or the list's.

    paid: dollars, where a store has written down what it came to; several calls may be one then.
    """

    model: str
    usage: Usage
    prices: Prices | None = None
    paid: float | None = None

    @property
    def cost(self) -> float | None:
        """Dollars; None where the list has no price for the model."""
        if self.paid is not None:
            return self.paid
        return prices.cost(self.model, self.usage, self.prices)


def known_sum(costs: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None when none is."""
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if known else None


class ModelSpend(Struct):
    """What the calls of one model (`provider/model`) used: how many they are, and their tokens.

    prices: those that the user gave, if any.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    prices: Prices | None = None

    def cost(self, model: str) -> float | None:
        """Dollars of these calls of `model`, as if all were alike; None where it has no price."""
        return prices.cost(model, self.usage, self.prices, self.calls)

    @property
    def usage(self) -> Usage:
        return Usage(*(getattr(self, name) for name in Usage.__struct_fields__))


class ItemSpend(Struct, eq=False, kw_only=True):
    """What the calls of an item used so far. `bills` is empty while that is one call at the list's prices."""

    usage: Usage = NO_USAGE
    model: str = ""
    bills: tuple[CallCost, ...] = ()

    def bill(self, model: str, usage: Usage, prices: Prices | None) -> None:
        """A call to the model used this; `prices` are those that the user gave, if any."""
        if self.usage is NO_USAGE and prices is None:  # one call, which is what most items need
            self.model, self.usage = model, usage
            return
        if not self.bills and self.usage is not NO_USAGE:
            self.bills = (CallCost(self.model, self.usage),)
        self.bills = (*self.bills, CallCost(model, usage, prices))
        self.model, self.usage = model, self.usage + usage


class Record(Struct, Generic[Output], frozen=True):
    """How one item ended.

    `duration` is in seconds, from the item's start to its end; `started` in seconds of the run's loop clock;
    `attempts` counts requests and function calls; `error` is the exception, or None.
    """

    index: int
    variables: Any
    status: Status
    output: Output | None = None
    error: Exception | None = None
    started: float = 0.0
    duration: float = 0.0
    attempts: int = 0
    usage: Usage = NO_USAGE
    model: str = ""
    steps: list[dict[str, Any]] | None = None
    bills: tuple[CallCost, ...] = ()

    @property
    def calls(self) -> tuple[CallCost, ...]:
        """What each of the item's calls used, failed ones included where the provider counted them."""
        if self.bills or not self.model:
            return self.bills
        return (CallCost(self.model, self.usage),)

    @property
    def cost(self) -> float | None:
        """Dollars of the calls whose model has a known price; None when none has."""
        calls = self.calls
        return calls[0].cost if len(calls) == 1 else known_sum(call.cost for call in calls)

    def __repr__(self) -> str:
        became = short(self.output) if self.error is None else _in_words(self.error)
        return f"<Record {self.index}: {self.status.name}, {became}>"

    def _repr_html_(self) -> str:
        table: str = wiring.load("tables").of_record(self)
        return table

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data: what `history` has for each item."""
        return {
            "index": self.index,
            "variables": brief(self.variables),
            "status": int(self.status),
            "output": plain(self.output, repr),
            "error": _in_words(self.error),
            "duration": round(self.duration, 6),
            "attempts": self.attempts,
            "model": self.model,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }


def _in_words(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {message_of(error)}"


def short(value: Any) -> str:
    """A value's repr, with its middle left out where it is long; of one that has none, its type."""
    try:
        return _SHORT.repr(value)
    except Exception:  # a repr is the user's own code
        return f"<{type(value).__name__}>"


class Tabular:
    """What a list shows of itself: its first items, and in a notebook a table of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        items: list[Any] = self  # type: ignore[assignment]
        if len(items) <= SHOWN_ITEMS:
            return list.__repr__(items)
        shown = ", ".join(map(short, islice(items, SHOWN_ITEMS)))
        return f"[{shown}, ... {len(items) - SHOWN_ITEMS:,} more]"

    def _repr_html_(self) -> str:
        table: str = wiring.load("tables").as_table(self)
        return table


class TableList(Tabular, list[T]):
    """A list that a notebook shows as a table."""
