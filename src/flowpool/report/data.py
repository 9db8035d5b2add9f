"""A run as plain data, whatever it was read from: what reports, traces and pages show. Knows no files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from flowpool.report.slots import SlotFinder
from flowpool.run.sample import TIME_KINDS, Bottleneck, Sample, TimeSpread
from flowpool.run.timings import nearest_rank
from flowpool.store.reading import Event
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import NO_TIMING, Status, Timing

# Moments of items and attempts are seconds since 1970, and 0.0 where there is none.


class AttemptData(Struct, frozen=True, gc=False):
    """One request or function call.

    item: the index of its item. step: its path in the chain. lane: what it went through: the model
    (`provider/model`), or the function's name. started, seconds: of the attempt itself; what it waited for before
    is in `timing`. error: the error's type, empty for an answer.
    """

    item: int
    step: str
    lane: str
    model: str
    started: float
    seconds: float
    status: int | None = None
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    request_id: str = ""
    timing: Timing = NO_TIMING

    @property
    def times(self) -> dict[str, float]:
        """Where its time went, in seconds, by the names of `TIME_KINDS`; what it had no part in is left out."""
        timing = self.timing
        spent = {
            "slot_wait": timing.slot_wait,
            "limit_wait": timing.limit_wait,
            "budget_wait": timing.budget_wait,
            "backoff": timing.backoff,
            "connect": timing.connect,
            "first_byte": timing.first_byte,
        }
        rest = max(0.0, self.seconds - timing.connect - timing.first_byte)
        spent["reading" if self.model else "own_code"] = rest
        return {kind: seconds for kind, seconds in spent.items() if seconds > 0.0}


class ItemData(Struct, frozen=True, gc=False):
    """An item and how it ended.

    error: its error's type, empty where it has none; message: what that says. started, seconds: from its start to
    its end. steps: the output of each step that it has been through, by the step's path, where they are kept.
    hash: what tells it from others in its store. from_earlier: it had ended before the last session of the run
    began.
    """

    index: int
    variables: Any
    status: Status
    output: Any = None
    error: str = ""
    message: str = ""
    started: float = 0.0
    seconds: float = 0.0
    attempts: int = 0
    model: str = ""
    usage: Usage = NO_USAGE
    cost: float | None = None
    steps: Mapping[str, Any] = {}
    hash: bytes = b""
    from_earlier: bool = False


class ErrorGroup(Struct, frozen=True):
    """Items that failed alike: by their error's type, and by what it says but for numbers and ids.

    message: what the last of them says. fix: what to do about it, empty where nobody knows. items: their indexes.
    """

    error: str
    message: str
    fix: str
    items: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.items)


class SpendData(Struct, frozen=True):
    """What a run cost, in dollars.

    paid: of all attempts whose price is known; None where none is. list_price: the same, had no input come from
    the provider's cache. cached: what that saved. recalled: what items cost whose answers the store had, and
    which weren't asked again. unpriced: answers of unknown price. unknown: the most that attempts cost whose end
    nobody saw.
    """

    paid: float | None = None
    list_price: float | None = None
    cached: float = 0.0
    recalled: float = 0.0
    unpriced: int = 0
    unknown: float = 0.0


class RunData(Struct, frozen=True):
    """A run: its settings, its items, its attempts in the order of their start, and what happened in it.

    runner: in words. began, ended: seconds since 1970, None where nothing was ever sent. reason: why it ended
    before its end. usage: of all attempts; cached input tokens are those of the items' last tries. recalled:
    items that had ended before its last session began. samples, bottlenecks: in order. events: the others,
    `begin`, `lane`, `change` and `end`. has_attempts: whether single attempts are known at all: a pool without a
    store keeps none. source: the name of the store's file.
    """

    name: str
    runner: str
    settings: Mapping[str, Any]
    began: float | None
    ended: float | None
    reason: str
    counts: Mapping[Status, int]
    usage: Usage
    spend: SpendData
    recalled: int
    items: Sequence[ItemData]
    attempts: Sequence[AttemptData]
    errors: Sequence[ErrorGroup]
    samples: Sequence[Sample] = ()
    bottlenecks: Sequence[Bottleneck] = ()
    events: Sequence[Event] = ()
    has_attempts: bool = True
    source: str = ""

    @property
    def slowest(self) -> list[ItemData]:
        """Items that were at work, the one that took longest first."""
        return sorted((item for item in self.items if item.seconds > 0.0), key=_by_length)

    def attempts_of(self) -> dict[int, list[AttemptData]]:
        """The attempts of each item that has any, by its index, in order."""
        found: dict[int, list[AttemptData]] = defaultdict(list)
        for attempt in self.attempts:
            found[attempt.item].append(attempt)
        return dict(found)


def _by_length(item: ItemData) -> tuple[float, int]:
    return -item.seconds, item.index


def time_spreads(attempts: Iterable[AttemptData]) -> dict[str, dict[str, TimeSpread]]:
    """How long attempts took of each kind, by their lane and by the names of `TIME_KINDS`, in its order.

    Attempts that had no part in a kind count as 0 seconds of it; a kind that none had is left out.
    """
    seconds: dict[str, dict[str, list[float]]] = {}
    counts: dict[str, int] = defaultdict(int)
    for attempt in attempts:
        counts[attempt.lane] += 1
        kinds = seconds.setdefault(attempt.lane, {})
        for kind, spent in attempt.times.items():
            kinds.setdefault(kind, []).append(spent)
    return {
        lane: {kind: _spread(kinds[kind], counts[lane]) for kind in TIME_KINDS if kind in kinds}
        for lane, kinds in seconds.items()
    }


def _spread(spent: list[float], count: int) -> TimeSpread:
    """The spread over `count` attempts, of which those that aren't in `spent` had none."""
    spent.sort()
    p50, p95, p99 = (_percentile(spent, count, part) for part in (0.5, 0.95, 0.99))
    return TimeSpread(count, sum(spent), p50, p95, p99)


def _percentile(ordered: list[float], count: int, part: float) -> float:
    at = nearest_rank(part, count) - (count - len(ordered))
    return ordered[at - 1] if at > 0 else 0.0


def slots(attempts: Iterable[AttemptData]) -> list[int]:
    """A slot for each attempt, given in the order of their start: the first of its lane that is free by then.

    >>> busy = [AttemptData(n, "1", "a", "a", at, 2.0) for n, at in enumerate((0.0, 1.0, 2.0))]
    >>> slots(busy)
    [0, 1, 0]
    """
    finders: dict[str, SlotFinder] = defaultdict(SlotFinder)
    return [finders[one.lane].slot(one.started, one.started + one.seconds) for one in attempts]
