"""The simulated provider on real sockets: an HTTP/1.1 server on 127.0.0.1, fast enough for benches.

It plays a `SimulatedProvider`'s plans; what happens to a call is decided there. Connection faults are real: a
reset, a body cut short, silence, a trickle.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import httptools
import msgspec

from flowpool.errors import InvalidInput
from flowpool.simulator import answers, pages, wires
from flowpool.simulator.answers import Rendered
from flowpool.simulator.plan import ReplyPlan
from flowpool.simulator.profile import Profile
from flowpool.simulator.provider import SimulatedProvider

# Connections that wait to be accepted: a client may open as many at once as its window is wide.
BACKLOG = 4096
# Pieces that a slow answer comes in: enough to be met in the middle of one.
_PIECES = 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_KEY_HEADERS = frozenset(name.encode() for name in wires.KEY_HEADERS)
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}
_JSON = (("content-type", "application/json"),)
_TEXT = (("content-type", "text/plain; charset=utf-8"),)
_decode_profile = msgspec.json.Decoder(Profile).decode


class _Incoming(NamedTuple):
    method: str
    path: str
    key: str
    body: bytes
    keep_alive: bool


class _Site:
    """What all connections share: the provider, its clock, the pages, and who waits for a slot."""

    def __init__(
        self, provider: SimulatedProvider, pages: Mapping[str, bytes], page_latency: float
    ) -> None:
        self.provider = provider
        self.pages = pages
        self.page_latency = page_latency
        self.loop = asyncio.get_running_loop()
        self.connections: set[_Connection] = set()
        self.opened = self.peak = self.page_requests = 0
        self.waiting: dict[int, _Connection] = {}
        self.reset(None)

    def reset(self, profile: Profile | None) -> None:
        """A new ledger and new buckets; calls under way are cut off."""
        self.provider.reset(profile)
        self.zero = self.loop.time()
        self.epoch = time.time()
        self.page_requests = 0
        self.opened = self.peak = len(self.connections)
        for connection in list(self.connections):
            if connection.plan is not None:
                connection.forget()
                connection.abort()

    def now(self) -> float:
        return self.loop.time() - self.zero

    def start(self, plans: list[ReplyPlan]) -> None:
        """Sets going the calls that got a slot."""
        for plan in plans:
            connection = self.waiting.pop(plan.ticket, None)
            if connection is not None:
                connection.schedule(plan)

    def books(self) -> dict[str, Any]:
        books = self.provider.ledger.as_dict()
        books["profile"] = self.provider.profile.name
        books["queued"] = self.provider.queued
        books["pages"] = self.page_requests
        books["connections"] = {
            "open": len(self.connections),
            "peak": self.peak,
            "opened": self.opened,
        }
        return books

    def admin(self, incoming: _Incoming) -> Rendered:
        """The simulator's own pages: `/sim/`, `/sim/ledger` and `/sim/reset`."""
        page = incoming.path.partition("?")[0].removeprefix("/sim").strip("/")
        if page == "reset" and incoming.method == "POST":
            try:
                profile = _decode_profile(incoming.body) if incoming.body else None
            except msgspec.DecodeError as error:
                return Rendered(400, _TEXT, f"That is no profile: {error}\n".encode())
            self.reset(profile)
            return Rendered(200, _JSON, b"{}")
        if page == "ledger":
            return Rendered(200, _JSON, msgspec.json.encode(self.books()))
        if page == "":
            return Rendered(200, _TEXT, self._overview().encode())
        return Rendered(404, _TEXT, b"See /sim/, /sim/ledger, or POST to /sim/reset.\n")

    def _overview(self) -> str:
        profile = self.provider.profile
        rates = (
            f"{name} {getattr(profile, name):,.0f}"
            for name in ("rpm", "tpm", "input_tpm", "output_tpm", "slots")
            if getattr(profile, name) is not None
        )
        return (
            f"flowpool sim: a {profile.name} provider, limits: {', '.join(rates) or 'none'}\n\n"
            f"{self.provider.ledger.summary()}\n\n"
            "GET /sim/ledger has it all as JSON; POST /sim/reset starts anew.\n"
        )


class _Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, each played to its end."""

    def __init__(self, site: _Site) -> None:
        self.site = site
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.inbox: deque[_Incoming] = deque()
        self.busy = False
        self.keep_alive = True
        self.plan: ReplyPlan | None = None
        self.timer: asyncio.TimerHandle | None = None

    # The socket's events.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        handle = transport.get_extra_info("socket")
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        site = self.site
        site.connections.add(self)
        site.opened += 1
        site.peak = max(site.peak, len(site.connections))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.site.connections.discard(self)
        plan = self.plan
        self.forget()
        if plan is not None:
            self.site.start(self.site.provider.abandoned(self.site.now(), plan.ticket))

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.keep_alive = False
            self._send(Rendered(400, _TEXT, b"That is no HTTP request.\n"))

    # The parser's events.

    def on_message_begin(self) -> None:
        self.url = b""
        self.key = ""
        self.body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in _KEY_HEADERS:
            self.key = wires.fingerprint(((lower.decode(), value.decode("latin-1")),))
        elif lower == b"expect" and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        keep_alive = self.parser.should_keep_alive()
        incoming = _Incoming(method, self.url.decode(), self.key or "none", body, keep_alive)
        if self.busy:
            self.inbox.append(incoming)
        else:
            self._begin(incoming)

    # From a request to the end of its answer.

    def _begin(self, incoming: _Incoming) -> None:
        self.busy = True
        self.keep_alive = incoming.keep_alive
        site, path = self.site, incoming.path
        route = wires.find_route(path)
        if route is not None and incoming.method == "POST":
            self._call(route, incoming)
        elif path.startswith("/sim"):
            self._send(site.admin(incoming))
        elif path.startswith(pages.PREFIX):
            site.page_requests += 1
            page = pages.find_page(site.pages, path)
            self.timer = site.loop.call_later(site.page_latency, self._send, page)
        else:
            self._send(answers.render_elsewhere(incoming.method, path))

    def _call(self, route: wires.ServedPath, incoming: _Incoming) -> None:
        site = self.site
        try:
            request = wires.parse(route, incoming.body, incoming.key)
        except InvalidInput as error:
            self._send(answers.render_unread(route.wire, error))
            return
        now = site.now()
        self.plan = plan = site.provider.receive(now, request)
        if plan.waiting:
            site.waiting[plan.ticket] = self
        elif plan.due <= now:
            self._play()
        else:
            self.schedule(plan)

    def schedule(self, plan: ReplyPlan) -> None:
        """Plays the plan when it is due; one that never is holds the line until the client leaves."""
        if plan.due != math.inf:
            self.timer = self.site.loop.call_at(self.site.zero + plan.due, self._play)

    def _play(self) -> None:
        plan, site, transport = self.plan, self.site, self.transport
        if plan is None or transport is None:
            return
        if plan.connection == "reset":
            self._end()
            handle = transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
            return
        rendered = answers.render(plan, site.provider.profile.headers, site.now(), site.epoch)
        data = self._bytes(rendered)
        if plan.connection == "cut":
            self._end()
            transport.write(data[: len(data) - len(rendered.body) // 2 - 1])
            transport.close()
        elif plan.spread > 0:
            self._trickle(_pieces(data, len(rendered.body)), plan.spread / _PIECES)
        else:
            # The books are closed first: who has the answer finds it in the ledger.
            self._end()
            transport.write(data)
            self._next()

    def _trickle(self, pieces: deque[bytes], pause: float) -> None:
        """Sends one piece now, and the others each after a pause."""
        if self.transport is None:
            return
        piece = pieces.popleft()
        if pieces:
            self.transport.write(piece)
            self.timer = self.site.loop.call_later(pause, self._trickle, pieces, pause)
        else:
            self._end()
            self.transport.write(piece)
            self._next()

    def _end(self) -> None:
        """Closes the books on the call under way."""
        plan, site = self.plan, self.site
        self.plan = self.timer = None
        if plan is not None:
            site.start(site.provider.finished(site.now(), plan.ticket))

    def _send(self, rendered: Rendered) -> None:
        if self.transport is not None:
            self.transport.write(self._bytes(rendered))
            self._next()

    def _next(self) -> None:
        self.busy = False
        if not self.keep_alive:
            if self.transport is not None:
                self.transport.close()
        elif self.inbox:
            self._begin(self.inbox.popleft())

    def _bytes(self, rendered: Rendered) -> bytes:
        status, headers, body = rendered.status, rendered.headers, rendered.body
        line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Simulated\r\n"
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        closing = "" if self.keep_alive else "connection: close\r\n"
        head = f"{line}{fields}{closing}content-length: {len(body)}\r\n\r\n"
        return head.encode("latin-1", "replace") + body

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def forget(self) -> None:
        """Drops the call under way without a word to the provider."""
        if self.timer is not None:
            self.timer.cancel()
        if self.plan is not None:
            self.site.waiting.pop(self.plan.ticket, None)
        self.plan = self.timer = None


def _pieces(data: bytes, body_length: int) -> deque[bytes]:
    """An answer's head, and its body in so many pieces."""
    head = len(data) - body_length
    step = max(1, -(-body_length // _PIECES))
    return deque([data[:head], *(data[at : at + step] for at in range(head, len(data), step))])


class Server:
    """A running simulator; made by `serve`."""

    def __init__(self, server: asyncio.Server, site: _Site) -> None:
        self._server = server
        self._site = site
        self.host, self.port = server.sockets[0].getsockname()[:2]
        self.url = f"http://{self.host}:{self.port}"

    @property
    def provider(self) -> SimulatedProvider:
        return self._site.provider

    async def aclose(self) -> None:
        """Stops listening and closes every connection."""
        self._server.close()
        for connection in list(self._site.connections):
            connection.abort()
        await self._server.wait_closed()
        while self._site.connections:  # noqa: ASYNC110 (the loop drops each within a turn or two)
            await asyncio.sleep(0)


async def serve(
    provider: SimulatedProvider | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    pages: Mapping[str, bytes] | None = None,
    *,
    page_latency: float = 0.0,
) -> Server:
    """Serves `provider` (and `pages` at `/pages/{name}`) on the running loop; port 0 takes a free one.

    An OpenAI client takes the server's `url` + "/v1" as base URL; Anthropic's and Google's take `url`.

        server = await serve(Provider(PROFILES["vllm"]))
        print(server.url)
        await server.aclose()
    """
    site = _Site(provider or SimulatedProvider(), pages or {}, page_latency)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(_Connection, site), host, port, backlog=BACKLOG)
    return Server(server, site)
