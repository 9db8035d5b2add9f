"""What a run's ended items add up to, for who watches: counters, and nothing that takes time."""

from __future__ import annotations

from msgspec import Struct

from flowpool.engine.meter import Meter
from flowpool.results import Record
from flowpool.values import NO_USAGE, Status, Usage


class Spent(Struct, frozen=True):
    """What the items of one model (`provider/model`) used."""

    items: int = 0
    usage: Usage = NO_USAGE


class Tally:
    """Told of each record as it comes; readable from any thread."""

    __slots__ = ("_began", "_ended", "_recent", "failure", "spent")

    BELIEF = 10.0  # items: what the run's whole course counts for beside the last seconds

    def __init__(self, now: float) -> None:
        self._began = now
        self._ended = 0
        self._recent = Meter(1)
        self.spent: dict[str, Spent] = {}
        self.failure: Record | None = None  # the last

    def add(self, record: Record, now: float) -> None:
        if record.usage is not NO_USAGE:
            spent = self.spent.get(record.model) or Spent()
            self.spent[record.model] = Spent(spent.items + 1, spent.usage + record.usage)
        if record.status is Status.FAILED:
            self.failure = record
        if record.status is not Status.CANCELLED:
            self._ended += 1
            self._recent.add(now, 1.0)

    def rate(self, now: float) -> float:
        """Items a second: of the last seconds, and of the whole run as long as few came in those."""
        if not self._ended:
            return 0.0
        overall = self._ended / max(1e-3, now - self._began)
        [recent] = self._recent.rates(now)
        seen = recent * Meter.SPAN
        return (seen + self.BELIEF) / (Meter.SPAN + self.BELIEF / overall)
