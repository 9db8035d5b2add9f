"""Tokens that calls used. Plain data: knows nothing else of the package."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import astuple, force_setattr

# Tokens: what says more, or less than none, is no count of them.
_MOST = 2**53


class Usage(Struct, frozen=True):
    """Tokens of a call. `input_tokens` includes cached ones; `output_tokens` includes reasoning.

    A provider's number below 0 counts as 0, so that nothing lowers what was spent; one beyond 2**53 counts as that.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        numbers = astuple(self)
        if min(numbers) < 0 or max(numbers) > _MOST:
            for name, number in zip(self.__struct_fields__, numbers, strict=True):
                force_setattr(self, name, max(0, min(_MOST, number)))

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cached_input_tokens - other.cached_input_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
            self.reasoning_tokens - other.reasoning_tokens,
        )


NO_USAGE = Usage()
