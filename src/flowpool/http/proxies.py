"""Which HTTP proxy a request takes, by the environment's variables. Pure: the environment is handed in.

The conventions are urllib's: lower case wins over upper case, NO_PROXY lists host names, suffixes, hosts with
ports or "*"; networks such as 10.0.0.0/8 are understood as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from flowpool.errors import InvalidInput
from flowpool.http.request import Origin, ascii_host, basic_auth, bracketed


class Proxy(NamedTuple):
    """An HTTP proxy. `authorization` is the value of its Proxy-Authorization header, or empty."""

    host: str
    port: int
    authorization: str

    @property
    def name(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self.name})"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for `origin`, or None to go direct. Raises `InvalidInput` for one that can't be used."""
    name, url = _setting(origin.scheme, environ)
    if not url or bypassed(origin, environ.get("no_proxy", environ.get("NO_PROXY", ""))):
        return None
    return _parse(name, url)


def _setting(scheme: str, environ: Mapping[str, str]) -> tuple[str, str]:
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        # In a CGI program HTTP_PROXY is the client's "Proxy:" header, not the operator's word.
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue
        if name in environ:
            return name, environ[name].strip()
    return "", ""


def _parse(name: str, url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise InvalidInput(f"{name} can't be read: write it as http://host:port") from None
    if parts.scheme != "http":
        raise InvalidInput(
            f"{name} names a {parts.scheme}:// proxy, and only http:// ones are supported: name such a one, "
            "or list the host in NO_PROXY to go there directly"
        )
    if not parts.hostname:
        raise InvalidInput(f"{name} names no host: write it as http://host:port")
    return Proxy(ascii_host(parts.hostname), port or 80, basic_auth(parts))


def bypassed(origin: Origin, no_proxy: str) -> bool:
    """Whether `no_proxy` lists the origin's host."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(entry and _matches(entry, origin) for entry in entries)


def _matches(entry: str, origin: Origin) -> bool:
    if entry == "*" or entry in (origin.host, origin.name, bracketed(origin.host)):
        return True
    if "/" in entry:
        return _in_network(origin.host, entry)
    suffix = "." + entry.lstrip(".")
    host = "." + origin.host
    return host.endswith(suffix) or f"{host}:{origin.port}".endswith(suffix)


def _in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
