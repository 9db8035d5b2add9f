"""What a run gives back: a record an item, and the list of outputs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

from msgspec import Struct

from flowpool import prices
from flowpool.structured import plain
from flowpool.values import NO_USAGE, Status, Usage


class Record(Struct, frozen=True):
    """How one item ended.

    `duration` is in seconds, from the item's start to its end; `started` in seconds of the run's loop clock;
    `attempts` counts requests and function calls; `error` is the exception, or None.
    """

    index: int
    variables: Any
    status: Status
    output: Any = None
    error: Exception | None = None
    started: float = 0.0
    duration: float = 0.0
    attempts: int = 0
    usage: Usage = NO_USAGE
    model: str = ""
    steps: list[dict[str, Any]] | None = None

    @property
    def cost(self) -> float | None:
        """Dollars by the price list; None when it has no price for the model."""
        provider, _, model = self.model.partition("/")
        rates = prices.rates(provider, model) if model else None
        return None if rates is None else rates.cost(self.usage)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data: what `history` has for each item."""
        return {
            "index": self.index,
            "variables": self.variables,
            "status": int(self.status),
            "output": plain(self.output, repr),
            "error": _in_words(self.error),
            "duration": round(self.duration, 6),
            "attempts": self.attempts,
            "model": self.model,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }


class Results(list[Any]):
    """One output an item, in the items' order; None where an item has none.

    `records` has a `Record` an item; `failed` those that failed or were cancelled; `errors` their exceptions.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)
        super().__init__(record.output for record in self.records)

    @property
    def failed(self) -> list[Record]:
        """The records of items that have no output: failed, cancelled or never started."""
        return [record for record in self.records if record.status is not Status.DONE]

    @property
    def errors(self) -> list[Exception]:
        """The exceptions of the failed items, in order."""
        return [record.error for record in self.failed if record.error is not None]

    @property
    def usage(self) -> Usage:
        """Tokens used by all items, failed attempts included where the provider reports them."""
        return reduce(add, (record.usage for record in self.records), NO_USAGE)

    @property
    def cost(self) -> float | None:
        """Dollars of all items whose model has a known price; None when none has."""
        known = [cost for record in self.records if (cost := record.cost) is not None]
        return sum(known) if known else None


def _in_words(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
