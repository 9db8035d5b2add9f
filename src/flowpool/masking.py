"""Keys in what a provider answers, and how they are taken out, however they are written there. Pure.

Takes time in proportion to the answer, whatever it holds: each form of a key is looked for as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote

import msgspec

from flowpool.values import Endpoint, HttpResponse

# Characters of the shortest key that is taken for a real one, and so for a secret: shorter ones are placeholders
# such as "any", which may well be a word of an answer.
SHORTEST = 8
MASK = "***"
_SECRET_NAME = re.compile(r"key|token|secret|auth|cookie|password|credential|session|signature")
# What writers of JSON escape, of what keys have, each its own; and with how many backslashes where JSON stands in
# JSON.
_ESCAPED = ("/+=", "+=", "+", "=")
_BACKSLASHES = ("\\", "\\\\", "\\\\\\")
# What every form but the plain one has.
_MARKS = ("%", "&#", "\\")


class Mask:
    """Takes keys out of answers. Shows none of them itself.

    always: taken out of every answer. of_failures: of headers and failures: what may be a key, and may be a word.
    """

    __slots__ = ("_always", "_of_failures")

    def __init__(self, always: Iterable[str], of_failures: Iterable[str] = ()) -> None:
        self._always = _Secrets(always)
        self._of_failures = _Secrets(of_failures)

    def answer(self, response: HttpResponse) -> HttpResponse:
        """The response without what no answer may have."""
        if not 200 <= response.status < 300:
            return self.failure(response)
        return self._with_body(response, self._always.out_of(response.body))

    def failure(self, response: HttpResponse) -> HttpResponse:
        """The response without anything that may be a key: for one that turned out to be no answer."""
        body = self._of_failures.out_of(self._always.out_of(response.body))
        return self._with_body(response, body)

    def text(self, words: str) -> str:
        """A failure's words without keys."""
        return self._of_failures.out_of_text(self._always.out_of_text(words))

    def _with_body(self, response: HttpResponse, body: bytes) -> HttpResponse:
        headers = response.headers
        values = "\n".join(headers.values())  # one look at all of them: most answers have none
        if self.text(values) != values:
            headers = {name: self.text(value) for name, value in headers.items()}
        return HttpResponse(response.status, headers, body, response.connect, response.first_byte)


@lru_cache(maxsize=1024)
def mask_of(endpoint: Endpoint) -> Mask:
    """What an endpoint's answers must not repeat: its key, and the values of its headers."""
    always = [endpoint.key.reveal()]
    of_failures: list[str] = []
    for name, value in endpoint.headers:
        words = re.split(r"[\s;,]+", value)
        (always if _SECRET_NAME.search(name) else of_failures).extend(words)
    return Mask(always, of_failures)


class _Secrets:
    """Keys in all their forms, by the mark that a text with such a form has; the plain one has none."""

    __slots__ = ("_forms", "_texts")

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for one in secrets if len(one) >= SHORTEST for form in _forms(one)}
        self._texts: dict[str, list[str]] = {}
        for form in sorted(found, key=len, reverse=True):  # one may be a part of another
            mark = next((mark for mark in _MARKS if mark in form), "")
            self._texts.setdefault(mark, []).append(form)
        self._forms = {
            mark.encode(): [form.encode() for form in forms] for mark, forms in self._texts.items()
        }

    def out_of(self, body: bytes) -> bytes:
        if not self._forms:
            return body
        if b"\\u00" in body or b"\\/" in body:
            plain = _unescaped(body)
            if any(form in plain for form in self._forms.get(b"", ())):
                body = plain
        for mark, forms in self._forms.items():
            if mark in body:
                for form in forms:
                    if form in body:
                        body = body.replace(form, MASK.encode())
        return body

    def out_of_text(self, words: str) -> str:
        for mark, forms in self._texts.items():
            if mark in words:
                for form in forms:
                    if form in words:
                        words = words.replace(form, MASK)
        return words


def _unescaped(body: bytes) -> bytes:
    """The same JSON with no more escaped than must be; other bytes as they are."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body


def _forms(secret: str) -> Iterator[str]:
    """A secret as it may be written: as it is, and as URLs, HTML and JSON have it."""
    in_url = quote(secret, safe="")
    yield from (secret, in_url, re.sub("%..", lambda code: code[0].lower(), in_url))
    for chars in _ESCAPED:
        yield _escaped(secret, chars, "&#{};")
        yield _escaped(secret, chars, "&#x{:x};")
        for backslash in _BACKSLASHES:
            yield secret.replace("/", f"{backslash}/")
            yield _escaped(secret, chars, f"{backslash}u00{{:02x}}")
            yield _escaped(secret, chars, f"{backslash}u00{{:02X}}")


def _escaped(secret: str, chars: str, form: str) -> str:
    return "".join(form.format(ord(char)) if char in chars else char for char in secret)
