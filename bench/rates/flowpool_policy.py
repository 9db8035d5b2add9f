"""Plays a pool's lanes in the lab: the real Lane with its limiter, window and breaker, and `decide`."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from bench.rates.policy import Cost, Policy, Refusal
from flowpool.calls.decide import Attempts, Wait
from flowpool.calls.retry import RetryPolicy
from flowpool.errors import CallError, Overloaded, RateLimited, ServerError
from flowpool.limits.breaker import Breaker
from flowpool.limits.lane import Admitted, Lane
from flowpool.limits.lanes import AUTO_CEILING, AUTO_START
from flowpool.limits.limiter import Limiter
from flowpool.limits.window import AdaptiveWindow, FixedWindow
from flowpool.sharing import Sharing
from flowpool.sharing.run_shares import TICK, SharedLimit
from flowpool.values import LimitReading, Usage

BYTES = 4  # of a request, for each input token


class Route(NamedTuple):
    """The only way that the lab's calls may go."""

    lane: Lane[Any]
    policy: RetryPolicy


class FlowpoolPolicy:
    """One process's lane."""

    def __init__(
        self, random: Random, max_flows: int | None = None, sharing: Sharing | None = None
    ) -> None:
        self.random = random
        window = FixedWindow(max_flows) if max_flows else AdaptiveWindow(AUTO_START, AUTO_CEILING)
        self.limiter = Limiter(eager=max_flows is not None)
        self.lane: Lane[Any] = Lane("lab", window, self.limiter, Breaker())
        self.route = Route(self.lane, RetryPolicy())
        self.cost: Any = None
        self.shared = (
            SharedLimit(self.limiter, "lab", sharing, 0.0) if sharing is not None else None
        )
        self.tick = TICK * random.random()

    def try_send(self, now: float, cost: Cost, attempt: int) -> object | None:
        self.publish(now)
        demand = self.limiter.estimates.of("lab", BYTES * cost.input, cost.most)
        entered = self.lane.try_enter(now, demand)
        self.cost = demand
        return entered

    def next_turn(self, now: float) -> float | None:
        turn = self.lane.turn_of(self.cost, now)
        if self.shared is None:
            return turn
        return self.tick if turn is None else min(turn, self.tick)

    def publish(self, now: float) -> None:
        """Five times a second, where others use the key too."""
        if self.shared is not None and now >= self.tick:
            self.shared.publish(now)
            self.tick = now + TICK

    def answered(
        self, token: object, now: float, usage: Usage, readings: tuple[LimitReading, ...]
    ) -> None:
        assert isinstance(token, Admitted)
        self.lane.answered(token, now, usage, readings)

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        assert isinstance(token, Admitted)
        error = _error(refusal)
        self.lane.failed(token, error, now, refusal.readings)
        # The lab counts a call's attempts; which of them were refused and which failed it doesn't keep.
        attempts = Attempts((self.route,), now)
        attempts.throttles = attempts.failures = attempt
        follows = attempts.failed(self.route, error, now, self.random.random())
        return follows.seconds if isinstance(follows, Wait) else None


def _error(refusal: Refusal) -> CallError:
    if refusal.kind == "limit" and refusal.status == 429:
        limited = RateLimited("refused", status=429, retry_after=refusal.retry_after)
        limited.dimension = refusal.dimension
        return limited
    if refusal.kind == "limit":
        return Overloaded("refused", status=refusal.status, retry_after=refusal.retry_after)
    return ServerError("failed", status=refusal.status)


class Flowpool:
    """Starts lanes: one for each process."""

    def __init__(self, max_flows: int | None = None) -> None:
        self.max_flows = max_flows
        self.name = f"flowpool {max_flows}" if max_flows else "flowpool"

    def fixed(self, flows: int) -> Flowpool:
        """With so many calls at once, as a user sets them."""
        return Flowpool(flows)

    def start(self, clients: int, random: Random, memory: object | None) -> list[Policy]:
        sharing = Sharing(None) if clients > 1 else None
        known = memory if isinstance(memory, dict) else None
        policies = [FlowpoolPolicy(random, self.max_flows, sharing) for _ in range(clients)]
        for policy in policies:
            if known:
                policy.limiter.resume(known, 60.0, 0.0)
        return [*policies]

    def memory(self, policies: list[Policy], now: float) -> object | None:
        [first, *_] = policies
        assert isinstance(first, FlowpoolPolicy)
        return first.limiter.snapshot()
