"""What one model's calls cost at most, and what they did cost: its prices and its options' bounds together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from flowpool import prices
from flowpool.calls.budget import Amount, Budget, parts
from flowpool.calls.worst_case import most_input, most_output, unbounded
from flowpool.errors import InvalidInput
from flowpool.model import Model
from flowpool.values import Message, Usage


class CostBound(Struct, frozen=True):
    """How the calls of one model are counted against a budget. `rates` is None where money isn't counted."""

    provider: str
    model: str
    output_tokens: int
    rates: prices.Rates | None
    window: int | None

    def of(self, body: bytes, said: tuple[Message, ...]) -> Amount:
        """The most that a call can use. Raises `InvalidInput` for what has no bound."""
        sent = most_input(body, said, self.provider, self.model, self.window)
        dollars = 0.0 if self.rates is None else self.rates.most(sent, self.output_tokens)
        return Amount(parts(dollars), sent + self.output_tokens)

    def used(self, usage: Usage) -> Amount:
        """What a call did use."""
        dollars = 0.0 if self.rates is None else self.rates.cost(usage)
        return Amount(parts(dollars), usage.input_tokens + usage.output_tokens)


def bound_of(model: Model, wire: str, options: Mapping[str, Any], budget: Budget) -> CostBound:
    """A model's bounds; raises `InvalidInput`, with what to do, where a call of it has none."""
    name = f"{model.provider}/{model.model}"
    ceiling = "max_cost" if budget.counts_money else "max_tokens_total"
    most = most_output(options, wire)
    if most is None:
        raise InvalidInput(
            f"{ceiling} needs to know how long an answer of {name} can get: set max_tokens in the options, "
            f"such as Model({model.name!r}, {{'max_tokens': 1000}})."
        )
    if why := unbounded(options, model.prices is not None):
        raise InvalidInput(
            f"{ceiling} can't be kept with {why}: nobody can say before a call of {name} what it costs."
        )
    rates = None
    if budget.counts_money or model.prices is not None:
        rates = prices.rates_of(name, model.prices)
    if budget.counts_money and rates is None:
        raise InvalidInput(
            f"max_cost needs the price of {name}, which the price list doesn't have: pass "
            f"Model({model.name!r}, prices=Prices(input=..., output=...)) in dollars for a million tokens "
            "(0 for a server of your own), in a pipeline's file `prices: {input: ..., output: ...}` under `model`, "
            "or use max_tokens_total."
        )
    window = prices.context_window(model.provider, model.model)
    return CostBound(model.provider, model.model, most, rates, window)
