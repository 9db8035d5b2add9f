"""Whose a model is, and where its calls go."""

from __future__ import annotations

import pytest

from flowpool.errors import InvalidInput
from flowpool.providers import PROVIDERS, resolve, split
from flowpool.values import Secret
from flowpool.wire import WIRES

LOCAL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-5-mini", ("openai", "gpt-5-mini")),
        ("o3", ("openai", "o3")),
        ("o4-mini", ("openai", "o4-mini")),
        ("claude-haiku-4-5", ("anthropic", "claude-haiku-4-5")),
        ("command-a-03-2025", ("cohere", "command-a-03-2025")),
        ("Claude-Haiku-4-5", ("anthropic", "Claude-Haiku-4-5")),
        ("gemini-2.5-flash", ("google", "gemini-2.5-flash")),
        ("mistral-small-latest", ("mistral", "mistral-small-latest")),
        ("codestral-latest", ("mistral", "codestral-latest")),
        ("deepseek-chat", ("deepseek", "deepseek-chat")),
        ("grok-4", ("xai", "grok-4")),
        ("sonar", ("perplexity", "sonar")),
        ("sonar-pro", ("perplexity", "sonar-pro")),
        ("kimi-k2", ("moonshot", "kimi-k2")),
        ("qwen3-max", ("qwen", "qwen3-max")),
        ("glm-4.6", ("zai", "glm-4.6")),
        ("accounts/fireworks/models/a", ("fireworks", "accounts/fireworks/models/a")),
    ],
)
def test_a_names_prefix_tells_the_provider(name, expected) -> None:
    assert split(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("openai-responses/gpt-5", ("openai-responses", "gpt-5")),
        ("openrouter/meta-llama/llama-3", ("openrouter", "meta-llama/llama-3")),
        ("openrouter/auto", ("openrouter", "openrouter/auto")),
        ("groq/openai/gpt-oss-20b", ("groq", "openai/gpt-oss-20b")),
        ("GROQ/llama-4", ("groq", "llama-4")),
        ("gemini/gemini-2.5-flash", ("google", "gemini-2.5-flash")),
        ("x-ai/grok-4", ("xai", "grok-4")),
        ("ollama/llama3.2:3b", ("ollama", "llama3.2:3b")),
        ("azure/my-deployment", ("azure", "my-deployment")),
    ],
)
def test_the_part_before_the_slash_tells_the_provider(name, expected) -> None:
    assert split(name) == expected


def test_the_argument_wins_and_leaves_the_name_whole() -> None:
    assert split("gpt-4o", provider="openai-responses") == ("openai-responses", "gpt-4o")
    assert split("groq/compound", provider="groq") == ("groq", "groq/compound")
    assert split("claude-x", provider="Custom", base_url=LOCAL) == ("custom", "claude-x")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # An open model may be served by anyone, under any owner's name.
        ("qwen3", ("custom", "qwen3")),
        ("Qwen/Qwen3-8B", ("custom", "Qwen/Qwen3-8B")),
        ("openai/gpt-oss-20b", ("custom", "openai/gpt-oss-20b")),
        ("gpt-oss-20b", ("custom", "gpt-oss-20b")),
        ("google/gemma-3-27b-it", ("custom", "google/gemma-3-27b-it")),
        ("deepseek-r1", ("custom", "deepseek-r1")),
        ("anything", ("custom", "anything")),
        # A gateway names closed ones as it likes, and speaks OpenAI's API.
        ("claude-haiku-4-5", ("custom", "claude-haiku-4-5")),
        ("anthropic/claude-haiku-4-5", ("custom", "anthropic/claude-haiku-4-5")),
        ("openrouter/meta-llama/llama-4", ("custom", "openrouter/meta-llama/llama-4")),
        ("groq/llama-4", ("custom", "groq/llama-4")),
        ("gemini-2.5-flash", ("custom", "gemini-2.5-flash")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("openai/gpt-4o", ("openai", "openai/gpt-4o")),
        # Only the prefixes that no gateway has say whose API a server of one's own speaks.
        ("openai-responses/gpt-4o", ("openai-responses", "gpt-4o")),
        ("vllm/Qwen/Qwen3-8B", ("vllm", "Qwen/Qwen3-8B")),
    ],
)
def test_at_a_base_url_of_ones_own_the_name_stays_whole(name, expected) -> None:
    assert split(name, base_url=LOCAL) == expected


def test_a_known_host_tells_the_provider_and_keeps_foreign_names_whole() -> None:
    router = "https://openrouter.ai/api/v1"
    assert split("openai/gpt-4o", base_url=router) == ("openrouter", "openai/gpt-4o")
    assert split("claude-x", base_url=router) == ("openrouter", "claude-x")
    groq = "https://api.groq.com/openai/v1"
    assert split("groq/llama", base_url=groq) == ("groq", "llama")
    azure = "https://one.openai.azure.com"
    assert split("gpt-4o", base_url=azure) == ("azure", "gpt-4o")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cluade-haiku-4-5", 'did you mean "claude"'),
        ("gtp-4o", 'did you mean "gpt"'),
        ("grok1/llama-4", 'did you mean "groq"'),
        ("meta-llama/llama-3", 'write "provider/meta-llama/llama-3"'),
        ("", "give a name such as"),
        ("gpt 4o", "give a name such as"),
        ("gpt-4o\n", "give a name such as"),
        ("gpt-oss-20b", "pass provider= or base_url="),
        ("openai/", "names no known provider"),
    ],
)
def test_an_unknown_model_is_refused_in_one_line_with_the_fix(name, words) -> None:
    with pytest.raises(InvalidInput) as caught:
        split(name)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_unknown_provider_is_refused_with_near_matches() -> None:
    with pytest.raises(InvalidInput, match='did you mean "anthropic"'):
        split("x", provider="antropic")
    with pytest.raises(InvalidInput, match="use openai, openai-responses"):
        split("x", provider="zzz")


# Endpoints


def test_every_row_speaks_a_wire_and_resolves() -> None:
    for name, row in PROVIDERS.items():
        assert row.name == name
        assert row.wire in WIRES
        url = None if row.base_url or not row.needs_address else "https://example.com/v1"
        assert resolve(name, url, "k", {}).wire == row.wire
        assert row.needs_key == bool(row.key_names)


def test_the_argument_wins_over_the_environment_and_that_over_the_table() -> None:
    environ = {"OPENAI_BASE_URL": "https://env.example/v1/", "OPENAI_API_KEY": " from-env\n"}
    assert resolve("openai", LOCAL, "k", environ).base_url == LOCAL
    given = resolve("openai", None, None, environ)
    assert given.base_url == "https://env.example/v1"
    assert given.key == Secret("from-env")
    assert resolve("openai", None, Secret("mine"), environ).key == Secret("mine")
    empty = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "k"}
    assert resolve("openai", None, None, empty).base_url == "https://api.openai.com/v1"


def test_the_second_variable_of_a_key_counts_too() -> None:
    assert resolve("google", None, None, {"GOOGLE_API_KEY": "b"}).key == Secret("b")
    both = {"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}
    assert resolve("google", None, None, both).key == Secret("a")


def test_a_missing_key_names_the_variable_to_set() -> None:
    with pytest.raises(InvalidInput, match="set GEMINI_API_KEY or GOOGLE_API_KEY, or pass api_key"):
        resolve("google", None, None, {})
    with pytest.raises(InvalidInput, match="set AZURE_OPENAI_API_KEY"):
        resolve("azure", "https://one.openai.azure.com", None, {})


def test_ones_own_server_needs_no_key_and_gets_no_other_providers() -> None:
    environ = {"OPENAI_API_KEY": "key-canary", "DASHSCOPE_API_KEY": "key-canary"}
    for name in ("vllm", "sglang", "ollama", "lmstudio"):
        assert not resolve(name, None, None, environ).key
    assert not resolve("custom", LOCAL, None, environ).key
    assert not resolve("openai", LOCAL, None, {}).key


@pytest.mark.parametrize("key", ["key canary", "key\ncanary", "keÿ", "key\x00"])
def test_a_broken_key_is_refused_without_being_shown(key) -> None:
    for given, environ in ((key, {}), (None, {"OPENAI_API_KEY": key})):
        with pytest.raises(InvalidInput, match="copy it again") as caught:
            resolve("openai", None, given, environ)
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("localhost:11434", "http://localhost:11434/v1"),
        ("box", "http://box:11434/v1"),
        (":9999", "http://127.0.0.1:9999/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("https://ollama.example/", "https://ollama.example/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("[::1]:11434", "http://[::1]:11434/v1"),
    ],
)
def test_ollamas_forms_of_its_host_become_a_base_url(host, url) -> None:
    assert resolve("ollama", None, None, {"OLLAMA_HOST": host}).base_url == url


def test_azures_bare_resource_gets_its_path() -> None:
    for url in ("https://one.openai.azure.com", "https://one.openai.azure.com/openai/"):
        environ = {"AZURE_OPENAI_ENDPOINT": url}
        endpoint = resolve("azure", None, "k", environ)
        assert endpoint.base_url == "https://one.openai.azure.com/openai/v1"
    with pytest.raises(InvalidInput, match="pass base_url= or set AZURE_OPENAI_ENDPOINT"):
        resolve("azure", None, "k", {})
    with pytest.raises(InvalidInput, match="pass base_url="):
        resolve("custom", None, None, {})


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://example.com",
        "https://",
        "https://example.com:99999/v1",
        "https://[::1/v1",
        "https://user:secret-word@example.com/v1",
        "https://exa mple.com/v1",
        "https://example.com/v1#there",
        "https://exämple.com/v1",
        "https://example.com/\r\nx: y",
    ],
)
def test_an_address_that_cant_be_one_is_refused_without_its_password(url) -> None:
    with pytest.raises(InvalidInput, match="base_url") as caught:
        resolve("openai", url, "k", {})
    assert "secret-word" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_extra_headers_go_along_and_may_bring_the_key() -> None:
    endpoint = resolve("openai", None, None, {}, (("Authorization", "Basic key-canary"),))
    assert endpoint.headers == (("authorization", "Basic key-canary"),)
    assert "key-canary" not in repr(endpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Team", "one\r\nx-evil: 1"),
        ("X-Team", None),
        ("X Team", "one"),
        ("", "one"),
        ("Host", "example.com"),
        ("Content-Length", "5"),
    ],
)
def test_headers_that_cant_be_sent_are_refused(name, value) -> None:
    with pytest.raises(InvalidInput, match="header"):
        resolve("openai", None, "k", {}, ((name, value),))


@pytest.mark.parametrize(
    ("model", "pasted", "url"),
    [
        ("gpt-4o", "https://api.openai.com", "https://api.openai.com/v1"),
        ("gpt-4o", "https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("qwen3", "http://localhost:8000", "http://localhost:8000/v1"),
        ("qwen3", "http://localhost:8000/v1/chat/completions/", "http://localhost:8000/v1"),
        ("qwen3", "http://localhost:8000/chat/completions", "http://localhost:8000"),
        ("x", "https://openrouter.ai", "https://openrouter.ai/api/v1"),
        ("sonar", "https://api.perplexity.ai/chat/completions", "https://api.perplexity.ai"),
        ("claude-x", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com"),
        (
            "gpt-4o",
            "https://one.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "https://one.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
        ),
        (
            "gpt-4o",
            "https://one.openai.azure.com/?api-version=2024-10-21",
            "https://one.openai.azure.com/openai/v1",
        ),
        (
            "gemini-x",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
    ],
)
def test_an_address_is_understood_as_people_paste_it(model, pasted, url) -> None:
    provider, _ = split(model, base_url=pasted)
    assert resolve(provider, pasted, "k", {}).base_url == url


def test_the_address_of_another_apis_call_is_refused_with_what_would_be_called() -> None:
    with pytest.raises(
        InvalidInput, match=r"https://x.example/v1/responses/chat/completions would be called: end"
    ):
        resolve("custom", "https://x.example/v1/responses", None, {})
