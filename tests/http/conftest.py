"""Real sockets for the transport's tests: servers that do exactly what a test writes down, faults included."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
import uvloop
from tests.helpers import until_async

from flowpool.http.transport import HttpTransport
from flowpool.values import HttpRequest, Timeouts


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: RawServer, reader, writer) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, whole; `IncompleteReadError` when the client has closed."""
        head: bytes = await self.reader.readuntil(b"\r\n\r\n")
        body = b""
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                body = await self.reader.readexactly(int(line.split(b":")[1]))
        self.server.requests.append(head + body)
        return head + body

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def answer(self, body: bytes = b"ok", status: str = "200 OK", headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def reset(self) -> None:
        """Closes with RST, as a crashed server's kernel does."""
        await self.writer.drain()
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Returns when the client has closed."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass


Handler = Callable[[Peer], Awaitable[None]]


class RawServer:
    """A server on 127.0.0.1 that runs `handler` for each connection."""

    def __init__(self, handler: Handler, *, tls=None, host: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self.accepted = 0
        self.live: set[Peer] = set()
        self.faults: list[BaseException] = []
        self._handler = handler
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(
            self._accept, self._host, 0, ssl=self._tls, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{scheme}://{host}:{self.port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        assert not self.faults, self.faults

    def _accept(self, reader, writer) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(Peer(self, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: Peer) -> None:
        self.live.add(peer)
        try:
            await self._handler(peer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        except Exception as error:
            self.faults.append(error)
        finally:
            self.live.discard(peer)
            peer.writer.transport.abort()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await peer.writer.wait_closed()


async def polite(peer: Peer) -> None:
    """Answers every request with "ok"."""
    while True:
        await peer.request()
        peer.answer()


def get(url: str, headers=(), method: str = "GET", body: bytes = b"") -> HttpRequest:
    return HttpRequest(method, url, headers, body)


async def once(handler: Handler, *, timeouts: Timeouts | None = None, request=None, **options):
    """The answer of a server with `handler` to one request, on a transport of its own."""
    async with RawServer(handler) as server, opened(**options) as transport:
        asked = request(server.url) if request else get(server.url)
        return await transport.send(asked, timeouts or Timeouts(total=10))


@contextlib.asynccontextmanager
async def opened(**options):
    """An `HttpTransport` without the process's environment, closed at the end."""
    transport = HttpTransport(**{"environ": {}} | options)
    try:
        yield transport
    finally:
        await transport.aclose()


@pytest.fixture
def raw():
    """The tools above, as one object: test modules can't import from one another."""
    return SimpleNamespace(
        Server=RawServer, polite=polite, until=until_async, get=get, once=once, opened=opened
    )


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine on a new loop of each kind; a socket left open afterwards is an error."""
    factory = asyncio.SelectorEventLoop if request.param == "asyncio" else uvloop.new_event_loop
    errors: list[object] = []

    def note(loop, context) -> None:
        if (
            "incoming connection" not in context["message"]
        ):  # the server's own news, not the client's
            errors.append(context)

    def run_it(main):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(note)
            return runner.run(main)

    yield run_it
    gc.collect()
    assert not errors, errors
