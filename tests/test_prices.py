"""Costs are genai-prices' own, computed without asking it each time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from flowpool.prices import Rates, rates, rates_at
from flowpool.providers import PROVIDERS
from flowpool.values import Usage

LISTED = [name for name, row in PROVIDERS.items() if row.price_list]
WHEN = datetime(2026, 9, 15, 2, 30, tzinfo=UTC)
USAGES = (
    Usage(1000, 200),
    Usage(250_001, 7000, 100_000, 500, 64),
    Usage(200_000, 1, 0, 7, 1),
    Usage(1_200_000, 9, 1_200_000, 0, 9),
)


def their_cost(usage: Usage, name: str, model: str) -> float:
    theirs = TheirUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    price = calc_price(theirs, model, provider_id=name, genai_request_timestamp=WHEN)
    return float(price.total_price)


@pytest.mark.parametrize("provider", LISTED)
def test_every_models_cost_is_exactly_theirs(provider) -> None:
    name = PROVIDERS[provider].price_list
    models = next(row for row in get_snapshot().providers if row.id == name).models
    before = "accounts/fireworks/models/" if provider == "fireworks" else ""
    names = [before + model.id for model in models[:60]]
    priced = [(model, rates_at(provider, model, WHEN)) for model in names]
    known = [(model, found) for model, found in priced if found is not None]
    assert len(known) >= 5
    for model, found in known:
        for usage in USAGES:
            assert found.cost(usage) == their_cost(usage, name, model), model


def found(provider: str, model: str) -> Rates:
    result = rates(provider, model)
    assert result is not None
    return result


def test_a_large_input_moves_the_whole_call_to_its_tier() -> None:
    prices = found("google", "gemini-2.5-pro")
    below, above = prices.cost(Usage(200_000)), prices.cost(Usage(200_001))
    assert above > 1.9 * below


def test_cached_input_costs_less() -> None:
    prices = found("anthropic", "claude-haiku-4-5")
    assert prices.cost(Usage(1000, 0, 1000)) < prices.cost(Usage(1000))
    assert prices.cost(Usage(1000, 0, 0, 1000)) > prices.cost(Usage(1000))


def test_azure_has_openais_models() -> None:
    assert found("azure", "gpt-4o").cost(Usage(1000)) == found("openai", "gpt-4o").cost(Usage(1000))


def test_usage_that_doesnt_add_up_never_costs_less_than_nothing() -> None:
    assert found("anthropic", "claude-haiku-4-5").cost(Usage(10, 0, 1000, 1000)) > 0


def test_what_has_no_price_is_none() -> None:
    assert rates("vllm", "gpt-4o") is None
    assert rates("custom", "gpt-4o") is None
    assert rates("openai", "no-such-model") is None
    assert rates("openai", "") is None


def test_rates_are_looked_up_once() -> None:
    assert found("openai", "gpt-4o") is found("openai", "gpt-4o")
