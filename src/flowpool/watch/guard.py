"""Who may have a page of this machine: pure rules over a request's path and headers; names are in small letters.

Anybody on the machine can reach a port of loopback, and any page in a browser can send requests there. So a request
must have the token of the address (which other users don't know), be made for this machine by name (a page of
another site whose name is turned to 127.0.0.1 isn't: DNS rebinding), and come from the page itself where it comes
from one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

# Any port: one may be forwarded to this one, as by `ssh -L`.
_OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
TOKEN_HEADER = "x-flowpool-token"
# What a page may do: show itself, and ask where it came from.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def part_of(path: str, token: str) -> str | None:
    """What is asked for behind the token in a path; None where that isn't the token.

    >>> part_of("/secret/view?after=3", "secret"), part_of("/other/view", "secret")
    ('view?after=3', None)
    """
    given, slash, rest = path.removeprefix("/").partition("/")
    return rest if slash and _is_same(given, token) else None


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether a request is made for this machine by name, and by no other site's page."""
    host, origin = headers.get("host", ""), headers.get("origin", "")
    if _OWN_HOST.fullmatch(host) is None:
        return False
    return not origin or origin.lower() == f"http://{host}".lower()


def may_change(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request may change something: only one with the token in its headers, which no form can send."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    return is_own(headers) and _is_same(headers.get(TOKEN_HEADER, ""), token)


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
