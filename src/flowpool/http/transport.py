"""Sends HTTP requests over real sockets: HTTP/1.1, keep-alive, one connection for each call in flight.

HTTP/1.1 on purpose: HTTP/2 puts all calls on one connection and so caps them at the server's stream limit.
Must not know models, lanes or retries beyond one: a call that met a connection closed while idle is sent anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from flowpool.errors import BodyCut, InvalidInput, ProtocolError, TransportError
from flowpool.http import body as bodies
from flowpool.http.connecting import Dialer, Resolve, Way
from flowpool.http.connection import (
    ERRORS,
    Connection,
    Exchange,
    StaleConnection,
    body_too_large,
)
from flowpool.http.connections import OriginPool
from flowpool.http.proxies import proxy_for
from flowpool.http.request import encode_head, parse_url
from flowpool.per_loop import PerLoop
from flowpool.values import Headers, HttpRequest, HttpResponse, Timeouts, Tls

if TYPE_CHECKING:
    import ssl

# Hosts with their own pool of connections: only a run over pages of many hosts has more, and it comes back to few.
_MOST_ROUTES = 1024
# Bytes of a compressed body, and of what it becomes, that are decompressed on the loop: some 3 ms.
_LITTLE, _NOT_LONG = 64 * 1024, 1024 * 1024
# What servers of TLS often do who are spoken to plainly: they close, and say nothing.
_TRY_TLS = "if the server speaks TLS, write the address with https://"
# Methods whose requests say how long their body is, also where it is empty.
_WITH_BODY = ("POST", "PUT", "PATCH")


class _Route(NamedTuple):
    """What requests of one method, URL and headers have in common."""

    pool: OriginPool
    head: bytes
    headers: Headers  # kept so that its id stays its own

    def __repr__(self) -> str:
        return f"_Route({self.pool.name})"


class HttpTransport:
    """Carries requests over the network. Belongs to the event loop that it is first used on.

    allow_address: called with each IP address before it is connected to; False refuses it. Default: all go.
    max_body: most bytes of an answer, as received and decompressed. Default 64 MiB.
    environ: where HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR and
    REQUESTS_CA_BUNDLE are looked up. Default: the process's.
    tls: whom to trust, and what to show of oneself.
    idle_seconds: a connection that no call used for so long is closed. Default 15.
    resolve: an async function `(host, port) -> addresses` instead of the system's resolver.

        async def main():
            transport = HttpTransport()
            try:
                request = HttpRequest("GET", "http://localhost:8000/health", ())
                print((await transport.send(request, Timeouts(total=30))).status)
            finally:
                await transport.aclose()
    """

    def __init__(
        self,
        *,
        allow_address: Callable[[str], bool] | None = None,
        max_body: int = 64 * 1024 * 1024,
        environ: Mapping[str, str] | None = None,
        tls: Tls = Tls(),  # noqa: B008 (frozen)
        idle_seconds: float = 15.0,
        resolve: Resolve | None = None,
    ) -> None:
        if max_body < 1:
            raise InvalidInput(f"max_body={max_body}: use 1 byte or more")
        if idle_seconds <= 0:
            raise InvalidInput(f"idle_seconds={idle_seconds}: use more than 0")
        self._allow_address = allow_address
        self._max_body = max_body
        self._environ = os.environ if environ is None else environ
        self._trust = tls
        self._idle_seconds = idle_seconds
        self._resolve = resolve
        self._tls: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dialer: Dialer | None = None
        self._routes: dict[tuple[str, str, int], _Route] = {}
        self._pools: dict[Way, OriginPool] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<HttpTransport {list(self._pools.values())}>"

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """The answer to `request`, whatever its status; redirects are answers too.

        `timeouts` are seconds: `connect` until there is a connection, `read` between two pieces of the answer,
        `total` for all. A request goes out a second time only if a kept connection turns out to have been closed
        by the server while it was idle: before it can have received the whole request.

        Raises `InvalidInput` for a request that can't be sent, else a `TransportError`: `ConnectFailed`,
        `CertificateRefused`, `AddressRefused`, `ConnectTimeout`, `ReadTimeout`, `AttemptTimeout`,
        `ConnectionReset`, `BodyCut`, `BodyTooLarge` or `ProtocolError`. When it is cancelled or fails, its
        connection is closed at once.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        route = self._routes.get((request.method, request.url, id(request.headers)))
        if route is None:
            route = self._add_route(request)
        pool, began = route.pool, loop.time()
        exchange = Exchange(
            whole_request(request.method, route.head, request.body),
            request.method == "HEAD",
            timeouts,
            began + timeouts.total,
        )
        del request, route  # they hold keys, and tracebacks can show locals
        is_repeat = False
        connection = pool.take()
        try:
            while True:
                while connection is None or connection.closing:
                    if connection is not None and not connection.reused:
                        raise pool.unanswered()
                    connection = await pool.wait(timeouts, exchange.deadline, fresh=is_repeat)
                    exchange.connect = loop.time() - began
                answer = connection.begin(exchange)
                try:
                    response = await answer
                except StaleConnection:
                    if is_repeat:
                        raise
                    pool.drop_free()  # what was idle longer is most likely dead too
                    connection, is_repeat, exchange.sent = None, True, 0.0
                    continue
                except asyncio.CancelledError:
                    if connection.answer is answer:
                        connection.abort()
                    raise
                if "content-encoding" in response.headers:
                    return await _decompressed(response, pool.name, self._max_body)
                return response
        except (TransportError, asyncio.CancelledError) as error:
            exchange.ends_with(error, began, loop.time())
            raise

    async def aclose(self) -> None:
        """Closes every connection; calls under way fail. The transport can't be used afterwards."""
        self._closed = True
        live = self._loop is not None and not self._loop.is_closed()
        pools = list(self._pools.values()) if live else []
        self._forget()
        for pool in pools:
            await pool.aclose()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closed:
            raise RuntimeError("the transport is closed: make a new one")
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("the transport belongs to another event loop: make one for each")
        self._forget()
        self._loop = loop
        self._dialer = Dialer(
            loop, self._context, self._drop_free, self._allow_address, self._resolve
        )

    def _forget(self) -> None:
        if self._dialer is not None and self._loop is not None and not self._loop.is_closed():
            self._dialer.close()
        self._routes.clear()
        self._pools.clear()
        self._loop = self._dialer = None

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            from flowpool.http.tls import make_context

            self._tls = make_context(self._trust, self._environ)
        return self._tls

    def _drop_free(self) -> None:
        for pool in self._pools.values():
            pool.drop_free()

    def _add_route(self, request: HttpRequest) -> _Route:
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
            self._pools = {way: pool for way, pool in self._pools.items() if not pool.unused}
        try:
            target = parse_url(request.url)
            proxy = None if target.origin.is_local else proxy_for(target.origin, self._environ)
            way = Way(target.origin, proxy)
            relayed = way.proxy is not None and target.origin.scheme == "http"
            head = encode_head(
                request.method,
                target,
                request.headers,
                proxy_authorization=way.proxy.authorization if way.proxy and relayed else None,
            )
        except InvalidInput as error:
            # The frames below hold headers and passwords, which trackers that keep variables would record.
            raise error.with_traceback(None) from None
        pool = self._pools.get(way)
        if pool is None:
            pool = self._pools[way] = self._new_pool(way)
        route = _Route(pool, head, request.headers)
        self._routes[request.method, request.url, id(request.headers)] = route
        return route

    def _new_pool(self, way: Way) -> OriginPool:
        loop, dialer = self._loop, self._dialer
        assert loop is not None
        assert dialer is not None
        name = way.origin.name

        async def dial(pool: OriginPool) -> Connection:
            def make() -> Connection:
                return Connection(loop, pool, name, self._max_body, self._idle_seconds)

            return await dialer.dial(way, make)

        is_plain = way.origin.scheme == "http" and not way.origin.is_local and way.proxy is None
        return OriginPool(loop, name, dial, _TRY_TLS if is_plain else "")


def whole_request(method: str, head: bytes, body: bytes) -> bytes:
    """The whole request: `head` as `encode_head` made it, and the body with its length."""
    if body or method in _WITH_BODY:
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


async def _decompressed(response: HttpResponse, name: str, cap: int) -> HttpResponse:
    """The answer with its body decompressed: at once while that is little work, else in a thread."""
    body, headers = response.body, dict(response.headers)
    encoding = headers.pop("content-encoding")
    if not body:
        return response
    headers.pop("content-length", None)
    try:
        made = _quickly(body, encoding, cap) if len(body) <= _LITTLE else None
        if made is None:
            made = await asyncio.to_thread(bodies.decode, body, encoding, cap)
    except bodies.TooLong:
        raise body_too_large(name, cap) from None
    except (bodies.Incomplete, bodies.Unreadable) as error:
        if response.status >= ERRORS:
            made = b""
        elif isinstance(error, bodies.Incomplete):
            raise BodyCut(f"the compressed answer of {name} ends too early") from None
        else:
            raise ProtocolError(f"the answer of {name} can't be read: {error}") from None
    return HttpResponse(response.status, headers, made, response.connect, response.first_byte)


def _quickly(body: bytes, encoding: str, cap: int) -> bytes | None:
    """The decompressed body if it isn't long."""
    try:
        return bodies.decode(body, encoding, min(cap, _NOT_LONG))
    except bodies.TooLong:
        if cap <= _NOT_LONG:
            raise
        return None


_SHARED: dict[Tls, PerLoop[HttpTransport]] = {}


def shared(tls: Tls = Tls()) -> HttpTransport:  # noqa: B008 (frozen)
    """The running event loop's transport, made at the first call and closed when the loop shuts down.

    Raises `RuntimeError` outside a running loop.
    """
    kept = _SHARED.get(tls)
    if kept is None:
        kept = _SHARED[tls] = PerLoop(partial(HttpTransport, tls=tls))
    return kept.get()
