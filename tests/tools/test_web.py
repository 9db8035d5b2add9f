"""Fetching: what comes back, what is refused, and which failures are worth another try."""

from __future__ import annotations

import asyncio
import gzip
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from flowpool.errors import (
    AddressRefused,
    AttemptTimeout,
    BadRequest,
    BodyTooLarge,
    ConnectFailed,
    InvalidInput,
    Overloaded,
    RateLimited,
    ServerError,
    Verdict,
)
from flowpool.http.transport import HttpTransport
from flowpool.tools import as_tool, fetch


def get(url: str, **options: Any) -> dict[str, Any]:
    page: dict[str, Any] = asyncio.run(fetch(url, **{"allow_private": True, **options}))
    return page


def test_a_page_is_a_dict_of_what_a_chain_needs(site) -> None:
    url = site.html("/a?b=1", "<title>Über &amp; uns</title><p>Grüße</p>")
    assert get(url) == {
        "status": 200,
        "url": url,
        "title": "Über & uns",
        "html": "<title>Über &amp; uns</title><p>Grüße</p>",
        "content_type": "text/html; charset=utf-8",
    }
    assert site.seen[0][1]["user-agent"].startswith("flowpool/")


def test_a_character_set_is_followed(site) -> None:
    site.answers["/"] = (200, {"content-type": "text/html; charset=koi8-r"}, "мир".encode("koi8-r"))
    assert get(site.url("/"))["html"] == "мир"


def test_a_compressed_page_is_read(site) -> None:
    body = gzip.compress(b"<p>packed</p>")
    site.answers["/"] = (200, {"content-type": "text/html", "content-encoding": "gzip"}, body)
    assert get(site.url("/"))["html"] == "<p>packed</p>"


def test_text_that_is_no_html_is_text_and_data_is_bytes(site) -> None:
    site.answers["/j"] = (200, {"content-type": "application/json"}, b'{"a": 1}')
    site.answers["/p"] = (200, {"content-type": "application/pdf"}, b"%PDF-1.4 \x00")
    assert get(site.url("/j"))["html"] == '{"a": 1}'
    page = get(site.url("/p"))
    assert (page["html"], page["content"]) == ("", b"%PDF-1.4 \x00")


def test_redirects_are_followed_to_the_final_url(site) -> None:
    final = site.html("/new/page", "<p>here</p>")
    site.redirect("/new/", "page", 301)
    assert get(site.redirect("/old", "/new/", 308)) | {"html": ""} == get(final) | {"html": ""}


def test_an_address_of_other_letters_and_blanks_is_fetched_as_browsers_do(site) -> None:
    site.html("/p%C3%A4ge", "<p>umlaut</p>")
    site.html("/a%20b?c=d%20e", "<p>blank</p>")
    assert get(site.redirect("/old", "/p\xc3\xa4ge"))["html"] == "<p>umlaut</p>"
    assert get(site.url("/päge"))["html"] == "<p>umlaut</p>"
    assert get(site.url("/a b?c=d e") + "\n")["html"] == "<p>blank</p>"
    assert get(site.redirect("/older", "/a b?c=d e"))["html"] == "<p>blank</p>"


def test_a_cookie_set_on_the_way_is_sent_on(site) -> None:
    site.html("/end", "<p>end</p>")
    site.redirect("/two", "/end")
    location = site.redirect("/one", "/two")
    site.answers["/one"][1]["set-cookie"] = "seen=1; Path=/"
    assert get(location)["html"] == "<p>end</p>"
    assert [headers.get("cookie") for _, headers in site.seen] == [None, "seen=1", "seen=1"]
    get(site.url("/end"))
    assert "cookie" not in site.seen[-1][1]  # another page's


def test_a_character_set_that_the_bytes_contradict_is_not_believed(site, caplog) -> None:
    headers = {"content-type": "text/html; charset=utf-8"}
    site.answers["/"] = (200, headers, "<title>é</title>".encode("latin-1") * 9000)
    assert get(site.url("/"))["title"] == "é"
    assert "that fits is named and it isn't UTF-8: read as Windows-1252" in caplog.text
    caplog.clear()
    broken = "日本語" * 20
    headers = {"content-type": "text/html; charset=shift_jis"}
    site.answers["/"] = (200, headers, broken.encode("cp932") + b"\x81\xff")
    assert get(site.url("/"))["html"].startswith(broken)
    assert "U+FFFD" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        "text/html, charset=utf-8",
        "text/plain",
        "application/xml",
        "application/octet-stream",
        "image/png",
        "",
    ],
)
def test_html_is_text_whatever_it_is_called(site, headers: str) -> None:
    site.answers["/"] = (200, {"content-type": headers}, b"<!DOCTYPE html><title>T</title><p>x")
    assert get(site.url("/"))["title"] == "T"


def test_a_pdf_that_is_called_html_is_its_bytes(site) -> None:
    site.answers["/"] = (200, {"content-type": "text/html"}, b"%PDF-1.7 \xff")
    assert get(site.url("/"))["content"] == b"%PDF-1.7 \xff"


def test_redirects_end(site) -> None:
    site.redirect("/b", "/a")
    with pytest.raises(BadRequest, match="more than 5 redirects") as caught:
        get(site.redirect("/a", "/b"))
    assert len(site.seen) == 6
    assert not caught.value.retryable
    with pytest.raises(BadRequest, match="more than 0 redirects"):
        get(site.url("/a"), max_redirects=0)


@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://example.com/x", "javascript:alert(1)"]
)
def test_a_redirect_never_leaves_http(site, target: str) -> None:
    with pytest.raises(BadRequest, match=r"only http\(s\) is followed"):
        get(site.redirect("/", target))


def test_credentials_stay_with_their_origin(site) -> None:
    site.html("/end", "<p>end</p>")
    site.redirect("/same", "/end")
    site.redirect("/other", site.url("/end", "user:word@localhost"))
    get(site.url("/same", "user:word@127.0.0.1"))
    assert [("authorization" in headers) for _, headers in site.seen] == [True, True]
    site.seen.clear()
    page = get(site.url("/other", "user:word@127.0.0.1"))
    assert [("authorization" in headers) for _, headers in site.seen] == [True, False]
    assert page["url"] == site.url("/end", "localhost")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "0x7f000001",
        ),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]"),
    ],
)
def test_what_is_not_public_is_refused_in_every_notation(site, host: str) -> None:
    site.html("/", "<p>secret</p>")
    with pytest.raises(AddressRefused, match="allow_private=True") as caught:
        asyncio.run(fetch(site.url("/", host)))
    assert not caught.value.retryable
    assert site.seen == []


def test_a_redirect_to_a_private_address_is_refused(site, monkeypatch) -> None:
    """The first host counts as public here; the address that it redirects to doesn't."""
    monkeypatch.setattr("flowpool.tools.web.is_public", lambda address: address == "127.0.0.1")
    site.html("/meta", "<p>secret</p>")
    for target in (
        "http://169.254.169.254/latest/",
        site.url("/meta", "127.0.0.2"),
        site.url("/", "[::1]"),
    ):
        with pytest.raises(AddressRefused):
            asyncio.run(fetch(site.redirect("/", target)))
    assert {path for path, _ in site.seen} == {"/"}


def test_a_name_that_changes_its_address_is_connected_to_by_the_checked_one(
    site, monkeypatch
) -> None:
    answers = iter([["93.184.215.14", "127.0.0.1"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    class Resolving(HttpTransport):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, resolve=resolve)

    monkeypatch.setattr("flowpool.tools.web.HttpTransport", Resolving)
    url = site.url("/", "rebind.test")
    with pytest.raises((AttemptTimeout, ConnectFailed)):
        asyncio.run(fetch(url, timeout=0.05))
    with pytest.raises(AddressRefused):
        asyncio.run(fetch(url, timeout=0.05))
    assert site.seen == []


def test_an_item_can_not_allow_itself_private_hosts() -> None:
    arguments = as_tool(fetch).bind({"url": "http://localhost/", "allow_private": True})
    assert arguments == {"url": "http://localhost/"}
    assert fetch.bind({"url": "u"}, {"allow_private": True})["allow_private"] is True


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        *((404, BadRequest, False), (403, BadRequest, False), (410, BadRequest, False)),
        *((429, RateLimited, True), (503, Overloaded, True), (500, ServerError, True)),
        *((408, ServerError, True), (502, ServerError, True)),
    ],
)
def test_a_bad_status_is_an_error_that_knows_whether_to_try_again(
    site, status, kind, retryable
) -> None:
    site.answers["/x?token=canary"] = (status, {"retry-after": "7"}, b"no")
    with pytest.raises(kind, match=f"/x: HTTP {status}") as caught:
        get(site.url("/x?token=canary"))
    error = caught.value
    assert (type(error), error.status, error.retryable) == (kind, status, retryable)
    assert error.retry_after == (7.0 if retryable else None)
    assert error.verdict is Verdict.NONE  # one site's trouble says nothing of the others
    assert "canary" not in str(error)


def test_retry_after_may_be_a_date(site) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    site.answers["/"] = (503, {"retry-after": date}, b"")
    with pytest.raises(Overloaded) as caught:
        get(site.url("/"))
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 60


def test_a_page_longer_than_the_cap_is_refused_packed_or_not(site) -> None:
    site.html("/long", "x" * 5000)
    bomb = gzip.compress(b"x" * 5_000_000)
    site.answers["/bomb"] = (200, {"content-type": "text/html", "content-encoding": "gzip"}, bomb)
    for path in ("/long", "/bomb"):
        with pytest.raises(BodyTooLarge, match=r"max_bytes=4000 \(raise max_bytes\)") as caught:
            get(site.url(path), max_bytes=4000)
        assert not caught.value.retryable


def test_a_host_that_is_down_is_named_and_may_be_tried_again() -> None:
    with socket.socket() as bound:  # taken, but nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}") as caught:
            get(f"http://127.0.0.1:{port}/")
    assert caught.value.retryable
    assert caught.value.verdict is Verdict.NONE


def test_the_time_covers_everything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/slow"
        with pytest.raises(AttemptTimeout, match=url):
            get(url, timeout=0.05)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "see https://example.com",
        7,
        None,
    ],
)
def test_what_is_no_url_is_refused_in_one_line(url: Any) -> None:
    with pytest.raises(InvalidInput, match="fetch: ") as caught:
        asyncio.run(fetch(url))
    assert "\n" not in str(caught.value)


def test_many_fetches_share_one_transport_that_closes_with_the_loop(site) -> None:
    urls = [site.html(f"/{i}", f"<title>{i}</title>") for i in range(20)]

    async def main() -> list[str]:
        pages = await asyncio.gather(*(fetch(url, allow_private=True) for url in urls))
        return [page["title"] for page in pages]

    assert asyncio.run(main()) == [str(i) for i in range(20)]
