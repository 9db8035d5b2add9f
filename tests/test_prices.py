"""Costs are genai-prices' own, computed without asking it each time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from flowpool.prices import (
    Rate,
    Rates,
    _rates,
    configured,
    context_window,
    rates,
    rates_at,
    rates_of,
)
from flowpool.providers import PROVIDERS, split
from flowpool.values import Prices, Usage

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
    assert rates("custom", "mine") is None
    assert rates("openai", "no-such-model") is None
    assert rates("openai", "") is None


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", None, ""),
        ("gemini/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("vertexai/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("azureopenai/gpt-4o", "azure", "gpt-4o"),
        ("voyage/voyage-3", None, ""),
        ("moonshot/kimi-k2.5", "moonshot", "kimi-k2.5"),  # as our own provider of that name
        ("cohere/command-r", None, ""),  # under their own name
    ],
)
def test_any_llms_models_are_found_behind_their_providers_names(model, provider, name) -> None:
    price = found("any-llm", model).cost(Usage(1000, 100))
    assert price > 0
    if provider is not None:
        assert price == found(provider, name).cost(Usage(1000, 100))


def test_any_llms_unknown_providers_have_no_price() -> None:
    assert rates("any-llm", "nobody/gpt-4o") is None
    assert rates("any-llm", "gpt-4o") is None


def test_what_a_model_reads_at_most_is_known_of_the_table_alone() -> None:
    assert context_window("openai", "gpt-4o") == 128_000
    assert context_window("vllm", "gpt-4o") is None


# Rates that are made up, so that each part shows.
STEPS = Rate(Decimal(3), ((200_000, Decimal(9)), (100_000, Decimal(6))))
PARTS = Rates(
    STEPS, Rate(Decimal(15)), Rate(Decimal(1)), Rate(Decimal(4)), Rate(Decimal(20)), Decimal("0.5")
)


@pytest.mark.parametrize(
    ("tokens", "dollars"), [(0, 3), (100_000, 3), (100_001, 6), (200_000, 6), (200_001, 9)]
)
def test_a_tier_begins_after_its_tokens(tokens, dollars) -> None:
    assert STEPS.at(tokens) == STEPS.most(tokens) == dollars


def test_the_most_is_the_dearest_tier_that_a_smaller_call_could_meet() -> None:
    falling = Rate(Decimal(5), ((100, Decimal(2)),))
    assert (falling.at(101), falling.most(101)) == (Decimal(2), Decimal(5))
    assert Rate(Decimal(-1)).most(5) == 0


def test_a_call_costs_at_most_each_token_at_its_dearest() -> None:
    assert PARTS.most(1000, 100) == (1000 * 4 + 100 * 20) / 1_000_000 + 0.5
    assert PARTS.most(200_001, 100) == (200_001 * 9 + 100 * 20) / 1_000_000 + 0.5
    plain = Rates(Rate(Decimal(3)), Rate(Decimal(15)))
    assert plain.most(1000, 100) == (1000 * 3 + 100 * 15) / 1_000_000
    assert plain.most(0, 0) == 0.0


def test_calls_together_cost_as_if_all_were_alike() -> None:
    assert PARTS.cost(Usage(300_000, 30), calls=3) == (300_000 * 3 + 30 * 15) / 1_000_000 + 3 * 0.5
    assert PARTS.cost(Usage(300_000, 30)) == (300_000 * 9 + 30 * 15) / 1_000_000 + 0.5


def test_each_part_of_a_call_costs_by_its_own_rate() -> None:
    usage = Usage(1000, 100, cached_input_tokens=200, cache_write_tokens=300, reasoning_tokens=40)
    dollars = 500 * 3 + 200 * 1 + 300 * 4 + 60 * 15 + 40 * 20
    assert PARTS.cost(usage) == dollars / 1_000_000 + 0.5
    one_rate = Rates(Rate(Decimal(3)), Rate(Decimal(15)))
    assert one_rate.cost(usage) == (1000 * 3 + 100 * 15) / 1_000_000


def test_configured_prices_are_exactly_those() -> None:
    set_rates = configured(
        Prices(input=0.1, output=0.4, cached_input=0.01, cache_write=0.2, request=0.003)
    )
    assert set_rates == Rates(
        Rate(Decimal("0.1")),
        Rate(Decimal("0.4")),
        Rate(Decimal("0.01")),
        Rate(Decimal("0.2")),
        request=Decimal("0.003"),
    )
    assert configured(Prices(input=1.0, output=2.0)) == Rates(Rate(Decimal(1)), Rate(Decimal(2)))


def their_prices(**known: Decimal) -> SimpleNamespace:
    names = ("input_mtok", "output_mtok", "requests_kcount", "cache_read_mtok", "cache_write_mtok")
    parts = dict.fromkeys((*names, "output_reasoning_mtok"))
    return SimpleNamespace(**(parts | known))


def test_a_model_has_a_price_as_soon_as_one_part_of_it_has() -> None:
    nothing = Rate(Decimal(0))
    assert _rates(their_prices()) is None
    assert _rates(their_prices(cache_read_mtok=Decimal(1))) is None
    assert _rates(their_prices(input_mtok=Decimal(1))) == Rates(Rate(Decimal(1)), nothing)
    assert _rates(their_prices(output_mtok=Decimal(1))) == Rates(nothing, Rate(Decimal(1)))
    by_request = _rates(their_prices(requests_kcount=Decimal(5)))
    assert by_request == Rates(nothing, nothing, request=Decimal("0.005"))


def test_rates_are_looked_up_once() -> None:
    assert found("openai", "gpt-4o") is found("openai", "gpt-4o")


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("xai/grok-4", "xai/grok-4"),
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        ("azure/gpt-4o", "azure/gpt-4o"),
    ],
)
def test_a_known_models_name_at_a_gateway_has_its_list_price(asked: str, listed: str) -> None:
    provider, name = split(asked, base_url="http://gateway.test/v1")
    assert name == asked
    assert rates_of(listed) is not None
    for one in (provider, "openai", "custom"):
        assert rates_of(f"{one}/{name}") == rates_of(listed)
        assert context_window(one, name) == context_window(*listed.split("/", 1))


@pytest.mark.parametrize(
    "name",
    [
        *("qwen3", "qwen/qwen3-32b", "deepseek-chat", "mistral/mistral-small-latest"),
        *("gpt-oss-120b", "mine", "vllm/gpt-4o"),
    ],
)
def test_what_anyone_may_serve_has_no_list_price_at_an_address_of_ones_own(name: str) -> None:
    provider, model = split(name, base_url="http://gateway.test/v1")
    assert rates_of(f"{provider}/{model}") is None
