"""How fast somebody could be who knows the world: the bound that a limiter's time is divided by.

The oracle plays a world of the same parameters and the same luck. It sends the calls in their order, each at the
first moment at which every gate lets it pass, with at most `ceiling` in flight and never more than the server has a
use for; it is refused by nothing but chance, and then asks again as soon as it hears of it. Where that would mean
pushing others out (neighbours, soft capacity) or would need luck (a gateway that picks a key at random), it plays
the gate's twin: what the neighbours leave, the rate at which 2 % are refused, all keys in one bucket. So a program
that takes no notice of refusals can be faster than the oracle in the first two kinds, and in no other.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from flowpool.worlds.values import Arrival, Served
from flowpool.worlds.world import World

# A moment later than a gate asked for, so that sums of floats don't end just before it.
LATER = 1e-7


class OracleRun(Struct, frozen=True):
    """How the oracle did: seconds until its last answer, and the median latency of all."""

    seconds: float
    latency: float


def oracle_run(world: World, calls: Sequence[Arrival], ceiling: int) -> OracleRun:
    """How the oracle has all `calls` answered, in a fresh `world` which this uses up."""
    play = _Play(world, calls)
    most = min(ceiling, world.server.useful)
    while play.waiting or play.coming:
        if play.may_offer(most):
            play.offer()
    latencies = sorted(play.latencies)
    return OracleRun(play.last, latencies[len(latencies) // 2])


class _Play:
    """Where the oracle stands: the calls that wait, and the answers and refusals under way."""

    def __init__(self, world: World, calls: Sequence[Arrival]) -> None:
        world.gates = [gate.twin() for gate in world.gates]
        self.world = world
        self.waiting = deque(calls)
        # (when, number, call to ask again or None, admitted call)
        self.coming: list[tuple[float, int, Arrival | None, Arrival | None]] = []
        self.latencies: list[float] = []
        self.last = 0.0  # when the last answer came
        self.now = 0.0
        self._number = 0

    def may_offer(self, most: float) -> bool:
        """Whether a call may be offered now; where none may, it is the moment of the next end."""
        if self._is_held(most):
            self.now = max(self.now, self.coming[0][0])
        while self.coming and self.coming[0][0] <= self.now:
            at, _, again, admitted = heapq.heappop(self.coming)
            if again is not None:
                self.waiting.appendleft(again)
            if admitted is not None:
                self.world.ended(at, admitted)
                self.last = at
        return not self._is_held(most)

    def _is_held(self, most: float) -> bool:
        return not self.waiting or len(self.coming) >= most

    def offer(self) -> None:
        """Offers the next call; where it is to wait, time passes."""
        call = self.waiting[0]
        offered = self.world.offer(self.now, call)
        self._number += 1
        if isinstance(offered, Served):
            self.waiting.popleft()
            self.latencies.append(offered.latency)
            end = self.now + offered.latency
            heapq.heappush(self.coming, (end, self._number, None, call))
        elif offered.wait < 0.0:
            self.waiting.popleft()
            heapq.heappush(self.coming, (self.now + offered.after, self._number, call, None))
        else:
            next_end = self.coming[0][0] if self.coming else math.inf
            self.now = _when(self.now, offered.wait, next_end)


def _when(now: float, wait: float, next_end: float) -> float:
    """When to look again after a gate said `wait`: by its word, or when a call ends."""
    if wait == math.inf:
        if next_end == math.inf:
            # A cap that shrank to nothing for a while: look again soon.
            return now + 0.1
        return max(now, next_end)
    return min(now + wait + LATER, max(now + LATER, next_end))
