"""A server with slots, or one that slows with load, in virtual time, and a window that feeds it."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from flowpool.limits.window import Window

Draw = Callable[[Random], tuple[float, int]]  # seconds of work, output tokens


def fixed(seconds: float = 1.0) -> Draw:
    return lambda random: (seconds, 0)


def lognormal(sigma: float, mean: float = 1.0) -> Draw:
    """Lengths that nothing explains."""
    return lambda random: (mean * math.exp(random.gauss(-sigma * sigma / 2, sigma)), 0)


def by_token(first: float = 0.1, mean: float = 1.0) -> Draw:
    """Lengths that vary tenfold and follow the output's tokens."""

    def draw(random: Random) -> tuple[float, int]:
        tokens = int(10 ** random.uniform(1.5, 2.5))
        return first + (mean - first) * tokens / 123.7, tokens

    return draw


class Server:
    """Serves up to `slots` calls at once, first come first served; each slows the others by 1/`soft`."""

    def __init__(self, slots: float = math.inf, soft: float = math.inf) -> None:
        self.slots = slots
        self.soft = soft
        self.now = 0.0
        self._work = 0.0  # done so far on a call that was there from the start
        self._serving: list[tuple[float, int, Any]] = []
        self._queue: deque[tuple[float, int, Any]] = deque()
        self._calls = 0

    def take(self, now: float, work: float, call: Any) -> None:
        self._advance(now)
        self._calls += 1
        self._queue.append((work, self._calls, call))
        self._start()

    def change(self, now: float, slots: float) -> None:
        self._advance(now)
        self.slots = slots
        self._start()

    def next_end(self) -> float:
        if not self._serving:
            return math.inf
        return self.now + max(0.0, self._serving[0][0] - self._work) * self._slowness()

    def end(self, now: float) -> Any:
        self._advance(now)
        _, _, call = heapq.heappop(self._serving)
        self._start()
        return call

    def _slowness(self) -> float:
        return 1.0 + len(self._serving) / self.soft

    def _advance(self, now: float) -> None:
        self._work += (now - self.now) / self._slowness()
        self.now = now

    def _start(self) -> None:
        while self._queue and len(self._serving) < self.slots:
            work, number, call = self._queue.popleft()
            heapq.heappush(self._serving, (self._work + work, number, call))


class Outcome(Struct):
    """What a client saw: (sent, latency) of each answer by its time, and the window's size at each."""

    times: list[float] = []
    latencies: list[float] = []
    sizes: list[int] = []

    def throughput(self, start: float, end: float) -> float:
        """Answers a second between two moments."""
        return sum(start < t <= end for t in self.times) / (end - start)

    def latency(self, start: float, end: float) -> float:
        found = [s for t, s in zip(self.times, self.latencies, strict=True) if start < t <= end]
        return sum(found) / max(1, len(found))

    def sizes_between(self, start: float, end: float) -> list[int]:
        return [n for t, n in zip(self.times, self.sizes, strict=True) if start < t <= end]


def run(
    window: Window,
    server: Server,
    draw: Draw,
    seconds: float,
    seed: int = 0,
    *,
    rate: float = math.inf,
    ramp: bool = True,
    changes: tuple[tuple[float, float], ...] = (),
    neighbour: tuple[float, float, int] = (math.inf, math.inf, 0),
    dead: tuple[float, float] = (math.inf, math.inf),
) -> Outcome:
    """An endless list of items through `window` for a while.

    rate: calls a second that the limiter allows; ramp: it starts at 8 and doubles each half second. changes:
    (moment, slots). neighbour: (from, to, calls) that somebody else keeps in flight. dead: (from, to), when
    calls fail at once after 0.1 s.
    """
    random = Random(seed)
    outcome = Outcome([], [], [])
    pending = list(changes)
    failing: list[float] = []
    now = next_send = 0.0
    in_flight = others = 0
    while now < seconds:
        while in_flight < window.size and next_send <= now:
            in_flight += 1
            allowed = min(rate, 8.0 * 2.0 ** min(20.0, 2.0 * now)) if ramp else rate
            next_send = max(next_send, now) + 1.0 / allowed
            if dead[0] <= now < dead[1]:
                heapq.heappush(failing, now + 0.1)
                continue
            work, tokens = draw(random)
            server.take(now, work, (now, in_flight, tokens))
        while others < neighbour[2] and neighbour[0] <= now < neighbour[1]:
            others += 1
            server.take(now, draw(random)[0], None)
        end = server.next_end()
        upcoming = [
            end,
            pending[0][0] if pending else math.inf,
            failing[0] if failing else math.inf,
        ]
        if in_flight < window.size:
            upcoming.append(next_send)
        if now < neighbour[0]:
            upcoming.append(neighbour[0])
        now = max(now, min(upcoming))
        if pending and pending[0][0] <= now:
            server.change(now, pending.pop(0)[1])
        elif failing and failing[0] <= now:
            heapq.heappop(failing)
            in_flight -= 1
        elif end <= now:
            call = server.end(now)
            if call is None:
                others -= 1
                continue
            sent, ahead, tokens = call
            window.answered(now, sent, ahead, in_flight, tokens)
            in_flight -= 1
            outcome.times.append(now)
            outcome.latencies.append(now - sent)
            outcome.sizes.append(window.size)
    return outcome
