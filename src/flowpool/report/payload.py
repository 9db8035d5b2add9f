"""A run as the page reads it: columns of plain numbers, since 100,000 objects would be five times as large.

Moments are milliseconds since the run's begin; `assets/*.js` know the names here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from flowpool.printable import printable
from flowpool.report.data import AttemptData, ItemData, RunData, slots, time_spreads
from flowpool.run.sample import TIME_KINDS, LaneSample, Sample
from flowpool.settings import Settings
from flowpool.values import Timing

# Of each list that a page shows in words.
MOST_SLOWEST, MOST_GROUPS, MOST_OF_GROUP = 25, 200, 500
# Characters of an error's example; the item itself has all.
_MOST_EXAMPLE = 4_000
# Seconds without any attempt between two sessions of a run, where no event tells.
_PAUSE = 600.0
_MOMENT = 0.5
# Samples: more than a chart has pixels.
_MOST_SAMPLES = 4_000
Json = dict[str, Any]
_DEFAULTS = Settings().stored()


def run_payload(run: RunData, *, content: bool) -> Json:
    """All that the page shows of a run, but for the texts of its items."""
    zero = run.began or 0.0
    group_of = {index: number for number, group in enumerate(run.errors) for index in group.items}
    attempts = run.attempts if run.has_attempts else _as_attempts(run)
    return {
        "name": printable(run.name),
        "runner": printable(run.runner),
        "settings": _settings(run),
        "began": run.began,
        "ended": run.ended,
        "reason": printable(run.reason),
        "content": content,
        "hasAttempts": run.has_attempts,
        "counts": {status.name.lower(): number for status, number in run.counts.items()},
        "spend": {name: getattr(run.spend, name) for name in run.spend.__struct_fields__},
        "tokens": [
            run.usage.input_tokens,
            run.usage.output_tokens,
            run.usage.cached_input_tokens,
        ],
        "recalled": run.recalled,
        "kinds": list(TIME_KINDS.items()),
        "times": _times(run),
        "sessions": _sessions(run, attempts, zero),
        "items": _item_columns(run.items, group_of, zero),
        "attempts": _attempt_columns(attempts, zero),
        "samples": _sample_columns(run, zero),
        "bottlenecks": _bottlenecks(run, zero),
        "changes": _changes(run, zero),
        "laneEvents": _lane_events(run, zero),
        "errors": [
            {
                "error": printable(group.error),
                "message": printable(group.message[:_MOST_EXAMPLE]),
                "fix": group.fix,
                "count": group.count,
                "example": group.items[-1],
                "items": group.items[:MOST_OF_GROUP],
            }
            for group in run.errors[:MOST_GROUPS]
        ],
        "moreErrors": len(run.errors[MOST_GROUPS:]),
        "slowest": [item.index for item in run.slowest[:MOST_SLOWEST]],
    }


def _settings(run: RunData) -> list[tuple[str, str]]:
    """What was set, in words."""
    return [
        (printable(name), printable(str(value)))
        for name, value in run.settings.items()
        if value not in (None, False, {}, [], "")
        and value != _DEFAULTS.get(name)
        and name != "named"
    ]


def _times(run: RunData) -> list[Json]:
    return [
        {
            "lane": printable(lane),
            "kinds": {
                kind: [one.count, *(round(x, 4) for x in (one.total, one.p50, one.p95, one.p99))]
                for kind, one in kinds.items()
            },
        }
        for lane, kinds in time_spreads(run.attempts).items()
    ]


def _sessions(run: RunData, attempts: Sequence[AttemptData], zero: float) -> list[list[int]]:
    """From when to when somebody was at work on it: from one begin, or a long pause's end, to the last attempt."""
    starts = [attempt.started for attempt in attempts]
    begins = sorted(event.at for event in run.events if event.kind == "begin")
    if not begins:
        begins = starts[:1] + [at for before, at in pairwise(starts) if at - before > _PAUSE]
    if not begins:
        return []
    # What was sent in the same moment as a run began is its own.
    edges = [bisect_left(starts, begin - _MOMENT) for begin in begins[1:]]
    found = []
    for begin, (first, last) in zip(begins, pairwise([0, *edges, len(starts)]), strict=True):
        ends = [one.started + one.seconds for one in attempts[first:last]]
        found.append([_ms(begin - zero), _ms(max([begin, *ends]) - zero)])
    return found


def _item_columns(items: Sequence[ItemData], group_of: dict[int, int], zero: float) -> Json:
    models = _Numbers()
    return {
        "status": "".join(str(int(item.status)) for item in items),
        "started": _deltas(_ms(item.started - zero) if item.started else 0 for item in items),
        "ms": [_ms(item.seconds) for item in items],
        "attempts": [item.attempts for item in items],
        "model": [models.of(item.model) for item in items],
        "models": models.names,
        "in": [item.usage.input_tokens for item in items],
        "out": [item.usage.output_tokens for item in items],
        "cached": _sparse([item.usage.cached_input_tokens for item in items]),
        "cost": [_micros(item.cost) for item in items],
        "group": _sparse([group_of.get(item.index, -1) + 1 for item in items]),
        "earlier": _sparse([int(item.from_earlier) for item in items]),
    }


def _as_attempts(run: RunData) -> list[AttemptData]:
    """Items that stand for their attempts, where nobody knows those."""
    found = [
        AttemptData(
            item.index,
            "",
            "items",
            item.model,
            item.started,
            item.seconds,
            None,
            item.error,
            item.usage.input_tokens,
            item.usage.output_tokens,
            item.cost,
        )
        for item in run.items
        if item.started
    ]
    return sorted(found, key=lambda one: one.started)


def _attempt_columns(attempts: Sequence[AttemptData], zero: float) -> Json:
    lanes, steps, errors = _Numbers(), _Numbers(), _Numbers()
    columns: Json = {
        "item": _deltas(one.item for one in attempts),
        "lane": [lanes.of(one.lane) for one in attempts],
        "slot": slots(attempts),
        "step": _sparse([steps.of(one.step) for one in attempts]),
        "started": _deltas(_ms(one.started - zero) for one in attempts),
        "ms": [_ms(one.seconds) for one in attempts],
        "status": _sparse([one.status or 0 for one in attempts], usual=200),
        "error": _sparse([errors.of(one.error) for one in attempts], usual=errors.of("")),
        "in": [one.input_tokens for one in attempts],
        "out": [one.output_tokens for one in attempts],
        "cost": [_micros(one.cost) for one in attempts],
    }
    for name in Timing.__struct_fields__:
        columns[name] = _sparse([_ms(getattr(one.timing, name)) for one in attempts])
    columns |= {"lanes": lanes.names, "steps": steps.names, "errors": errors.names}
    return columns


def _sample_columns(run: RunData, zero: float) -> Json:
    stride = -(-len(run.samples) // _MOST_SAMPLES) or 1
    samples = list(run.samples)[::stride]
    if samples and samples[-1] is not run.samples[-1]:
        samples.append(run.samples[-1])
    return {
        "at": [_ms(one.at - zero) for one in samples],
        "done": [one.done for one in samples],
        "failed": [one.failed for one in samples],
        "running": [one.running for one in samples],
        "rate": [round(one.rate, 3) for one in samples],
        "cost": [None if one.cost is None else round(one.cost, 6) for one in samples],
        "tokens": [one.tokens for one in samples],
        "cpu": [round(one.cpu, 3) for one in samples],
        "lag": [round(one.lag, 4) for one in samples],
        "lanes": _lane_columns(samples),
    }


# What a chart needs of a lane's samples, by the name that the page has for it.
_OF_LANE: dict[str, Callable[[LaneSample], Any]] = {
    "bound": lambda lane: lane.bound,
    "inFlight": lambda lane: lane.in_flight,
    "window": lambda lane: lane.window,
    "queued": lambda lane: lane.queued,
    "throttled": lambda lane: lane.throttled,
    "limit": lambda lane: None if lane.limit is None else _round(lane.limit),
    "used": lambda lane: _round(lane.used),
}


def _lane_columns(samples: Sequence[Sample]) -> list[Json]:
    names = dict.fromkeys(lane.name for one in samples for lane in one.lanes)
    by_name = [{lane.name: lane for lane in one.lanes} for one in samples]
    found: list[Json] = []
    for name in names:
        own = [lanes.get(name) for lanes in by_name]
        columns = {
            column: [None if lane is None else take(lane) for lane in own]
            for column, take in _OF_LANE.items()
        }
        found.append({"name": printable(name), **columns})
    return found


def _bottlenecks(run: RunData, zero: float) -> list[list[Any]]:
    """Each with from when to when it held, in order."""
    ordered = sorted(run.bottlenecks, key=lambda one: one.since)
    ends = [*(one.since for one in ordered[1:]), max([run.ended or 0.0, *_sinces(run)])]
    return [
        [
            one.kind,
            printable(one.words),
            printable(one.fix),
            printable(one.lane),
            _ms(one.since - zero),
            _ms(end - zero),
        ]
        for one, end in zip(ordered, ends, strict=False)
    ]


def _sinces(run: RunData) -> list[float]:
    return [one.since for one in run.bottlenecks]


def _changes(run: RunData, zero: float) -> list[list[Any]]:
    """What somebody changed while it went."""
    return [
        [_ms(event.at - zero), *(_word(event.data.get(name)) for name in ("what", "from", "to"))]
        for event in run.events
        if event.kind == "change"
    ]


def _lane_events(run: RunData, zero: float) -> list[list[Any]]:
    return [
        [
            _ms(event.at - zero),
            *(_word(event.data.get(name)) for name in ("lane", "state", "error")),
        ]
        for event in run.events
        if event.kind == "lane"
    ]


def _word(value: Any) -> str:
    return "" if value is None else printable(str(value))


class _Numbers:
    """Names by numbers, in the order in which they came."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int:
        return self._known.setdefault(name, len(self._known))

    @property
    def names(self) -> list[str]:
        return [printable(name) for name in self._known]


def _ms(seconds: float) -> int:
    return round(seconds * 1000.0)


def _micros(cost: float | None) -> int | None:
    return None if cost is None else round(cost * 1e6)


def _round(number: float) -> float:
    return round(number, 1) if number < 1000 else round(number)


def _deltas(numbers: Iterable[int]) -> list[int]:
    found, before = [], 0
    for number in numbers:
        found.append(number - before)
        before = number
    return found


def _sparse(numbers: list[int], usual: int = 0) -> Json | list[int]:
    """A column as it is, or only what isn't as usual in it, where that is less."""
    odd = [at for at, number in enumerate(numbers) if number != usual]
    if len(odd) * 2 > len(numbers):
        return numbers
    return {
        "n": len(numbers),
        "usual": usual,
        "at": _deltas(odd),
        "is": [numbers[at] for at in odd],
    }
