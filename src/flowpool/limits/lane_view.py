"""What a person may see of a lane. Plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from flowpool.values import Limits, Usage

Bound = Literal[
    "requests", "tokens", "input_tokens", "output_tokens", "limits", "max_flows", "slots", "latency",
    "in_flight", "files", "learning", "paused", "held", "outage", "broken", "items", "reader", "",
]  # fmt: skip

# How a provider says that calls come too fast: 503 is what gateways say for it.
REFUSED = "refused (429 or 503)"

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
    "paused": "a refusal asked to wait",
    "held": "paused by you: `flowpool go` or pool.go() goes on",
    "outage": "the provider answers nobody: one call at a time probes whether it is back",
    "broken": "no call can succeed, and none is sent",
    "items": "nothing waits: more items, or the step before, would have to come",
    "reader": "who reads the stream is behind",
    "": "nothing: a call would go at once",
}


# The names of what limits count, as people say them.
UNITS = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
}


class LaneView(Struct, frozen=True):
    """A lane at one moment: what shares a limit, and what holds it back.

    name: `provider/model`, or the tool's; where several of a run are called so, as a model that is asked with two
        keys, the second is `provider/model (2)`.
    bound: what keeps more calls from going now; `BOUNDS` has the words for each.
    limits: what was learned of the provider's limits, in units a minute, by `requests`, `tokens`,
        `input_tokens`, `output_tokens`; empty while nothing is known.
    used: what was sent in about the last ten seconds, in units a minute, for the same names.
    configured: the ceilings that you set, or None.
    utilisation: the part in use of what bounds it, from 0 to 1; a little more while a full bucket drains.
    in_flight, window: calls in flight, and how many may be.
    queued: calls that wait for their turn.
    throttled: calls refused so far, by a 429 or a 503 or 529 that stands for one.
    error: what the last failed attempt said, "" if none has failed.
    spare: what the provider's headers say may go at once beside the limits, in units by the same names.
    grounds: what each of `limits` rests on, in words.
    chance: the share of the calls that is refused at random, which is no limit.
    silence: seconds since calls began to fail in a row, with no answer between; 0 while few have.
    slots: how many calls the server seems to work on at once; 0 while that isn't known.
    latency: seconds that its answers take, lately; 0 before the first.
    belief: what is believed of the provider's limits and why, as in `at most 20 in flight (more are refused)`.
    asked: the seconds that a refusal still asks to wait, where no call was answered since; else None. It is tried
        now and then whether that is true.
    rations_retries: whether so many calls fail that retries wait for their turn, one for five answers.
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
    asked: float | None = None
    rations_retries: bool = False
    latency: float = 0.0
    spare: Mapping[str, float] = {}
    grounds: Mapping[str, str] = {}
    chance: float = 0.0
    slots: int = 0
    silence: float = 0.0

    @property
    def shared_name(self) -> str:
        """The name without the number that tells it from others of that name."""
        return _NUMBER.sub("", self.name)

    @property
    def broken(self) -> bool:
        """Whether the lane was given up: every further call fails as `error` says."""
        return self.bound == "broken"

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.in_flight}/{self.window} in flight"
        bound = f", bound by {self.bound}" if self.bound else ""
        return f"<Lane {self.name}: {state}, {self.queued} waiting{bound}>"


_NUMBER = re.compile(r" \(\d+\)$")


def numbered(name: str, number: int) -> str:
    """The name of the first, second, ... lane that is called so.

    >>> numbered("openai/m", 1), numbered("openai/m", 2)
    ('openai/m', 'openai/m (2)')
    """
    return name if number == 1 else f"{name} ({number})"


def ceilings_of(limits: Limits | None) -> dict[str, float]:
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


def units_of(calls: float, usage: Usage, times: float = 1.0) -> dict[str, float]:
    """What calls with these tokens in all take of limits, by the names of `LaneView.limits`; `times` as much."""
    sent, made = usage.input_tokens, usage.output_tokens
    units = {"requests": calls, "tokens": sent + made, "input_tokens": sent, "output_tokens": made}
    return {name: times * amount for name, amount in units.items()}


def least_seconds(
    units: Mapping[str, float], rates: Mapping[str, float], spare: Mapping[str, float] = {}
) -> float:
    """The least time that so many units take at rates a minute, beside what may go at once; 0 without rates.

    >>> least_seconds(units_of(100, Usage(5000, 0)), {"requests": 100, "tokens": 500})
    600.0
    """
    waits = [60.0 * (units[name] - spare.get(name, 0.0)) / rate for name, rate in rates.items()]
    return max(0.0, *waits, 0.0)


def least_seconds_in(lanes: Sequence[LaneView], units: Mapping[str, float]) -> float:
    """The same in lanes that share the calls, by what people set and what was learned."""
    own = together([ceilings_of(lane.configured) for lane in lanes])
    learned = together([lane.limits for lane in lanes])
    spare = {name: sum(lane.spare.get(name, 0.0) for lane in lanes) for name in learned}
    return max(least_seconds(units, own), least_seconds(units, learned, spare))


def together(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The rates of all; none where one of them has none."""
    names = set(each[0]).intersection(*each[1:]) if each else set()
    return {name: sum(rates[name] for rates in each) for name in names}


def clock(seconds: float) -> str:
    """Seconds as a clock: 0:42, 10:01, 2:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shortened(error: str) -> str:
    """What an error says, in a line that is short enough to stand among others."""
    words = " ".join(error.split())
    return words if len(words) <= 200 else words[:199] + "…"
