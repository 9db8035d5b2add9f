"""Drives pure limiters against the simulator's pure provider, event by event: minutes of limits in milliseconds."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from flowpool.engine.bucket import Cost
from flowpool.engine.limiter import Limiter, Sent
from flowpool.simulator import Profile, Provider
from flowpool.simulator.limits import Limiter as Meters
from flowpool.simulator.limits import LimitState
from flowpool.simulator.provider import Answer, Failure, Plan, SimRequest
from flowpool.values import Reading

DIMENSIONS = {"input-tokens": "input", "output-tokens": "output"}
Draw = Callable[[Random], int]


@dataclass
class Client:
    """One limiter and the calls it let go. `flows`: most in flight."""

    limiter: Limiter
    flows: int = 5_000
    in_flight: int = 0
    sent: int = 0
    throttled: int = 0
    admitted: int = 0
    again: list[tuple[int, int]] = field(default_factory=list)  # refused, to be sent first


@dataclass
class Run:
    """What a drive saw. `charged`: units by dimension, in all and for each second since the start."""

    profile: Profile
    clients: list[Client]
    seconds: float = 0.0
    done: int = 0
    charged: dict[str, float] = field(default_factory=dict)
    by_second: dict[str, dict[int, float]] = field(default_factory=dict)
    refused_at: list[float] = field(default_factory=list)

    @property
    def refused(self) -> float:
        """The part of all calls that were answered 429."""
        return len(self.refused_at) / max(1, sum(client.sent for client in self.clients))

    def rates(self) -> dict[str, float]:
        """The allowed units a second by dimension."""
        profile = self.profile
        told = (profile.rpm, profile.tpm, profile.input_tpm, profile.output_tpm)
        names = ("requests", "tokens", "input", "output")
        return {name: limit / 60.0 for name, limit in zip(names, told, strict=True) if limit}

    def used(self, after: float = 0.0, until: float = math.inf) -> float:
        """The part of what was allowed that was taken, in the dimension that binds.

        From the first second on, the full bucket counts as allowed; later, only what was refilled does.
        """
        until = min(until, self.seconds)
        parts = []
        for name, rate in self.rates().items():
            taken = sum(
                units for s, units in self.by_second.get(name, {}).items() if after <= s < until
            )
            window = self.profile.depth
            if self.profile.meaning == "hidden":
                window = min(window, self.profile.hidden_window)
            full = max(1.0, rate * window) if after == 0.0 else 0.0
            parts.append(taken / (rate * (until - after) + full))
        return max(parts)


def drive(
    profile: Profile,
    seconds: float,
    *,
    seed: int = 0,
    clients: Sequence[Client] = (),
    input_tokens: Draw = lambda random: 100,
    output_tokens: int = 20,
    max_tokens: int | None = None,
    transit: float = 0.0,
    items: int | None = None,
    changes: Sequence[tuple[float, Profile]] = (),
    names_dimension: bool = True,
    balance: float | None = None,
) -> Run:
    """Sends calls without end (or `items` of them) as fast as each client's limiter lets them go.

    transit: mean seconds on the way to the provider, exponentially spread. changes: (seconds, profile) from when
    on the limits are others. names_dimension: whether a 429 says which limit was reached.
    balance: seconds between exchanges of what each client sends, None for none.
    """
    lab = _Lab(profile, seed, list(clients) or [Client(Limiter())], transit, names_dimension)
    lab.draw, lab.output_tokens, lab.max_tokens, lab.items = (
        input_tokens, output_tokens, max_tokens, items,
    )  # fmt: skip
    if balance is not None:
        lab.at(lab.now + balance, partial(lab.balance, balance, [0] * len(lab.clients)))
    return lab.run(seconds, list(changes))


class _Lab:
    draw: Draw
    output_tokens: int
    max_tokens: int | None
    items: int | None

    def __init__(
        self, profile: Profile, seed: int, clients: list[Client], transit: float, named: bool
    ) -> None:
        self.random = Random(seed)
        self.provider = Provider(profile, seed)
        self.profile = profile
        self.clients = clients
        self.transit = transit
        self.named = named
        self.result = Run(profile, clients)
        self.now = self.start = self.random.random() * 100.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.ids = itertools.count()
        self.started = 0

    def run(self, seconds: float, changes: list[tuple[float, Profile]]) -> Run:
        end = self.start + seconds
        for at, profile in changes:
            self.at(self.start + at, partial(self.change, profile))
        while self.items is None or self.result.done < self.items:
            wake = min((self.fill(client) for client in self.clients), default=math.inf)
            due = min(wake, self.events[0][0] if self.events else math.inf)
            if due > end:
                self.now = end
                break
            self.now = max(self.now, due)
            while self.events and self.events[0][0] <= self.now + 1e-12:
                heapq.heappop(self.events)[2]()
        self.result.seconds = self.now - self.start
        return self.result

    def at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.ids), event))

    def fill(self, client: Client) -> float:
        """Sends what may go now; returns when to ask again."""
        while client.in_flight < client.flows and (
            client.again or self.items is None or self.started < self.items
        ):
            if not client.again:
                client.again.append((self.draw(self.random), self.output_tokens))
                self.started += 1
            tokens, produced = client.again[-1]
            cost = Cost(tokens, produced, self.max_tokens or 0.0)
            wait = client.limiter.wait(cost, self.now)
            if wait > 0.0:
                return self.now + max(wait, 1e-6)
            client.again.pop()
            sent = client.limiter.sent(cost, self.now)
            client.sent += 1
            client.in_flight += 1
            delay = self.random.expovariate(1.0 / self.transit) if self.transit else 0.0
            self.at(self.now + delay, partial(self.arrive, client, sent, tokens, produced))
        return math.inf

    def arrive(self, client: Client, sent: Sent, tokens: int, produced: int) -> None:
        text = f"say: {'y' * (4 * produced)}\n"
        request = SimRequest(
            "chat", "m", "x" * (4 * tokens), text, max_tokens=self.max_tokens, key="key"
        )
        plan = self.provider.receive(self.now, request)
        if not isinstance(plan.outcome, Failure):
            plan.outcome = Answer("y", "stop", tokens, produced)
            self.charge("requests", 1.0)
            self.charge("input", tokens)
            reserves = self.profile.charges == "reserved"
            self.charge("tokens", max(self.max_tokens or 0, tokens) if reserves else tokens)
        self.at(plan.due, partial(self.end, client, sent, tokens, produced, plan))

    def end(self, client: Client, sent: Sent, tokens: int, produced: int, plan: Plan) -> None:
        client.in_flight -= 1
        self.provider.finished(self.now, plan.ticket)
        readings = readings_of(self.profile, plan.limits)
        outcome = plan.outcome
        if isinstance(outcome, Failure):
            client.throttled += 1
            client.again.append((tokens, produced))
            self.result.refused_at.append(self.now - self.start)
            dimension = DIMENSIONS.get(outcome.dimension, outcome.dimension) if self.named else None
            client.limiter.throttled(sent, self.now, outcome.retry_after, readings, dimension)
            return
        if self.profile.charges == "produced":
            self.charge("tokens", produced)
            self.charge("output", produced)
        client.admitted += 1
        self.result.done += 1
        client.limiter.answered(sent, self.now, readings, Cost(tokens, produced))

    def charge(self, dimension: str, units: float) -> None:
        result = self.result
        result.charged[dimension] = result.charged.get(dimension, 0.0) + units
        seconds = result.by_second.setdefault(dimension, {})
        second = int(self.now - self.start)
        seconds[second] = seconds.get(second, 0.0) + units

    def balance(self, every: float, before: list[int]) -> None:
        sent = [client.admitted for client in self.clients]
        rates = [(now - then) / every for now, then in zip(sent, before, strict=True)]
        for client, rate in zip(self.clients, rates, strict=True):
            client.limiter.balance(rate, sum(rates))
        self.at(self.now + every, partial(self.balance, every, sent))

    def change(self, profile: Profile) -> None:
        """Other limits from now on; what the buckets hold stays, as far as it fits."""
        provider = self.provider
        self.profile = provider.profile = profile
        for owner, old in list(provider._limiters.items()):
            new = provider._limiters[owner] = Meters(profile, self.now)
            for meter, before in zip(new.meters, old.meters, strict=True):
                meter.bucket.level = min(meter.bucket.capacity, before.bucket.level)


def readings_of(profile: Profile, limits: Sequence[LimitState]) -> list[Reading]:
    """What the limit headers of this flavour of provider say, as an adapter reads them."""
    readings = []
    for limit, dimension in ((s, DIMENSIONS.get(s.dimension, s.dimension)) for s in limits):
        if profile.headers == "openai":
            reset = round(limit.reset, 3)
            readings.append(Reading(dimension, limit.limit, limit.remaining, reset))
        elif profile.headers == "anthropic":
            left = limit.remaining if dimension == "requests" else round(limit.remaining, -3)
            reset = float(math.ceil(limit.reset))
            readings.append(Reading(dimension, limit.limit, left, reset, coarse=True))
        elif profile.headers == "mistral":
            readings.append(Reading(dimension, limit.limit, limit.remaining))
    return readings
