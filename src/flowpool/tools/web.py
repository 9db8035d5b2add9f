"""Fetches pages whose URLs come from input, and so may not be trusted.

Every host is resolved, checked and connected to by the same address, on every redirect. Must not know chains
or pools. Redirects are followed here; the transport only ever makes one request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from flowpool.errors import (
    AddressRefused,
    AttemptTimeout,
    BadRequest,
    BodyTooLarge,
    CallError,
    InvalidInput,
    Overloaded,
    RateLimited,
    ServerError,
    TransportError,
    Verdict,
)
from flowpool.http.transport import HttpTransport
from flowpool.per_loop import PerLoop
from flowpool.tools.addresses import is_public
from flowpool.tools.base import tool
from flowpool.tools.decoding import decode, is_text, title_of
from flowpool.tools.redirects import (
    LONGEST_URL,
    Cookies,
    Unfollowable,
    clean_url,
    next_url,
    shown,
)
from flowpool.values import Headers, HttpRequest, HttpResponse, Timeouts

_REDIRECTS = (301, 302, 303, 307, 308)
# Seconds: a host that takes longer to connect won't answer.
_CONNECT = 10.0
# Bytes of a page that is read on the loop; a longer one is read in a thread.
_SHORT = 16_384


class _Transports:
    """One loop's transports: what may be connected to, and how much read, is fixed in each."""

    def __init__(self) -> None:
        self._open: dict[tuple[bool, int], HttpTransport] = {}

    def get(self, allow_private: bool, max_bytes: int) -> HttpTransport:
        key = (allow_private, max_bytes)
        if key not in self._open:
            allow = None if allow_private else is_public
            self._open[key] = HttpTransport(allow_address=allow, max_body=max_bytes)
        return self._open[key]

    async def aclose(self) -> None:
        for transport in self._open.values():
            await transport.aclose()


_transports: PerLoop[_Transports] = PerLoop(_Transports)


@tool(max_flows=50, options_only=("allow_private",))
async def fetch(
    url: str,
    allow_private: bool = False,
    timeout: float = 30.0,  # noqa: ASYNC109 (a variable of chains and files)
    max_bytes: int = 10_000_000,
    max_redirects: int = 5,
) -> dict[str, Any]:
    """Fetches the page at a URL, as a dict that a chain spreads into its variables.

    Args:
        url: an http or https URL.
        allow_private: also connect to private, loopback and link-local addresses. Only code or a step's
            options set it, never an item's variables.
        timeout: seconds for everything, redirects included.
        max_bytes: the longest body taken, as sent and decompressed.
        max_redirects: the most redirects followed.

    Returns a dict: `status`, `url` (where the redirects led), `title`, `html` (the text; empty for binary
    data), `content_type`, and for binary data `content`, its bytes. Raises `InvalidInput` for what is no
    URL, `AddressRefused` for a host that isn't public, `BadRequest`, `RateLimited`, `Overloaded` or
    `ServerError` for a status of 400 and over, or another `TransportError`.

    Example:
        page = await fetch("https://example.com/")
        page["title"]  # 'Example Domain'
    """
    _check(url, timeout, max_bytes)
    transport = _transports.get().get(allow_private, max_bytes)
    try:
        final, response = await _follow(transport, clean_url(url), timeout, max_redirects)
    except TransportError as error:
        _raise_plain(error, url, max_bytes)
    if response.status >= 400:
        raise _status_error(final, response)
    if len(response.body) <= _SHORT:
        return _page(final, response)
    return await asyncio.to_thread(_page, final, response)


fetch.dotted = "flowpool.tools:fetch"
fetch.outputs = ("status", "url", "title", "html", "content_type", "content")


def _headers() -> Headers:
    from flowpool import __version__

    return (
        ("user-agent", f"flowpool/{__version__}"),
        ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    )


_HEADERS = _headers()


async def _follow(
    transport: HttpTransport, url: str, seconds: float, max_redirects: int
) -> tuple[str, HttpResponse]:
    """The first answer that is no redirect, and its URL."""
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    headers, cookies = _HEADERS, None
    for _ in range(max_redirects + 1):
        left = deadline - now()
        if left <= 0:
            raise AttemptTimeout(f"no answer within {seconds:g} s")
        timeouts = Timeouts(connect=min(_CONNECT, left), read=left, total=left)
        response = await transport.send(HttpRequest("GET", url, headers), timeouts)
        location = response.headers.get("location")
        if response.status not in _REDIRECTS or not location:
            return url, response
        before, url = url, _next_url(url, location)
        if set_cookie := response.headers.get("set-cookie"):
            cookies = cookies or Cookies()
            cookies.learn(before, set_cookie)
        if cookies is not None:
            value = cookies.header(url)
            headers = (*_HEADERS, ("cookie", value)) if value else _HEADERS
    raise _quiet(
        BadRequest(
            f"{shown(url)}: more than {max_redirects} redirects",
            fix="raise max_redirects, or use the final URL",
        )
    )


def _next_url(url: str, location: str) -> str:
    try:
        return next_url(url, location)
    except Unfollowable as error:
        raise _quiet(BadRequest(f"{shown(url)}: redirects to {error}")) from None


def _check(url: Any, seconds: float, max_bytes: int) -> None:
    if not isinstance(url, str):
        raise InvalidInput(
            f"fetch: url is of type {type(url).__name__}: pass an http(s) URL as text."
        )
    text = clean_url(url)
    scheme = text[:8].partition(":")[0].lower() if "://" in text[:8] else ""
    if scheme not in ("http", "https") or any(char.isspace() for char in text):
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise InvalidInput(f"fetch: {shown!r} is no URL: write it as https://host/path.")
    if len(text) > LONGEST_URL:
        raise InvalidInput(f"fetch: a URL of {len(text)} characters: use {LONGEST_URL} at most.")
    if seconds <= 0:
        raise InvalidInput(f"fetch: timeout={seconds}: use more than 0 seconds.")
    if max_bytes < 1:
        raise InvalidInput(f"fetch: max_bytes={max_bytes}: use 1 or more.")


def _page(url: str, response: HttpResponse) -> dict[str, Any]:
    content_type = response.headers.get("content-type", "")
    page: dict[str, Any] = {"status": response.status, "url": url, "title": "", "html": ""}
    page["content_type"] = content_type
    if is_text(response.body, content_type):
        page["html"] = decode(response.body, content_type, shown(url))
        page["title"] = title_of(page["html"])
    else:
        page["content"] = response.body
    return page


def _status_error(url: str, response: HttpResponse) -> CallError:
    status = response.status
    kind: type[CallError] = BadRequest
    if status == 429:
        kind = RateLimited
    elif status == 503:
        kind = Overloaded
    elif status >= 500 or status in (408, 425):
        kind = ServerError
    fix = {401: "the page needs a login", 403: "the site refuses this client"}.get(status, "")
    after = _retry_after(response.headers) if kind is not BadRequest else None
    return _quiet(kind(f"{shown(url)}: HTTP {status}", fix=fix, status=status, retry_after=after))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that Retry-After asks for, as a number or a date."""
    value = headers.get("retry-after", "")[:40].strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _raise_plain(error: TransportError, url: str, max_bytes: int) -> NoReturn:
    if isinstance(error, AddressRefused):
        error.fix = "pass allow_private=True if you trust this URL"
    elif isinstance(error, BodyTooLarge):
        error.message = f"{shown(url)}: the page is longer than max_bytes={max_bytes}"
        error.fix = "raise max_bytes"
    elif shown(url) not in error.message:
        error.message = f"{shown(url)}: {error.message}"
    raise _quiet(error)


def _quiet(error: CallError) -> CallError:
    """The error as one host's own: it says nothing of the other hosts that share the lane."""
    error.verdict = Verdict.NONE
    return error
