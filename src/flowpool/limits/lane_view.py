"""What a person may see of a lane. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from flowpool.values import Limits, Usage

Bound = Literal[
    "requests", "tokens", "input_tokens", "output_tokens", "limits", "max_flows", "slots", "latency",
    "in_flight", "files", "learning", "paused", "outage", "broken", "items", "reader", "",
]  # fmt: skip

BOUNDS: dict[Bound, str] = {
    "requests": "the provider's limit of requests",
    "tokens": "the provider's limit of tokens",
    "input_tokens": "the provider's limit of input tokens",
    "output_tokens": "the provider's limit of output tokens",
    "limits": "the `limits=` that you set",
    "max_flows": "the `max_flows` that you set, or a tool's own",
    "slots": "the server's slots: more calls would only wait there",
    "latency": "the server's speed: more calls would slow each other",
    "in_flight": "the provider: it refuses more calls at once",
    "files": "this process: it may open no more files and sockets (`ulimit -n`)",
    "learning": "it is still being found out how much may be sent",
    "paused": "a 429 asked to wait",
    "outage": "the provider answers nobody: one call at a time probes whether it is back",
    "broken": "no call can succeed, and none is sent",
    "items": "nothing waits: more items, or the step before, would have to come",
    "reader": "who reads the stream is behind",
    "": "nothing: a call would go at once",
}


class LaneView(Struct, frozen=True):
    """A lane at one moment: what shares a limit, and what holds it back.

    name: `provider/model`, or the tool's.
    bound: what keeps more calls from going now; `BOUNDS` has the words for each.
    limits: what was learned of the provider's limits, in units a minute, by `requests`, `tokens`,
        `input_tokens`, `output_tokens`; empty while nothing is known.
    used: what was sent in about the last ten seconds, in units a minute, for the same names.
    told: the ceilings that you set, or None.
    utilisation: the part in use of what bounds it, from 0 to 1; a little more while a full bucket drains.
    in_flight, window: calls in flight, and how many may be.
    queued: calls that wait for their turn.
    throttled: calls answered 429 so far.
    error: what the last failed attempt said, "" if none has failed.
    latency: seconds that its answers take, lately; 0 before the first.
    belief: what is believed of the provider's limits and why, as in `at most 20 in flight (more are refused)`.
    gives_up: in an outage, the seconds after which the lane is given up if nobody is answered; else None.
    """

    name: str
    bound: Bound
    limits: Mapping[str, float]
    used: Mapping[str, float]
    configured: Limits | None
    utilisation: float
    in_flight: int
    window: int
    queued: int
    throttled: int
    error: str
    gives_up: float | None = None
    belief: str = ""
    latency: float = 0.0

    @property
    def rates(self) -> dict[str, float]:
        """The lower of what was learned and what you set, in units a minute, by the names of `limits`."""
        rates = rates_of(self.configured)
        return rates | {
            name: min(rate, rates.get(name, rate)) for name, rate in self.limits.items()
        }

    @property
    def broken(self) -> bool:
        """Whether the lane was given up: every further call fails as `error` says."""
        return self.bound == "broken"

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.in_flight}/{self.window} in flight"
        bound = f", bound by {self.bound}" if self.bound else ""
        return f"<Lane {self.name}: {state}, {self.queued} waiting{bound}>"


def rates_of(limits: Limits | None) -> dict[str, float]:
    """Ceilings that people set, in units a minute, by the names of `LaneView.limits`."""
    if limits is None:
        return {}
    rates = {
        "requests": limits.rpm,
        "tokens": limits.tpm,
        "input_tokens": limits.input_tpm,
        "output_tokens": limits.output_tpm,
    }
    return {name: rate for name, rate in rates.items() if rate is not None}


def joint_rates(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The rates of several lanes that share their calls: together as many, and no limit where one has none."""
    lanes = list(each)
    names = set.intersection(*(set(rates) for rates in lanes)) if lanes else set()
    return {name: sum(rates[name] for rates in lanes) for name in names}


def least_seconds(calls: float, usage: Usage, rates: Mapping[str, float]) -> float:
    """The least time that so many calls, with these tokens in all, take at rates a minute; 0 where none is known.

    >>> least_seconds(100, Usage(5000, 0), {"requests": 100, "tokens": 500})
    600.0
    """
    units = {
        "requests": calls,
        "tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    return max((60.0 * units[name] / rate for name, rate in rates.items()), default=0.0)
