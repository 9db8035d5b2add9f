"""What holds a run back: one rule, asked by the progress line, `status` and every view. Pure.

A run is as quick as its narrowest part. `narrowest` names it from one look at the run, the most telling sign first;
`Steadied` says what it was most of the last seconds, as from one call to the next it varies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from flowpool.limits.lane_view import UNITS, LaneView, clock, shortened
from flowpool.run.sample import Bottleneck

# Cores of its own from which on a process has none left for more: an interpreter runs on one at a time.
FULL_CORE = 0.9
# Seconds by which the loop is late, from which on it has no time left, and from which on somebody keeps it from
# its work.
LATE, BLOCKED = 0.002, 0.2
# Cores from which on it is the process itself that makes its loop late, and not the machine.
OWN_WORK = 0.5
# Seconds that a refusal asks to wait, from which on it is a quota rather than a rate.
LONG_ASKED = 10.0
# Seconds in which every call failed, from which on it is no accident.
LONG_SILENCE = 3.0
# The part of a rate in use from which on it is what limits, whatever else is short.
USED_UP = 0.9
# The share of calls refused at random from which on it is said.
CHANCE = 0.005
# Calls in flight that no lane goes beyond by itself: `limits.lanes.AUTO_CEILING`.
MOST_UNASKED = 1000
# Kinds that one look is enough for: they say so by themselves.
AT_ONCE = frozenset({"held", "broken", "outage", "quota"})
# Seconds from 1970 to the end of the year 9999, the last that has a date, in every time zone.
LAST_MOMENT = 253_402_200_000.0
# Looks of which the most frequent bottleneck is said, and how many of them are enough to change it.
STEADY, ENOUGH = 5, 3

KINDS = {
    **dict.fromkeys(UNITS, "a limit of the provider's"),
    "limits": "the `limits=` that you set",
    "max_flows": "the `max_flows` that you set, or a function's own",
    "slots": "the server's slots are full",
    "latency": "more calls at once would slow each other",
    "in_flight": "the provider refuses more calls at once",
    "chance": "the provider refuses calls at random: there is no limit",
    "quota": "a refusal asks to wait for long",
    "paused": "a refusal asks to wait for a moment",
    "outage": "the provider answers nobody",
    "broken": "no call can succeed",
    "learning": "it is still being found out how much may be sent",
    "files": "the process may open no more files",
    "recall": "items that had ended earlier are met again",
    "function": "one of your functions",
    "cpu": "the process's own core is full",
    "budget": "calls wait for money that others have set aside",
    "source": "the source of the items",
    "reader": "who reads the results",
    "store": "writing the store",
    "held": "somebody has paused the run",
    "items": "there is nothing more to begin",
    "": "nothing",
}


class Look(Struct, frozen=True, kw_only=True):
    """What the rule needs to know of a run at one moment.

    at: seconds since 1970. lanes: how they stand. modes: how a function runs ("async", "thread", "process"), by the
    name of its lane. chosen: the items in progress that the user wants, None for as many as there may be. taken:
    those that there are. running: those, and such as wait for a retry. is_held: somebody has paused the run.
    source_waits: whether items are waited for while more could be in progress. read: items that the source has
    given; source_rate: how many a second lately. is_read: no more items will come. recalled: items that had ended
    earlier, so far; known: those of them still to be met; is_recalling: whether they are being met. reader_full,
    store_full: records wait to be taken or written. budget_waits: calls that wait for budget; ceilings: the
    settings that bound it. cpu: cores that the process keeps busy; lag: seconds by which its loop is late. left:
    seconds, where known.
    """

    at: float = 0.0
    lanes: tuple[LaneView, ...] = ()
    modes: Mapping[str, str] = {}
    chosen: int | None = None
    taken: int = 0
    source_waits: bool = False
    read: int = 0
    source_rate: float = 0.0
    is_read: bool = False
    reader_full: bool = False
    store_full: bool = False
    budget_waits: int = 0
    ceilings: tuple[str, ...] = ("max_cost",)
    recalled: int = 0
    known: int = 0
    is_recalling: bool = False
    is_held: bool = False
    cpu: float = 0.0
    lag: float = 0.0
    left: float | None = None
    running: int = 0


def narrowest(look: Look) -> Bottleneck:
    """What holds the run back at that moment.

    >>> narrowest(Look(source_waits=True, source_rate=40.0)).words
    'the source gives 40 rows a second'
    """
    if look.is_held:
        return Bottleneck("held", "paused by you", "`flowpool go` or pool.go() goes on")
    lanes = sorted(look.lanes, key=lambda one: (-one.queued, -one.utilisation))
    lane = lanes[0] if lanes else None
    ill = None if lane is None else _of_illness(lane, look)
    if ill is not None:
        # Calls that wait there may go elsewhere as well, where one is answered: another of a `Spread`, a fallback.
        goes_on = (one for one in lanes if one.in_flight and one.name not in look.modes)
        lane = next((one for one in goes_on if _of_illness(one, look) is None), None)
        if lane is None:
            return ill
    return _of_run(look) or _of_load(lane, look) or _of_lanes(lane, look)


def _of_illness(lane: LaneView, look: Look) -> Bottleneck | None:
    """A provider that answers nobody, or asks to be left alone for long."""
    error = shortened(lane.error)
    if lane.bound == "broken":
        return Bottleneck("broken", f"{lane.name} was given up: {error}", "", lane.name)
    if lane.bound == "outage" or lane.silence >= LONG_SILENCE:
        left = f", gives up in {clock(lane.gives_up)}" if lane.gives_up is not None else ""
        words = f"{lane.name} answers nobody and is probed{left}: {error}"
        return Bottleneck("outage", words, "", lane.name)
    if lane.asked is not None and lane.asked >= LONG_ASKED:
        until = datetime.fromtimestamp(min(look.at + lane.asked, LAST_MOMENT))
        moment = f"{until:%H:%M}" if lane.asked < 43_200 else f"{until:%Y-%m-%d %H:%M}"
        words = f"waiting for quota of {lane.name} until {moment}; it is tried now and then"
        return Bottleneck("quota", words, "a second key has a quota of its own", lane.name)
    return None


def _of_run(look: Look) -> Bottleneck | None:
    """What isn't a lane's affair: who takes the results, the money, where the items come from."""
    if look.reader_full:
        fix = "take its records quicker, or let pool.write(path) take them"
        return Bottleneck("reader", "the reader of the stream is behind", fix)
    if look.store_full:
        return Bottleneck("store", "writing the store is behind", "a quicker disk, shorter answers")
    if look.is_recalling:
        of = f"{look.recalled:,} of {look.recalled + look.known:,}"
        return Bottleneck("recall", f"meeting again what had ended earlier: {of} items")
    if look.budget_waits:
        calls = _many(look.budget_waits, "call")
        words = f"waiting for budget: {calls} until others have cost less than they might"
        fix = f"raise {' or '.join(look.ceilings)}, or set a lower max_tokens in options="
        return Bottleneck("budget", words, fix)
    if look.source_waits:
        rate = look.source_rate
        pace = f"{rate:,.0f} rows a second" if rate >= 0.95 else f"{60 * rate:,.1f} rows a minute"
        return Bottleneck("source", f"the source gives {pace}", "a quicker source")
    return None


def _of_load(lane: LaneView | None, look: Look) -> Bottleneck | None:
    """A process whose own work leaves no time for more calls."""
    if lane is not None and lane.bound in (*UNITS, "limits") and lane.utilisation >= USED_UP:
        return None
    if look.cpu < FULL_CORE and look.lag < BLOCKED:
        return None
    own = [one for one in look.lanes if look.modes.get(one.name) in ("async", "thread")]
    busy = max(own, key=lambda one: one.in_flight, default=None)
    if busy is not None and busy.in_flight:
        verb = "keeps the event loop busy" if look.cpu < FULL_CORE else f"uses {look.cpu:.1f} cores"
        fix = "@tool(cpu_bound=True) runs it on all cores"
        return Bottleneck("function", f"your function {busy.name!r} {verb}", fix, busy.name)
    if look.cpu < OWN_WORK:
        words = f"the machine is busy with other work: this process gets {look.cpu:.1f} cores"
        return Bottleneck("cpu", words, "leave it a core")
    if look.lag < LATE:
        return None
    words = f"this process uses {look.cpu:.1f} cores, and Python runs on one at a time"
    return Bottleneck("cpu", words, "split the items among several processes")


def _of_lanes(lane: LaneView | None, look: Look) -> Bottleneck:
    """What the lane that most calls wait for is bound by."""
    if lane is None:
        return Bottleneck("", "nothing holds it back")
    if lane.bound in ("items", "") and look.chosen is not None and look.taken >= look.chosen:
        return _with_chance(lane, _of_max_flows(look.chosen))
    if lane.name in look.modes and lane.bound == "max_flows":
        return _of_function(lane, look)
    if lane.bound == "items" and look.is_read:
        words = f"the last {_many(look.running, 'item')} in progress"
        return _with_chance(lane, Bottleneck("items", words))
    words, fix = _words_of(lane, look)
    kind = lane.bound if words else ""
    words = words or "nothing holds it back: calls go as they come"
    return _with_chance(lane, Bottleneck(kind, words, fix, lane.name))


def _of_max_flows(chosen: int) -> Bottleneck:
    fix = "raise max_flows, or leave it out: then it is found"
    return Bottleneck("max_flows", f"limited by max_flows: {chosen:,} at once", fix)


def _of_function(lane: LaneView, look: Look) -> Bottleneck:
    """A function that runs as often at once as it may."""
    if look.chosen == lane.window and look.modes[lane.name] != "process":
        return _of_max_flows(look.chosen)
    if look.modes[lane.name] == "process":
        processes = _many(lane.window, "worker process", "es")
        words, fix = f"your function {lane.name!r} uses all {processes}", "more cores"
    else:
        words = f"your function {lane.name!r} runs {lane.window:,} at once, which is its most"
        fix = "raise its max_flows"
    return Bottleneck("function", words, fix, lane.name)


def _words_of(lane: LaneView, look: Look) -> tuple[str, str]:
    """What a provider's lane is bound by, and what would change it."""
    name = lane.name
    match lane.bound:
        case "requests" | "tokens" | "input_tokens" | "output_tokens" as unit:
            limit = (
                f"{lane.limits.get(unit, 0.0):,.0f} a minute, {lane.grounds.get(unit, 'learned')}"
            )
            fix = "a second key would halve it" if look.left else "a second key, or a higher tier"
            return f"limited by {UNITS[unit]} of {name} ({limit})", fix
        case "limits":
            own = _configured(lane)
            return f"limited by the limits that you set for {name}{own}", "raise limits="
        case "max_flows":
            if look.chosen is None and lane.window >= MOST_UNASKED:
                words = f"{lane.window:,} calls of {name} at once, the most without max_flows"
                return words, f"set max_flows={2 * lane.window}"
            fix = "raise max_flows, or leave it out: then it is found"
            return f"limited by max_flows: {lane.window:,} calls of {name} at once", fix
        case "slots":
            words = (
                f"the server's slots are full: {name} works on about {lane.slots:,} calls at once"
            )
            return words, "a second server, or more slots"
        case "latency":
            return (
                f"{name} is as busy as pays: more calls would slow each other",
                "a quicker server",
            )
        case "in_flight":
            fix = "a second key, or a higher tier"
            return f"{name} takes {lane.in_flight:,} calls at once and refuses more", fix
        case "files":
            fix = "raise it, as with `ulimit -n 20000`"
            return f"the process may open no more files: {lane.window:,} calls at once", fix
        case "learning":
            rate = lane.used.get("requests", 0.0)
            return f"still finding what {name} takes: {rate:,.0f} requests a minute so far", ""
        case "paused":
            return f"{name} has refused calls and asks to wait for a moment", ""
    return "", ""


def _with_chance(lane: LaneView, found: Bottleneck) -> Bottleneck:
    """The same, with what is refused at random; where nothing else holds the run back, that is what does."""
    if lane.chance < CHANCE:
        return found
    refused = f"{lane.chance:.0%}" if lane.chance >= 0.095 else f"{lane.chance:.1%}"
    refused = f"{lane.name} refuses {refused} of the calls at random: no limit"
    if found.kind in ("", "learning"):
        return Bottleneck("chance", refused, "", lane.name)
    return structs.replace(found, words=f"{found.words}; {refused}")


def add_to(history: list[Bottleneck], said: Bottleneck) -> None:
    """Adds what was said last; the same in newer words replaces the older ones."""
    if history and history[-1].since == said.since:
        history[-1] = said
    else:
        history.append(said)


def shares(bottlenecks: Sequence[Bottleneck], until: float) -> tuple[tuple[Bottleneck, float], ...]:
    """For how many seconds each held a run back, the longest first. until: when the last of them ended.

    >>> slow, full = Bottleneck("source", "a", since=0.0), Bottleneck("slots", "b", since=10.0)
    >>> [(one.words, seconds) for one, seconds in shares([slow, full, Bottleneck("source", "c", since=12.0)], 13.0)]
    [('c', 11.0), ('b', 2.0)]
    """
    found: dict[tuple[str, str], tuple[Bottleneck, float]] = {}
    ends = [*(one.since for one in bottlenecks[1:]), until]
    for one, end in zip(bottlenecks, ends, strict=False):
        _, before = found.get((one.kind, one.lane), (one, 0.0))
        found[one.kind, one.lane] = one, before + max(0.0, end - one.since)
    return tuple(sorted(found.values(), key=lambda pair: -pair[1]))


class Steadied:
    """The bottleneck of the last looks: another one only once most of them say so."""

    def __init__(self) -> None:
        self._recent: deque[Bottleneck] = deque(maxlen=STEADY)
        self._is_new = False
        self.now: Bottleneck | None = None

    def begin_anew(self) -> None:
        """The run was changed: what holds it back from here on is said at the next look."""
        self._recent.clear()
        self._is_new = True

    def saw(self, found: Bottleneck, at: float) -> Bottleneck:
        """Takes what a look found; gives what holds the run back, since when, in the newest words of its kind."""
        before, recent = self.now, self._recent
        is_new = self._is_new or before is None or "held" in (found.kind, before.kind)
        if is_new or (found.kind in AT_ONCE and before is not None and not _alike(found, before)):
            recent.clear()
        recent.append(structs.replace(found, since=at))
        if before is not None and not self._is_new and _alike(found, before):
            self.now = structs.replace(found, since=before.since)
            return self.now
        self._is_new = False
        same = [one for one in recent if _alike(one, found)]
        if before is None or len(recent) == 1 or len(same) >= ENOUGH:
            self.now = structs.replace(found, since=same[0].since)
        assert self.now is not None
        return self.now


def _alike(one: Bottleneck, other: Bottleneck) -> bool:
    return (one.kind, one.lane) == (other.kind, other.lane)


def _configured(lane: LaneView) -> str:
    limits = lane.configured
    if limits is None:
        return ""
    names = [(name, getattr(limits, name)) for name in limits.__struct_fields__]
    return f" ({', '.join(f'{name}={value:g}' for name, value in names if value is not None)})"


def _many(count: int, noun: str, plural: str = "s") -> str:
    return f"{count:,} {noun}{plural if count != 1 else ''}"
