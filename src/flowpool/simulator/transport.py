"""A transport that carries requests to a simulated provider in memory, on the running loop's clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from flowpool.errors import (
    AttemptTimeout,
    BodyCut,
    ConnectionReset,
    InvalidInput,
    ReadTimeout,
    TransportError,
)
from flowpool.simulator import answers, pages, wires
from flowpool.simulator.plan import ReplyPlan
from flowpool.simulator.provider import SimulatedProvider
from flowpool.values import Headers, HttpRequest, HttpResponse, Timeouts

# The wall time at which a loop's clock shows 0, so that dates in headers are the same in each run.
EPOCH = 1_767_225_600.0
_Waiter = asyncio.Future[None]
_LOST: dict[str, tuple[type[TransportError], str]] = {
    "reset": (ConnectionReset, "the connection closed before the answer began"),
    "cut": (BodyCut, "the connection closed in the middle of the answer"),
}


class SimTransport:
    """Implements `values.Transport` with a provider instead of a network.

    A fault of the connection raises the transport error that a socket would; a cancelled or timed out
    call gives its slot back. `pages` are served at `/pages/{name}`, after `page_latency` seconds. Works
    on any loop, in simulated time with `virtual.run`.

        transport = SimTransport(Provider(PROFILES["openai"], seed=1))
        response = await transport.send(request, Timeouts(total=60))
    """

    def __init__(
        self,
        provider: SimulatedProvider | None = None,
        *,
        pages: Mapping[str, bytes] | None = None,
        page_latency: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        self.provider = provider or SimulatedProvider()
        self.pages = pages or {}
        self.page_latency = page_latency
        self.epoch = epoch
        self.closed = False
        self._starts: dict[int, _Waiter] = {}
        self._routes: dict[str, tuple[str, wires.ServedPath | None]] = {}
        self._keys: dict[Headers, str] = {}

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """The provider's answer; raises a `TransportError` when there is none."""
        if self.closed:
            raise RuntimeError("this transport is closed")
        path, route = self._route(request.url)
        if route is None or request.method != "POST":
            return await self._elsewhere(request.method, path, timeouts)
        try:
            asked = wires.parse(route, request.body, self._key(request.headers))
        except InvalidInput as error:
            return _response(answers.render_unread(route.wire, error))
        loop = asyncio.get_running_loop()
        plan = self.provider.receive(loop.time(), asked)
        try:
            await self._play(loop, plan, timeouts)
        except BaseException as error:
            now = loop.time()
            self._start(self.provider.abandoned(now, plan.ticket))
            if isinstance(error, TransportError | asyncio.CancelledError):
                error.first_byte = _first_byte(plan, now)  # type: ignore[union-attr]
            raise
        self._start(self.provider.finished(loop.time(), plan.ticket))
        return self._result(plan, loop.time())

    async def aclose(self) -> None:
        """Refuses further calls."""
        self.closed = True

    async def _play(
        self, loop: asyncio.AbstractEventLoop, plan: ReplyPlan, timeouts: Timeouts
    ) -> None:
        """Waits until the plan's last byte is due, or raises the timeout that comes first."""
        total_at = plan.received + timeouts.total
        silent_at = min(plan.received + timeouts.read, total_at)
        if plan.waiting:
            await self._until_started(loop, plan, timeouts, silent_at)
        ready_at = plan.due + plan.spread
        # A trickling body comes in ten pieces, and each ends the silence.
        gap = plan.spread / 10
        if plan.due > silent_at or (gap > timeouts.read and plan.due + timeouts.read < total_at):
            late_at = silent_at if plan.due > silent_at else plan.due + timeouts.read
            await _sleep_until(loop, late_at)
            raise _timeout(timeouts, late_at < total_at)
        if ready_at > total_at:
            await _sleep_until(loop, total_at)
            raise _timeout(timeouts, False)
        await _sleep_until(loop, ready_at)

    async def _until_started(
        self, loop: asyncio.AbstractEventLoop, plan: ReplyPlan, timeouts: Timeouts, silent_at: float
    ) -> None:
        waiter = loop.create_future()
        self._starts[plan.ticket] = waiter
        timer = loop.call_at(silent_at, _fail, waiter, timeouts)
        try:
            await waiter
        finally:
            timer.cancel()
            self._starts.pop(plan.ticket, None)

    def _start(self, plans: list[ReplyPlan]) -> None:
        for plan in plans:
            waiter = self._starts.pop(plan.ticket, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _result(self, plan: ReplyPlan, now: float) -> HttpResponse:
        first_byte = _first_byte(plan, now)
        if plan.connection in _LOST:
            kind, words = _LOST[plan.connection]
            error = kind(words)
            error.first_byte = first_byte
            raise error
        rendered = answers.render(plan, self.provider.profile.headers, now, self.epoch)
        return _response(rendered, first_byte)

    async def _elsewhere(self, method: str, path: str, timeouts: Timeouts) -> HttpResponse:
        if path.startswith(pages.PREFIX):
            await asyncio.sleep(min(self.page_latency, timeouts.total))
            if self.page_latency > timeouts.total:
                raise _timeout(timeouts, False)
            return _response(pages.find_page(self.pages, path))
        return _response(answers.render_elsewhere(method, path))

    def _route(self, url: str) -> tuple[str, wires.ServedPath | None]:
        known = self._routes.get(url)
        if known is None:
            path = urlsplit(url).path
            known = path, wires.find_route(path)
            if len(self._routes) < 1000:
                self._routes[url] = known
        return known

    def _key(self, headers: Headers) -> str:
        key = self._keys.get(headers)
        if key is None:
            key = wires.fingerprint(headers)
            if len(self._keys) < 1000:
                self._keys[headers] = key
        return key


def _response(rendered: answers.Rendered, first_byte: float = 0.0) -> HttpResponse:
    headers = dict(rendered.headers)
    return HttpResponse(rendered.status, headers, rendered.body, first_byte=first_byte)


def _first_byte(plan: ReplyPlan, now: float) -> float:
    """Seconds until the answer began, or until now if it hasn't."""
    return min(plan.due, now) - plan.received


def _timeout(timeouts: Timeouts, silent: bool) -> TransportError:
    if silent:
        return ReadTimeout(f"nothing arrived for {timeouts.read:g} s")
    return AttemptTimeout(f"no whole answer within {timeouts.total:g} s")


def _fail(waiter: _Waiter, timeouts: Timeouts) -> None:
    if not waiter.done():
        waiter.set_exception(_timeout(timeouts, timeouts.read < timeouts.total))


async def _sleep_until(loop: asyncio.AbstractEventLoop, when: float) -> None:
    if when == math.inf:
        await loop.create_future()
    elif when > loop.time():
        waiter: _Waiter = loop.create_future()
        timer = loop.call_at(when, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
    else:
        await asyncio.sleep(0)


def _wake(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)
