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
    world.gates = [gate.twin() for gate in world.gates]
    most = min(ceiling, world.server.useful)
    waiting = deque(calls)
    # (when, number, call to ask again or None, admitted call): answers and refusals under way.
    coming: list[tuple[float, int, Arrival | None, Arrival | None]] = []
    now = last = 0.0
    latencies: list[float] = []
    number = 0
    while waiting or coming:
        if not waiting or len(coming) >= most:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            at, _, again, admitted = heapq.heappop(coming)
            if again is not None:
                waiting.appendleft(again)
            if admitted is not None:
                world.ended(at, admitted)
                last = at
        if not waiting or len(coming) >= most:
            continue
        call = waiting[0]
        offered = world.offer(now, call)
        number += 1
        if isinstance(offered, Served):
            waiting.popleft()
            latencies.append(offered.latency)
            heapq.heappush(coming, (now + offered.latency, number, None, call))
        elif offered.wait < 0.0:
            waiting.popleft()
            heapq.heappush(coming, (now + offered.after, number, call, None))
        else:
            now = _when(now, offered.wait, coming[0][0] if coming else math.inf)
    return OracleRun(last, sorted(latencies)[len(latencies) // 2])


def _when(now: float, wait: float, next_end: float) -> float:
    """When to look again after a gate said `wait`: by its word, or when a call ends."""
    if wait == math.inf:
        if next_end == math.inf:
            # A cap that shrank to nothing for a while: look again soon.
            return now + 0.1
        return max(now, next_end)
    return min(now + wait + LATER, max(now + LATER, next_end))
