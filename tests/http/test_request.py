"""What goes out: the bytes of a request, and what is refused before any are sent."""

from __future__ import annotations

import base64
import traceback

import pytest

from flowpool.errors import InvalidInput, TransportError
from flowpool.http.request import encode_head, parse_url
from flowpool.http.transport import whole_request
from flowpool.values import HttpRequest, Timeouts

JSON = (("content-type", "application/json"), ("x-key", "key-canary"))


def wire(url: str, headers=(), method: str = "GET", body: bytes = b"") -> str:
    """The request as it is sent."""
    head = encode_head(method, parse_url(url), headers)
    return whole_request(method, head, body).decode("latin-1")


def test_a_request_is_its_head_its_length_and_its_body() -> None:
    assert wire("https://api.example.com/v1/chat?x=1", JSON, "POST", b"{}") == (
        "POST /v1/chat?x=1 HTTP/1.1\r\nhost: api.example.com\r\naccept: */*\r\n"
        "accept-encoding: gzip, deflate\r\nuser-agent: flowpool\r\n"
        "content-type: application/json\r\nx-key: key-canary\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://example.com", "GET / HTTP/1.1", "example.com"),
        ("http://EXAMPLE.com:80/a#part", "GET /a HTTP/1.1", "example.com"),
        ("http://example.com:8080?q=1", "GET /?q=1 HTTP/1.1", "example.com:8080"),
        ("https://example.com:443/", "GET / HTTP/1.1", "example.com"),
        ("https://example.com:80/", "GET / HTTP/1.1", "example.com:80"),
        ("http://[::1]:8000/a", "GET /a HTTP/1.1", "[::1]:8000"),
        ("http://bücher.example/ä b", "GET /%C3%A4%20b HTTP/1.1", "xn--bcher-kva.example"),
        ("http://example.com/%20%2F?a=%26", "GET /%20%2F?a=%26 HTTP/1.1", "example.com"),
        ("http://example.com/?q=[1]|ü", "GET /?q=[1]|%C3%BC HTTP/1.1", "example.com"),
    ],
)
def test_urls_become_a_path_and_a_host(url, line, host) -> None:
    lines = wire(url).split("\r\n")
    assert lines[:2] == [line, f"host: {host}"]


def test_user_and_password_of_a_url_become_basic_authorization() -> None:
    token = base64.b64encode(b"me:p@ss").decode()
    assert f"\r\nauthorization: Basic {token}\r\n" in wire("http://me:p%40ss@example.com/")
    assert "Basic" not in wire("http://me:x@example.com/", (("Authorization", "Bearer k"),))


def test_given_headers_replace_the_default_ones() -> None:
    given = (("Host", "other"), ("User-Agent", "mine"), ("Accept-Encoding", "identity"))
    sent = wire("http://example.com/", given)
    assert sent.lower().count("\r\nhost:") == sent.lower().count("user-agent:") == 1
    assert "gzip" not in sent


def test_an_empty_post_has_a_length_and_a_get_has_none() -> None:
    assert "content-length: 0\r\n" in wire("http://example.com/", method="POST")
    assert "content-length" not in wire("http://example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/\r\nx-evil: 1",
        "http://example.com/a\nb",
        "http://exa\tmple.com/",
        "http://example.com\x00/",
        "ftp://example.com/",
        "example.com/a",
        "http://",
        "http:///path",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://[::1/",
        "http://exa mple.com/",
        "http://example.com\\@evil.com/",
        "http://a..ü.com/",
        "http://a..com/",
        "http://" + "a" * 64 + ".com/",
        "http://user:key-canary@exa mple.com/",
    ],
)
def test_urls_that_cannot_be_sent_are_refused(url) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_url(url)
    assert "key-canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-key", "key-canary\r\nx-evil: 1"),
        ("x-key", "key-canary\n"),
        ("x-key", "key-canary\x00"),
        ("x-key", "key-canary\u2028"),
        ("x key", "key-canary"),
        ("x-key\r\nx-evil", "key-canary"),
        ("", "key-canary"),
        ("Content-Length", "10"),
        ("Transfer-Encoding", "chunked"),
    ],
)
def test_headers_that_could_smuggle_are_refused_without_showing_their_value(name, value) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire("http://example.com/", ((name, value),))
    assert "key-canary" not in str(caught.value)


@pytest.mark.parametrize("method", ["", "GET /x HTTP/1.1\r\n", "CONNECT", "GÉT"])
def test_methods_that_are_none_are_refused(method) -> None:
    with pytest.raises(InvalidInput, match="method"):
        wire("http://example.com/", method=method)


def test_a_refused_request_opens_no_connection(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as server, raw.opened() as transport:
            for request in (
                raw.get(f"{server.url}\r\nx: y"),
                raw.get(server.url, headers=(("x", "a\r\nb"),)),
            ):
                with pytest.raises(InvalidInput):
                    await transport.send(request, Timeouts(total=5))
            assert server.accepted == 0

    run(main())


def test_requests_that_differ_in_headers_alone_are_told_apart(run, raw) -> None:
    async def handler(peer) -> None:
        while True:
            request = await peer.request()
            peer.answer(request.split(b"\r\nx-n: ")[1].split(b"\r\n")[0])

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            for number in range(3000):
                headers = (("x-n", f"{number}"),)  # freed in each turn: its id comes again
                answer = await transport.send(raw.get(server.url, headers), Timeouts(total=5))
                assert answer.body == b"%d" % number
            assert server.accepted == 1

    run(main())


def locals_of(error: BaseException) -> str:
    """Everything a log with locals would show of the transport's own frames."""
    text = [repr(error), str(error)]
    link: BaseException | None = error
    while link is not None:
        shown = traceback.TracebackException.from_exception(link, capture_locals=True)
        text += [str(frame.locals) for frame in shown.stack if "tests" not in frame.filename]
        link = link.__cause__ or link.__context__
    return " ".join(text)


@pytest.mark.parametrize("ending", ["reset", "close", "gone"])
@pytest.mark.parametrize("url", ["http://u:key-canary@127.0.0.1:{}/", "http://127.0.0.1:1/{}"])
def test_keys_stand_in_no_error_and_in_no_local_of_its_traceback(run, raw, ending, url) -> None:
    async def handler(peer) -> None:
        await peer.request()
        await getattr(peer, ending)()

    async def main() -> None:
        async with raw.Server(handler) as server, raw.opened() as transport:
            headers = (("authorization", "Bearer key-canary"),)
            request = HttpRequest("POST", url.format(server.port), headers, b"key-canary")
            with pytest.raises(TransportError) as caught:
                await transport.send(request, Timeouts(total=0.1))
            assert "key-canary" not in locals_of(caught.value) + repr(transport)

    run(main())
