"""Where a redirect leads and which cookies go along, as browsers do it. Pure: no sockets, no loop."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

# Everything of ASCII: only a stranger's other bytes are to be written as %XX.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_STRIPPED = "".join(map(chr, range(0x21)))
# Characters: servers take no longer address.
LONGEST_URL = 8192
# What browsers keep: characters of a cookie, its attributes, cookies of one answer, and characters of a request's.
_LONGEST_COOKIE, _MOST_ATTRIBUTES, _MOST_COOKIES, _LONGEST_HEADER = 4096, 20, 50, 8192


class Unfollowable(Exception):
    """A redirect that can't be followed; the message says what it leads to."""


def clean_url(text: str) -> str:
    """The URL without blanks and line breaks around it; a blank within it is encoded."""
    return text.strip(_STRIPPED).replace(" ", "%20")


def shown(url: str) -> str:
    """The URL as messages show it: without credentials and query, which may hold secrets."""
    parts = urlsplit(url.strip())
    text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""
    return text if len(text) <= 120 else text[:117] + "..."


def next_url(url: str, location: str) -> str:
    """Where a Location header leads from `url`, without the credentials of another origin.

    `location`: the header's bytes, each as one character. Raises `Unfollowable`.
    """
    if len(location) > LONGEST_URL:
        raise Unfollowable(f"a URL of {len(location)} characters")
    text = "".join(clean_url(_decoded(location)).split())
    path, mark, rest = text.partition("?")
    path = path.replace("\\", "/")
    if path.startswith("///"):
        path = "//" + path.lstrip("/")
    try:
        target = urlsplit(urljoin(url, path + mark + rest))
        same = _origin(target) == _origin(urlsplit(url))
    except ValueError:
        raise Unfollowable("what is no URL") from None
    if target.scheme not in ("http", "https") or not target.hostname:
        raise Unfollowable(f"{target.scheme[:20]}:, only http(s) is followed")
    if not same:
        target = target._replace(netloc=target.netloc.rpartition("@")[2])
    return target.geturl()


def _decoded(location: str) -> str:
    """The header's bytes as UTF-8, as sites write it; others stay the bytes that they are."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return quote(location.encode("latin-1", "replace"), safe=_ASCII + " \t")


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.hostname, port


class _Cookie(NamedTuple):
    host: str
    with_subdomains: bool
    path: str
    name: str


class Cookies:
    """The cookies that were set on the way to one page, by RFC 6265 but for their dates."""

    def __init__(self) -> None:
        self._kept: dict[
            _Cookie, tuple[str, bool]
        ] = {}  # the value, and whether it is for https alone

    def learn(self, url: str, set_cookie: str) -> None:
        """Keeps what the answer of `url` sets: the lines of its Set-Cookie headers."""
        for line in set_cookie.split("\n", _MOST_COOKIES)[:_MOST_COOKIES]:
            if len(line) <= _LONGEST_COOKIE and line.isprintable():
                self._learn(urlsplit(url), line)

    def _learn(self, url: SplitResult, line: str) -> None:
        host = url.hostname or ""
        pair, *attributes = line.split(";", _MOST_ATTRIBUTES)
        name, equals, value = map(str.strip, pair.partition("="))
        said = {}
        for attribute in attributes:
            key, _, text = attribute.partition("=")
            said[key.strip().lower()] = text.strip()
        domain = said.get("domain", "").lower().removeprefix(".")
        if not (name and equals) or (domain and not _may_set(host, domain)):
            return
        path = said.get("path", "")
        if not path.startswith("/"):
            path = url.path.rpartition("/")[0] or "/"
        cookie = _Cookie(domain or host, bool(domain), path, name)
        self._kept.pop(cookie, None)
        if not said.get("max-age", "").startswith(("0", "-")):
            self._kept[cookie] = (value, "secure" in said)

    def header(self, url: str) -> str:
        """The Cookie header of a request for `url`; empty for none."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        fitting = [
            f"{cookie.name}={value}"
            for cookie, (value, secure) in self._kept.items()
            if (host == cookie.host or (cookie.with_subdomains and _is_within(host, cookie.host)))
            and f"{path}/".startswith(cookie.path.rstrip("/") + "/")
            and (not secure or parts.scheme == "https")
        ]
        value = "; ".join(fitting)
        return value if len(value) <= _LONGEST_HEADER else ""


def _may_set(host: str, domain: str) -> bool:
    """Whether a host may set a cookie for the domain: never for a top-level one."""
    return "." in domain and _is_within(host, domain)


def _is_within(host: str, domain: str) -> bool:
    """Whether the host is the domain or a name under it; an address has none."""
    return host == domain or (
        host.endswith(f".{domain}") and not host.rpartition(".")[2].isdecimal()
    )
