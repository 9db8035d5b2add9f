"""A token bucket told in units a minute: a call's estimate is taken before it is sent and settled after."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

from flowpool.values import Limits, Usage


class Cost(Struct, frozen=True):
    """What a call takes from its lane's limits, in tokens."""

    input: float = 0.0
    output: float = 0.0
    reserved: float = 0.0  # the call's max_tokens, where it has one
    key: Hashable = None  # what the estimate was learned by
    size: int = 0  # bytes of the request


class Bucket:
    """`per_minute` units, refilled evenly. It starts with room for one call, so that no minute sees more.

    A call larger than the bucket may go when the bucket is full; the debt is paid back before the next.
    """

    __slots__ = ("_at", "_capacity", "_level", "_rate")

    def __init__(self, per_minute: float, capacity: float = 1.0) -> None:
        self._rate = per_minute / 60.0
        self._capacity = capacity
        self._level = capacity
        self._at = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 for now."""
        if now > self._at:
            self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
            self._at = now
        short = min(amount, self._capacity) - self._level
        return short / self._rate if short > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount

    def settle(self, amount: float) -> None:
        """Corrects an earlier `take` by what was really used: positive for more, negative for less."""
        self._level = min(self._capacity, self._level - amount)


class Estimates:
    """What a call will take in tokens, by what calls like it took: no tokenizer, nothing to download."""

    __slots__ = ("_learned",)

    TOKENS_PER_BYTE = 1.0 / 3.5
    OUTPUT = 256.0
    LEARN = 0.1

    def __init__(self) -> None:
        self._learned: dict[Hashable, tuple[float, float]] = {}  # tokens a byte, output tokens

    def estimate(self, key: Hashable, size: int, max_tokens: float | None) -> Cost:
        """The cost of a call of `size` bytes; calls of one `key` (model and template) are alike."""
        ratio, output = self._learned.get(key) or (self.TOKENS_PER_BYTE, self.OUTPUT)
        if max_tokens is not None and max_tokens < output:
            output = max_tokens
        return Cost(size * ratio, output, max_tokens or 0.0, key, size)

    def learn(self, cost: Cost, used: Cost) -> None:
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
        told: tuple[tuple[float | None, Callable[[Cost], float]], ...] = (
            (limits.tpm, lambda cost: cost.input + cost.output),
            (limits.input_tpm, lambda cost: cost.input),
            (limits.output_tpm, lambda cost: cost.output),
        )
        self._buckets: list[tuple[MinuteBucket, Callable[[Cost], float]]] = [
            (MinuteBucket(limit, limit / 60.0), measure)
            for limit, measure in told
            if limit is not None
        ]
        if limits.rpm is not None:
            self._buckets.append((MinuteBucket(limits.rpm, 1.0), lambda cost: 1.0))

    def wait(self, cost: Cost, now: float) -> float:
        """Seconds until a call of this cost may go; 0 for now."""
        return max((bucket.wait(of(cost), now) for bucket, of in self._buckets), default=0.0)

    def take(self, cost: Cost) -> None:
        for bucket, of in self._buckets:
            bucket.take(of(cost))

    def settle(self, cost: Cost, used: Cost) -> None:
        """Puts right what was estimated."""
        for bucket, of in self._buckets:
            bucket.settle(of(used) - of(cost))


class MinuteBucket:
    """At most `limit` units in any 60 seconds: what the bucket holds when full comes out of the minute's refill.

    It is as deep as the largest call, so that none has to overdraw it. A call of more than LARGEST of the minute's
    units goes when the bucket is full, and is paid back before the next.
    """

    __slots__ = ("_at", "_capacity", "_level", "_limit", "_rate")

    LARGEST = 0.9

    def __init__(self, limit: float, capacity: float) -> None:
        self._limit = limit
        # A single unit needs no allowance: the next one comes when the first is refilled.
        self._rate = (limit - capacity if capacity > 1.0 else limit) / 60.0
        self._capacity = self._level = min(capacity, limit)
        self._at = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 for now."""
        if amount > self._capacity:
            self._deepen(min(amount, self.LARGEST * self._limit))
        if now > self._at:
            self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
            self._at = now
        short = min(amount, self._capacity) - self._level
        return short / self._rate if short > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount

    def settle(self, amount: float) -> None:
        """Corrects an earlier `take` by what was really used: positive for more, negative for less."""
        self._level = min(self._capacity, self._level - amount)

    def _deepen(self, capacity: float) -> None:
        if capacity > max(1.0, self._capacity):
            self._capacity = capacity
            self._rate = (self._limit - capacity) / 60.0


class Quota:
    """The rate limits that somebody told of a lane, and the estimate of what a call will take from them."""

    __slots__ = ("_buckets", "_output_mean", "_ratio")

    BYTES_PER_TOKEN = 3.5
    OUTPUT_GUESS = 256.0
    LEARN = 0.1

    def __init__(self, limits: Limits) -> None:
        told = (
            (limits.rpm, lambda cost: 1.0),
            (limits.tpm, lambda cost: cost.input + cost.output),
            (limits.input_tpm, lambda cost: cost.input),
            (limits.output_tpm, lambda cost: cost.output),
        )
        self._buckets = [
            (_requests(limit) if measure is told[0][1] else _tokens(limit), measure)
            for limit, measure in told
            if limit is not None
        ]
        self._ratio = 1.0 / self.BYTES_PER_TOKEN
        self._output_mean = self.OUTPUT_GUESS

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def estimate(self, input_bytes: int, max_tokens: float | None) -> Cost:
        return Cost(input_bytes * self._ratio, min(self._output_mean, max_tokens or float("inf")))

    def wait(self, cost: Cost, now: float) -> float:
        """Seconds until a call of this cost may go; 0 for now."""
        return max((bucket.wait(of(cost), now) for bucket, of in self._buckets), default=0.0)

    def take(self, cost: Cost) -> None:
        for bucket, of in self._buckets:
            bucket.take(of(cost))

    def settle(self, cost: Cost, usage: Usage, input_bytes: int) -> None:
        """Puts right what `estimate` guessed, and learns from it."""
        used = Cost(usage.input_tokens, usage.output_tokens)
        for bucket, of in self._buckets:
            bucket.settle(of(used) - of(cost))
        if input_bytes and usage.input_tokens:
            self._ratio += self.LEARN * (usage.input_tokens / input_bytes - self._ratio)
        if usage.output_tokens:
            self._output_mean += self.LEARN * (usage.output_tokens - self._output_mean)


def _requests(limit: float) -> Bucket:
    return Bucket(limit, 1.0)


def _tokens(limit: float) -> Bucket:
    """A second's worth lets calls of unequal size follow each other smoothly, and comes out of the minute's."""
    capacity = max(1.0, limit / 60.0)
    return Bucket(max(limit - capacity, limit / 2.0), capacity)


def tightest(one: Limits, other: Limits) -> Limits:
    """The lower of each limit."""
    told: dict[str, Any] = {}
    for name in Limits.__struct_fields__:
        both = (getattr(one, name), getattr(other, name))
        told[name] = min((limit for limit in both if limit is not None), default=None)
    return Limits(**told)
