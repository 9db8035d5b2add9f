"""How a world speaks: the status of a refusal, what Retry-After says, and what limit headers say, true or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Literal

from flowpool.simulator.limits import LimitState
from flowpool.worlds.gates import Gate, LimitReq
from flowpool.worlds.values import Style

RetryAfter = Literal["right", "absent", "1", "60", "far"]
Truth = Literal["absent", "right", "stale", "zero", "jumping", "refusals", "day"]
# Seconds from a refusal's sending to its arrival: a round trip to a gateway near by.
ROUND_TRIP = 0.02
# What "far" says: a date that a proxy's clock, or a fallback of a library, put an hour away.
FAR = 3600.0
# Seconds for which a cache or a counter that is updated late repeats what it said.
STALE = 5.0
# What some mocks and gateways put on refusals whatever the limit is: 60 a minute, none left, one second.
ON_REFUSALS = (LimitState("requests", 60, 0, 1.0),)
# A day's quota that binds nothing here.
DAY, DAY_SECONDS = 14_400, 86_400.0


class Replies:
    """The words of one world.

    status: of refusals, None for what the mechanism that refuses usually sends. late: seconds of work before a
    refusal is sent. style: whose headers. names: whether a refusal says which limit was reached.
    """

    def __init__(
        self,
        random: Random,
        *,
        status: int | None = None,
        late: float = 0.0,
        retry: RetryAfter = "absent",
        headers: Truth = "absent",
        style: Style = "openai",
        names: bool = False,
    ) -> None:
        self.status = status
        self.late = late
        self.retry = retry
        self.truth = headers
        self.style: Style = style if headers != "absent" else "none"
        self.names = names
        self.random = random
        self.said: tuple[LimitState, ...] = ()
        self.said_at = -math.inf
        self.taken = 0  # calls of the day
        # The counters of a gateway's replicas, each of which saw another part of the calls.
        self.parts = [random.uniform(0.1, 1.0) for _ in range(4)]

    def retry_after(self, wait: float) -> float | None:
        """What a refusal says to wait, where the truth is `wait` (inf or negative: nobody knows)."""
        if self.retry == "absent":
            return None
        if self.retry == "far":
            return FAR
        if self.retry != "right":
            return float(self.retry)
        if wait == math.inf or wait < 0.0:
            return None
        if self.style == "openai":
            return math.ceil(wait * 1000.0) / 1000.0
        return float(max(1, math.ceil(wait)))

    def headers(
        self, now: float, gates: Sequence[Gate], refused: bool = False
    ) -> tuple[LimitState, ...]:
        """What the limit headers of an answer or a refusal say."""
        truth = self.truth
        if truth == "absent":
            return ()
        if truth == "refusals":
            return ON_REFUSALS if refused else ()
        if truth == "day":
            self.taken += not refused
            return (LimitState("requests", DAY, DAY - self.taken, DAY_SECONDS - now % DAY_SECONDS),)
        if truth == "zero":
            return (LimitState("requests", 0, 0, 0.0), LimitState("tokens", -1, -1, 0.0))
        if truth == "stale":
            if now - self.said_at >= STALE:
                self.said, self.said_at = _states(now, gates), now
            return self.said
        states = _states(now, gates)
        if truth == "jumping":
            part = self.random.choice(self.parts)
            return tuple(s._replace(remaining=int(s.remaining * part)) for s in states)
        return states


def _states(now: float, gates: Sequence[Gate]) -> tuple[LimitState, ...]:
    states = (gate.state(now) for gate in gates if not isinstance(gate, LimitReq))
    return tuple(state for state in states if state is not None)
