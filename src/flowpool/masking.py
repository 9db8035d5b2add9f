"""Keys in what a provider answers, and how they are taken out, however they are written there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from flowpool.values import Endpoint, HttpResponse

# Characters of the shortest key that is taken for a real one, and so for a secret: shorter ones are placeholders
# such as "any", which may well be a word of an answer.
SHORTEST = 8
MASK = "***"
# What JSON, URLs and HTML begin another form of a character with.
_ESCAPES = (b"\\u00", b"\\/", b"%", b"&#")
_SECRET_NAME = re.compile(r"key|token|secret|auth|cookie|password|credential|session|signature")


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
        headers = {
            name: self._of_failures.out_of_text(self._always.out_of_text(value))
            for name, value in response.headers.items()
        }
        return HttpResponse(response.status, headers, self._always.out_of(response.body))

    def failure(self, response: HttpResponse) -> HttpResponse:
        """The response without anything that may be a key: for one that turned out to be no answer."""
        headers = {name: self.text(value) for name, value in response.headers.items()}
        body = self._of_failures.out_of(self._always.out_of(response.body))
        return HttpResponse(response.status, headers, body)

    def text(self, words: str) -> str:
        """A failure's words without keys."""
        return self._of_failures.out_of_text(self._always.out_of_text(words))


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
    __slots__ = ("_any_form", "_any_form_text", "_plain", "_plain_text")

    def __init__(self, secrets: Iterable[str]) -> None:
        long = {one for one in secrets if len(one) >= SHORTEST}
        found = sorted(long, key=len, reverse=True)  # one may be a part of another
        forms = "|".join(map(_any_form, found))
        self._plain_text = tuple(found)
        self._plain = tuple(one.encode("utf-8") for one in found)
        self._any_form_text = re.compile(forms)
        self._any_form = re.compile(forms.encode("utf-8"))

    def out_of(self, body: bytes) -> bytes:
        if not self._plain:
            return body
        if any(mark in body for mark in _ESCAPES):
            return self._any_form.sub(MASK.encode(), body)
        for secret in self._plain:
            if secret in body:
                body = body.replace(secret, MASK.encode())
        return body

    def out_of_text(self, words: str) -> str:
        if not self._plain_text:
            return words
        if any(mark.decode() in words for mark in _ESCAPES):
            return self._any_form_text.sub(MASK, words)
        for secret in self._plain_text:
            if secret in words:
                words = words.replace(secret, MASK)
        return words


def _any_form(secret: str) -> str:
    """A pattern of a secret whose characters each stand as they are, or escaped as in JSON, a URL or HTML."""
    return "".join(map(_any_form_of, secret))


def _any_form_of(char: str) -> str:
    digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{ord(char):02x}")
    plain = re.escape(char)
    escaped = "" if char.isalnum() else f"|{plain}"
    return rf"(?:{plain}|\\+(?:u00{digits}{escaped})|%{digits}|&#(?:{ord(char)}|x{digits});)"
