"""A model: which provider, which of its models, with what options. Knows no environment: that is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpool import providers
from flowpool.errors import InvalidInput
from flowpool.values import Endpoint, Limits, Secret

_CLIENT_OPTIONS = ("api_key", "base_url", "default_headers", "max_retries", "timeout")


class Model:
    """A provider's model and how to call it.

    name: `"gpt-5-mini"`, `"claude-haiku-4-5"`, `"openrouter/meta-llama/llama-4"`; the provider comes from its
        prefix, from the part before the slash, or from `provider`.
    options: what every call asks for: `max_tokens`, `temperature`, `top_p`, `stop`, `seed`; other names go
        into the request as they stand.
    client_options: `base_url`, `api_key`, `timeout`, `max_retries`, `default_headers`, as that provider's own
        client takes them.
    api_key: the key; by default the provider's environment variable, read at the first call.
    provider: the provider's name, where the model's name doesn't tell it.
    base_url: another endpoint that speaks the provider's API, such as `"http://localhost:8000/v1"`.
    timeout: seconds for one attempt, connect to last byte. [600]
    retries: further attempts after the first, for what can be retried. [5]
    limits: ceilings that you know, as `Limits(rpm=..., tpm=...)`.

    Raises `InvalidInput` when no provider can be told from the name.

    >>> Model("claude-haiku-4-5", {"max_tokens": 200})
    Model('claude-haiku-4-5', provider='anthropic')
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
        api_key: str | Secret | None = None,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        client = dict(client_options or {})
        for unknown in client.keys() - set(_CLIENT_OPTIONS):
            raise InvalidInput(
                f"client_options[{unknown!r}] is not known: use one of {', '.join(_CLIENT_OPTIONS)}."
            )
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"Model({name!r}): name the model, such as Model('gpt-5-mini').")
        self.name = name
        self.options = dict(options or {})
        self.base_url: str | None = base_url or client.get("base_url")
        self.provider, self.model = providers.split(name, provider, self.base_url)
        self.timeout = timeout if timeout is not None else client.get("timeout")
        self.retries = retries if retries is not None else client.get("max_retries")
        self.limits = limits
        self._headers = tuple((client.get("default_headers") or {}).items())
        key = api_key or client.get("api_key")
        self._key = key if isinstance(key, Secret) or key is None else Secret(key)

    def __repr__(self) -> str:
        return f"Model({self.name!r}, provider={self.provider!r})"

    def endpoint(self, environ: Mapping[str, str]) -> Endpoint:
        """Where its calls go, with the key from `environ` if none was given; raises `InvalidInput`."""
        return providers.resolve(
            self.provider, self.base_url, self._key, environ, extra_headers=self._headers
        )
