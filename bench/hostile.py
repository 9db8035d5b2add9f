"""How long hostile bytes hold the loop: the longest call of each kind for a megabyte of its worst input."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.common import Row
from flowpool.errors import ConnectionReset
from flowpool.http.connection import Connection, Exchange
from flowpool.http.transport import _LITTLE, _quickly
from flowpool.tools.redirects import Cookies, Unfollowable, next_url
from flowpool.tools.web import _SHORT, _page, _status_error
from flowpool.values import HttpResponse, Timeouts

_MEGABYTE = 1 << 20
# Bytes that the loop hands over at once.
_READ = 256 * 1024
_BAR = 20.0  # ms
_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"transfer-encoding: chunked\r\n\r\n"
_ANSWERS = (
    *((_CHUNKED, unit) for unit in (b"1\r\nx\r\n", b"1;a\r\nx\r\n", b"1;", b"0\r\na:\r\n", b"\n")),
    *((_OK, unit) for unit in (b"a:\r\n", b"a: ", b"set-cookie: a=1\r\n", b"\xff", b"\r\n")),
    *((b"", unit) for unit in (b"HTTP/1.1 100 C\r\n\r\n", b"\xff", b"\n", b" ")),
)
_TEXTS = (
    *("<title>", "<title ", "<meta", "<meta charset=", "<!--", "<?", "<html lang=", "<", " ", "\0"),
    *(
        "charset",
        "charset=",
        '"',
        ";",
        "&#",
        "9",
        "../",
        "\\",
        "//",
        "%",
        ";a",
        "=",
        "a\xe9",
        "\xff",
        "\x81",
    ),
)
_CHARSETS = (
    "",
    "utf-8",
    "gbk",
    "shift_jis",
    "euc-jp",
    "big5",
    "euc-kr",
    "iso-2022-jp",
    "utf-16",
    "koi8-r",
)


class Nobody:
    """A connection's transport and its owner."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def heard(self) -> None: ...

    def freed(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...

    def unanswered(self) -> ConnectionReset:
        return ConnectionReset("closed without an answer")


def hostile() -> list[Row]:
    """The longest call that the loop makes of hostile bytes, by what they are part of."""
    kinds: tuple[tuple[str, Callable[[], Iterator[float]]], ...] = (
        ("hostile, 1 MB each, the longest call on the loop: an answer's bytes", _answers),
        ("a compressed body", _bodies),
        ("a page", _pages),
        ("a redirect and its cookies", _redirects),
    )
    rows = []
    for name, times in kinds:
        longest = max(times()) * 1e3
        rows.append(Row(name, f"{longest:.1f} ms", "", "", f"{_BAR:.0f} ms", longest <= _BAR))
    return rows


def _took(call: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of CPU that a call took, the least of some tries."""
    times = []
    for _ in range(3):
        start = time.thread_time()
        call(*arguments)
        times.append(time.thread_time() - start)
    return min(times)


def _answers() -> Iterator[float]:
    async def one(data: bytes) -> list[float]:
        loop, nobody = asyncio.get_running_loop(), Nobody()
        held: Any = nobody
        connection = Connection(loop, held, "a.test:80", 10 * _MEGABYTE, 15.0)
        connection.connection_made(held)
        answer = connection.begin(Exchange(b"", False, Timeouts(), loop.time() + 600))
        times = []
        for at in range(0, len(data), _READ):
            start = time.thread_time()
            if connection.answer is not None:
                connection.data_received(data[at : at + _READ])
            times.append(time.thread_time() - start)
        connection.connection_lost(None)
        await asyncio.wait([answer])
        answer.exception()
        return times

    for start, unit in _ANSWERS:
        yield from asyncio.run(one(start + unit * (_MEGABYTE // len(unit))))


def _bodies() -> Iterator[float]:
    def read(body: bytes, encoding: str) -> None:
        try:
            _quickly(body, encoding, 10 * _MEGABYTE)
        except Exception:  # what isn't compressed
            return

    bomb = gzip.compress(bytes(_LITTLE * 900), mtime=0)
    for body in (
        bomb,
        gzip.compress(b"", mtime=0) * 9999,
        b"\0\0\0\xff\xff" * 99_999,
        b"x" * _LITTLE,
    ):
        for encoding in ("gzip", "deflate", "gzip, gzip", "x," * 99_999):
            yield _took(read, body[:_LITTLE], encoding)


def _pages() -> Iterator[float]:
    for text in _TEXTS:
        body = text.encode("latin-1") * (_SHORT // len(text))
        for charset in _CHARSETS:
            headers = {"content-type": f"text/html; charset={charset}"}
            yield _took(_page, "http://a.test/", HttpResponse(200, headers, body))
        long = text * (_READ // len(text))
        response = HttpResponse(503, {"content-type": f"charset={long}", "retry-after": long}, body)
        yield _took(_page, "http://a.test/", response)
        yield _took(_status_error, "http://a.test/", response)


def _redirects() -> Iterator[float]:
    def follow(location: str) -> None:
        try:
            next_url("http://a.test/", location)
        except Unfollowable:
            return

    for text in _TEXTS:
        for size in (8192, _READ):
            yield _took(follow, text * (size // len(text)))
        line = text * (4096 // len(text))
        cookies = Cookies()
        yield _took(cookies.learn, "http://a.test/", "\n".join(f"{n}={line}" for n in range(60)))
        yield _took(cookies.header, "http://a.test/")
