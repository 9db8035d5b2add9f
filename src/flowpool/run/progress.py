"""How a run stands, for those who watch: what its ended items add up to, and all of it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from msgspec import Struct, structs

from flowpool import wiring
from flowpool.calls.budget import Spend
from flowpool.limits.lane_view import Bound, LaneView, least_seconds_in, units_of
from flowpool.limits.rate_meter import RateMeter
from flowpool.record import ModelSpend, known_sum
from flowpool.results import Record
from flowpool.run.sample import Bottleneck, TimeSpread
from flowpool.values import NO_USAGE, Prices, Status, Usage


class Progress:
    """Told of each record as it comes; readable from any thread."""

    __slots__ = ("_began", "_ended", "_recent", "_rested", "_spent", "failure")

    # Items that the rate of the whole run counts for beside the last seconds: a few items alone say little.
    BELIEF = 10.0

    def __init__(self, now: float) -> None:
        self._began = now
        self._rested = 0.0  # seconds
        self._ended = 0
        self._recent = RateMeter(1)
        self._spent: dict[tuple[str, Prices | None], ModelSpend] = {}
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
            now -= self._rested
            if now >= self._recent.due:
                self._recent.see(now, (self._ended,))
            self._ended += 1

    def _add_call(self, model: str, usage: Usage, prices: Prices | None) -> None:
        spent = self._spent.get((model, prices))
        if spent is None:
            spent = self._spent[model, prices] = ModelSpend(prices=prices)
        spent.calls += 1
        spent.input_tokens += usage.input_tokens
        spent.output_tokens += usage.output_tokens
        spent.cached_input_tokens += usage.cached_input_tokens
        spent.cache_write_tokens += usage.cache_write_tokens
        spent.reasoning_tokens += usage.reasoning_tokens

    def rested(self, seconds: float) -> None:
        """The run was paused for so long: that is no time in which items were slow to end."""
        self._rested += seconds

    def spent(self) -> dict[str, ModelSpend]:
        """What the ended items used, by `provider/model`, as it is now; also by prices where one has several."""
        spent: dict[str, ModelSpend] = {}
        # The list's prices first: they are looked up by the name.
        each = sorted(self._spent.items(), key=lambda pair: pair[0][1] is not None)
        for (model, prices), used in each:
            if model in spent and prices is not None:
                model = f"{model} at {prices.input:g}/{prices.output:g}"
            spent[model] = copy(used)
        return spent

    def added_to(self, before: Spend) -> Spend:
        """What the ended items used beside what was spent before."""
        spent = self.spent()
        tokens = sum(used.input_tokens + used.output_tokens for used in spent.values())
        cost = known_sum([before.cost, *(used.cost(model) for model, used in spent.items())])
        return structs.replace(before, cost=cost, tokens=before.tokens + tokens)

    def rate(self, now: float) -> float:
        """Items a second: of the last seconds, and of the whole run as long as few came in those."""
        if not self._ended:
            return 0.0
        now -= self._rested
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
    spent: what the items used that ended in this run, by `provider/model`.
    failure: the record of the item that failed last, or None.
    empty: how many items had nothing for a variable of a prompt, by its name.
    stopped: what ended the run before its end, if anything did.
    recalled: items among the done and failed ones that an earlier run had ended; they ask nothing again.
    known: items that are still to be met and that an earlier run had ended.
    spent_before: dollars that earlier runs of the same work spent, as far as is known.
    bottleneck: what holds the run back, or held it back at its end; None in its first second.
    held: what held it back so far, each with its seconds, the longest first.
    timings: where the time of this run's calls went, by the name of their lane, then by a name of `TIME_KINDS`.
    paused: whether `pool.pause()` or `flowpool pause` holds it: no call is sent until it goes on.

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
    recalled: int = 0
    known: int = 0
    spent_before: float = 0.0
    bottleneck: Bottleneck | None = None
    held: tuple[tuple[Bottleneck, float], ...] = ()
    timings: Mapping[str, Mapping[str, TimeSpread]] = {}
    paused: bool = False

    def __repr__(self) -> str:
        of = "items" if self.total is None else f"of {self.total:,}"
        counts = f"{self.ended:,} {of} ended, {self.running:,} in progress, {self.failed:,} failed"
        return f"<Snapshot: {counts}, {self.rate:.1f} items/s>"

    def _repr_html_(self) -> str:
        table: str = wiring.load("tables").of_snapshot(self)
        return table

    @property
    def ended(self) -> int:
        """Items that are done, failed or cancelled."""
        return self.done + self.failed + self.cancelled

    @property
    def carried(self) -> int:
        """Items that are done or failed by this run."""
        return max(0, self.done + self.failed - self.recalled)

    @property
    def left(self) -> int | None:
        """Items that this run has still to do; None for a source of unknown length."""
        return None if self.total is None else max(0, self.total - self.ended - self.known)

    @property
    def eta(self) -> float | None:
        """Seconds left at this rate, and at least what the known limits allow; None where that can't be known."""
        if self.left is None or self.rate <= 0.0 or self.paused:
            return None
        asked = (self.lane.asked if self.left and self.lane is not None else None) or 0.0
        return asked + max(self.left / self.rate, self.least_seconds(self.left))

    def least_seconds(self, items: float) -> float:
        """What so many items take at least by the limits of the lanes, if they are like those that have ended."""
        longest = 0.0
        for name, spent in self.spent.items():
            lanes = [lane for lane in self.lanes if lane.shared_name == name]
            calls = spent.calls * items / max(1, self.carried)
            calls -= sum(lane.in_flight for lane in lanes)
            units = units_of(spent.calls, spent.usage, max(0.0, calls) / spent.calls)
            longest = max(longest, least_seconds_in(lanes, units))
        return longest

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
        """About what this run will have cost at its end, if the rest is like what it has ended."""
        if self.left is None or not self.carried or (cost := self.cost) is None:
            return None
        return cost * (1.0 + self.left / self.carried)

    @property
    def lane(self) -> LaneView | None:
        """The lane that the run waits for: the one with the longest queue, else the fullest."""
        return max(self.lanes, key=lambda lane: (lane.queued, lane.utilisation), default=None)

    @property
    def bound(self) -> Bound:
        """What limits the run now: the `bound` of that lane."""
        return self.lane.bound if self.lane is not None else ""
