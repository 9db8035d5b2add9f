"""From a URL and headers to the bytes of a request's head. Pure: no sockets, no environment.

What could smuggle a second request or a header (line breaks, control characters) is refused here.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from flowpool.errors import InvalidInput
from flowpool.values import UNIX, Headers

_DEFAULT_PORT = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_IN_URL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_IN_HOST = re.compile(r"[^0-9a-z._:%-]")
_KEEP_IN_PATH = "/%:@!$&'()*+,;=~-._?[]|"
_OURS = ("content-length", "transfer-encoding", "connection")
_SENT_UNASKED = (
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate"),
    ("user-agent", "flowpool"),
)


class Origin(NamedTuple):
    """Where a URL's server listens. `host` is in ASCII, without brackets; of a Unix socket it is the path."""

    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """`host:port`, as error messages show it."""
        if self.is_local:
            return self.host
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is a Unix socket."""
        return self.scheme == UNIX


class RequestTarget(NamedTuple):
    """A URL taken apart: `path` includes the query; `authorization` is that of `user:password@`."""

    origin: Origin
    path: str
    authorization: str

    def __repr__(self) -> str:
        return f"RequestTarget({self.origin.name})"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def parse_url(url: str) -> RequestTarget:
    """The parts of an http(s) URL. Raises `InvalidInput`; the message never shows user or password."""
    if _BAD_IN_URL.search(url):
        raise InvalidInput("the URL holds a line break or control character: remove it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"the URL can't be read: {error}") from None
    if parts.scheme == UNIX:
        return RequestTarget(Origin(UNIX, _socket_path(parts.netloc), 0), _path(parts), "")
    if parts.scheme not in _DEFAULT_PORT:
        raise InvalidInput(f"URL scheme {parts.scheme!r}: use http:// or https://")
    if not parts.hostname or port == 0 or "\\" in parts.netloc:
        raise InvalidInput("the URL names no host and port: write it as https://host/path")
    host = ascii_host(parts.hostname)
    port = _DEFAULT_PORT[parts.scheme] if port is None else port
    return RequestTarget(Origin(parts.scheme, host, port), _path(parts), basic_auth(parts))


def _path(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_KEEP_IN_PATH)
    return f"{path}?{quote(parts.query, safe=_KEEP_IN_PATH)}" if parts.query else path


def _socket_path(quoted: str) -> str:
    path = unquote(quoted)
    if not path.startswith("/") or _BAD_IN_URL.search(path):
        raise InvalidInput(
            "the URL names no socket: write its path with %2F for /, as in http+unix://%2Ftmp%2Fvllm.sock/v1"
        )
    return path


def ascii_host(host: str) -> str:
    """The host as DNS knows it: lower case, IDNA for other scripts."""
    try:
        encoded = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidInput(f"host {host!r} is no valid name: check its spelling") from None
    encoded = encoded.lower()
    labels = encoded.removesuffix(".").split(".")
    if _BAD_IN_HOST.search(encoded) or any(not 0 < len(label) <= 63 for label in labels):
        raise InvalidInput(f"host {host!r} is no valid name: check its spelling")
    return encoded


def basic_auth(parts: SplitResult) -> str:
    """The Authorization value of a URL's `user:password@`, or an empty string."""
    if parts.username is None:
        return ""
    pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
    return "Basic " + base64.b64encode(pair).decode("ascii")


def encode_head(
    method: str, target: RequestTarget, headers: Headers, *, proxy_authorization: str | None = None
) -> bytes:
    """Everything of a request before its content-length, ready to be reused.

    `proxy_authorization` is None for a direct request; else (maybe empty) the path takes the absolute
    form that a proxy needs. Raises `InvalidInput` and names the header, never its value.
    """
    if not _TOKEN.fullmatch(method) or method == "CONNECT":
        raise InvalidInput(f"method {method!r}: use GET, POST or another plain HTTP method")
    origin = target.origin
    standard = origin.port == _DEFAULT_PORT.get(origin.scheme)
    authority = bracketed(origin.host) if standard else origin.name
    if origin.is_local:
        authority = "localhost"
    path = target.path
    if proxy_authorization is not None:
        path = f"{origin.scheme}://{authority}{path}"
    lines = [f"{method} {path} HTTP/1.1"]
    given = {name.lower() for name, _ in headers}
    if "host" not in given:
        lines.append(f"host: {authority}")
    if proxy_authorization:
        lines.append(f"proxy-authorization: {proxy_authorization}")
    if target.authorization and "authorization" not in given:
        lines.append(f"authorization: {target.authorization}")
    lines += [f"{name}: {value}" for name, value in _SENT_UNASKED if name not in given]
    lines += [_header_line(name, value) for name, value in headers]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def _header_line(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise InvalidInput(f"header name {name[:40]!r} holds a character that HTTP forbids")
    if name.lower() in _OURS:
        raise InvalidInput(f"header {name!r} is set by the transport: leave it out")
    if _BAD_IN_VALUE.search(value):
        raise InvalidInput(f"header {name!r} holds a line break or control character: strip it")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidInput(f"header {name!r} holds a character outside Latin-1") from None
    return f"{name}: {value}"
