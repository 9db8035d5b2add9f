"""What calls cost: a model's rates, looked up once in genai-prices and then computed without it.

Knows no calls and no budgets. The price table comes with the package: nothing is fetched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct

from flowpool.providers import PROVIDERS, listed_as
from flowpool.usage import Usage
from flowpool.values import Prices

_MILLION = Decimal(1_000_000)
_NOTHING = Decimal(0)

# any-llm's providers whose models genai-prices has under another name; others are looked up as they are.
_ANY_LLM_NAMES = {row.name: row.price_list for row in PROVIDERS.values() if row.price_list} | {
    "bedrock": "aws",
    "gemini": "google",
    "vertexai": "google",
    "azureopenai": "azure",
    "voyage": "voyageai",
}


class Rate(Struct, frozen=True):
    """Dollars for a million tokens, by the size of the call's input.

    tiers: (tokens, dollars), largest first; the first whose tokens the input exceeds replaces `base` for
    all tokens of the call.
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        for start, price in self.tiers:
            if input_tokens > start:
                return price
        return self.base

    def most(self, input_tokens: int) -> Decimal:
        """The dearest price of any call with up to so many tokens of input."""
        return max(
            self.base, *(price for start, price in self.tiers if input_tokens > start), _NOTHING
        )


class Rates(Struct, frozen=True):
    """A model's prices. A part without a rate of its own costs as the whole it belongs to."""

    input: Rate
    output: Rate
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    request: Decimal = _NOTHING  # dollars a call

    def cost(self, usage: Usage, calls: int = 1) -> float:
        """Dollars that a call with this usage costs, or so many calls together, as if all were alike.

        >>> Rates(Rate(Decimal(3)), Rate(Decimal(15))).cost(Usage(1000, 200))
        0.006
        """
        size = usage.input_tokens // calls
        sent, made = usage.input_tokens, usage.output_tokens
        total = _NOTHING
        if self.cached_input is not None and usage.cached_input_tokens:
            sent -= usage.cached_input_tokens
            total += self.cached_input.at(size) * usage.cached_input_tokens
        if self.cache_write is not None and usage.cache_write_tokens:
            sent -= usage.cache_write_tokens
            total += self.cache_write.at(size) * usage.cache_write_tokens
        if self.reasoning is not None and usage.reasoning_tokens:
            made -= usage.reasoning_tokens
            total += self.reasoning.at(size) * usage.reasoning_tokens
        # A provider's figures may not add up; a cost is never negative for it.
        total += self.input.at(size) * max(sent, 0) + self.output.at(size) * max(made, 0)
        return float(total / _MILLION + self.request * calls)

    def most(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars that a call costs at most which uses up to so many tokens: each at its dearest rate.

        >>> Rates(Rate(Decimal(3)), Rate(Decimal(15)), cache_write=Rate(Decimal(4))).most(1000, 200)
        0.007
        """
        sent = (self.input, self.cached_input, self.cache_write)
        made = (self.output, self.reasoning)
        dear_input = max(rate.most(input_tokens) for rate in sent if rate is not None)
        dear_output = max(rate.most(input_tokens) for rate in made if rate is not None)
        total = dear_input * input_tokens + dear_output * output_tokens
        return float(total / _MILLION + self.request)


def configured(prices: Prices) -> Rates:
    """The rates of prices that were configured."""
    cached, written = prices.cached_input, prices.cache_write
    return Rates(
        Rate(_decimal(prices.input)),
        Rate(_decimal(prices.output)),
        None if cached is None else Rate(_decimal(cached)),
        None if written is None else Rate(_decimal(written)),
        request=_decimal(prices.request),
    )


def rates_of(name: str, given: Prices | None = None) -> Rates | None:
    """The rates of `provider/model`: those that were configured, else the list's; None where neither has any."""
    if given is not None:
        return configured(given)
    provider, _, model = name.partition("/")
    return rates(provider, model) if model else None


def cost(name: str, usage: Usage, given: Prices | None = None, calls: int = 1) -> float | None:
    """Dollars that so many calls of `provider/model` cost which used this together; None where nobody knows.

    >>> cost("mine/m", Usage(1000, 200), Prices(input=3, output=15))
    0.006
    """
    found = rates_of(name, given)
    return None if found is None else found.cost(usage, calls)


def _decimal(dollars: float) -> Decimal:
    return Decimal(repr(dollars))


def rates(provider: str, model: str) -> Rates | None:
    """A model's rates as they are now, or None when its prices are unknown. Looked up once a process.

    The first look-up imports the price table (about 0.3 s).

        >>> rates("vllm", "qwen3") is None
        True
    """
    return _cached(provider, model)


@cache
def _cached(provider: str, model: str) -> Rates | None:
    return rates_at(provider, model, datetime.now(UTC))


def rates_at(provider: str, model: str, when: datetime) -> Rates | None:
    """A model's rates at a moment: prices change by date, and a few by the hour."""
    found = _find(provider, model)
    return None if found is None else _rates(found.get_prices(when))


@cache
def context_window(provider: str, model: str) -> int | None:
    """The most tokens that a model reads, or None when the price table doesn't say."""
    found = _find(provider, model)
    return None if found is None else found.context_window


def _find(provider: str, model: str) -> Any:
    """The price table's entry of a model, or None."""
    behind, model = listed_as(provider, model)
    if behind == provider:
        name = PROVIDERS[provider].price_list if provider in PROVIDERS else ""
    else:
        name = _ANY_LLM_NAMES.get(behind, behind)
    if not name or not model:
        return None
    from genai_prices.data_snapshot import get_snapshot  # heavy: 0.3 s

    try:
        return get_snapshot().find_provider_model(model, None, name, None)[1]
    except LookupError:
        return None


def _rates(prices: Any) -> Rates | None:
    sent, made = _rate(prices.input_mtok), _rate(prices.output_mtok)
    request = prices.requests_kcount
    if sent is None and made is None and request is None:
        return None
    return Rates(
        sent or Rate(_NOTHING),
        made or Rate(_NOTHING),
        _rate(prices.cache_read_mtok),
        _rate(prices.cache_write_mtok),
        _rate(prices.output_reasoning_mtok),
        _NOTHING if request is None else request / 1000,
    )


def _rate(price: Any) -> Rate | None:
    if price is None or isinstance(price, Decimal):
        return price if price is None else Rate(price)
    return Rate(price.base, tuple((tier.start, tier.price) for tier in reversed(price.tiers)))
