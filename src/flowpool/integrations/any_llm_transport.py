"""Carries calls to the any-llm package, as `transport` carries them over HTTP. The only module that knows it.

The package has its providers' own clients; an answer or failure comes back as the HTTP answer that it was made of,
so that the one table of failures judges it too. Must not know models' lanes or retries: the clients' own are off.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from flowpool.errors import AttemptTimeout, ConnectFailed, InvalidInput, TransportError
from flowpool.integrations.failures import causes, lost, response_of
from flowpool.masking import Mask
from flowpool.per_loop import PerLoop
from flowpool.values import Headers, HttpRequest, HttpResponse, Timeouts
from flowpool.wire.any_llm import BASE, KEY, SCHEME
from flowpool.wire.error_body import one_line


class AnyLlmTransport:
    """Carries requests to any-llm's providers. Belongs to the event loop that it is first used on.

    environ: where a provider's key is looked up that must not stand in a failure's words. Default: the process's.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._clients: dict[tuple[str, Headers], Any] = {}

    def open(self, request: HttpRequest) -> Any:
        """The provider's client; raises `InvalidInput` for a missing package, provider or key."""
        client = self._clients.get((request.url, request.headers))
        if client is None:
            client = _made(request)
            self._clients[request.url, request.headers] = client
        return client

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """The answer as a chat completion, or the failed answer that the provider's client met.

        `timeouts.total` are seconds for all. Raises a `TransportError` when there was no answer.
        """
        client = self.open(request)
        body = msgspec.json.decode(request.body)
        limit = asyncio.timeout(timeouts.total)
        try:
            async with limit:
                answer = await client.acompletion(**body)
        except TimeoutError:
            raise AttemptTimeout(f"no answer within {timeouts.total:g} s") from None
        except Exception as error:
            failure = _failure(error, self._mask(client, request))
        else:
            body = answer.model_dump_json(warnings="none").encode()
            return self._mask(client, request).answer(HttpResponse(200, {}, body))
        # Outside of the except, so that no traceback leads to the client and its key.
        if isinstance(failure, TransportError):
            raise failure
        return failure

    async def aclose(self) -> None:
        """Closes every client that can be closed."""
        for made in self._clients.values():
            inner = getattr(made, "client", None)
            close = getattr(inner, "close", None) or getattr(inner, "aclose", None)
            with suppress(Exception):
                if close is not None and asyncio.iscoroutine(closing := close()):
                    await closing
        self._clients.clear()

    def _mask(self, client: Any, request: HttpRequest) -> Mask:
        """Of keys, which some providers repeat in their words."""
        name = str(getattr(client, "ENV_API_KEY_NAME", ""))
        return Mask((_given(request, KEY) or "", self._environ.get(name, "")))


def _given(request: HttpRequest, name: str) -> str | None:
    return dict(request.headers).get(name)


def _made(request: HttpRequest) -> Any:
    provider = request.url.removeprefix(SCHEME)
    try:
        from any_llm import AnyLLM
        from any_llm.exceptions import MissingApiKeyError, UnsupportedProviderError
    except ImportError:
        raise InvalidInput(
            "any-llm isn't installed: install it with pip install 'flowpool[any-llm]'."
        ) from None
    try:
        kind = AnyLLM.get_provider_class(provider)
        settings: dict[str, Any] = {"unified_exceptions": True}  # the others are deprecated there
        if kind.MAX_RETRIES_SUPPORT != "unsupported":
            settings["max_retries"] = 0  # a lane must see each 429
        return AnyLLM.create(provider, _given(request, KEY), _given(request, BASE), **settings)
    except UnsupportedProviderError:
        known = ", ".join(AnyLLM.get_supported_providers())
        raise InvalidInput(f"any-llm has no provider {provider!r}: it knows {known}.") from None
    except MissingApiKeyError as error:
        raise InvalidInput(f"any-llm:{provider} needs a key: {one_line(str(error))}") from None
    except ImportError:
        raise InvalidInput(
            f"any-llm:{provider} needs a package of its provider: "
            f"install it with pip install 'any-llm-sdk[{provider}]'."
        ) from None


def _failure(error: Exception, mask: Mask) -> HttpResponse | TransportError:
    """What the provider's client raised, as the answer it met or the way it was lost."""
    for cause in causes(getattr(error, "original_exception", None) or error):
        if (response := response_of(cause)) is not None:
            return mask.failure(response)
        if isinstance(gone := lost(cause), TransportError):
            words = one_line(mask.text(gone.message))
            return (
                AttemptTimeout(words) if isinstance(gone, AttemptTimeout) else ConnectFailed(words)
            )
    # It never came to a request: an option that the provider doesn't have, say.
    said = one_line(mask.text(f"{type(error).__name__}: {error}"))
    return HttpResponse(400, {}, msgspec.json.encode({"error": {"message": said}}))


_SHARED: PerLoop[AnyLlmTransport] = PerLoop(AnyLlmTransport)


def shared() -> AnyLlmTransport:
    """The running event loop's transport, made at the first call and closed when the loop shuts down."""
    return _SHARED.get()
