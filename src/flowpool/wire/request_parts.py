"""What the wires share in making requests: headers, addresses, and JSON that can be encoded.

Knows no provider's body. Headers are made once for an endpoint, so that all its calls share one tuple.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import quote

from msgspec import Struct, json

from flowpool.errors import InvalidInput
from flowpool.providers import PROVIDERS, AuthStyle, Provider
from flowpool.values import Call, Endpoint, Headers, Media, Text

_encoder = json.Encoder()

_AUTH: dict[AuthStyle, tuple[str, str]] = {
    # style: (header, what stands before the key)
    "bearer": ("authorization", "Bearer "),
    "api-key": ("api-key", ""),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}
_NOT_HERE = {
    "stream": "answers are read whole: remove stream from the model's options",
    "background": "answers are awaited: remove background from the model's options",
}


class Target(Struct, frozen=True):
    """Where an endpoint's requests go, and with which headers: made once, and shared by all its calls."""

    url: str
    headers: Headers

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url})"  # a traceback's locals show no key


def row_of(endpoint: Endpoint) -> Provider:
    """The table's row for an endpoint; a provider that isn't in it speaks plain `endpoint.wire`."""
    return PROVIDERS.get(endpoint.provider, PROVIDERS["custom"])


def headers_for(endpoint: Endpoint, *extra: tuple[str, str], auth: AuthStyle = "bearer") -> Headers:
    """An endpoint's request headers. Its own ones replace those made here.

    extra: what the wire sends with every request. auth: how its key is sent, where the provider table doesn't
    say otherwise.
    """
    made = {"content-type": "application/json", "accept": "application/json"}
    if endpoint.key:
        row = row_of(endpoint)
        style = row.auth if row.wire == endpoint.wire else auth
        name, before = _AUTH[style]
        made[name] = before + endpoint.key.reveal()
    made.update(extra)
    made.update((name.lower(), value) for name, value in endpoint.headers)
    return tuple(made.items())


def join(base_url: str, path: str) -> str:
    """`base_url` with `path` at its end, in front of its query if it has one."""
    base, mark, query = base_url.partition("?")
    return base.rstrip("/") + path + mark + query


def unversioned(base_url: str, version: str) -> str:
    """`base_url` without the version that the wire's path begins with: both forms are in use."""
    base, mark, query = base_url.partition("?")
    return base.rstrip("/").removesuffix(version) + mark + query


def quoted(model: str) -> str:
    return quote(model, safe="/-._~:@")


def encode(body: dict[str, Any], call: Call, *, says_stream: bool = False) -> bytes:
    """The body as JSON. says_stream: for servers that stream unless the body says not to.

    Raises InvalidInput when a text or an option can't be written as JSON, or asks for another way of
    answering.
    """
    for name, why in _NOT_HERE.items():
        if body.get(name):
            raise InvalidInput(f"{name}={body[name]!r}: {why}.")
    if says_stream:
        body["stream"] = False
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:
        raise InvalidInput(
            "a message holds half a character (a lone surrogate): "
            'clean it with text.encode("utf-8", "replace").decode().'
        ) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        bad = [name for name, value in call.options.items() if not _encodes(value)]
        what = f"option {bad[0]!r}" if bad else "the call"
        raise InvalidInput(f"{what} can't be written as JSON: {error}.") from None


def _encodes(value: object) -> bool:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def add_options(body: dict[str, Any], call: Call, names: dict[str, str]) -> None:
    """Puts the call's options into the body: neutral names as the wire's, others as they stand."""
    for name, value in call.options.items():
        if value is not None:
            body[names.get(name, name)] = value


def as_list(value: object) -> list[object]:
    """A stop option as the list that most wires want."""
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def system_parts(call: Call, *more: str) -> list[str]:
    """The texts of all system messages, and `more`. Raises InvalidInput when one isn't text."""
    texts = []
    for message in call.messages:
        if message.role == "system":
            for part in message.parts:
                if not isinstance(part, Text):
                    raise InvalidInput(
                        f"a system message can't hold {part.media_type}: put it into a user message."
                    )
                texts.append(part.text)
    return texts + [text for text in more if text]


def need_user_message(call: Call) -> None:
    if all(message.role == "system" for message in call.messages):
        raise InvalidInput("the call has no user message: add one, this provider needs it.")


def data_url(media: Media) -> str:
    return f"data:{media.media_type};base64,{media.data}"


def unsupported(media: Media, wire: str, fix: str) -> InvalidInput:
    how = "url" if media.url else "data"
    return InvalidInput(f"{wire} takes no {media.media_type or 'media'} by {how}: {fix}.")


def inline_text(media: Media) -> str:
    """The words of a text/* document that was given as base64."""
    try:
        return base64.b64decode(media.data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidInput(
            f"a {media.media_type} document isn't UTF-8 in base64: encode it so, or pass it as text."
        ) from None
