"""The live page's server: on loopback, in threads of its own, which end with the process."""

from __future__ import annotations

import io
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from socketserver import TCPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from flowpool.errors import FlowpoolError
from flowpool.printable import printable
from flowpool.watch.browser import Opener
from flowpool.watch.guard import HEADERS, is_own, may_change, part_of
from flowpool.watch.shown import Shown, shown
from flowpool.watch.source import RunSource
from flowpool.watch.view import RunView

LOOPBACK = "127.0.0.1"
# Connections at once that have not shown the token: one more, and the one that has been there longest is closed.
MOST_STRANGERS = 24
# Bytes of an order.
MOST_BODY = 4096
# Seconds for a first request, for each later one of who has shown the token, and for an answer to be taken.
FIRST, LATER, TAKEN = 5.0, 15.0, 15.0
# Seconds that a look at the run stands for everybody who asks.
STANDS = 0.4
_JSON = "application/json"
# What the page is made of: each file by its name in the address, with its package, its name there and its type.
FILES = {
    "": ("flowpool.watch", "page/page.html", "text/html; charset=utf-8"),
    "page.css": ("flowpool.watch", "page/page.css", "text/css; charset=utf-8"),
    "page.js": ("flowpool.watch", "page/page.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("flowpool.watch", "page/icon.svg", "image/svg+xml"),
    "uplot.js": ("flowpool.report", "assets/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    "uplot.css": ("flowpool.report", "assets/uPlot.min.css", "text/css; charset=utf-8"),
}


class Order(Struct, forbid_unknown_fields=True):
    """What a button asks for; `set` with what is to be changed."""

    what: Literal["pause", "go", "stop", "set"]
    max_flows: int | None = None
    max_cost: float | None = None

    @property
    def values(self) -> dict[str, Any]:
        given = {"max_flows": self.max_flows, "max_cost": self.max_cost}
        return {name: value for name, value in given.items() if value is not None}


class PageServer:
    """Serves a run's page until `close`. `address` has the token: whoever knows it may look and steer."""

    def __init__(self, source: RunSource, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self.source = source
        self._looked: tuple[float, RunView] | None = None
        self._lock = threading.Lock()
        self._opener = Opener()
        self._http = _Http((LOOPBACK, port), _Handler)
        self._http.page = self
        self.address = f"http://{LOOPBACK}:{self._http.server_port}/{self.token}/"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.1,), name="flowpool-watch", daemon=True
        )
        self._thread.start()

    def open(self) -> bool:
        """Opens the page in a browser; whether one was found. Raises `OSError` where it can't be led there."""
        return self._opener.open(self.address)

    def close(self) -> None:
        """Ends it. Pages that are open say so."""
        self._opener.close()
        self._http.shutdown()
        self._http.server_close()

    def forget(self) -> None:
        """In a forked child: the parent goes on serving, alone."""
        self._opener.forget()
        self._http.socket.close()

    def shown(self, after: float) -> Shown:
        """How the run stands: all who ask within a moment get one look at it."""
        with self._lock:
            now = time.monotonic()
            if self._looked is None or now - self._looked[0] >= STANDS:
                self._looked = now, self.source.view()
            view = self._looked[1]
        return shown(view, after)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # Connections that wait to be taken: a flood of them leaves room for the page's.
    request_queue_size = 128
    page: PageServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._guard = threading.Lock()
        self._strangers: dict[socket.socket, None] = {}  # the one that has been there longest first

    def server_bind(self) -> None:
        # HTTPServer's own asks for the machine's name, which may take seconds and is of no use here.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            if len(self._strangers) >= MOST_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                with suppress(OSError):  # it has ended
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread ends, and closes it
            self._strangers[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.know(request)

    def know(self, request: socket.socket) -> None:
        """A connection has shown the token, or is over."""
        with self._guard:
            self._strangers.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: what breaks a connection is a browser that went away."""


class _Incoming(io.RawIOBase):
    """What a connection sends, up to a moment: a byte now and then doesn't keep it open."""

    def __init__(self, connection: socket.socket) -> None:
        self.until = time.monotonic() + FIRST
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming = _Incoming(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self._incoming.until = time.monotonic() + LATER

    def _is_shown(self, is_allowed: bool) -> bool:
        """Whether a request is allowed; who sends one that is, is no stranger any more."""
        if is_allowed:
            self.server.know(self.connection)
        return is_allowed

    def do_GET(self) -> None:
        page = self.server.page
        part = part_of(self.path, page.token)
        if part is None or not self._is_shown(is_own(self._named())):
            return self._refuse(HTTPStatus.FORBIDDEN, "Open the address that the run has said.")
        url = urlsplit(part)
        if url.path == "view":
            return self._view(parse_qs(url.query))
        if url.path not in FILES:
            return self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")
        package, name, kind = FILES[url.path]
        return self._send(resources.files(package).joinpath(name).read_bytes(), kind)

    def do_POST(self) -> None:
        page = self.server.page
        part = part_of(self.path, page.token)
        if part is None or not self._is_shown(may_change(self._named(), page.token)):
            return self._refuse(HTTPStatus.FORBIDDEN, "Only the run's own page may change it.")
        if part != "order":
            return self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is no order.")
        if self.headers.get_content_type() != _JSON:
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Orders are {_JSON}.")
        body = self.rfile.read(int(length))
        try:
            order = msgspec.json.decode(body, type=Order)
        except msgspec.MsgspecError as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, f"That is no order: {error}.")
        return self._answer(
            lambda: {"said": printable(page.source.order(order.what, **order.values))}
        )

    def _named(self) -> dict[str, str]:
        """The headers by their names; one that comes twice is both."""
        found: dict[str, str] = {}
        for name, value in self.headers.items():
            known = found.get(name.lower())
            found[name.lower()] = value if known is None else f"{known}, {value}"
        return found

    def _view(self, query: Mapping[str, list[str]]) -> None:
        try:
            after = float(query.get("after", ["0"])[0])
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST, "after= is a moment, in seconds.")
        return self._answer(lambda: self.server.page.shown(after))

    def _answer(self, find: Callable[[], Any]) -> None:
        """What is found as JSON; what can't be found or done, in words."""
        try:
            body = msgspec.json.encode(find())
        except FlowpoolError as error:
            return self._refuse(HTTPStatus.CONFLICT, str(error))
        except Exception as error:
            return self._refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}"
            )
        return self._send(body, _JSON)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        # What was sent along isn't read: the connection can't go on.
        self.close_connection = True
        self._send(msgspec.json.encode({"error": printable(words)}), _JSON, status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.connection.settimeout(TAKEN)
        self.send_response_only(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request of the page, as a method that it doesn't use."""
        self._refuse(HTTPStatus(code), message or "That is no request of the page.")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is logged: a request's line has the token."""
