"""What tests of several rooms use: waiting until something is so, and a transport that keeps what it was sent."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from flowpool.values import HttpRequest, HttpResponse, Timeouts, Transport

# Seconds between two looks.
LOOK = 0.005


def until(
    condition: Callable[[], Any],
    seconds: float = 20.0,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Waits until it is so, at most so many seconds, and no longer than `process` lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        assert process is None or process.poll() is None, "the process has ended"
        time.sleep(LOOK)


async def until_async(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """The same on a loop, whose clock it keeps to."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (of whatever a test looks at)
            await asyncio.sleep(LOOK)


class Recorder:
    """A transport that hands everything on to another, and keeps what was sent.

    sent: the loop's seconds at each request. most: the most requests at once.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.requests: list[HttpRequest] = []
        self.timeouts: list[Timeouts] = []
        self.sent: list[float] = []
        self.in_flight = self.most = 0

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        self.requests.append(request)
        self.timeouts.append(timeouts)
        self.sent.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._transport.send(request, timeouts)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        await self._transport.aclose()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked, as JSON."""
        return [json.loads(request.body) for request in self.requests]
