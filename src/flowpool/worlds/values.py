"""What goes in and out of a world: a call, and whether it was admitted or refused. Plain data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from flowpool.simulator.limits import LimitState

Voice = Literal["api", "nginx", "haproxy"]
Style = Literal["openai", "anthropic", "mistral", "none"]


class Arrival(Struct, frozen=True, gc=False):
    """What a call costs, in tokens. `most`: the output that it asks for at most (`max_tokens`)."""

    input: int = 100
    output: int = 20
    most: int = 20


class Served(Struct, frozen=True, gc=False):
    """The call is served: its answer is there after `latency` seconds. `headers`: what limit headers say."""

    latency: float
    headers: tuple[LimitState, ...] = ()


class TurnedAway(Struct, frozen=True, gc=False):
    """The call is sent away with an HTTP `status`, after `after` seconds.

    retry_after: seconds that the answer asks to wait, None if it doesn't say. dimension: the limit that it
    names, None if it names none. wait: seconds until the call would pass in truth, inf when a call has to end
    first, -1 when it was chance; a client never sees it. voice: who writes the answer, the API or a proxy.
    """

    status: int
    after: float
    retry_after: float | None = None
    dimension: str | None = None
    headers: tuple[LimitState, ...] = ()
    wait: float = 0.0
    voice: Voice = "api"


Offered = Served | TurnedAway
PLAIN_CALL = Arrival()
