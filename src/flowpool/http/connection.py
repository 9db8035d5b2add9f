"""One HTTP/1.1 connection: bytes in, answers out, one exchange at a time, its clock included.

Must not know how connections are made, pooled or repeated. Nothing here puts a header or body into a message.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol, cast

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)
from msgspec import Struct

from flowpool.errors import (
    AttemptTimeout,
    BodyCut,
    BodyTooLarge,
    ConnectionReset,
    ProtocolError,
    ReadTimeout,
    TransportError,
)
from flowpool.http.tls import tls_failure
from flowpool.values import HttpResponse, Timeouts

# Bytes of an answer's status line and headers, far beyond what servers send: more than that is no HTTP.
_MAX_HEAD = 256 * 1024
# Fields of one answer's headers: servers send some tens.
_MOST_HEADERS = 1000
# Pieces of a body that are held one by one: a server may send it byte by byte.
_MOST_PIECES = 4096
# Statuses from which on an answer tells what counts by its headers, however its body ends: a server that refuses a
# request unread resets the connection, which may cost the rest of the answer.
ERRORS = 400
# What else a server may speak, by the first bytes that it sends: what to say of it, and the fix.
_LANGUAGES: tuple[tuple[Callable[[bytes], bool], tuple[str, str]], ...] = (
    (
        lambda data: data[:1] in (b"\x15", b"\x16") and data[1:2] == b"\x03",
        ("speaks TLS there", "write the address with https://"),
    ),
    (
        # A frame of settings, on stream 0, is the first that such a server sends.
        lambda data: data[3:4] == b"\x04" and data[5:9] == bytes(4),
        (
            "speaks HTTP/2 alone",
            "turn HTTP/1.1 on at the server, or put a proxy such as nginx before it",
        ),
    ),
)


def body_too_large(name: str, cap: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the answer of {name} is longer than {cap} bytes", fix="ask for less, or raise max_body"
    )


class _TooManyHeaders(Exception):
    """More fields than any answer has."""


class StaleConnection(ConnectionReset):
    """The server had closed the connection while it was idle, and so can't have read the whole request."""


class Exchange(Struct, eq=False):
    """One request on its way. A class of its own so that no traceback's locals show headers or body.

    connect: seconds until it had its connection. sent: when it was written, on the loop's clock, and 0 before.
    first_byte: seconds from then until the answer began, and 0 before.
    """

    payload: bytes
    head_only: bool
    timeouts: Timeouts
    deadline: float
    connect: float = 0.0
    sent: float = 0.0
    first_byte: float = 0.0

    def __repr__(self) -> str:
        return f"<Exchange of {len(self.payload)} bytes>"

    def ends_with(
        self, error: TransportError | asyncio.CancelledError, began: float, now: float
    ) -> None:
        """Says on the error what of the time since `began` went where."""
        connect, first_byte = now - began, 0.0
        if self.sent:
            connect, first_byte = self.connect, self.first_byte or now - self.sent
        # A cancellation has no such fields of its own, and its attempt is written down all the same.
        error.connect, error.first_byte = connect, first_byte  # type: ignore[union-attr]


_NO_EXCHANGE = Exchange(b"", False, Timeouts(), 0.0)


class Owner(Protocol):
    """Who hears what becomes of a connection."""

    def heard(self) -> None:
        """The server answers."""

    def unanswered(self) -> ConnectionReset:
        """The failure of a call whose connection the server closed without an answer."""

    def freed(self, connection: Connection) -> None:
        """The connection can carry another exchange."""

    def lost(self, connection: Connection) -> None:
        """The connection is going or gone; may be called twice."""


class Connection(asyncio.Protocol):
    """A connection to the server called `name`; idle after `idle_seconds`, it closes itself.

    `answer` is the future of the exchange under way; `reused` says whether it has ever been free; `closing`
    turns true when it can't be used any more, `gone` when its socket is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        name: str,
        max_body: int,
        idle_seconds: float,
    ) -> None:
        self.name = name
        self.answer: asyncio.Future[HttpResponse] | None = None
        self.reused = False
        self.closing = self.gone = False
        self._loop = loop
        self._owner = owner
        self._max_body = max_body
        self._idle_seconds = idle_seconds
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self._active = 0.0
        self._reset()

    def _reset(self) -> None:
        self._exchange = _NO_EXCHANGE
        self._status = 0
        self._head_size = 0
        self._received = 0
        self._size = 0
        self._fields: list[tuple[str, str]] = []
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._parts: list[bytes] = []
        self._in_body = False
        self._complete = False
        self._keep_alive = False
        self._surplus = False
        self._is_stale = False

    def __repr__(self) -> str:
        state = "closing" if self.closing else "busy" if self.answer else "idle"
        return f"<Connection {self.name} {state}>"

    # What the owner does.

    def begin(self, exchange: Exchange) -> asyncio.Future[HttpResponse]:
        """Sends a request; the future gets its answer or a `TransportError`."""
        loop = self._loop
        self.answer = answer = loop.create_future()
        self._exchange = exchange
        self._active = exchange.sent = now = loop.time()
        due = min(exchange.deadline, now + exchange.timeouts.read)
        if due < self._tick_at:
            self._tick_in(due - now)
        assert self._transport is not None
        self._transport.write(exchange.payload)
        return answer

    def abort(self) -> None:
        """Closes at once, whatever is under way."""
        self.closing = True
        self._owner.lost(self)
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: TransportError) -> None:
        """Closes, and tells the exchange under way why."""
        answer, self.answer = self.answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.abort()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._active = self._loop.time()
        self._tick_in(self._idle_seconds)

    def data_received(self, data: bytes) -> None:
        if self.answer is None:
            self.abort()  # nothing was asked, so it can't be trusted to answer the next request
            return
        self._active = now = self._loop.time()
        if not self._received:
            self._exchange.first_byte = now - self._exchange.sent
        self._received += len(data)
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._refuse("switched protocols unasked")
        except HttpParserCallbackError:
            self._refuse(f"sent more than {_MOST_HEADERS} headers")
        except HttpParserError as error:
            self._surplus = True
            if not self._complete:
                self._refuse_language(data, error)
        if self._size > self._max_body or self._received > self._max_body + _MAX_HEAD:
            self.fail(self._too_large())
        elif self._complete:
            self._finish()
        elif self._head_size > _MAX_HEAD and not self._in_body:
            self._refuse(f"sent headers longer than {_MAX_HEAD // 1024} KiB")

    def eof_received(self) -> None:
        headers = self._headers
        chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
        if self._in_body and not chunked and "content-length" not in headers:
            self._finish()  # an answer without a length ends with the connection
        elif self.reused and not self._head_size:
            assert self._transport is not None
            self._is_stale = not _was_received(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = self.gone = True
        if self._tick is not None:
            self._tick.cancel()
        self._owner.lost(self)
        self._transport = self._tick = None
        answer, self.answer = self.answer, None
        if answer is not None and not answer.done():
            if self._in_body and self._status >= ERRORS:
                answer.set_result(self._response())
            else:
                answer.set_exception(self._cut(error))
        del self._parser  # it refers back to this object

    def _cut(self, error: Exception | None) -> TransportError:
        if isinstance(error, OSError) and (refused := tls_failure(self.name, error)) is not None:
            return refused
        if self._head_size:
            where = "in the middle of the answer" if self._in_body else "in the answer's headers"
            return BodyCut(f"{self.name} closed the connection {where}")
        if self._is_stale:
            return StaleConnection(f"{self.name} closed the connection without an answer")
        return self._owner.unanswered()

    # What the parser tells. After the answer's end, whatever comes is surplus.

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # trailers
            return
        if len(self._fields) >= _MOST_HEADERS:
            raise _TooManyHeaders
        self._fields.append((name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._owner.heard()
        self._status = status = self._parser.get_status_code()
        if status >= 200:
            self._headers = _joined(self._fields)
            self._in_body = True
            if self._exchange.head_only:
                self._complete = True
                self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, chunk: bytes) -> None:
        if self._complete:
            self._surplus = True
            return
        self._size += len(chunk)
        if self._size <= self._max_body:
            pieces = self._pieces
            pieces.append(chunk)
            if len(pieces) >= _MOST_PIECES:
                self._parts.append(b"".join(pieces))
                pieces.clear()

    def on_message_complete(self) -> None:
        if self._in_body:
            if not self._complete:
                self._complete = True
                self._keep_alive = self._parser.should_keep_alive()
        else:  # 1xx: the answer is yet to come
            self._fields = []

    # Ends of an exchange.

    def _finish(self) -> None:
        assert self._transport is not None
        answer, self.answer = self.answer, None
        free = (
            self._keep_alive
            and not self._surplus
            and not self.closing
            and not self._transport.get_write_buffer_size()  # else it answered before it was asked all
        )
        if answer is not None and not answer.done():
            answer.set_result(self._response())
        if not free:
            self.abort()
            return
        if self._exchange.head_only:
            self._parser = HttpResponseParser(self)  # the old one waits for a body
        self._reset()
        self.reused = True
        self._owner.freed(self)

    def _response(self) -> HttpResponse:
        """The answer, its body as it was sent."""
        pieces = self._parts + self._pieces if self._parts else self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        exchange = self._exchange
        return HttpResponse(
            self._status, self._headers, body, exchange.connect, exchange.first_byte
        )

    def _refuse(self, what: str) -> None:
        self.fail(ProtocolError(f"{self.name} {what}"))

    def _refuse_language(self, data: bytes, error: HttpParserError) -> None:
        what, fix = f"sent something that isn't HTTP/1.1: {error}", ""
        if self._received == len(data):
            what, fix = next((said for begins, said in _LANGUAGES if begins(data)), (what, fix))
        failure = ProtocolError(f"{self.name} {what}", fix=fix)
        failure.of_setup = True
        self.fail(failure)

    def _too_large(self) -> BodyTooLarge:
        return body_too_large(self.name, self._max_body)

    # The clock. One timer that is set anew only when it would ring too late: a call costs none.

    def _tick_in(self, seconds: float) -> None:
        if self._tick is not None:
            self._tick.cancel()
        seconds = max(seconds, 0.001)
        self._tick_at = self._loop.time() + seconds
        self._tick = self._loop.call_later(seconds, self._on_tick)

    def _on_tick(self) -> None:
        now = self._loop.time()
        if self.closing:
            return
        exchange = self._exchange
        if self.answer is None:
            due = self._active + self._idle_seconds
        else:
            due = min(exchange.deadline, self._active + exchange.timeouts.read)
        if now < due:
            self._tick_in(min(due - now, self._idle_seconds))
        elif self.answer is None:
            self.abort()
        elif now >= exchange.deadline:
            self.fail(AttemptTimeout(f"{self.name} took longer than the attempt's timeout"))
        else:
            self.fail(ReadTimeout(f"{self.name} sent nothing for {exchange.timeouts.read:g} s"))


def _was_received(transport: asyncio.Transport) -> bool:
    """Whether the other end may have received all that was sent, of a connection that it has closed in order.

    What its kernel hadn't acknowledged by then, nobody there will read. A connection that was reset tells nothing.
    """
    if transport.get_write_buffer_size():
        return False
    try:
        import fcntl
        import termios

        number = transport.get_extra_info("socket").fileno()
        waiting = fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4))
    except (ImportError, AttributeError, OSError):  # only Linux tells
        return True
    return not int.from_bytes(waiting, sys.byteorder)


def _joined(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The fields by name; values of a name that comes several times are joined."""
    headers = dict(fields)
    if len(headers) < len(fields):
        several: dict[str, list[str]] = {}
        for name, value in fields:
            several.setdefault(name, []).append(value)
        # A cookie may hold a comma, but no field a line break.
        headers = {
            name: ("\n" if name == "set-cookie" else ", ").join(values)
            for name, values in several.items()
        }
    return headers
