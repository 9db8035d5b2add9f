"""The conventions' names: of providers, options and tokens."""

from __future__ import annotations

from flowpool.tracing import names
from flowpool.usage import Usage


def test_providers_have_the_conventions_names_or_their_own() -> None:
    assert names.provider_name("openai-responses") == "openai"
    assert names.provider_name("cohere") == "cohere"


def test_options_without_a_name_or_of_odd_kinds_are_left_out() -> None:
    found = names.option_attributes({"temperature": 0.5, "max_tokens": 5, "stop": "END", "odd": 1})
    assert sorted(map(str, found.values())) == ["0.5", "5", "['END']"]
    assert names.option_attributes({"temperature": "hot"}) == {}


def test_tokens_that_are_none_are_no_attributes() -> None:
    assert sorted(names.usage_attributes(Usage(3, 4)).values()) == [3, 4]
    assert names.usage_attributes(Usage()) == {}
