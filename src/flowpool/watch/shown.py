"""What the page and the terminal say of a run: the same words and figures, made once. Safe to show as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from flowpool.limits.lane_view import BOUNDS, UNITS
from flowpool.printable import printable
from flowpool.run.sample import TIME_KINDS, Bottleneck, LaneSample, Sample, TimeSpread
from flowpool.store.reading import FailedItem
from flowpool.views.words import about, big, clock, dollars, duration, is_bad, rate_words
from flowpool.watch.view import MOST_CHANGES, Grid, RunView, State, thinned

# Characters of a message: what a provider says may be a page of HTML.
LONGEST = 400
# Bounds that tell of something that is wrong.
_ILL = ("outage", "broken")


class Figure(Struct, frozen=True):
    """A figure under its name; a note may tell more."""

    name: str
    words: str
    note: str = ""


class LaneRow(Struct, frozen=True):
    """A lane, a cell a field: see `LANE_HEADS`."""

    name: str
    in_flight: str
    queued: str
    limit: str
    latency: str
    throttled: str
    bound: str
    is_ill: bool


LANE_HEADS = (
    "lane", "in flight", "waiting", "a minute", "answers take", "refused", "held back by",
)  # fmt: skip


class TimeRow(Struct, frozen=True):
    """Where the time of a lane's calls goes: a kind of it, its part of all, and percentiles."""

    lane: str
    kind: str
    name: str
    share: float
    total: str
    p50: str
    p95: str
    p99: str


class Said(Struct, frozen=True):
    """Something that happened, with when and what to do about it."""

    words: str
    when: str = ""
    fix: str = ""


class Series(Struct, frozen=True):
    """A run's course: a list a line, in step with `at` (seconds since 1970); None where nobody was at work.

    rate: items a second. limit: what the tightest known limit lets through, in items a second. refused: refusals a
    second. in_flight, window, queued: calls, of all lanes.
    """

    at: list[float]
    rate: list[float | None]
    limit: list[float | None]
    refused: list[float | None]
    in_flight: list[int | None]
    window: list[int | None]
    queued: list[int | None]


class Shown(Struct, frozen=True, kw_only=True):
    """A run in words. done, failed: parts of all items, where their number is known."""

    name: str
    run: int
    state: State
    words: str
    verdict: str
    fix: str
    since: str
    is_bad: bool
    at: float
    clock: str
    counts: str
    done: float | None
    failed: float
    figures: list[Figure]
    lanes: list[LaneRow]
    times: list[TimeRow]
    groups: list[Said]
    failures: list[Said]
    changes: list[Said]
    verdicts: list[Said]
    grid: Grid | None
    series: Series
    in_flight: int
    steers: bool
    settings: Mapping[str, float | None]


def shown(view: RunView, after: float = 0.0) -> Shown:
    """The run in words. Its course since `after`, in seconds since 1970."""
    now = view.now
    verdict, fix, bad = _verdict(view)
    bottleneck = view.bottleneck if view.state == "running" else None
    return Shown(
        name=_said(view.name),
        run=view.run,
        state=view.state,
        words=_said(view.words),
        verdict=verdict,
        fix=fix,
        since=_since(bottleneck, view.at) if bottleneck is not None else "",
        is_bad=bad,
        at=view.at,
        clock=_time_of_day(view.at),
        counts=_counts(now),
        done=now.done / now.total if now.total else None,
        failed=(now.failed + now.cancelled) / now.total if now.total else 0.0,
        figures=list(_figures(view)),
        lanes=[_lane_row(lane) for lane in now.lanes],
        times=_times(view.timings),
        groups=[
            Said(f"{one.count:,} × {_said(f'{one.error}: {one.example}')}", "", _said(one.fix))
            for one in view.groups
        ],
        failures=[_failure(one) for one in view.failures],
        changes=[Said(_said(one.words), _time_of_day(one.at)) for one in reversed(view.changes)],
        verdicts=[
            Said(_said(one.words), _time_of_day(one.since), _said(one.fix))
            for one in reversed(view.bottlenecks[-MOST_CHANGES:])
            if one != bottleneck
        ],
        grid=view.grid,
        series=_series([one for one in view.samples if one.at > after]),
        in_flight=sum(lane.in_flight for lane in now.lanes),
        steers=view.steers,
        settings=dict(view.settings),
    )


def _verdict(view: RunView) -> tuple[str, str, bool]:
    """The line on top: what holds the run back, or how it ended; what to do about it; whether it is bad."""
    bottleneck, now = view.bottleneck, view.now
    if view.state == "running" and bottleneck is not None:
        return _said(bottleneck.words), _said(bottleneck.fix), is_bad(bottleneck)
    if view.is_gone:
        return _said(view.words), "", now.failed > 0
    if view.state == "ended" and now.failed:
        fix = "see below why: flowpool retry, or pool.retry(), tries them again"
        return f"Ended: {now.failed:,} failed", fix, True
    return _said(view.words), _said(view.fix), view.state == "away"


def _since(bottleneck: Bottleneck, at: float) -> str:
    if not bottleneck.since:
        return ""
    return f"since {_time_of_day(bottleneck.since)} ({duration(max(0.0, at - bottleneck.since))})"


def _counts(now: Sample) -> str:
    ended = now.done + now.failed + now.cancelled
    return f"{ended:,} of {now.total:,}" if now.total is not None else f"{ended:,} items"


def _figures(view: RunView) -> Iterator[Figure]:
    now = view.now
    # Items are counted over all sessions of a run; what a session uses, from its own begin on.
    again = " since it went on" if now.recalled else ""
    yield Figure("done", f"{now.done:,}", f"{now.recalled:,} from earlier" if now.recalled else "")
    yield Figure("failed", f"{now.failed:,}")
    if now.cancelled:
        yield Figure("cancelled", f"{now.cancelled:,}")
    if view.state in ("running", "paused"):
        yield Figure("in progress", f"{now.running:,}")
        yield Figure("rate", rate_words(now.rate) if now.rate else "-")
        yield Figure("time left", clock(now.eta) if now.eta is not None else "-")
    took = "took" if view.state == "ended" else "so far"
    yield Figure(f"{took}{again}", duration(now.elapsed))
    if now.cost is not None:
        yield Figure(f"spent{again}", dollars(now.cost), _expected(view))
    if now.tokens:
        yield Figure(f"tokens{again}", f"{now.tokens:,}")
    if now.cpu:
        lag = f"loop {duration(now.lag)} behind" if now.lag >= 0.05 else ""
        yield Figure("cores in use", f"{now.cpu:.1f}", lag)


def _expected(view: RunView) -> str:
    now = view.now
    if view.cost_in_all is not None:
        return f"{dollars(max(view.cost_in_all, now.cost or 0.0))} with earlier sessions"
    carried = now.done + now.failed - now.recalled
    if now.total is None or now.cost is None or carried <= 0:
        return ""
    left = max(0, now.total - now.done - now.failed - now.cancelled)
    return f"{about(now.cost * (1.0 + left / carried))} in all" if left else ""


def _lane_row(lane: LaneSample) -> LaneRow:
    limit = big(lane.used)
    if lane.limit is not None:
        limit += f" of {big(lane.limit)}"
    limit += f" {UNITS.get(lane.unit, lane.unit)}"
    return LaneRow(
        _said(lane.name),
        f"{lane.in_flight:,} of {lane.window:,}",
        f"{lane.queued:,}",
        limit,
        duration(lane.latency) if lane.latency else "-",
        f"{lane.throttled:,}",
        BOUNDS.get(lane.bound, printable(lane.bound)).replace("`", ""),
        lane.bound in _ILL,
    )


def _times(timings: Mapping[str, Mapping[str, TimeSpread]]) -> list[TimeRow]:
    rows = []
    for lane, kinds in timings.items():
        whole = sum(spread.total for spread in kinds.values())
        for kind, words in TIME_KINDS.items():
            spread = kinds.get(kind)
            if spread is None or spread.total <= 0.0:
                continue
            figures = (duration(one) for one in (spread.total, spread.p50, spread.p95, spread.p99))
            rows.append(TimeRow(_said(lane), kind, words, spread.total / whole, *figures))
    return rows


def _failure(one: FailedItem) -> Said:
    when = _time_of_day(one.at) if one.at else ""
    return Said(f"items[{one.item}]: {_said(f'{one.error}: {one.message}')}", when)


def _series(samples: Sequence[Sample]) -> Series:
    series = Series([], [], [], [], [], [], [])
    before: Sample | None = None
    for now in thinned(samples):
        if before is not None and now.elapsed < before.elapsed:  # another run of it: a gap between
            _add(series, now.at - 1e-3, None, None)
            before = None
        _add(series, now.at, now, before)
        before = now
    return series


def _add(series: Series, at: float, now: Sample | None, before: Sample | None) -> None:
    series.at.append(round(at, 3))
    lanes = now.lanes if now is not None else ()
    series.rate.append(None if now is None else round(now.rate, 3))
    series.limit.append(None if now is None else _allowed(now))
    series.refused.append(None if now is None else _refused(now, before))
    for line, name in (
        (series.in_flight, "in_flight"),
        (series.window, "window"),
        (series.queued, "queued"),
    ):
        line.append(None if now is None else sum(getattr(lane, name) for lane in lanes))


def _allowed(now: Sample) -> float | None:
    """Items a second that the tightest limit lets through, if they need what they needed lately."""
    found = [
        now.rate * lane.limit / lane.used
        for lane in now.lanes
        # What uses a small part of its limit says little of where that is.
        if lane.limit is not None and now.rate > 0.0 and lane.used > 0.1 * lane.limit
    ]
    return round(min(found), 3) if found else None


def _refused(now: Sample, before: Sample | None) -> float:
    if before is None or now.at <= before.at:
        return 0.0
    more = sum(lane.throttled for lane in now.lanes) - sum(lane.throttled for lane in before.lanes)
    return round(max(0, more) / (now.at - before.at), 3)


def _said(text: str) -> str:
    """Words of others in a line, not longer than anybody reads."""
    words = " ".join(printable(text).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _time_of_day(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
