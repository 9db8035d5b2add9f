"""What calls take: estimates learned from usage, and the ceilings that somebody told. Knows no clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

from flowpool.values import Limits


class Demand(Struct, frozen=True):
    """What a call takes from its lane's limits, in tokens."""

    input: float = 0.0
    output: float = 0.0
    reserved: float = 0.0  # the call's max_tokens, where it has one
    key: Hashable = None  # what the estimate was learned by
    size: int = 0  # bytes of the request


class Estimates:
    """What a call will take in tokens, by what calls like it took: no tokenizer, nothing to download."""

    __slots__ = ("_learned",)

    TOKENS_PER_BYTE = 1.0 / 3.5
    OUTPUT = 256.0
    LEARN = 0.1

    def __init__(self) -> None:
        self._learned: dict[Hashable, tuple[float, float]] = {}  # tokens a byte, output tokens

    def estimate(self, key: Hashable, size: int, max_tokens: float | None) -> Demand:
        """The cost of a call of `size` bytes; calls of one `key` (model and template) are alike."""
        ratio, output = self._learned.get(key) or (self.TOKENS_PER_BYTE, self.OUTPUT)
        if max_tokens is not None and max_tokens < output:
            output = max_tokens
        return Demand(size * ratio, output, max_tokens or 0.0, key, size)

    def learn(self, cost: Demand, used: Demand) -> None:
        known = self._learned.get(cost.key)
        ratio, output = known or (self.TOKENS_PER_BYTE, self.OUTPUT)
        weight = self.LEARN if known else 0.5
        if cost.size and used.input:
            ratio += weight * (used.input / cost.size - ratio)
        if used.output:
            output += weight * (used.output - output)
        self._learned[cost.key] = (ratio, output)


class Ceilings:
    """The rate limits that somebody told: never more in any 60 seconds, as far as the estimates are right."""

    __slots__ = ("_buckets",)

    def __init__(self, limits: Limits) -> None:
        told: tuple[tuple[float | None, Callable[[Demand], float]], ...] = (
            (limits.tpm, lambda cost: cost.input + cost.output),
            (limits.input_tpm, lambda cost: cost.input),
            (limits.output_tpm, lambda cost: cost.output),
        )
        self._buckets: list[tuple[MinuteBucket, Callable[[Demand], float]]] = [
            (MinuteBucket(limit, limit / 60.0), measure)
            for limit, measure in told
            if limit is not None
        ]
        if limits.rpm is not None:
            self._buckets.append((MinuteBucket(limits.rpm, 1.0), lambda cost: 1.0))

    def wait(self, cost: Demand, now: float) -> float:
        """Seconds until a call of this cost may go; 0 for now."""
        return max((bucket.wait(of(cost), now) for bucket, of in self._buckets), default=0.0)

    def take(self, cost: Demand) -> None:
        for bucket, of in self._buckets:
            bucket.take(of(cost))

    def settle(self, cost: Demand, used: Demand) -> None:
        """Puts right what was estimated."""
        for bucket, of in self._buckets:
            bucket.settle(of(used) - of(cost))


class MinuteBucket:
    """At most `limit` units in any 60 seconds: what the bucket holds when full comes out of the minute's refill.

    It is as deep as the largest call, so that none has to overdraw it; from a call that needs more than 9/10 of the
    minute nothing else fits beside it.
    """

    __slots__ = ("_at", "_capacity", "_level", "_limit")

    LARGEST = 0.9

    def __init__(self, limit: float, capacity: float) -> None:
        self._limit = limit
        self._capacity = self._level = min(capacity, limit)
        self._at = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 for now."""
        if amount > self._capacity:
            self._capacity = max(self._capacity, min(amount, self.LARGEST * self._limit))
        rate = (
            max(self._limit - self._capacity, 0.0) / 60.0
            if self._capacity > 1.0
            else self._limit / 60.0
        )
        if now > self._at:
            self._level = min(self._capacity, self._level + (now - self._at) * rate)
            self._at = now
        short = min(amount, self._capacity) - self._level
        return short / rate if short > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount

    def settle(self, amount: float) -> None:
        """Corrects an earlier `take` by what was really used: positive for more, negative for less."""
        self._level = min(self._capacity, self._level - amount)


def tightest(one: Limits, other: Limits) -> Limits:
    """The lower of each limit."""
    told: dict[str, Any] = {}
    for name in Limits.__struct_fields__:
        both = (getattr(one, name), getattr(other, name))
        told[name] = min((limit for limit in both if limit is not None), default=None)
    return Limits(**told)
