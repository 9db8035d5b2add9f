"""Whatever a site sends: a page, or a typed failure of its own row; the others' rows go on.

How long the loop is held is measured by `python -m bench hostile`; here, what is not linear would take hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import zlib
from typing import Any

import pytest
from bench.hostile import Nobody

from flowpool import Chain, Pool
from flowpool.errors import FlowpoolError, TransportError
from flowpool.http import body as bodies
from flowpool.http.connection import Connection, Exchange
from flowpool.tools import fetch, to_markdown
from flowpool.tools.decoding import decode, is_html, is_text, title_of
from flowpool.tools.redirects import Cookies, Unfollowable, next_url
from flowpool.tools.web import _page, _status_error
from flowpool.values import HttpResponse, Timeouts

MEGABYTE = 1 << 20
HTML = "text/html; charset=utf-8"
EMPTY = gzip.compress(b"", mtime=0)


def much(text: bytes, size: int = MEGABYTE) -> bytes:
    return text * (size // len(text))


ANSWERS: dict[str, tuple[dict[str, str], bytes]] = {
    "titles": ({"content-type": HTML}, much(b"<title>")),
    "blank charset": ({"content-type": "text/html; charset=" + " " * 60_000}, b"<p>x"),
    "charsets": ({"content-type": "charset" * 8000}, much(b"<meta charset=")),
    "broken": ({"content-type": "text/html; charset=gbk"}, much(b"a\xe9\xff")),
    "no type": ({}, much(b"\xff")),
    "members": ({"content-type": HTML, "content-encoding": "gzip"}, much(EMPTY)),
    "bomb": ({"content-type": HTML, "content-encoding": "gzip"}, gzip.compress(bytes(50_000_000))),
    "codings": ({"content-type": HTML, "content-encoding": "gzip, " * 5000}, b"x"),
    "no gzip": ({"content-type": HTML, "content-encoding": "gzip"}, much(b"<p>")),
    "stored": ({"content-type": HTML, "content-encoding": "deflate"}, much(b"\0\0\0\xff\xff")),
    "cookies": ({"content-type": HTML, "set-cookie": "a=" + ";a" * 20_000}, b"<p>x"),
    "entities": ({"content-type": HTML}, b"<title>&#" + b"9" * 5000 + b"</title>" + much(b"&#x")),
    "nested": ({"content-type": HTML}, much(b"<table><tr><td>", 100_000)),
    "spans": (
        {"content-type": HTML},
        b"<table>" + much(b"<tr><td colspan=1000 rowspan=9999>x", 200_000),
    ),
    "pdf": ({"content-type": HTML}, b"%PDF-1.7" + much(b"obj <<", 100_000)),
    "zip": ({"content-type": HTML}, b"PK\x03\x04word/document.xml" + much(b"PK\x01\x02", 100_000)),
}


def test_the_others_rows_go_on_beside_hostile_pages(site) -> None:
    items = []
    for number, (headers, body) in enumerate(ANSWERS.values()):
        site.answers[f"/{number}"] = (200, headers, body)
        honest = site.html(f"/fine/{number}", f"<h1>Page</h1><p>{number}")
        items += [{"url": site.url(f"/{number}")}, {"url": honest}]
    site.answers["/away"] = (302, {"location": "/" + "../" * 20_000}, b"")
    items.append({"url": site.url("/away")})
    chain = Chain(
        [(fetch, "page", {}, {"allow_private": True}), (to_markdown, "text", {"source": "page"})]
    )
    results = Pool(chain, items, retries=0).run()
    assert list(results)[1:-1:2] == [f"# Page\n\n{number}" for number in range(len(ANSWERS))]
    for record in results.records[::2]:
        assert record.error is None or isinstance(record.error, FlowpoolError)
    failed = dict(zip([*ANSWERS, "away"], results.records[::2], strict=True))
    assert {name for name, record in failed.items() if record.error is not None} >= {
        *("members", "bomb", "codings", "no gzip", "stored", "pdf", "zip", "away"),
    }


# Mutations: pieces of real answers, put together anyhow.

PIECES = (
    *(
        b"<",
        b">",
        b"</",
        b"<title>",
        b"</title>",
        b"<meta ",
        b"charset=",
        b"<!--",
        b"-->",
        b"<?xml ",
        b"?>",
    ),
    *(
        b"<html lang=",
        b"ja",
        b"utf-8",
        b"utf-16",
        b"shift_jis",
        b"gbk",
        b"idna",
        b"encoding=",
        b'"',
        b"'",
    ),
    *(
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\0",
        b"\xff",
        b"\xfe",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xa4",
        b"\x81",
        b"\x1b$B",
    ),
    *(
        b"&#",
        b"9" * 5000,
        b"&amp;",
        b";",
        b",",
        b"=",
        b":",
        b"/",
        b"//",
        b"\\",
        b"..",
        b"?",
        b"#",
        b"@",
        b"[",
        b"]",
    ),
    *(
        "é".encode(),
        "日本".encode("cp932"),
        "мир".encode("cp1251"),
        b"%PDF-",
        b"PK\x03\x04",
        EMPTY,
        b"http",
    ),
    *(
        b"text/html",
        b"application/",
        b"json",
        b"max-age",
        b"domain",
        b"path",
        b"secure",
        b"expires",
        b"1970",
    ),
)
SEEDS = range(0, 4000, 500)


def mutated(seed: int) -> Any:
    chance = random.Random(seed)
    return lambda most=40: b"".join(chance.choices(PIECES, k=chance.randrange(most)))


def as_header(data: bytes) -> str:
    return data.decode("latin-1")


@pytest.mark.parametrize("first", SEEDS)
def test_any_page_is_read(first: int) -> None:
    for seed in range(first, first + 500):
        make = mutated(seed)
        headers = {"content-type": as_header(make(8)), "retry-after": as_header(make(3))}
        response = HttpResponse(200, headers, make())
        page = _page("http://a.test/", response)
        assert isinstance(page["html"], str)
        assert (
            page["html"]
            or not response.body
            or "content" in page
            or response.body.strip(b"\xef\xbb\xbf\x1b$B\xff\xfe") == b""
        )
        assert len(page["title"]) <= 2000
        is_html(page["html"], headers["content-type"])
        assert isinstance(_status_error("http://a.test/", response), FlowpoolError)


@pytest.mark.parametrize("first", SEEDS)
def test_any_redirect_and_cookie_is_followed_or_refused(first: int) -> None:
    for seed in range(first, first + 500):
        make = mutated(seed)
        cookies = Cookies()
        cookies.learn("http://a.test/x", as_header(make()))
        try:
            url = next_url("http://a.test/x", as_header(make(12)))
        except Unfollowable:
            continue
        assert url.startswith(("http://", "https://"))
        assert cookies.header(url).isprintable()


def compressions(chance: random.Random) -> bytes:
    text = chance.randbytes(20) * chance.randrange(200)
    body = bytearray(gzip.compress(text, mtime=0) if chance.random() < 0.5 else zlib.compress(text))
    for _ in range(chance.randrange(4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body[: chance.randrange(len(body) + 1)]) * chance.choice((1, 1, 2))


@pytest.mark.parametrize("first", SEEDS)
def test_any_compressed_body_is_read_or_refused(first: int) -> None:
    for seed in range(first, first + 500):
        chance = random.Random(seed)
        encoding = ",".join(
            chance.choices(("gzip", "deflate", "br", "", "identity"), k=chance.randrange(7))
        )
        with contextlib.suppress(bodies.TooLong, bodies.Incomplete, bodies.Unreadable):
            assert len(bodies.decode(compressions(chance), encoding, 2000)) <= 4100


ANSWER = (
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"HTTP/1.0 302 \r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\0",
    ),
    *(
        b"content-length: 5\r\n",
        b"content-length: 99999999999999999999\r\n",
        b"content-length: -1\r\n",
    ),
    *(
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip\r\n",
        b"connection: close\r\n",
        b"a:",
        b"\xff",
    ),
    *(
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"1;" + b"x" * 3000,
        b"hello",
        b" ",
        b"upgrade: x\r\n",
    ),
)


@pytest.mark.parametrize("first", SEEDS)
def test_any_bytes_are_an_answer_or_a_typed_failure(first: int) -> None:
    async def one(seed: int) -> None:
        chance = random.Random(seed)
        loop = asyncio.get_running_loop()
        nobody: Any = Nobody()
        connection = Connection(loop, nobody, "a.test:80", 5000, 15.0)
        connection.connection_made(nobody)
        answer = connection.begin(Exchange(b"GET / HTTP/1.1", False, Timeouts(), loop.time() + 600))
        start = b"HTTP/1.1 200 OK\r\n" if chance.random() < 0.8 else b""
        sent = start + b"".join(chance.choices(ANSWER, k=chance.randrange(12)))
        while sent and connection.answer is not None:
            cut = chance.randrange(1, len(sent) + 1)
            connection.data_received(sent[:cut])
            sent = sent[cut:]
        connection.eof_received()
        connection.connection_lost(None)
        with contextlib.suppress(TransportError):
            assert len((await answer).body) <= 5000

    async def all_of_them() -> None:
        for seed in range(first, first + 500):
            await one(seed)

    asyncio.run(all_of_them())


def test_text_and_its_kind_are_found_whatever_the_bytes_are() -> None:
    for seed in range(4000):
        chance = random.Random(seed)
        body = chance.randbytes(chance.randrange(300))
        text = decode(body, chance.choice(("", HTML, "text/html; charset=euc-jp")))
        title_of(text)
        is_text(body, HTML)
