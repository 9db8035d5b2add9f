"""Proxies: which, for whom, and how a call goes through one."""

from __future__ import annotations

import asyncio
import base64
import traceback

import pytest
from tests.http.authority import SOON, Authority, is_global, resolver

from flowpool.errors import (
    AddressRefused,
    ConnectFailed,
    ConnectTimeout,
    InvalidInput,
)
from flowpool.http.proxies import proxy_for
from flowpool.http.request import parse_url
from flowpool.values import Timeouts, Tls


def test_a_proxy_is_no_way_around_the_check(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as proxy:
            options = {
                "environ": {"http_proxy": proxy.url},
                "allow_address": is_global,
                "resolve": resolver("10.0.0.1", "8.8.8.8"),
            }
            async with raw.opened(**options) as transport:
                with pytest.raises(AddressRefused):
                    await transport.send(raw.get("http://name.example/"), SOON)
            assert proxy.accepted == 0
            options["resolve"] = resolver("8.8.8.8")
            async with raw.opened(**options) as transport:
                answer = await transport.send(raw.get("http://name.example/"), SOON)
                assert answer.body == b"ok"

    run(main())


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "http://a.com/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.com/", "p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https://a.com/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://127.0.0.1/", "p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, "https://a.com/", "p:3128"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https://a.com/", "low:1"),
        ({"https_proxy": "", "ALL_PROXY": "http://p:1"}, "https://a.com/", None),
        ({"all_proxy": "http://p"}, "https://a.com/", "p:80"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.com/", None),
        ({"http_proxy": "http://[::1]:1"}, "http://a.com/", "[::1]:1"),
    ],
)
def test_the_environment_names_the_proxy(environ, url, expected) -> None:
    proxy = proxy_for(parse_url(url).origin, environ)
    assert (proxy and proxy.name) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("a.com", "http://a.com/", True),
        ("a.com", "http://www.a.com/", True),
        (".a.com", "http://www.a.com/", True),
        ("a.com", "http://nota.com/", False),
        ("a.com:8080", "http://a.com:8080/", True),
        ("a.com:8080", "http://a.com/", False),
        ("b.com, A.com", "http://a.com/", True),
        ("*", "http://a.com/", True),
        ("localhost,127.0.0.1,::1", "http://127.0.0.1:5/", True),
        ("localhost,127.0.0.1,::1", "http://[::1]:5/", True),
        ("10.0.0.0/8", "http://10.2.3.4/", True),
        ("10.0.0.0/8", "http://11.2.3.4/", False),
        ("", "http://a.com/", False),
        (",", "http://a.com/", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_lists_who_is_reached_directly(name, no_proxy, url, direct) -> None:
    environ = {"http_proxy": "http://p:1", name: no_proxy}
    assert (proxy_for(parse_url(url).origin, environ) is None) == direct


@pytest.mark.parametrize(
    "url", ["socks5://u:key-canary@p:1", "https://p:1", "http://:1", "http://u:key-canary@p:x"]
)
def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable_s_name(url) -> None:
    with pytest.raises(InvalidInput, match="http_proxy") as caught:
        proxy_for(parse_url("http://a.com/").origin, {"http_proxy": url})
    assert "key-canary" not in str(caught.value)


def test_a_plain_request_goes_to_the_proxy_in_absolute_form(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(raw.polite) as proxy:
            environ = {"http_proxy": f"http://me:pass@127.0.0.1:{proxy.port}", "NO_PROXY": "b.com"}
            async with raw.opened(environ=environ) as transport:
                assert (await transport.send(raw.get("http://a.com/x?y"), SOON)).body == b"ok"
            head = proxy.requests[0].decode().split("\r\n")
            assert head[0] == "GET http://a.com/x?y HTTP/1.1"
            assert "host: a.com" in head
            token = base64.b64encode(b"me:pass").decode()
            assert f"proxy-authorization: Basic {token}" in head

    run(main())


def tunnel(status: str = "200 Connection established"):
    """A proxy's handler that connects, or answers with `status` alone."""

    async def pump(reader, writer) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def handler(peer) -> None:
        request = await peer.request()
        peer.send(f"HTTP/1.1 {status}\r\nvia: test\r\n\r\n".encode())
        if not status.startswith("200"):
            await peer.close()
            return
        host, port = request.split()[1].decode().split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        back = asyncio.ensure_future(pump(reader, peer.writer))
        try:
            await pump(peer.reader, writer)
        finally:
            writer.transport.abort()
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)

    return handler


def test_a_tls_request_goes_through_a_tunnel(run, raw, authority) -> None:
    async def main() -> None:
        async with (
            raw.Server(raw.polite, tls=authority.server_context()) as server,
            raw.Server(tunnel()) as proxy,
        ):
            environ = {"HTTPS_PROXY": f"http://me:pass@127.0.0.1:{proxy.port}"}
            async with raw.opened(environ=environ, tls=Tls(authority.file)) as transport:
                for _ in range(2):
                    answer = await transport.send(raw.get(server.url), SOON)
                    assert answer.body == b"ok"
            (connect,) = proxy.requests
            assert connect.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
            assert b"proxy-authorization: Basic " in connect
            assert all(b"proxy-authorization" not in each for each in server.requests)
            assert server.requests[0].startswith(b"GET / HTTP/1.1")

    run(main())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", r"407 Proxy .*\(put user:password@ into HTTPS_PROXY"),
        ("502 Bad Gateway", "502 Bad Gateway"),
    ],
)
def test_a_proxy_that_refuses_is_named_with_what_it_said(run, raw, status, said) -> None:
    async def main() -> None:
        async with raw.Server(tunnel(status)) as proxy:
            environ = {"HTTPS_PROXY": f"http://me:key-canary@127.0.0.1:{proxy.port}"}
            async with raw.opened(environ=environ) as transport:
                match = rf"proxy 127\.0\.0\.1:{proxy.port} gave no way to a\.com:443: {said}"
                with pytest.raises(ConnectFailed, match=match) as caught:
                    await transport.send(raw.get("https://a.com/"), SOON)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            frames = [str(each.locals) for each in shown.stack if "tests" not in each.filename]
            token = base64.b64encode(b"me:key-canary").decode()
            assert "key-canary" not in " ".join(frames)
            assert token not in " ".join(frames)

    run(main())


def test_a_silent_proxy_meets_the_connect_timeout(run, raw) -> None:
    async def main() -> None:
        async with raw.Server(lambda peer: peer.gone()) as proxy:
            environ = {"HTTPS_PROXY": proxy.url}
            async with raw.opened(environ=environ) as transport:
                with pytest.raises(ConnectTimeout):
                    await transport.send(raw.get("https://a.com/"), Timeouts(connect=0.05))
            await raw.until(lambda: not proxy.live, 1.0)

    run(main())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))
