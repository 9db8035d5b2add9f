"""Figures as people say them, and what a run's snapshot says in words. Draws nothing."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from flowpool.limits.lane_view import REFUSED, UNITS, shortened
from flowpool.limits.lane_view import clock as clock
from flowpool.pool import BOUNDS, LaneView, Snapshot
from flowpool.printable import printable
from flowpool.run.sample import Bottleneck, LaneSample

# Lines of lanes: more would push the program's own words off a small terminal.
MOST_LANES = 4
# Seconds: shorter runs aren't slowed by loading the price list.
COST_AFTER = 2.0
# Seconds: what held a shorter run back isn't worth a line at its end.
HELD_AFTER = 10.0
# The part of a run from which on it says what held it back for so long.
LEAST_HELD = 0.05


class ProgressText(Struct, frozen=True):
    """A run in words, for any view to lay out.

    done, failed: parts of all items; None, where their number isn't known. counts: how far it is.
    lines: what else there is to know, each with whether it is bad. rates: items a second, of each second lately.
    """

    name: str
    done: float | None
    failed: float
    counts: str
    lines: list[tuple[str, bool]]
    rates: tuple[float, ...] = ()


def progress_text(name: str, now: Snapshot, lanes: tuple[LaneView, ...]) -> ProgressText:
    """A run that goes on. `lanes` are those of the snapshot, their bounds made steady."""
    counts = f"{now.ended:,}" + (f" of {now.total:,}" if now.total is not None else " items")
    if now.recalled:
        counts += f" ({now.recalled:,} from earlier)"
    if now.rate > 0.0:
        counts += f" · {rate_words(now.rate)}"
    if now.eta is not None:
        counts += f" · {clock(now.eta)} left"
    if now.paused:
        counts += " · paused"
    figures = [f"{now.running:,} in progress", *_counted(now), *_spent(now, is_over=False)]
    if now.failed:
        figures.insert(0, f"{now.failed:,} failed")
    lines = [(" · ".join(figures), False), *_bottleneck_lines(now)]
    lines += [*_lane_lines(lanes), *_failure_lines(now)]
    return _text(name, now, counts, lines)


def end_text(name: str, now: Snapshot) -> ProgressText:
    """A run that is over."""
    counts = ended_words(now.done, now.failed, now.cancelled, now.recalled)
    counts += f" in {duration(now.elapsed)}"
    figures = [rate_words(now.carried / now.elapsed)] if now.carried and now.elapsed >= 1.0 else []
    figures += [*_counted(now), *_spent(now, is_over=True), *empty_words(now)]
    lines = [(now.stopped, True)] if now.stopped else []
    lines += [(words, False) for words in _held(now)]
    return _text(name, now, " · ".join([counts, *figures]), [*lines, *_failure_lines(now)])


def ended_words(done: int, failed: int, cancelled: int, recalled: int) -> str:
    """How items ended, and how many of those that are done or failed were so before the run."""
    words = [f"{done:,} done"]
    words += [f"{failed:,} failed"] if failed else []
    words += [f"{cancelled:,} cancelled"] if cancelled else []
    earlier = f" ({recalled:,} of them earlier)" if recalled else ""
    return f"{', '.join(words)}{earlier}"


def held_back(now: Snapshot) -> list[tuple[str, str]]:
    """What held the run back the longest, and for how long, each with what would change it, which may be empty."""
    held = [(what, seconds) for what, seconds in now.held if what.kind not in ("", "items")]
    return [
        (f"{what.words}, for {duration(seconds)} of {duration(now.elapsed)}", what.fix)
        for what, seconds in held[:2]
        if seconds >= LEAST_HELD * now.elapsed
    ]


def end_notes(now: Snapshot) -> list[str]:
    """What else a run's closing line says."""
    return [*empty_words(now), *_held(now)]


def _held(now: Snapshot) -> list[str]:
    held = held_back(now)[:1] if now.elapsed >= HELD_AFTER else []
    return [f"held back: {words}" for words, _ in held]


def empty_words(now: Snapshot) -> list[str]:
    """How many items had nothing for a variable of a prompt."""
    return [f"{count:,} had no {name!r}" for name, count in now.empty.items()]


def _text(name: str, now: Snapshot, counts: str, lines: list[tuple[str, bool]]) -> ProgressText:
    """The words, of which names and failures are others': safe to show."""
    shown = [(printable(words), is_bad) for words, is_bad in lines]
    return ProgressText(printable(name), *_parts(now), counts, shown)


def lane_words(lane: LaneView) -> str:
    """What holds a lane back, with the figures that tell how much."""
    words = [_bound_words(lane)]
    if lane.bound not in ("max_flows", "slots", "files", "latency", "broken") and lane.in_flight:
        words.append(f"{lane.in_flight:,} in flight")
    if lane.throttled:
        words.append(f"{lane.throttled:,} {REFUSED}")
    if lane.rations_retries:
        words.append("so many calls fail that retries are rationed")
    return " · ".join(words)


def sample_words(lane: LaneSample) -> str:
    """The same of a lane of another process, as far as a sample has it."""
    name: str = lane.bound if lane.bound in UNITS else "requests"
    limits = {} if lane.limit is None else {name: lane.limit}
    share = lane.used / lane.limit if lane.limit else lane.in_flight / max(1, lane.window)
    return lane_words(
        LaneView(
            lane.name,
            lane.bound,
            limits,
            {name: lane.used},
            None,
            share,
            lane.in_flight,
            lane.window,
            lane.queued,
            lane.throttled,
            "nobody gets an answer",
        )
    )


def duration(seconds: float) -> str:
    """Seconds in words: 0.42 s, 12.3 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def dollars(amount: float) -> str:
    """An amount in dollars: to the cent, or with two digits that say something."""
    if 0 < amount < 0.0001:
        return "less than $0.0001"
    return f"${amount:,.2f}" if amount >= 0.095 or not amount else f"${amount:.2g}"


def about(amount: float) -> str:
    """An amount in dollars that is known by a price list alone."""
    words = dollars(amount)
    return words if words.startswith("less") else f"about {words}"


def cost_words(now: Snapshot) -> str:
    """What the items of a run cost, as far as prices are known; empty where none is."""
    return "" if now.cost is None else about(now.cost) + _unpriced(now)


def _unpriced(now: Snapshot) -> str:
    """Whose calls a cost leaves out."""
    names = [name for name, spent in now.spent.items() if spent.cost(name) is None]
    return f" without {', '.join(names)}, of unknown price" if names else ""


def bottleneck_words(found: Bottleneck) -> str:
    """What holds a run back, since when, and what would change it."""
    since = f", since {datetime.fromtimestamp(found.since):%H:%M:%S}" if found.since else ""
    return f"{found.words}{since}{f': {found.fix}' if found.fix else ''}"


def is_bad(found: Bottleneck) -> bool:
    """Whether it is no limit to keep to, but something that is wrong."""
    return found.kind in ("outage", "broken", "quota")


def _bottleneck_lines(now: Snapshot) -> list[tuple[str, bool]]:
    found = now.bottleneck
    if found is None:
        return []
    return [(bottleneck_words(found), is_bad(found))]


def _lane_lines(lanes: tuple[LaneView, ...]) -> list[tuple[str, bool]]:
    """A line for each of the busiest lanes, in the lanes' order."""
    busiest = sorted(lanes, key=lambda lane: (-lane.queued, -lane.utilisation))[:MOST_LANES]
    lines = [
        (f"{lane.name}  {lane_words(lane)}", lane.bound in ("outage", "broken"))
        for lane in lanes
        if lane in busiest
    ]
    more = len(lanes) - len(lines)
    return [*lines, (f"and {more} more", False)] if more else lines


def _failure_lines(now: Snapshot) -> list[tuple[str, bool]]:
    record = now.failure
    if record is None or record.error is None:
        return []
    error = " ".join(f"{type(record.error).__name__}: {record.error}".split())
    return [(f"last failure: items[{record.index}]: {error}", True)]


# Seconds that a refusal asks to wait, from which on they are shown.
LONG_ASKED = 10.0
# What holds a lane back where no figure says how much.
_BOUND_WORDS = {
    "paused": "paused by a refusal",
    "held": BOUNDS["held"],
    "reader": "waits for the reader of the stream",
    "items": "nothing waits",
}


def _bound_words(lane: LaneView) -> str:
    is_ill = lane.bound in ("outage", "broken")
    if lane.asked is not None and lane.asked >= LONG_ASKED and not is_ill:
        return f"a refusal asks to wait {clock(lane.asked)}; tried now and then"
    return _words_of_bound(lane)


def _words_of_bound(lane: LaneView) -> str:
    at_once = f"{lane.window:,} at once"
    used = f"{min(1.0, lane.utilisation):.0%}"
    match lane.bound:
        case "requests" | "tokens" | "input_tokens" | "output_tokens":
            limit = lane.limits.get(lane.bound, 0.0)
            return f"{limit:,.0f} {UNITS[lane.bound]}/min, {used} used"
        case "limits" if lane.in_flight >= lane.window:
            return f"{at_once}, as you set"
        case "limits":
            return f"the limits that you set, {used} used"
        case "max_flows":
            return (
                f"{at_once} (max_flows)" if lane.in_flight >= lane.window else "max_flows reached"
            )
        case "in_flight":
            return f"{lane.in_flight:,} at once, and the provider refuses more"
        case "files":
            return f"{at_once}: the process may open no more files (ulimit -n)"
        case "slots":
            return f"{at_once} fill the server's slots"
        case "latency":
            return f"{at_once}; more would slow each other"
        case "learning":
            return f"finding the limit, {lane.used.get('requests', 0.0):,.0f} requests/min so far"
        case "outage":
            left = f", gives up in {clock(lane.gives_up)}" if lane.gives_up is not None else ""
            return f"no answers, probing{left}: {shortened(lane.error)}"
        case "broken":
            return f"given up: {shortened(lane.error)}"
    return _BOUND_WORDS.get(lane.bound, "free")


def _counted(now: Snapshot) -> list[str]:
    usage = now.usage
    tokens = usage.input_tokens + usage.output_tokens
    return [f"{big(tokens)} tokens"] if tokens else []


def _spent(now: Snapshot, *, is_over: bool) -> list[str]:
    if now.elapsed < COST_AFTER or (cost := now.cost) is None:
        return []
    if is_over:
        return [cost_words(now)]
    expected = now.expected_cost
    words = f"{dollars(cost)} so far" + (f", {about(expected)} in all" if expected else "")
    words += _unpriced(now)
    return [f"{words}, beside {dollars(now.spent_before)} earlier" if now.spent_before else words]


def _parts(now: Snapshot) -> tuple[float | None, float]:
    """The parts of all items that are done and that failed."""
    if not now.total:
        return None, 0.0
    return now.done / now.total, (now.failed + now.cancelled) / now.total


def rate_words(rate: float) -> str:
    """Items a second as people say it: 48.9/s, or a minute where they are few."""
    if rate >= 0.95:
        return f"{rate:,.0f}/s" if rate >= 99.5 else f"{rate:.1f}/s"
    return f"{rate * 60:.1f}/min"


def big(number: float) -> str:
    """A number in at most four digits: 812, 9.5k, 420k, 1.2M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 100 * size:
            return f"{number / size:,.0f}{unit}"
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"
