"""A model: which provider, which of its models, with what options. Knows no environment: that is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowpool import providers
from flowpool.call_options import check_options
from flowpool.errors import InvalidInput
from flowpool.folders import local_path
from flowpool.sealed import Sealed
from flowpool.values import Endpoint, Limits, Prices, Secret, Tls

# Options that would be sent and mean nothing there, or replace what a call is made of.
_OF_THE_MODEL = frozenset({"timeout", "retries", "base_url", "provider", "limits", "prices"})
_OF_THE_PROMPT = frozenset({"messages", "contents"})
# What providers call the number of answers to a call.
_ANSWERS = frozenset({"n", "best_of", "candidateCount", "candidate_count", "num_generations"})
_CLIENT_OPTIONS = (
    *("api_key", "base_url", "ca_file", "client_cert", "default_headers", "max_retries", "timeout"),
    "verify",
)


class Model(Sealed):
    """A provider's model and how to call it.

    name: `"gpt-5-mini"`, `"claude-haiku-4-5"`, `"openrouter/meta-llama/llama-4"`; the provider comes from its
        prefix, from the part before the slash, or from `provider`.
    options: what every call asks for: `max_tokens`, `temperature`, `top_p`, `stop`, `seed`; other names go
        into the request as they stand, unless they are nearly one of these.
    client_options: `base_url`, `api_key`, `timeout`, `max_retries`, `default_headers`, as that provider's own
        client takes them; of TLS `ca_file`, a PEM file of further certificate authorities, `client_cert`, a PEM
        file or two, (certificate, key), and `verify`, where False trusts any certificate.
    api_key: the key; by default the provider's environment variable, read at the first call.
    provider: the provider's name, where the model's name doesn't tell it.
    base_url: another endpoint that speaks the provider's API, such as `"http://localhost:8000/v1"`; of a Unix
        socket `"http+unix://%2Ftmp%2Fvllm.sock/v1"`.
    timeout: seconds for one attempt, connect to last byte. [600]
    retries: further attempts after the first, for what can be retried. [5]
    limits: ceilings that you know, as `Limits(rpm=..., tpm=...)`.
    prices: what it costs, as `Prices(input=..., output=...)`, where the price list doesn't know it.
    trusted: False where its settings come from a file that isn't trusted: a key of the environment goes to the
        provider's own address alone then, or to one that the environment names.

    Raises `InvalidInput` when the name doesn't say the provider, and for settings that can't work.

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
        prices: Prices | None = None,
        trusted: bool = True,
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"Model({name!r}): name the model, such as Model('gpt-5-mini').")
        client = checked_mapping(client_options, "client_options")
        for unknown in client.keys() - set(_CLIENT_OPTIONS):
            raise InvalidInput(
                f"client_options[{unknown!r}] is not known: use one of {', '.join(_CLIENT_OPTIONS)}."
            )
        self.name = name
        self.options = checked_options(options)
        self.base_url: str | None = base_url or client.get("base_url")
        _check_texts(provider=provider, base_url=self.base_url)
        self.provider, self.model = providers.split(name, provider, self.base_url)
        if self.base_url:
            providers.checked_url(self.base_url, providers.PROVIDERS[self.provider])
        self.timeout = timeout if timeout is not None else client.get("timeout")
        self.retries = retries if retries is not None else client.get("max_retries")
        check_times(self.timeout, self.retries)
        _check_known(limits, prices)
        self.limits = limits
        self.prices = prices
        headers = checked_mapping(client.get("default_headers"), "default_headers")
        self._headers = tuple(headers.items())
        self._tls = _tls(client)
        self._key = _secret(api_key or client.get("api_key"))
        self._trusted = trusted
        self._seal(Model)

    def __repr__(self) -> str:
        return f"Model({self.name!r}, provider={self.provider!r})"

    def __getstate__(self) -> dict[str, Any]:
        if self._headers:
            raise TypeError(
                "default_headers may hold a key and can't be pickled: make the Model there"
            )
        return self.__dict__

    @property
    def identity(self) -> tuple[object, ...]:
        """Whose limits it shares, as far as that is known without an environment."""
        return (self.provider, self.base_url, self.model, self._key)

    def endpoint(self, environ: Mapping[str, str]) -> Endpoint:
        """Where its calls go, with the key from `environ` if none was given; raises `InvalidInput`."""
        try:
            return providers.resolve(
                self.provider,
                self.base_url,
                self._key,
                environ,
                extra_headers=self._headers,
                tls=self._tls,
                trusted=self._trusted,
            )
        except InvalidInput as error:
            # The frames below hold the environment, which trackers that keep variables would record.
            failure = error.with_traceback(None)
            del environ
        raise failure


class Spread:
    """Several models, keys or endpoints that serve one skill together: each call goes to whichever can take it now.

    models: each a `Model` or its name; each keeps to its own limits. When one is down, the others serve.

    >>> Spread(["gpt-5-mini", "claude-haiku-4-5"])
    Spread(gpt-5-mini, claude-haiku-4-5)
    """

    def __init__(self, models: Iterable[Model | str]) -> None:
        if isinstance(models, (str, Model)):
            raise InvalidInput(f"Spread({models!r}): pass a list of models.")
        self.models = tuple(Model(one) if isinstance(one, str) else one for one in models)
        if not self.models:
            raise InvalidInput("Spread([]): name at least one model.")
        for one in self.models:
            if not isinstance(one, Model):
                raise InvalidInput(f"Spread([{one!r}]): pass each as a Model or its name.")

    def __repr__(self) -> str:
        return f"Spread({', '.join(model.name for model in self.models)})"


def checked_mapping(value: Any, what: str) -> dict[str, Any]:
    """`value` as a dict, empty for None; raises `InvalidInput` for what has no names."""
    if value is not None and not isinstance(value, Mapping):
        raise InvalidInput(f"{what} is a dict of values by name, not {type(value).__name__}.")
    return dict(value or {})


def checked_options(options: Any) -> dict[str, Any]:
    """A call's options; raises `InvalidInput` for what can't be meant, and for a key, as they are saved."""
    checked = checked_mapping(options, "options")
    if "api_key" in checked:
        raise InvalidInput("options['api_key'] would be sent as text: pass Model(api_key=...).")
    for name in _OF_THE_MODEL & checked.keys():
        raise InvalidInput(
            f"options[{name!r}] would be sent to the provider: pass {name}= to Model(...)."
        )
    for name in _OF_THE_PROMPT & checked.keys():
        raise InvalidInput(f"options[{name!r}] would replace the prompt: leave it out.")
    config = checked.get("generationConfig")
    config = config if isinstance(config, Mapping) else {}
    check_options(checked)
    check_options(config)
    for name, value in (*checked.items(), *config.items()):
        if name in _ANSWERS and value not in (None, 1):
            raise InvalidInput(
                f"{name}={value!r} is paid {value} times, and one answer is read: leave it out, and ask again "
                "with further items, such as items * 3."
            )
    return checked


def check_times(timeout: Any, retries: Any, retry_delay: Any = None) -> None:
    """Raises `InvalidInput` for seconds or attempts that can't be."""
    if timeout is not None and not (_is_number(timeout) and timeout > 0):
        raise InvalidInput(f"timeout={timeout!r}: use seconds above 0.")
    if retries is not None and not is_count(retries):
        raise InvalidInput(f"retries={retries!r}: use 0 or more.")
    if retry_delay is not None and not (_is_number(retry_delay) and retry_delay >= 0):
        raise InvalidInput(f"retry_delay={retry_delay!r}: use seconds, 0 or more.")


def is_count(value: Any) -> bool:
    """Whether it is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_known(limits: Any, prices: Any) -> None:
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidInput(f"limits={limits!r}: use Limits(rpm=..., tpm=..., concurrent=...).")
    if prices is not None and not isinstance(prices, Prices):
        raise InvalidInput(f"prices={prices!r}: use Prices(input=..., output=...).")


def _check_texts(**values: Any) -> None:
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{name} is text, not {type(value).__name__}.")


def _tls(client: Mapping[str, Any]) -> Tls:
    """What the client's options say of TLS."""
    verify, cert, ca_file = (
        client.get("verify", True),
        client.get("client_cert"),
        client.get("ca_file"),
    )
    if not isinstance(verify, bool):
        raise InvalidInput(f"verify={verify!r}: use True or False; a CA's file is ca_file.")
    files = tuple(cert) if isinstance(cert, (tuple, list)) else (cert,) if cert else ()
    for one in (*files, *((ca_file,) if ca_file else ())):
        if not isinstance(one, (str, Path)):
            raise InvalidInput(f"{one!r} is no path of a PEM file.")
    if len(files) > 2:
        raise InvalidInput("client_cert: give a PEM file, or two: (certificate, key).")
    found = [str(local_path(one)) for one in files]
    return Tls(str(local_path(ca_file)) if ca_file else None, tuple(found), verify)


def _secret(key: Any) -> Secret | None:
    if key is None or isinstance(key, Secret):
        return key
    if not isinstance(key, str):
        raise InvalidInput(f"api_key is text, not {type(key).__name__}.")
    return Secret(key)
