"""Models of the any-llm package, as far as they need no package; tests/frameworks has the rest."""

from __future__ import annotations

import sys

import pytest

from flowpool import Model, Pool, Skill, prices
from flowpool.errors import InvalidInput


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "any_llm", None)
    skill = Skill(Model("any-llm:openai/gpt-5-mini", api_key="key-canary"), prompt="{text}")
    with pytest.raises(InvalidInput, match="pip install 'flowpool\\[any-llm\\]'"):
        Pool(skill, [{"text": "x"}]).run()


def test_a_name_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match='write it as "any-llm:provider/model"'):
        Model("any-llm:bedrock")


def test_models_keep_their_provider_in_names_prices_and_files() -> None:
    model = Model("any-llm:bedrock/anthropic.claude-haiku-4-5-20251001-v1:0")
    assert (model.provider, model.model.partition("/")[0]) == ("any-llm", "bedrock")
    assert prices.rates(model.provider, model.model) is not None
    assert prices.rates("any-llm", "nosuch/m") is None
    definition = Skill(model, prompt="x").definition()
    assert definition["model"] == model.name
