"""How a run stands at one moment: what a progress callable is told. Plain data; asks nobody."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from flowpool import prices
from flowpool.limits.lane_view import Bound, LaneView
from flowpool.results import Record
from flowpool.run.progress import ModelSpend
from flowpool.values import NO_USAGE, Usage


class Snapshot(Struct, frozen=True):
    """How a run stands: counts of items, seconds, and what it costs.

    total: None for a source of unknown length.
    running, done, failed, cancelled: items.
    elapsed: seconds since the run began.
    rate: items that end in a second, over the last ten seconds or so.
    lanes: how each lane stands.
    spent: what the ended items used, by `provider/model`.
    failure: the record of the item that failed last, or None.

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

    @property
    def ended(self) -> int:
        """Items that are done, failed or cancelled."""
        return self.done + self.failed + self.cancelled

    @property
    def eta(self) -> float | None:
        """Seconds left at this rate; None where that can't be known."""
        if self.total is None or self.rate <= 0.0:
            return None
        return max(0, self.total - self.ended) / self.rate

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
        known = [
            cost for name, spent in self.spent.items() if (cost := _cost(name, spent)) is not None
        ]
        return sum(known) if known else None

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


def _cost(name: str, spent: ModelSpend) -> float | None:
    provider, _, model = name.partition("/")
    rates = prices.configured(spent.prices) if spent.prices else prices.rates(provider, model)
    return None if rates is None else rates.cost(spent.usage, spent.calls)
