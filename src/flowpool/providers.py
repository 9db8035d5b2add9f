"""The provider table: who serves which models, where, behind which key, in which dialect.

Data and two lookups over it. Knows no environment but the mapping it is given, and opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.values import UNIX, Endpoint, Headers, Secret, Tls

AuthStyle = Literal["bearer", "api-key", "x-api-key", "x-goog-api-key"]


class Provider(Struct, frozen=True, kw_only=True):
    """One row. `base_url` is what the provider's own client takes; empty when only the user knows it.

    key_names, url_names: environment variables, tried in order. prefixes: how the names of its models begin.
    needs_address: False where the any-llm package knows it. json_mode: "schema" takes a JSON
    Schema and plain JSON, "object" plain JSON alone, "schema-only" a schema alone. documents: how a PDF goes
    into a chat message: its data as a "file", its data or address as one ("file_url"), or Mistral's
    "document_url". price_list: its name in genai-prices; empty where that has no prices for it, as for one's own
    servers.
    """

    name: str
    wire: str = "openai-chat"
    base_url: str = ""
    key_names: tuple[str, ...] = ()
    url_names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    auth: AuthStyle = "bearer"
    needs_key: bool = True
    needs_address: bool = True
    json_mode: Literal["schema", "object", "schema-only"] = "schema"
    max_tokens_name: str = "max_tokens"
    documents: Literal["file", "file_url", "document_url"] = "file"
    price_list: str = ""


_OPENAI_KEY = ("OPENAI_API_KEY",)
_OPENAI_URL = ("OPENAI_BASE_URL",)

_ROWS = (
    Provider(
        name="openai",
        price_list="openai",
        base_url="https://api.openai.com/v1",
        key_names=_OPENAI_KEY,
        url_names=_OPENAI_URL,
        prefixes=("gpt-", "o1-", "o3-", "o4-", "chatgpt-", "codex-"),
        max_tokens_name="max_completion_tokens",
    ),
    Provider(
        name="openai-responses",
        price_list="openai",
        wire="openai-responses",
        base_url="https://api.openai.com/v1",
        key_names=_OPENAI_KEY,
        url_names=_OPENAI_URL,
    ),
    Provider(
        name="anthropic",
        price_list="anthropic",
        wire="anthropic",
        base_url="https://api.anthropic.com",
        key_names=("ANTHROPIC_API_KEY",),
        url_names=("ANTHROPIC_BASE_URL",),
        prefixes=("claude-",),
        auth="x-api-key",
    ),
    Provider(
        name="google",
        price_list="google",
        wire="gemini",
        base_url="https://generativelanguage.googleapis.com",
        key_names=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        url_names=("GOOGLE_GEMINI_BASE_URL",),
        prefixes=("gemini-",),
        auth="x-goog-api-key",
    ),
    Provider(
        name="azure",
        price_list="azure",
        key_names=("AZURE_OPENAI_API_KEY",),
        url_names=("AZURE_OPENAI_ENDPOINT",),
        auth="api-key",
        max_tokens_name="max_completion_tokens",
    ),
    Provider(
        name="mistral",
        price_list="mistral",
        base_url="https://api.mistral.ai/v1",
        key_names=("MISTRAL_API_KEY",),
        prefixes=(
            *("mistral-", "ministral-", "codestral-", "magistral-", "devstral-"),
            *("pixtral-", "voxtral-", "open-mistral-", "open-mixtral-"),
        ),
        documents="document_url",
    ),
    Provider(
        name="deepseek",
        price_list="deepseek",
        base_url="https://api.deepseek.com/v1",
        key_names=("DEEPSEEK_API_KEY",),
        prefixes=("deepseek-",),
        json_mode="object",
    ),
    Provider(
        name="xai",
        price_list="x-ai",
        base_url="https://api.x.ai/v1",
        key_names=("XAI_API_KEY",),
        prefixes=("grok-",),
    ),
    Provider(
        name="groq",
        price_list="groq",
        base_url="https://api.groq.com/openai/v1",
        key_names=("GROQ_API_KEY",),
    ),
    Provider(
        name="together",
        price_list="together",
        base_url="https://api.together.xyz/v1",
        key_names=("TOGETHER_API_KEY",),
    ),
    Provider(
        name="openrouter",
        price_list="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_names=("OPENROUTER_API_KEY",),
        documents="file_url",
    ),
    Provider(
        name="perplexity",
        price_list="perplexity",
        base_url="https://api.perplexity.ai",
        key_names=("PERPLEXITY_API_KEY",),
        prefixes=("sonar-",),
        json_mode="schema-only",
    ),
    Provider(
        name="fireworks",
        price_list="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_names=("FIREWORKS_API_KEY",),
        prefixes=("accounts/fireworks/",),
    ),
    Provider(
        name="cerebras",
        price_list="cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_names=("CEREBRAS_API_KEY",),
    ),
    Provider(
        name="moonshot",
        price_list="moonshotai",
        base_url="https://api.moonshot.ai/v1",
        key_names=("MOONSHOT_API_KEY",),
        prefixes=("kimi-", "moonshot-"),
        json_mode="object",
    ),
    Provider(
        name="qwen",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_names=("DASHSCOPE_API_KEY",),
        prefixes=("qwen", "qwq-", "qvq-"),
        json_mode="object",
    ),
    Provider(
        name="zai",
        price_list="zai",
        base_url="https://api.z.ai/api/paas/v4",
        key_names=("ZAI_API_KEY",),
        prefixes=("glm-",),
        json_mode="object",
    ),
    Provider(
        name="cohere",
        price_list="cohere",
        wire="cohere",
        base_url="https://api.cohere.com",
        key_names=("CO_API_KEY", "COHERE_API_KEY"),
        url_names=("CO_API_URL",),
        prefixes=("command-",),
    ),
    Provider(name="vllm", base_url="http://localhost:8000/v1", needs_key=False),
    Provider(name="sglang", base_url="http://localhost:30000/v1", needs_key=False),
    Provider(
        name="ollama",
        base_url="http://localhost:11434/v1",
        url_names=("OLLAMA_HOST",),
        needs_key=False,
    ),
    Provider(
        name="lmstudio",
        base_url="http://localhost:1234/v1",
        needs_key=False,
        json_mode="schema-only",
    ),
    Provider(name="any-llm", wire="any-llm", needs_key=False, needs_address=False),
    Provider(name="custom", needs_key=False),
)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({row.name: row for row in _ROWS})

_ALIASES = {
    "claude": "anthropic",
    "gemini": "google",
    "x-ai": "xai",
    "grok": "xai",
    "kimi": "moonshot",
    "moonshotai": "moonshot",
    "dashscope": "qwen",
    "z-ai": "zai",
    "lm-studio": "lmstudio",
}
_ANY_LLM = "any-llm:"
# Named like an owner's models, but served by others.
_SERVED_ELSEWHERE = ("gpt-oss",)
# Whose models nobody serves but them and what stands in for them.
_CLOSED = frozenset({"openai", "anthropic", "google", "xai", "perplexity"})
# As whom gateways are asked, whatever models they have.
_AT_GATEWAYS = frozenset({"custom", "openai", "openai-responses"})
_HOSTS = {urlsplit(row.base_url).hostname: row.name for row in reversed(_ROWS) if row.needs_key} | {
    "dashscope.aliyuncs.com": "qwen"
}
_AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
# What each wire's calls add to a base URL, which people paste with it.
_CALLS = {
    "openai-chat": "/chat/completions",
    "openai-responses": "/responses",
    "anthropic": "/v1/messages",
    "cohere": "/v2/chat",
}
# Wires whose base URL has the API's version in it.
_VERSIONED = ("openai-chat", "openai-responses")
# Ollama's own, which its addresses leave out.
_OLLAMA_PORT = 11434
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
_KEY_IN_QUERY = re.compile(r"(^|[^a-z])(key|apikey|token|secret|password|sig|signature|auth)$")
_HEADER_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade"})


# Whose model is it?


def split(name: str, provider: str | None = None, base_url: str | None = None) -> tuple[str, str]:
    """Whose model `name` is, and what that provider calls it.

    `provider` wins; then the host of `base_url`, a `"provider/name"`, and the name's prefix. At a `base_url` of
    one's own the name stays whole, and is asked for by OpenAI's chat completions, which gateways speak: as
    `"openai"`, with its key, where the name is one of OpenAI's own models, else as `"custom"`, without a key.

    Raises InvalidInput, with near matches, when the provider isn't known.

        >>> split("claude-haiku-4-5")
        ('anthropic', 'claude-haiku-4-5')
        >>> split("openrouter/meta-llama/llama-3-70b")
        ('openrouter', 'meta-llama/llama-3-70b')
        >>> split("qwen3", base_url="http://localhost:8000/v1")
        ('custom', 'qwen3')
        >>> split("any-llm:bedrock/us.amazon.nova-lite-v1:0")
        ('any-llm', 'bedrock/us.amazon.nova-lite-v1:0')
    """
    if not name or not name.isprintable() or " " in name:
        raise InvalidInput(f'model {name!r}: give a name such as "gpt-5-mini" or "groq/llama-4".')
    if provider is not None:
        return known(provider), name
    if name.startswith(_ANY_LLM):
        return "any-llm", _behind_any_llm(name)
    if base_url is not None:
        return _split_at(name, base_url)
    head, slash, rest = name.partition("/")
    row = _row(head) if slash else None
    if row is not None and rest:
        return row.name, _within(row, name, rest)
    owner = _owner(name)
    if owner is not None:
        return owner.name, name
    raise InvalidInput(_unknown_model(name))


def _behind_any_llm(name: str) -> str:
    head, slash, rest = name.removeprefix(_ANY_LLM).partition("/")
    if not (head and rest):
        raise InvalidInput(f'model {name!r}: write it as "any-llm:provider/model".')
    return head + slash + rest


def served_by(provider: str, model: str) -> tuple[str, str]:
    """Who answers, and what it calls the model: the same, but for a provider behind the any-llm package.

    >>> served_by("any-llm", "bedrock/us.amazon.nova-lite-v1:0")
    ('bedrock', 'us.amazon.nova-lite-v1:0')
    """
    if provider != "any-llm":
        return provider, model
    behind, _, name = model.partition("/")
    return behind, name


def listed_as(provider: str, model: str) -> tuple[str, str]:
    """By whose price list a model is counted, and what it is called there.

    A gateway that speaks OpenAI's API is taken to ask what the maker of a closed model does, or the provider
    whose name stands before the slash. What a model of open weights costs, which anyone may serve, only its server
    knows.

    >>> listed_as("custom", "claude-haiku-4-5"), listed_as("openai", "openai/gpt-5-mini")
    (('anthropic', 'claude-haiku-4-5'), ('openai', 'gpt-5-mini'))
    >>> listed_as("custom", "qwen3"), listed_as("custom", "qwen/qwen3")
    (('custom', 'qwen3'), ('custom', 'qwen/qwen3'))
    """
    if provider not in _AT_GATEWAYS:
        return served_by(provider, model)
    head, slash, rest = model.partition("/")
    row = _row(head) if slash and rest else None
    if row is not None and (not row.prefixes or (row.name in _CLOSED and _owner(rest) is row)):
        return row.name, _within(row, model, rest)
    owner = _owner(model)
    return (owner.name, model) if owner is not None and owner.name in _CLOSED else (provider, model)


def known(provider: str) -> str:
    """The table's name of a provider. Raises InvalidInput, with near matches, when it has none."""
    row = _row(provider)
    if row is None:
        near = _near(provider.lower(), [*PROVIDERS, *_ALIASES])
        raise InvalidInput(
            f"provider {provider!r} is unknown: {near or 'use ' + ', '.join(PROVIDERS)}."
        )
    return row.name


def _row(provider: str) -> Provider | None:
    lowered = provider.lower()
    return PROVIDERS.get(_ALIASES.get(lowered, lowered))


def _split_at(name: str, base_url: str) -> tuple[str, str]:
    """The same with a base_url, behind which almost any server may stand."""
    host = _at_host(base_url)
    head, slash, rest = name.partition("/")
    row = _row(head) if slash and rest else None
    if host is not None:
        served = PROVIDERS[host]
        return host, _within(served, name, rest) if row is served else name
    if row is not None and (not row.needs_key or row.name == "openai-responses"):
        return (
            row.name,
            rest,
        )  # no gateway's prefix: it says how to speak with a server of one's own
    openai = PROVIDERS["openai"]
    is_openais = _owner(rest if row is openai else name) is openai
    return ("openai" if is_openais else "custom"), name


def _at_host(base_url: str) -> str | None:
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return None
    return "azure" if host.endswith(_AZURE_HOSTS) else _HOSTS.get(host)


def _within(row: Provider, name: str, rest: str) -> str:
    """The provider's own name for `"provider/rest"`: OpenRouter's routers keep theirs in front."""
    return name if row.name == "openrouter" and "/" not in rest else rest


def _owner(name: str) -> Provider | None:
    """Whose models are named like this. `o3` and `sonar` count as `o3-` and `sonar-`."""
    lowered = f"{name.lower()}-"
    if lowered.startswith(_SERVED_ELSEWHERE):
        return None
    return next((row for row in _ROWS if row.prefixes and lowered.startswith(row.prefixes)), None)


def _near(word: str, candidates: list[str]) -> str:
    import difflib  # only when something is wrong

    found = difflib.get_close_matches(word, candidates, n=3, cutoff=0.6)
    return "did you mean " + " or ".join(f'"{match}"' for match in found) + "?" if found else ""


def _unknown_model(name: str) -> str:
    families = {prefix.strip("-"): prefix for row in _ROWS for prefix in row.prefixes}
    head = name.lower().partition("/")[0]
    near = _near(head.partition("-")[0], [*families]) if "/" not in name else ""
    near = near or _near(head, [*PROVIDERS])
    fix = f'write "provider/{name}", or pass provider= or base_url='
    return f"model {name!r} names no known provider: {near + ' Else ' if near else ''}{fix}."


# Where do its calls go?


def resolve(
    provider: str,
    base_url: str | None,
    api_key: str | Secret | None,
    environ: Mapping[str, str],
    extra_headers: Headers = (),
    *,
    tls: Tls = Tls(),  # noqa: B008 (frozen)
    trusted: bool = True,
) -> Endpoint:
    """The endpoint of a provider: what is given here wins over the environment, that over the table.

    A key is needed unless the server is one's own, `base_url` is another than the provider's, or
    `extra_headers`, which replace those of the wire, bring one. Where `base_url` isn't `trusted`, a key of the
    environment goes to the provider's own address alone, or to one that the environment names.

    Raises InvalidInput for an unknown provider, a missing or broken key, an address that can't be one, and
    headers that can't be sent; no message shows the key.

        >>> resolve("openai", None, "key", {}).base_url
        'https://api.openai.com/v1'
    """
    row = PROVIDERS[known(provider)]
    address = _address(row, base_url, environ)
    url = checked_url(address, row) if address else ""
    key = _key(row, api_key, environ)
    if base_url and not api_key and not trusted and not _is_own(row, url, environ):
        _refuse_address(row, url, key)
    headers = tuple(_checked_header(name, value) for name, value in extra_headers)
    at_home = url == row.base_url or row.name == "azure"
    if row.needs_key and at_home and not key and _KEY_HEADERS.isdisjoint(dict(headers)):
        names = " or ".join(row.key_names)
        raise InvalidInput(f"{row.name} needs a key: set {names}, or pass api_key=.")
    return Endpoint(row.name, row.wire, url, key, headers, tls)


def without_key(endpoint: Endpoint) -> str:
    """How to give an endpoint a key, where its calls bring none; empty where they do, or nobody can say.

    >>> without_key(resolve("openai", "http://gateway/v1", None, {}))
    'no key was sent: set OPENAI_API_KEY, or pass api_key='
    """
    row = PROVIDERS[endpoint.provider]
    if endpoint.key or not row.needs_address or any(map(_is_of_a_key, dict(endpoint.headers))):
        return ""
    if row.key_names:
        return f"no key was sent: set {' or '.join(row.key_names)}, or pass api_key="
    openai = 'provider="openai" (--provider openai), which sends OPENAI_API_KEY there'
    return f"no key was sent: pass api_key=, or {openai}"


def _is_of_a_key(header: str) -> bool:
    return any(part in header for part in ("auth", "key", "token", "cookie"))


def _address(row: Provider, base_url: str | None, environ: Mapping[str, str]) -> str:
    found = base_url or _first(row.url_names, environ) or row.base_url
    if not found and row.needs_address:
        names = "".join(f" or set {name}" for name in row.url_names)
        raise InvalidInput(f"{row.name} has no address of its own: pass base_url={names}.")
    return found.strip()


def _is_own(row: Provider, url: str, environ: Mapping[str, str]) -> bool:
    """Whether an address is the provider's own host, or the very one that the environment names."""
    parts = urlsplit(url)
    host = _HOSTS.get(parts.hostname or "")
    if host is not None and parts.scheme == "https" and parts.port in (None, 443):
        return PROVIDERS[host].key_names == row.key_names
    named = _first(row.url_names, environ).strip()
    return bool(named) and checked_url(named, row) == url


def _refuse_address(row: Provider, url: str, key: Secret) -> None:
    """Raises `InvalidInput` where an address that isn't trusted would be sent a key of the environment."""
    if not key and row.needs_address:
        return
    # The any-llm package looks for keys by itself.
    names = " or ".join(row.key_names) if key else "a key of the environment"
    other = f", or set {row.url_names[0]} to it" if row.url_names else ""
    raise InvalidInput(
        f"base_url {urlsplit(url).hostname} isn't {row.name}'s own address, so a file that isn't trusted sends "
        f"{names} nowhere else: load it with trusted=True (--trusted){other}."
    )


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name, "").strip()), "")


def _key(row: Provider, api_key: str | Secret | None, environ: Mapping[str, str]) -> Secret:
    given = api_key.reveal() if isinstance(api_key, Secret) else api_key
    source = "api_key" if given else " or ".join(row.key_names)
    key = (given or _first(row.key_names, environ)).strip()
    if not all("!" <= char <= "~" for char in key):
        raise InvalidInput(
            f"the key in {source} has a space, a line end or another odd character: copy it again."
        )
    return Secret(key)


def _checked_header(name: object, value: object) -> tuple[str, str]:
    """A header in the form it is sent in; its value may be a key, so no message shows it."""
    if not isinstance(name, str) or not _HEADER_NAME.issuperset(name.lower()) or not name:
        raise InvalidInput(f"header {name!r} can't be sent: use letters, digits and hyphens.")
    if name.lower() in _FRAMING:
        raise InvalidInput(f"header {name!r} can't be set: remove it, the connection makes it.")
    if not isinstance(value, str) or not all(" " <= char <= "~" for char in value):
        raise InvalidInput(f"the value of header {name!r} can't be sent: use printable ASCII text.")
    return name.lower(), value.strip()


def checked_url(url: str, row: Provider = PROVIDERS["custom"]) -> str:
    """A base URL in the form that the wires take, with what its provider's users leave out filled in.

    Raises InvalidInput when it is no http(s) address, or carries a password.
    """
    if row.name == "ollama":
        url = _ollama_url(url)
    parts = _split_url(url)
    whole = parts.path.rstrip("/")
    if row.name == "google":  # the same models are served in OpenAI's form, and in Google's own
        whole = whole.removesuffix("/chat/completions").removesuffix("/openai")
    path, is_whole = _without_call(parts._replace(path=whole), row)
    query = f"?{parts.query}" if parts.query else ""
    if row.name == "azure" and path in ("", "/openai"):
        path, query = "/openai/v1", ""  # which has no dated versions
    elif not path and not is_whole and row.wire in _VERSIONED:
        path = urlsplit(row.base_url).path.rstrip("/") if parts.hostname in _HOSTS else "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}{query}"


def _without_call(url: SplitResult, row: Provider) -> tuple[str, bool]:
    """An address's path without what a call adds to it, and whether that was there.

    Raises InvalidInput for the address of another API's call, with what would be called.
    """
    path = url.path
    for wire, ending in _CALLS.items():
        if path.endswith(ending):
            if wire == row.wire:
                return path.removesuffix(ending).rstrip("/"), True
            called = f"{url.scheme}://{url.netloc}{path}{_CALLS.get(row.wire, '')}"
            raise InvalidInput(
                f"base_url ends in {ending}, so that {called} would be called: end it before {ending}, or say "
                "whose API it is with provider=."
            )
    return path, False


def _split_url(url: str) -> SplitResult:
    example = 'write it like "https://host.example/v1"'
    try:
        parts = urlsplit(url)
        broken = parts.port == 0
    except ValueError:
        raise InvalidInput(f"base_url has a broken host or port: {example}.") from None
    if "@" in parts.netloc:
        raise InvalidInput("base_url holds a user or password: pass api_key= instead.")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _KEY_IN_QUERY.search(name.lower()):
            raise InvalidInput(
                f"base_url holds a key in its query ({name}=), which logs and files would show: pass api_key=, or "
                "client_options={'default_headers': {...}}."
            )
    if parts.scheme not in ("http", "https", UNIX) or not parts.hostname or broken:
        raise InvalidInput(f"base_url {url!r} is no http or https address: {example}.")
    if parts.fragment or not url.isascii() or any(char <= " " for char in url):
        raise InvalidInput(f"base_url {url!r} holds what an address can't: {example}.")
    return parts


def _ollama_url(url: str) -> str:
    """Ollama's forms of its host: `:11434`, `0.0.0.0`, `host:port`, a URL without a path."""
    if "://" not in url:
        host = url.rstrip("/")
        if host.startswith(":"):
            host = f"127.0.0.1{host}"
        parts = _split_url(f"http://{host}")
        url = parts.geturl() if parts.port else f"http://{parts.netloc}:{_OLLAMA_PORT}{parts.path}"
    parts = _split_url(url)
    # The address that a server listens on everywhere is none to connect to.
    netloc = (
        parts.netloc.replace("0.0.0.0", "127.0.0.1")
        if parts.hostname == "0.0.0.0"
        else parts.netloc
    )
    path = parts.path.rstrip("/") or "/v1"
    return parts._replace(netloc=netloc, path=path).geturl()
