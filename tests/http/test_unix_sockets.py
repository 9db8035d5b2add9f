"""Servers on a Unix socket of this machine."""

from __future__ import annotations

import asyncio
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import quote

import pytest

from flowpool import Model, Pool, Skill
from flowpool.errors import AddressRefused, ConnectFailed, InvalidInput
from flowpool.http.request import encode_head, parse_url
from flowpool.limits.lanes import is_own
from flowpool.values import Timeouts

SOON = Timeouts(total=5)
on_unix = pytest.mark.skipif(sys.platform == "win32", reason="asyncio has none there")
ANSWER = (
    b'{"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}'
)


def address(path: object) -> str:
    return f"http+unix://{quote(str(path), safe='')}"


async def next_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:  # the client has closed
        return b""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await next_head(reader):
        assert b"\r\nhost: localhost\r\n" in head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
    writer.close()


def test_the_address_is_the_sockets_path_with_its_slashes_encoded() -> None:
    target = parse_url("http+unix://%2Ftmp%2FMy.sock/v1/chat?x=1")
    assert (target.origin.name, target.path) == ("/tmp/My.sock", "/v1/chat?x=1")
    assert target.origin.is_local
    head = encode_head("GET", target, ())
    assert head.startswith(b"GET /v1/chat?x=1 HTTP/1.1\r\nhost: localhost\r\n")
    assert is_own("http+unix://%2Ftmp%2FMy.sock/v1")


@pytest.mark.parametrize("url", ["http+unix://tmp/x", "http+unix:///tmp/x", "http+unix://%2F%00/"])
def test_an_address_that_names_no_socket_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"http\+unix://%2Ftmp%2Fvllm.sock/v1"):
        parse_url(url)


@on_unix
def test_a_call_goes_over_a_socket_and_its_connection_is_kept(run, raw, tmp_path) -> None:
    async def main() -> None:
        server = await asyncio.start_unix_server(serve, tmp_path / "s")
        environ = {"http_proxy": "http://127.0.0.1:9"}  # which nobody asks about a socket
        async with server, raw.opened(environ=environ) as transport:
            for _ in range(2):
                answer = await transport.send(raw.get(f"{address(tmp_path / 's')}/v1"), SOON)
                assert answer.body == ANSWER
            assert "1 open" in repr(transport)

    run(main())


@on_unix
def test_a_socket_is_never_public(run, raw, tmp_path) -> None:
    async def main() -> None:
        async with raw.opened(allow_address=lambda ip: True) as transport:
            with pytest.raises(AddressRefused):
                await transport.send(raw.get(f"{address(tmp_path / 's')}/"), SOON)

    run(main())


@on_unix
def test_a_socket_that_is_not_there_is_named(run, raw, tmp_path) -> None:
    async def main() -> None:
        async with raw.opened() as transport:
            with pytest.raises(ConnectFailed, match=r"/s: there is no such socket \(is the server"):
                await transport.send(raw.get(f"{address(tmp_path / 's')}/"), SOON)

    run(main())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@on_unix
def test_a_pool_asks_a_model_on_a_socket(tmp_path) -> None:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        pass

    async def main() -> None:
        model = Model("m", base_url=f"{address(tmp_path / 's')}/v1")
        pool = Pool(Skill(model, prompt="{text}"), [{"text": "a"}, {"text": "b"}])
        assert await pool.arun() == ["hi", "hi"]

    with Server(str(tmp_path / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            asyncio.run(main())
        finally:
            server.shutdown()
            thread.join()
