"""What calls take: estimates learned from usage. Knows no clock."""

from __future__ import annotations

from collections.abc import Hashable

from msgspec import Struct


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

    def of(self, key: Hashable, size: int, max_tokens: float | None) -> Demand:
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
