"""The ceilings that users set, kept by all runs at one key together. Pure: knows no clock, thread or file.

A run waits at its own ceilings for what all runs did: the one that says 5 in flight waits while 5 or more are in
flight in all, whoever sent them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from flowpool.limits.demand import Demand
from flowpool.values import Limits

MINUTE = 60.0
CONCURRENT = "concurrent"
_MEASURES: tuple[tuple[str, Callable[[Demand], float]], ...] = (
    ("rpm", lambda cost: 1.0),
    ("tpm", lambda cost: cost.input + cost.output),
    ("input_tpm", lambda cost: cost.input),
    ("output_tpm", lambda cost: cost.output),
)
# Seconds after the moment at which it said that it would ask again for which a waiting run keeps its turn: it
# outlasts the pauses of a busy loop, and is all that the others lose by one that doesn't come.
GRACE = 0.1
# Seconds after which a run that waits for a rate says again that it does.
ASK_AGAIN = 1.0
# Seconds after which a run that waits for a slot asks again: another process can't wake it.
POLL = 0.03
# Seconds beyond which a time that lies ahead was written by another clock, not by one read a moment later.
SKEW = 1.0


class MinuteBucket(Struct, array_like=True):
    """At most `limit` units in any 60 seconds: what the bucket holds when full comes out of the minute's refill.

    It is as deep as the largest call, so that none has to overdraw it; from a call that needs more than 9/10 of the
    minute nothing else fits beside it. level: what may be taken at once; at: when that was; asked: when a run that
    keeps to this limit last looked.
    """

    limit: float
    capacity: float
    level: float
    at: float = 0.0
    asked: float = 0.0

    @classmethod
    def full(cls, kind: str, limit: float) -> MinuteBucket:
        """One from which nothing was taken yet."""
        # Above 1,200 requests a minute, as many as come due in 50 ms: timers are a few milliseconds late, and a
        # bucket of one loses all that comes due meanwhile.
        capacity = max(1.0, limit / MINUTE * 0.05) if kind == "rpm" else limit / MINUTE
        capacity = min(capacity, limit)
        return cls(limit, capacity, capacity)

    @property
    def rate(self) -> float:
        """Units a second that come back."""
        if self.capacity > 1.0:
            return max(self.limit - self.capacity, 0.0) / MINUTE
        return self.limit / MINUTE

    def wait(self, amount: float, now: float, ahead: float = 0.0) -> float:
        """Seconds until `amount` may be taken when those who wait before have taken `ahead`; 0 for now."""
        self.asked = now
        if amount > self.capacity:
            self.capacity = max(self.capacity, min(amount, 0.9 * self.limit))
        self._refill(now)
        short = min(amount, self.capacity) + ahead - self.level
        return short / self.rate if short > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        self.level -= amount

    def take_unasked(self, amount: float, now: float) -> None:
        """What went by a higher ceiling. It is out of sight after a minute, so no more than that is owed."""
        self._refill(now)
        self.level = max(self.level - amount, min(self.level, -MINUTE * self.rate))

    def settle(self, amount: float) -> None:
        """Corrects an earlier `take` by what was really used: positive for more, negative for less."""
        self.level = min(self.capacity, self.level - amount)

    def _refill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
            self.at = now
        elif self.at - now > SKEW:
            self.at = now


class LastMinutes(Struct, array_like=True):
    """What was sent in this minute and the one before, by dimension: where a limit begins that is set only now."""

    began: float = 0.0
    current: dict[str, float] = field(default_factory=dict)
    previous: dict[str, float] = field(default_factory=dict)

    def add(self, amounts: dict[str, float]) -> None:
        for kind, amount in amounts.items():
            self.current[kind] = self.current.get(kind, 0.0) + amount

    def sent(self, kind: str) -> float:
        """At least what was sent in the last 60 seconds."""
        return self.current.get(kind, 0.0) + self.previous.get(kind, 0.0)

    def pass_time(self, now: float) -> None:
        if self.began - now > SKEW:
            self.began = now
        if now - self.began < MINUTE:
            return
        self.previous = self.current if now - self.began < 2 * MINUTE else {}
        self.current, self.began = {}, now


class Seat(Struct, array_like=True):
    """One run: its calls in flight, and what it waits for.

    let_in: when a call of it was last let in. bound: the ceiling at which it waits, as `KeyState` names it, or "".
    amount: units of it that the call takes; for calls in flight the run's ceiling. until: when it counts as gone
    away, unless it asked again.
    """

    in_flight: int = 0
    let_in: float = 0.0
    bound: str = ""
    amount: float = 0.0
    until: float = 0.0

    def waits_at(self, bound: str, now: float) -> bool:
        return self.bound == bound and now <= self.until <= now + ASK_AGAIN + GRACE + SKEW

    @property
    def is_idle(self) -> bool:
        return not self.in_flight and not self.bound


class Ceiling(Struct, frozen=True):
    """One ceiling of a run: which bucket holds it, and what a call takes from that."""

    name: str
    kind: str
    limit: float
    measure: Callable[[Demand], float]


def rate_ceilings(limits: Limits) -> tuple[Ceiling, ...]:
    """The ceilings on rates that a user set."""
    return tuple(
        Ceiling(f"{kind} {limit:g}", kind, limit, measure)
        for kind, measure in _MEASURES
        if (limit := getattr(limits, kind)) is not None
    )


class KeyState(Struct, array_like=True):
    """What all runs at one key sent lately and have in flight: a bucket for each ceiling that any of them has.

    Every call is taken from all buckets of its dimension, and asked of those alone that its own run has.
    """

    buckets: dict[str, MinuteBucket] = field(default_factory=dict)
    minutes: LastMinutes = field(default_factory=LastMinutes)
    seats: dict[str, Seat] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        return sum(seat.in_flight for seat in self.seats.values())

    def wait(
        self, seat: Seat, own: tuple[Ceiling, ...], concurrent: int | None, cost: Demand, now: float
    ) -> tuple[float, str, float]:
        """Seconds until a call of the run in `seat` may go, 0 for now; where it waits, and for how much.

        Where and how much are the `bound` and `amount` of `Seat`.
        """
        longest, bound, amount = 0.0, "", 0.0
        if concurrent is not None and not self._has_slot(seat, concurrent, now):
            longest, bound, amount = POLL, CONCURRENT, float(concurrent)
        for ceiling in own:
            asked = ceiling.measure(cost)
            ahead = self._ahead(seat, ceiling.name, now)
            wait = self._bucket(ceiling, now).wait(asked, now, ahead)
            if wait > longest:
                longest, bound, amount = wait, ceiling.name, asked
        return longest, bound, amount

    def take(self, own: tuple[Ceiling, ...], cost: Demand, now: float) -> None:
        """A call goes. `own`: the ceilings that it was asked of."""
        self.minutes.pass_time(now)
        asked = {ceiling.name for ceiling in own}
        amounts = {kind: measure(cost) for kind, measure in _MEASURES}
        self.minutes.add(amounts)
        for name, bucket in self.buckets.items():
            amount = amounts[name.split()[0]]
            if name in asked:
                bucket.take(amount)
            else:
                bucket.take_unasked(amount, now)

    def settle(self, cost: Demand, used: Demand) -> None:
        """Puts right what was estimated."""
        more = {kind: measure(used) - measure(cost) for kind, measure in _MEASURES}
        self.minutes.add(more)
        for name, bucket in self.buckets.items():
            bucket.settle(more[name.split()[0]])

    def _has_slot(self, seat: Seat, concurrent: int, now: float) -> bool:
        """Whether one is free that no run waits for that has fewer calls in flight: so all come to equal parts."""
        in_flight = self.in_flight
        if in_flight >= concurrent:
            return False
        ahead = sum(
            other.in_flight < seat.in_flight and in_flight < other.amount
            for other in self.seats.values()
            if other is not seat and other.waits_at(CONCURRENT, now)
        )
        return in_flight + ahead < concurrent

    def _ahead(self, seat: Seat, name: str, now: float) -> float:
        """Units that other runs wait for which were let in longer ago: all take turns."""
        return sum(
            other.amount
            for other in self.seats.values()
            if other is not seat and other.let_in < seat.let_in and other.waits_at(name, now)
        )

    def _bucket(self, ceiling: Ceiling, now: float) -> MinuteBucket:
        bucket = self.buckets.get(ceiling.name)
        if bucket is None:
            self.minutes.pass_time(now)
            for name in [n for n, b in self.buckets.items() if now - b.asked > 2 * MINUTE]:
                del self.buckets[name]
            bucket = self.buckets[ceiling.name] = MinuteBucket.full(ceiling.kind, ceiling.limit)
            bucket.take_unasked(self.minutes.sent(ceiling.kind), now)
        return bucket


class Ceilings:
    """A run's ceilings. Alone with `state`, or with the runs whose seats are in it.

    Ask `claim` before each call, and tell its end by `ended`.

        ceilings = Ceilings(Limits(rpm=60, concurrent=2))
        if ceilings.claim(Demand(), now):
            ...
            ceilings.ended(Demand(), Demand(), later)
    """

    __slots__ = ("_concurrent", "_own", "name", "seat", "state")

    def __init__(self, limits: Limits, state: KeyState | None = None, name: str = "alone") -> None:
        self._own = rate_ceilings(limits)
        self._concurrent = limits.concurrent
        self.state = state or KeyState()
        self.name = name
        self.seat = Seat()

    def wait(self, cost: Demand, now: float) -> float:
        """Seconds until a call of this cost may go, as far as is known; 0 for now."""
        return self.state.wait(self.seat, self._own, self._concurrent, cost, now)[0]

    def look(self, cost: Demand, now: float) -> float:
        """The same for people to see, whether it is time to ask or not."""
        return self.wait(cost, now)

    def claim(self, cost: Demand, now: float) -> bool:
        """Whether a call may go now, which has then taken its part; else the run is known to wait."""
        return self.claim_from(self.state, cost, now) <= 0.0

    def claim_from(self, state: KeyState, cost: Demand, now: float) -> float:
        """Seconds until it should be asked again; 0 when the call has taken its part."""
        seat = self.seat
        state.seats[self.name] = seat
        wait, seat.bound, seat.amount = state.wait(seat, self._own, self._concurrent, cost, now)
        if wait <= 0.0:
            state.take(self._own, cost, now)
            seat.in_flight += 1
            seat.let_in = now
        else:
            seat.until = now + min(wait, ASK_AGAIN) + GRACE
        return wait

    def ended(self, cost: Demand, used: Demand) -> None:
        """A call has ended that used so much: `cost` itself where that isn't known."""
        self.end_in(self.state, cost, used)

    def end_in(self, state: KeyState, cost: Demand, used: Demand) -> None:
        if used is not cost:
            state.settle(cost, used)
        self.seat.in_flight -= 1
        if self.seat.is_idle:
            state.seats.pop(self.name, None)

    def close(self) -> None:
        """The run is over."""


def tightest(one: Limits, other: Limits) -> Limits:
    """The lower of each limit."""
    own: dict[str, Any] = {}
    for name in Limits.__struct_fields__:
        both = (getattr(one, name), getattr(other, name))
        own[name] = min((limit for limit in both if limit is not None), default=None)
    return Limits(**own)
