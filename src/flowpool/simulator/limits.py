"""The token buckets behind a provider's limits: who is admitted, and what the headers then say."""

from __future__ import annotations

import math
from typing import NamedTuple

from flowpool.simulator.profile import Profile


class LimitState(NamedTuple):
    """What one limit's headers say. `reset` is seconds until the bucket is full again."""

    dimension: str
    limit: int
    remaining: int
    reset: float


class Refusal(NamedTuple):
    """A request over a limit: which one, and in how many seconds it would pass (inf: never)."""

    dimension: str
    wait: float


class Bucket:
    """Holds `capacity`, refills `rate` a second, starts full; what was produced may overdraw it."""

    __slots__ = ("at", "capacity", "level", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self.level = capacity
        self.at = now

    def refill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
            self.at = now

    def wait(self, cost: float) -> float:
        """Seconds until `cost` can be taken; 0 when it can be now."""
        if cost > self.capacity:
            return math.inf
        missing = cost - self.level
        return 0.0 if missing <= 1e-6 else missing / self.rate


class ProviderLimit:
    """One limit: its bucket, perhaps a hidden shorter one, and how it shows itself in headers."""

    __slots__ = ("bucket", "dimension", "hidden", "limit")

    def __init__(self, dimension: str, per_minute: float, profile: Profile, now: float) -> None:
        rate = per_minute / 60.0
        # A bucket that can't hold one request would refuse everything for ever.
        capacity = max(1.0, rate * profile.depth)
        self.dimension = dimension
        self.bucket = Bucket(rate, capacity, now)
        self.limit = int(per_minute if profile.meaning == "rate" else capacity)
        self.hidden = None
        if dimension == "requests" and profile.rpd is not None:
            # What is shown is the day's; the minute's bucket is enforced behind it.
            self.hidden = Bucket(rate, capacity, now)
            self.bucket = Bucket(profile.rpd / 86_400, profile.rpd, now)
            self.limit = int(profile.rpd)
        elif profile.meaning == "hidden":
            self.hidden = Bucket(rate, max(1.0, rate * profile.hidden_window), now)

    def wait(self, now: float, cost: float) -> float:
        self.bucket.refill(now)
        if self.hidden is None:
            return self.bucket.wait(cost)
        self.hidden.refill(now)
        return max(self.bucket.wait(cost), self.hidden.wait(cost))

    def take(self, cost: float) -> None:
        self.bucket.level -= cost
        if self.hidden is not None:
            self.hidden.level -= cost

    def state(self) -> LimitState:
        bucket = self.bucket
        reset = (bucket.capacity - bucket.level) / bucket.rate
        return LimitState(self.dimension, self.limit, max(0, int(bucket.level + 1e-6)), reset)


class ProviderLimits:
    """All limits of one provider: admits a request if each of them can pay for it."""

    def __init__(self, profile: Profile, now: float) -> None:
        self.reserved = profile.charges == "reserved"
        rates = {
            "requests": profile.rpm or (profile.rpd and profile.rpd / 1440),
            "tokens": profile.tpm,
            "input-tokens": profile.input_tpm,
            "output-tokens": profile.output_tpm,
        }
        self.meters = tuple(
            ProviderLimit(dimension, rate, profile, now)
            for dimension, rate in rates.items()
            if rate is not None
        )

    def admit(self, now: float, input_tokens: int, max_tokens: int | None) -> Refusal | None:
        """Takes the request's cost from every bucket, or takes nothing and says what is missing."""
        costs = [self._cost(meter.dimension, input_tokens, max_tokens) for meter in self.meters]
        worst = None
        for meter, cost in zip(self.meters, costs, strict=True):
            wait = meter.wait(now, cost)
            if wait > 0 and (worst is None or wait > worst.wait):
                worst = Refusal(meter.dimension, wait)
        if worst is None:
            for meter, cost in zip(self.meters, costs, strict=True):
                meter.take(cost)
        return worst

    def _cost(self, dimension: str, input_tokens: int, max_tokens: int | None) -> float:
        if dimension == "requests":
            return 1.0
        if dimension == "input-tokens":
            return input_tokens
        if not self.reserved:
            # Output is charged as it is produced: to pass, its bucket need only not be empty.
            return input_tokens if dimension == "tokens" else 1e-3
        return max(max_tokens or 0, input_tokens if dimension == "tokens" else 0)

    def produced(self, now: float, output_tokens: int) -> None:
        """Charges an answer's tokens, where the rule is to charge them as they come."""
        if self.reserved:
            return
        for meter in self.meters:
            if meter.dimension in ("tokens", "output-tokens"):
                meter.wait(now, 0)
                meter.take(output_tokens)

    def states(self) -> tuple[LimitState, ...]:
        return tuple(meter.state() for meter in self.meters)
