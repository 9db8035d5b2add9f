from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from flowpool import Limits, Model
from flowpool.errors import InvalidInput
from flowpool.values import Secret


@pytest.mark.parametrize(
    ("name", "given", "provider", "model"),
    [
        ("gpt-5-mini", {}, "openai", "gpt-5-mini"),
        ("claude-haiku-4-5", {}, "anthropic", "claude-haiku-4-5"),
        ("gemini-2.5-flash", {}, "google", "gemini-2.5-flash"),
        ("groq/llama-4", {}, "groq", "llama-4"),
        ("gpt-5-mini", {"provider": "openai-responses"}, "openai-responses", "gpt-5-mini"),
        ("qwen3", {"base_url": "http://localhost:8000/v1"}, "custom", "qwen3"),
        ("qwen3", {"client_options": {"base_url": "http://localhost:8000/v1"}}, "custom", "qwen3"),
    ],
)
def test_the_provider_comes_from_the_name_or_the_argument(
    name: str, given: dict, provider: str, model: str
) -> None:
    found = Model(name, **given)
    assert (found.provider, found.model) == (provider, model)


def test_the_arguments_of_aichain_keep_their_places() -> None:
    client = {"base_url": "http://127.0.0.1:9/v1", "timeout": 5, "max_retries": 1}
    model = Model("gpt-5-mini", {"temperature": 0}, client, "key-canary")
    assert model.options == {"temperature": 0}
    assert (model.base_url, model.timeout, model.retries) == ("http://127.0.0.1:9/v1", 5, 1)
    assert model.endpoint({}).key.reveal() == "key-canary"


def test_key_and_address_come_from_the_environment_when_not_given() -> None:
    environ = {"OPENAI_API_KEY": "key-canary", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    endpoint = Model("gpt-5-mini").endpoint(environ)
    assert (endpoint.base_url, endpoint.key) == ("http://127.0.0.1:9/v1", Secret("key-canary"))


def test_default_headers_reach_the_endpoint() -> None:
    model = Model("gpt-5-mini", None, {"default_headers": {"X-Team": "blue"}}, "key-canary")
    assert model.endpoint({}).headers == (("x-team", "blue"),)


def test_the_callers_options_are_not_shared() -> None:
    options = {"temperature": 0}
    model = Model("gpt-5-mini", options)
    options["temperature"] = 1
    assert model.options == {"temperature": 0}


BAD: list[tuple[tuple, dict[str, Any], str]] = [
    (("",), {}, "name the model"),
    ((None,), {}, "name the model, such as Model('gpt-5-mini')"),
    (("no-such-model",), {}, "'no-such-model' names no known provider"),
    (("gpt-5", None), {"provider": "opnai"}, 'did you mean "openai"'),
    (("gpt-5",), {"provider": 5}, "provider is text, not int"),
    (("gpt-5", 5), {}, "options is a dict of values by name, not int"),
    (("gpt-5", [("a", 1)]), {}, "options is a dict"),
    (("gpt-5", {"api_key": "k"}), {}, "pass Model(api_key=...)"),
    (("gpt-5", None, {"base_ulr": "x"}), {}, "client_options['base_ulr'] is not known: use one of"),
    (("gpt-5", None, "x"), {}, "client_options is a dict"),
    (("gpt-5", None, {"default_headers": "x"}), {}, "default_headers is a dict"),
    (("gpt-5", None, None, 5), {}, "api_key is text, not int"),
    (("gpt-5",), {"base_url": 5}, "base_url is text, not int"),
    (("gpt-5",), {"base_url": "localhost:8000/v1"}, "no http or https address"),
    (("gpt-5",), {"base_url": "http://user:word@host/v1"}, "pass api_key= instead"),
    (("gpt-5",), {"timeout": 0}, "timeout=0: use seconds above 0"),
    (("gpt-5",), {"timeout": float("nan")}, "timeout=nan"),
    (("gpt-5",), {"timeout": "30"}, "timeout='30'"),
    (("gpt-5",), {"retries": -1}, "retries=-1: use 0 or more"),
    (("gpt-5", None, {"max_retries": 1.5}), {}, "retries=1.5"),
    (("gpt-5",), {"limits": {"rpm": 5}}, "use Limits(rpm="),
]


@pytest.mark.parametrize(("args", "named", "says"), BAD, ids=[says for *_, says in BAD])
def test_what_cannot_work_is_refused_in_one_line(args: tuple, named: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)) as caught:
        Model(*args, **named)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"rpm": 0}, "Limits(rpm=0): use a number above 0, or None for no limit."),
        ({"tpm": -5}, "Limits(tpm=-5)"),
        ({"input_tpm": float("nan")}, "Limits(input_tpm=nan)"),
        ({"output_tpm": "9"}, "Limits(output_tpm='9')"),
        ({"concurrent": 0}, "Limits(concurrent=0): use 1 or more"),
        ({"concurrent": 2.5}, "Limits(concurrent=2.5): use 1 or more"),
    ],
)
def test_limits_that_nothing_passes_are_refused(limits: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        Limits(**limits)


def test_a_missing_key_names_the_variable_to_set() -> None:
    with pytest.raises(InvalidInput, match=r"set OPENAI_API_KEY, or pass api_key="):
        Model("gpt-5-mini").endpoint({})


def test_a_model_without_a_key_can_be_pickled() -> None:
    model = pickle.loads(pickle.dumps(Model("gpt-5-mini", {"seed": 1}, limits=Limits(rpm=9))))
    assert (model.options, model.limits, repr(model)) == (
        {"seed": 1},
        Limits(rpm=9),
        "Model('gpt-5-mini', provider='openai')",
    )


@pytest.mark.parametrize(
    ("given", "client"),
    [
        ({"base_url": "http://localhost:1/v1"}, {"base_url": "http://localhost:2/v1"}),
        ({"api_key": "one"}, {"api_key": "two"}),
        ({"timeout": 1}, {"timeout": 2}),
        ({"retries": 0}, {"max_retries": 1}),
    ],
)
def test_a_setting_that_the_clients_options_have_too_is_refused(
    given: dict[str, Any], client: dict[str, Any]
) -> None:
    said = f"{next(iter(given))}= and client_options['{next(iter(client))}'] are the same setting"
    with pytest.raises(InvalidInput, match=re.escape(said)):
        Model("gpt-5-mini", client_options=client, **given)
    same = {next(iter(client)): next(iter(given.values()))}
    assert Model("gpt-5-mini", client_options=same, **given)
