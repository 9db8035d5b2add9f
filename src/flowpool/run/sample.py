"""How a run stood at one moment, as plain data: what is kept of it in the store, and shown by every view."""

from __future__ import annotations

from msgspec import Struct

from flowpool.limits.lane_view import Bound


class Bottleneck(Struct, frozen=True):
    """What holds a run back.

    kind: of which kind that is: one of `bottleneck.KINDS`. words: the same in words. fix: what would change it, in
    words; empty where nothing would. lane: the name of the lane that it is about, if it is about one. since:
    seconds since 1970.
    """

    kind: str
    words: str
    fix: str = ""
    lane: str = ""
    since: float = 0.0


class LaneSample(Struct, frozen=True):
    """A lane at that moment; see `LaneView`.

    limit, used: of what bounds it, of requests, or of what is used most of, in units a minute: `unit` says which.
    limit is None while none is known.
    """

    name: str
    bound: Bound
    in_flight: int
    window: int
    queued: int
    throttled: int
    latency: float
    limit: float | None
    used: float
    unit: str = "requests"


class Sample(Struct, frozen=True):
    """A run at one moment.

    at: seconds since 1970. elapsed: seconds since it began. total: None for a source of unknown length. done,
    failed, cancelled, running, recalled: items, as in `Snapshot`. rate: items a second. eta: seconds left, None
    where that can't be known. cost: dollars so far of this run, None where no price is known. tokens: input and
    output, in all. cpu: cores that the process keeps busy. lag: seconds by which the event loop is behind.
    """

    at: float
    elapsed: float
    total: int | None
    done: int
    failed: int
    cancelled: int
    running: int
    recalled: int
    rate: float
    eta: float | None
    cost: float | None
    tokens: int
    cpu: float
    lag: float
    lanes: tuple[LaneSample, ...] = ()


class TimeSpread(Struct, frozen=True):
    """How long something took, in seconds: how often it was, in sum, and at the 50th, 95th and 99th percentile."""

    count: int
    total: float
    p50: float
    p95: float
    p99: float


# Where the time of calls goes, in the order in which it passes: the fields of `values.Timing`, then what is left.
TIME_KINDS = {
    "slot_wait": "waiting for a slot",
    "limit_wait": "waiting for a limit",
    "budget_wait": "waiting for budget",
    "backoff": "in backoff",
    "connect": "connecting",
    "first_byte": "until the first byte",
    "reading": "reading the answer",
    "own_code": "own code",
}


class LiveView(Struct, frozen=True):
    """A run that is at work, as its process tells of it.

    timings: by the name of a lane, then by a name of `TIME_KINDS`. settings: those that can be changed while it
    runs. paused: whether somebody has paused it.
    """

    name: str
    pid: int
    sample: Sample
    bottleneck: Bottleneck | None
    timings: dict[str, dict[str, TimeSpread]]
    settings: dict[str, float | None]
    paused: bool
