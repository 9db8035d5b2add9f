"""How a run stands, for those who watch: what its ended items add up to, and all of it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from msgspec import Struct

from flowpool.limits.lane_view import Bound, LaneView
from flowpool.limits.rate_meter import RateMeter
from flowpool.record import ModelSpend, known_sum
from flowpool.results import Record
from flowpool.values import NO_USAGE, Prices, Status, Usage


class Progress:
    """Told of each record as it comes; readable from any thread."""

    __slots__ = ("_began", "_ended", "_recent", "_spent", "failure")

    # Items that the rate of the whole run counts for beside the last seconds: a few items alone say little.
    BELIEF = 10.0

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
            self._add_call(record.model, record.usage, None)
        if record.status is Status.FAILED:
            self.failure = record
        if record.status is not Status.CANCELLED:
            if now >= self._recent.due:
                self._recent.see(now, (self._ended,))
            self._ended += 1

    def _add_call(self, model: str, usage: Usage, prices: Prices | None) -> None:
        spent = self._spent.get(model)
        if spent is None:
            spent = self._spent[model] = ModelSpend(prices=prices)
        spent.calls += 1
        spent.input_tokens += usage.input_tokens
        spent.output_tokens += usage.output_tokens
        spent.cached_input_tokens += usage.cached_input_tokens
        spent.cache_write_tokens += usage.cache_write_tokens
        spent.reasoning_tokens += usage.reasoning_tokens

    def spent(self) -> dict[str, ModelSpend]:
        """What the ended items used, by `provider/model`, as it is now."""
        return {model: copy(spent) for model, spent in list(self._spent.items())}

    def rate(self, now: float) -> float:
        """Items a second: of the last seconds, and of the whole run as long as few came in those."""
        if not self._ended:
            return 0.0
        overall = self._ended / max(1e-3, now - self._began)
        [recent] = self._recent.rates(now, (self._ended,))
        seen = recent * RateMeter.SPAN
        return (seen + self.BELIEF) / (RateMeter.SPAN + self.BELIEF / overall)


class Snapshot(Struct, frozen=True):
    """How a run stands: counts of items, seconds, and what it costs.

    total: None for a source of unknown length.
    running, done, failed, cancelled: items.
    elapsed: seconds since the run began.
    rate: items that end in a second, over the last ten seconds or so.
    lanes: how each lane stands.
    spent: what the ended items used, by `provider/model`.
    failure: the record of the item that failed last, or None.
    empty: how many items had nothing for a variable of a prompt, by its name.
    stopped: what ended the run before its end, if anything did.

    >>> Snapshot(total=100, done=40, rate=2.0).eta
    30.0
    """

    total: int | None
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    elapsed: float = 0.0
    rate: float = 0.0
    lanes: tuple[LaneView, ...] = ()
    spent: Mapping[str, ModelSpend] = {}
    failure: Record | None = None
    empty: Mapping[str, int] = {}
    stopped: str = ""

    @property
    def ended(self) -> int:
        """Items that are done, failed or cancelled."""
        return self.done + self.failed + self.cancelled

    @property
    def eta(self) -> float | None:
        """Seconds left at this rate; None where that can't be known."""
        if self.total is None or self.rate <= 0.0:
            return None
        left = max(0, self.total - self.ended)
        asked = (self.lane.asked if left and self.lane is not None else None) or 0.0
        return asked + left / self.rate

    @property
    def usage(self) -> Usage:
        """Tokens that the ended items used."""
        total = NO_USAGE
        for spent in self.spent.values():
            total += spent.usage
        return total

    @property
    def cost(self) -> float | None:
        """About what the ended items cost, in dollars by the price list; None where it has no price for any.

        The first look imports the price list (about 0.3 s).
        """
        return known_sum(spent.cost(name) for name, spent in self.spent.items())

    @property
    def expected_cost(self) -> float | None:
        """About what all items will have cost at the end, if the rest is like what has ended."""
        cost, ended = self.cost, self.done + self.failed
        if cost is None or self.total is None or not ended:
            return None
        return cost * max(1.0, (self.total - self.cancelled) / ended)

    @property
    def lane(self) -> LaneView | None:
        """The lane that the run waits for: the one with the longest queue, else the fullest."""
        return max(self.lanes, key=lambda lane: (lane.queued, lane.utilisation), default=None)

    @property
    def bound(self) -> Bound:
        """What limits the run now: the `bound` of that lane."""
        return self.lane.bound if self.lane is not None else ""
