"""What one row of the table plays: a provider's limits, the work, and the bar. Plain data."""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import Literal

from msgspec import Struct

from flowpool.simulator import Profile


class Work(Struct, frozen=True):
    """Calls without end: input tokens from `tokens / spread` to `tokens * spread`, evenly by ratio, and so
    many output tokens, as widely spread. `max_tokens`: what each call asks for at most."""

    tokens: float = 100.0
    output: float = 20.0
    spread: float = 1.5
    max_tokens: int | None = None


class Trouble(Struct, frozen=True):
    """From `start` to `end` seconds, a share of the calls is answered with an error of `status`."""

    start: float
    end: float
    share: float
    status: int = 500


class Case(Struct, frozen=True, kw_only=True, dict=True):
    """A provider, the work and what has to be reached.

    spans: the stretches of seconds that are measured; the last one's end is the run's. bar: the part of what
    was allowed that must be used in each. most: 429s as a part of all calls of the run, from its first on.
    processes: runs with the same key. changes: (second, factor) from when on the limits are so many times the
    first ones. items: None for work without end, else the run is over when they are done. part: of the seeds
    that are played, less than 1 for runs of very many calls.
    """

    group: str
    name: str
    profile: Profile
    spans: tuple[tuple[float, float], ...]
    bar: float
    most: float = 1.0
    measure: Literal["allowed", "slots", "items"] = "allowed"
    work: Work = Work()
    processes: int = 1
    changes: tuple[tuple[float, float], ...] = ()
    troubles: tuple[Trouble, ...] = ()
    items: int | None = None
    fixed: bool = True  # worth comparing with fixed windows
    part: float = 1.0

    @property
    def seconds(self) -> float:
        return self.spans[-1][1]

    def limits(self) -> dict[str, float]:
        """Units a second that are allowed at first, by the provider's name for the dimension."""
        profile = self.profile
        told = {
            "requests": profile.rpm,
            "tokens": profile.tpm,
            "input-tokens": profile.input_tpm,
            "output-tokens": profile.output_tpm,
        }
        return {name: limit / 60.0 for name, limit in told.items() if limit}

    def slots_give(self) -> float:
        """Answers a second of all slots, always busy."""
        return (self.profile.slots or 0) / self.service

    @cached_property
    def service(self) -> float:
        """Seconds that an answer takes where none waits for a slot, on average."""
        random = Random(0)
        draw = self.profile.latency.sample
        return sum(draw(random, round(self.work.output)) for _ in range(20_000)) / 20_000
