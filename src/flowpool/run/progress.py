"""What a run's ended items add up to, for who watches: counters, and nothing that takes time."""

from __future__ import annotations

from copy import copy

from msgspec import Struct

from flowpool.limits.rate_meter import RateMeter
from flowpool.results import Record
from flowpool.values import NO_USAGE, Prices, Status, Usage


class ModelSpend(Struct):
    """What the calls of one model (`provider/model`) used: how many they are, and their tokens.

    prices: what somebody told of the model's.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    prices: Prices | None = None

    def add(self, usage: Usage) -> None:
        self.calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_input_tokens += usage.cached_input_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.reasoning_tokens += usage.reasoning_tokens

    @property
    def usage(self) -> Usage:
        return Usage(*(getattr(self, name) for name in Usage.__struct_fields__))


class Progress:
    """Told of each record as it comes; readable from any thread."""

    __slots__ = ("_began", "_ended", "_recent", "_spent", "failure")

    BELIEF = 10.0  # items: what the run's whole course counts for beside the last seconds

    def __init__(self, now: float) -> None:
        self._began = now
        self._ended = 0
        self._recent = RateMeter(1)
        self._spent: dict[str, ModelSpend] = {}
        self.failure: Record | None = None  # the last

    def add(self, record: Record, now: float) -> None:
        if record.bills:
            for bill in record.bills:
                self._add_call(bill.model, bill.usage, bill.prices)
        elif record.usage is not NO_USAGE:
            spent = self._spent.get(record.model)
            if spent is not None:
                spent.add(record.usage)
            else:
                self._add_call(record.model, record.usage, None)
        if record.status is Status.FAILED:
            self.failure = record
        if record.status is not Status.CANCELLED:
            self._ended += 1
            self._recent.add(now, 1.0)

    def _add_call(self, model: str, usage: Usage, prices: Prices | None) -> None:
        spent = self._spent.get(model)
        if spent is None:
            spent = self._spent[model] = ModelSpend(prices=prices)
        spent.add(usage)

    def spent(self) -> dict[str, ModelSpend]:
        """What the ended items used, by `provider/model`, as it is now."""
        return {model: copy(spent) for model, spent in list(self._spent.items())}

    def rate(self, now: float) -> float:
        """Items a second: of the last seconds, and of the whole run as long as few came in those."""
        if not self._ended:
            return 0.0
        overall = self._ended / max(1e-3, now - self._began)
        [recent] = self._recent.rates(now)
        seen = recent * RateMeter.SPAN
        return (seen + self.BELIEF) / (RateMeter.SPAN + self.BELIEF / overall)
