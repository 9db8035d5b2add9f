"""The connections to one origin: those that are free, those being made, and the calls that wait for one.

Must not know HTTP, nor how a connection is made: `dial` does that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from flowpool.errors import AttemptTimeout, ConnectionReset, ConnectTimeout
from flowpool.http.connection import Connection
from flowpool.values import Timeouts

# Connection attempts at once, at first and at most: those that a listen backlog has no room for cost a second each.
_FIRST_WINDOW = 32
_WIDEST_WINDOW = 256


class _Waiter:
    __slots__ = ("connection", "deadline", "fresh", "since", "timeouts", "timer")

    def __init__(
        self,
        connection: asyncio.Future[Connection],
        timeouts: Timeouts,
        since: float,
        deadline: float,
        fresh: bool,
    ) -> None:
        self.connection = connection
        self.timeouts = timeouts
        self.since = since
        self.deadline = deadline
        self.fresh = fresh
        self.timer: asyncio.TimerHandle | None = None


class OriginPool:
    """Hands each connection to one call at a time; the last one freed goes first.

    Calls that find none free wait in line, and each that waits has one connection made, up to a window that
    grows with every success and halves with every attempt that times out. Whatever comes free first, new or
    used, goes to the first in line.

    silence_fix: what to try where the server closes connections and has never answered.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        dial: Callable[[OriginPool], Awaitable[Connection]],
        silence_fix: str = "",
    ) -> None:
        self.name = name
        self._silence_fix = silence_fix
        self._loop = loop
        self._dial = dial
        self._free: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._waiting: OrderedDict[_Waiter, None] = OrderedDict()
        self._dials: dict[asyncio.Task[None], None] = {}
        self._window = _FIRST_WINDOW
        self._last_success = float("-inf")
        self._emptied: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return (
            f"<OriginPool {self.name}: {len(self._open)} open, {len(self._free)} free, "
            f"{len(self._dials)} being made, {len(self._waiting)} calls waiting>"
        )

    @property
    def unused(self) -> bool:
        """Whether nothing is open, being made or waited for."""
        return not (self._open or self._dials or self._waiting)

    def take(self) -> Connection | None:
        """A free connection, or None."""
        return self._free.popitem()[0] if self._free else None

    async def wait(self, timeouts: Timeouts, deadline: float, *, fresh: bool = False) -> Connection:
        """The next connection that comes free; with `fresh`, one never used before.

        Raises `ConnectTimeout`, `AttemptTimeout` at `deadline` (loop time), or what `dial` raised.
        """
        loop = self._loop
        waiter = _Waiter(loop.create_future(), timeouts, loop.time(), deadline, fresh)
        self._waiting[waiter] = None
        self._set_timer(waiter, waiter.since + timeouts.connect)
        self._start_dials()
        try:
            return await waiter.connection
        except asyncio.CancelledError:
            self._waiting.pop(waiter, None)
            self._put_back(waiter)
            self._trim()
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()

    def freed(self, connection: Connection) -> None:
        waiter = self._first_in_line()
        if waiter is None or (waiter.fresh and connection.reused):
            connection.reused = True
            self._free[connection] = None
        else:
            del self._waiting[waiter]
            waiter.connection.set_result(connection)

    def heard(self) -> None:
        self._silence_fix = ""

    def unanswered(self) -> ConnectionReset:
        message = f"{self.name} closed the connection without an answer"
        return ConnectionReset(message, fix=self._silence_fix)

    def lost(self, connection: Connection) -> None:
        self._free.pop(connection, None)
        if connection.gone:
            self._open.discard(connection)
            if self._emptied is not None and not self._open and not self._emptied.done():
                self._emptied.set_result(None)

    def drop_free(self) -> None:
        """Closes what no call uses."""
        for connection in list(self._free):
            connection.abort()

    async def aclose(self) -> None:
        """Closes every connection and returns when their sockets are closed."""
        for waiter in list(self._waiting):
            self._fail(waiter, self._closed())
        dials = list(self._dials)
        for task in dials:
            task.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for connection in list(self._open):
            connection.fail(self._closed())
        if self._open:
            self._emptied = self._loop.create_future()
            await self._emptied

    def _closed(self) -> ConnectionReset:
        return ConnectionReset(f"the transport was closed during a call to {self.name}")

    # Calls in line.

    def _first_in_line(self) -> _Waiter | None:
        while self._waiting:
            waiter = next(iter(self._waiting))
            if not waiter.connection.done():
                return waiter
            del self._waiting[waiter]  # cancelled, but its call hasn't run since
        return None

    def _set_timer(self, waiter: _Waiter, patience: float) -> None:
        when = min(patience, waiter.deadline)
        waiter.timer = self._loop.call_at(when, self._expire, waiter)

    def _expire(self, waiter: _Waiter) -> None:
        now = self._loop.time()
        patience = max(waiter.since, self._last_success) + waiter.timeouts.connect
        if now >= waiter.deadline:
            message = f"{self.name} gave no connection within the attempt's timeout"
            self._fail(waiter, AttemptTimeout(message))
            self._trim()
        elif now >= patience:
            message = f"could not connect to {self.name} within {waiter.timeouts.connect:g} s"
            self._fail(waiter, ConnectTimeout(message, fix="check the network and the address"))
            self._trim()
        else:  # connections are being made, only not yet this call's
            self._set_timer(waiter, patience)

    def _fail(self, waiter: _Waiter, error: Exception) -> None:
        self._waiting.pop(waiter, None)
        if not waiter.connection.done():
            waiter.connection.set_exception(error)

    def _put_back(self, waiter: _Waiter) -> None:
        """A call cancelled in the moment in which it was given a connection gives it back."""
        given = waiter.connection
        if given.done() and not given.cancelled() and given.exception() is None:
            connection = given.result()
            if not connection.closing:
                self.freed(connection)

    def _trim(self) -> None:
        """A call gave up: the youngest attempt that no other call needs ends with it."""
        if len(self._dials) > len(self._waiting):
            self._dials.popitem()[0].cancel()

    # Connections being made.

    def _start_dials(self) -> None:
        while len(self._dials) < min(len(self._waiting), self._window):
            waiter = next(iter(self._waiting))
            task = self._loop.create_task(self._run_dial(waiter.timeouts.connect))
            self._dials[task] = None
            task.add_done_callback(self._end_dial)

    def _end_dial(self, task: asyncio.Task[None]) -> None:
        self._dials.pop(task, None)
        if not task.cancelled():
            task.result()
        self._start_dials()

    async def _run_dial(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                connection = await self._dial(self)
        except TimeoutError:  # the calls in line have their own clocks
            self._window = max(self._window // 2, _FIRST_WINDOW)
        except Exception as error:
            self._fail_first(error)
        else:
            self._last_success = self._loop.time()
            self._window = min(self._window + 1, _WIDEST_WINDOW)
            self._open.add(connection)
            if not connection.closing:
                self.freed(connection)
                return
            self.lost(connection)
            self._fail_first(self.unanswered())

    def _fail_first(self, error: Exception) -> None:
        waiter = self._first_in_line()
        if waiter is not None:
            self._fail(waiter, error)
