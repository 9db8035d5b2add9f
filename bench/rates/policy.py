"""The seam between the lab and whoever decides when calls may go: what a policy is asked, and what it is told.

A policy is told what a client can see, never what world it is in. Times are seconds of the lab's clock.
"""

from __future__ import annotations

from random import Random
from typing import Literal, Protocol

from msgspec import Struct

from flowpool.values import LimitReading, Usage


class Cost(Struct, frozen=True, gc=False):
    """What a client knows of a call before it is sent: input tokens (estimated) and `max_tokens`."""

    input: int
    most: int


class Refusal(Struct, frozen=True, gc=False):
    """An attempt without an answer, as a client sees it.

    kind: "limit" for what a limit or a busy backend says (429, 503, 529), "error" for a 500, "drop" for a
    connection that closed, "timeout" for silence. status: None without an HTTP answer. retry_after: seconds,
    None if not said. dimension: the limit that the answer names, as providers call it. readings: limit headers.
    """

    kind: Literal["limit", "error", "drop", "timeout"]
    status: int | None
    retry_after: float | None = None
    dimension: str | None = None
    readings: tuple[LimitReading, ...] = ()


class Policy(Protocol):
    """Decides for one client (a process with a key) when its calls may go.

    The lab asks `try_send` for the call that waits longest: first those that were refused and whose wait is
    over, then new ones. Every token that it gave comes back once, in `answered` or `refused`.
    """

    def try_send(self, now: float, cost: Cost, attempt: int) -> object | None:
        """A token if the call may go now; `attempt` counts from 0."""
        ...

    def next_turn(self, now: float) -> float | None:
        """When to ask again though no call ends before; None: only when one ends."""
        ...

    def answered(
        self, token: object, now: float, usage: Usage, readings: tuple[LimitReading, ...]
    ) -> None:
        """The call that went with `token` is answered."""
        ...

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        """The call wasn't answered: seconds until it asks again itself, 0 at once, None when it gives up."""
        ...


class Contender(Protocol):
    """What starts policies: one line of the table.

    Where a user can set how many calls go at once, it may also have `fixed(flows: int) -> Contender`, for the rows
    that do; others play those as they play all.
    """

    name: str

    def start(self, clients: int, random: Random, memory: object | None) -> list[Policy]:
        """Policies for `clients` processes with one key, that may know `memory` from an earlier run."""
        ...

    def memory(self, policies: list[Policy], now: float) -> object | None:
        """What the next run with this key will know of this one; None for those who remember nothing."""
        ...
