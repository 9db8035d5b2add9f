"""When each of a pool's calls was sent and answered, with the real transport."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Any

from flowpool.run.environment import Environment


class Recorder:
    """A transport that keeps the moments of each answered call; `environment()` is a pool's `environment`."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def environment(self) -> Environment:
        return Environment(self, os.environ, Random(0))

    async def send(self, request: Any, timeouts: Any) -> Any:
        from flowpool.http.transport import shared

        sent = time.perf_counter()
        response = await shared().send(request, timeouts)
        # A server's gauges may be asked too, and aren't calls.
        if request.url.endswith("/completions") and response.status == 200:
            self.spans.append((sent, time.perf_counter()))
        return response

    async def aclose(self) -> None:
        pass
