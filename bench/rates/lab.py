"""Plays any policy against any world in virtual time: minutes of calls in a fraction of a second.

No loop and no sockets, only a heap of moments. A call takes some milliseconds to the provider; an answer is there
when the provider sends it. Nothing of the world reaches a policy but what a client would see.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from msgspec import Struct

from bench.rates.policy import Cost, Policy, Refusal
from flowpool.simulator.limits import LimitState
from flowpool.values import LimitReading, Usage
from flowpool.worlds.values import Arrival, Served, TurnedAway
from flowpool.worlds.world import World

TRANSIT = 0.002  # seconds to the provider, on average and exponentially spread
TIMER = 0.001  # seconds: a program's timers have no finer steps
TIMEOUT = 5.0  # seconds after which a call that hangs is given up
# As wire adapters call the dimensions of headers.
DIMENSIONS = {"input-tokens": "input", "output-tokens": "output"}
_ARRIVE, _ANSWER, _REFUSE, _READY, _WAKE = range(5)
NOTHING = Usage()

Fault = Literal["500", "429", "drop", "hang", "json", "400"]


class Outcome(Struct):
    """What a run saw. seconds: until every call was answered, inf if that didn't happen in time.

    refused: answers of 429, 503 or 529. errors: other attempts without an answer. lost: how often a call was given
    up; it then comes again after all others, as who runs a program again for what failed. own: calls that failed by
    their own fault. moments: when each answer came. latency: the median over answers, seconds.
    """

    items: int
    seconds: float = math.inf
    done: int = 0
    refused: int = 0
    errors: int = 0
    lost: int = 0
    own: int = 0
    sent: int = 0
    peak: int = 0
    by_chance: int = 0
    latency: float = 0.0
    moments: list[float] = []
    shares: list[int] = []

    @property
    def pace(self) -> float:
        """Answers a second."""
        return self.done / self.seconds if 0.0 < self.seconds < math.inf else 0.0


class _Item:
    __slots__ = ("attempt", "call", "cost", "faults", "sent_at")

    def __init__(self, call: Arrival, faults: list[Fault] | None) -> None:
        self.call = call
        self.cost = Cost(call.input, call.most)
        self.attempt = 0
        self.faults = list(faults) if faults else None
        self.sent_at = 0.0


class _Client:
    __slots__ = ("answers", "fresh", "policy", "retries", "wake")

    def __init__(self, policy: Policy, fresh: deque[_Item]) -> None:
        self.policy = policy
        self.fresh = fresh
        self.retries: deque[_Item] = deque()
        self.wake = math.inf
        self.answers = 0


class Lab:
    """One run: `policies` share the calls between them and send them to one `world`.

    faults: for some calls by number, what their first attempts meet. horizon: seconds after which it is over.
    """

    def __init__(
        self,
        world: World,
        calls: Sequence[Arrival],
        policies: Sequence[Policy],
        seed: int,
        *,
        faults: dict[int, list[Fault]] | None = None,
        horizon: float = 3600.0,
    ) -> None:
        self.world = world
        self.random = Random(f"transit {seed}")
        self.horizon = horizon
        self.style = world.replies.style
        planted = faults or {}
        items = [_Item(call, planted.get(i)) for i, call in enumerate(calls)]
        count = len(policies)
        self.clients = [_Client(p, deque(items[i::count])) for i, p in enumerate(policies)]
        self.outcome = Outcome(len(items))
        self.left = len(items)
        self.in_flight = 0
        self.number = 0
        self.now = 0.0
        self.heap: list[tuple[float, int, int, _Client, Any, Any, Any]] = []

    def run(self) -> Outcome:
        outcome, heap, latencies = self.outcome, self.heap, list[float]()
        for client in self.clients:
            self.pump(client)
        ended = 0.0
        while heap and self.left:
            now, _, kind, client, item, token, what = heapq.heappop(heap)
            if now > self.horizon:
                break
            self.now = now
            if kind == _ARRIVE:
                self.arrive(client, item, token)
                continue
            if kind == _ANSWER:
                self.answer(client, item, token, what)
                latencies.append(now - item.sent_at)
                ended = now
            elif kind == _REFUSE:
                self.refuse(client, item, token, what)
                ended = now
            elif kind == _READY:
                client.retries.append(item)
            elif now < client.wake:
                continue
            else:
                client.wake = math.inf
            self.pump(client)
        if not self.left:
            outcome.seconds = ended
        outcome.by_chance = self.world.by_chance
        outcome.latency = sorted(latencies)[len(latencies) // 2] if latencies else 0.0
        outcome.shares = [client.answers for client in self.clients]
        return outcome

    def push(self, at: float, kind: int, client: _Client, item: Any, token: Any, what: Any) -> None:
        self.number += 1
        heapq.heappush(self.heap, (at, self.number, kind, client, item, token, what))

    def pump(self, client: _Client) -> None:
        """Lets go what the client's policy lets go, in its order."""
        now, try_send = self.now, client.policy.try_send
        while True:
            queue = client.retries or client.fresh
            if not queue:
                return
            item = queue[0]
            token = try_send(now, item.cost, item.attempt)
            if token is None:
                break
            queue.popleft()
            item.sent_at = now
            self.in_flight += 1
            self.push(
                now + self.random.expovariate(1.0 / TRANSIT), _ARRIVE, client, item, token, None
            )
        turn = client.policy.next_turn(now)
        if turn is not None:
            turn = max(turn, now + TIMER)
            if turn < client.wake:
                client.wake = turn
                self.push(turn, _WAKE, client, None, None, None)

    def arrive(self, client: _Client, item: _Item, token: object) -> None:
        """The provider's side of a call."""
        now, outcome = self.now, self.outcome
        outcome.sent += 1
        outcome.peak = max(outcome.peak, self.in_flight)
        fault = item.faults.pop(0) if item.faults else None
        if fault is not None and fault not in ("json", "400"):
            after, refusal = _planted(fault)
            self.push(now + after, _REFUSE, client, item, token, refusal)
            return
        offered = self.world.offer(now, item.call)
        if isinstance(offered, Served):
            readings = _readings(offered.headers, self.style)
            what = (readings, fault)
            self.push(now + offered.latency, _ANSWER, client, item, token, what)
        else:
            refusal = _seen(offered, self.style)
            self.push(now + offered.after, _REFUSE, client, item, token, refusal)

    def answer(self, client: _Client, item: _Item, token: object, what: Any) -> None:
        readings, fault = what
        outcome, call = self.outcome, item.call
        self.in_flight -= 1
        self.world.ended(self.now, call)
        usage = Usage(call.input, call.output)
        client.policy.answered(token, self.now, usage, readings)
        if fault == "json":
            # The answer can't be read: the call is asked again as a new one.
            client.retries.append(item)
            outcome.errors += 1
            return
        self.left -= 1
        if fault == "400":
            outcome.own += 1
            return
        outcome.done += 1
        client.answers += 1
        outcome.moments.append(self.now)

    def refuse(self, client: _Client, item: _Item, token: object, refusal: Refusal) -> None:
        self.in_flight -= 1
        if refusal.kind == "limit":
            self.outcome.refused += 1
        else:
            self.outcome.errors += 1
        wait = client.policy.refused(token, self.now, refusal, item.attempt)
        item.attempt += 1
        if wait is None:
            self.outcome.lost += 1
            item.attempt = 0
            client.fresh.append(item)
        elif wait <= 0.0:
            client.retries.append(item)
        else:
            self.push(self.now + max(wait, TIMER), _READY, client, item, None, None)


def _planted(fault: Fault) -> tuple[float, Refusal]:
    if fault == "drop":
        return 0.02, Refusal("drop", None)
    if fault == "hang":
        return TIMEOUT, Refusal("timeout", None)
    return 0.02, Refusal("limit" if fault == "429" else "error", int(fault))


def _seen(refused: TurnedAway, style: str) -> Refusal:
    """What a client sees of a refusal."""
    readings = _readings(refused.headers, style)
    dimension = DIMENSIONS.get(refused.dimension or "", refused.dimension)
    return Refusal("limit", refused.status, refused.retry_after, dimension, readings)


def _readings(states: tuple[LimitState, ...], style: str) -> tuple[LimitReading, ...]:
    """Limit headers as the adapters of the wire hand them on; a limit that isn't above 0 is none."""
    if not states:
        return ()
    readings = []
    for dimension, limit, remaining, reset in states:
        if limit <= 0:
            continue
        name, coarse, told = DIMENSIONS.get(dimension, dimension), False, round(reset, 3)
        if style == "anthropic":
            coarse, told = True, float(math.ceil(reset))
            remaining = remaining if name == "requests" else round(remaining, -3)
        if style == "mistral":
            readings.append(LimitReading(name, limit, remaining))
        else:
            readings.append(LimitReading(name, limit, remaining, told, coarse))
    return tuple(readings)
