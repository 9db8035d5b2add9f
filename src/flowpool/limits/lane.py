"""A lane: where calls queue because they share a limit. Decides who may go; awaits nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Generic, Protocol, TypeVar, cast

from msgspec import Struct

from flowpool.errors import CallError, TooManyFiles, Verdict
from flowpool.limits.breaker import Breaker
from flowpool.limits.demand import Demand
from flowpool.limits.lane_view import Bound, LaneView, ceilings_of
from flowpool.limits.limiter import Admission, Limiter
from flowpool.limits.rate_meter import RateMeter
from flowpool.limits.window import Window
from flowpool.values import NO_USAGE, LimitReading, Limits, Usage

T = TypeVar("T")
REFUSALS = frozenset({503, 529})  # what gateways say instead of 429
FREE = Demand()
# The limiter's names, and those that people read.
DIMENSIONS = {
    "requests": "requests",
    "tokens": "tokens",
    "input": "input_tokens",
    "output": "output_tokens",
}


class Admitted(Struct, frozen=True, eq=False):
    """A call in flight: through which lane and when it entered, as which of those in flight, and what the limiter
    took for it. is_turned_away: the lane was broken by then, so it fails unsent. slot_wait, limit_wait: the seconds
    that it waited, as in `Timing`.
    """

    lane: Lane[Any]
    at: float
    ahead: int
    sent: Admission | None
    is_turned_away: bool = False
    slot_wait: float = 0.0
    limit_wait: float = 0.0


class Waiting(Protocol):
    """Who wakes those that wait for a lane."""

    def turn_may_come(self, lane: Lane[Any]) -> None:
        """A call has ended while others wait."""

    def fell_ill(self, lane: Lane[Any], error: CallError) -> None:
        """Nobody is answered there any more, or no call can succeed: `lane.illness` says which."""


class Lane(Generic[T]):
    """Calls in flight up to a window and within a limiter's rates; the rest wait, nearest their item's end first.

    A caller asks `try_enter`; refused, it leaves a ticket with `wait_for`, and `admit` says whose turn it is.
    Each call that entered must end in `leave`, `answered` or `failed`; `wakes` hears when others may have their
    turn by that. A lane breaks when several calls in a row say that none can succeed (wrong key, no credit):
    `broken` is then how every further call fails, and nothing is sent.
    """

    __slots__ = (
        "_arrivals",
        "_asked_until",
        "_error",
        "_hopeless",
        "_meter",
        "_refusal",
        "_sockets",
        "_waiting",
        "_wakes",
        "breaker",
        "configured",
        "in_flight",
        "is_held",
        "latency",
        "limiter",
        "name",
        "throttles",
        "window",
    )  # fmt: skip

    HOPELESS_IN_A_ROW = 3
    RECENT = 0.1  # the last answer's weight in `latency`

    def __init__(
        self,
        name: str,
        window: Window,
        limiter: Limiter | None = None,
        breaker: Breaker | None = None,
        *,
        wakes: Waiting | None = None,
    ) -> None:
        self.name = name
        self.window = window
        self.limiter = limiter
        self.breaker = breaker
        self.in_flight = 0
        self.is_held = False  # whether the user lets no call go
        self.latency = 0.0  # seconds that answers take, lately; 0 before the first
        self.throttles = 0
        self._refusal: CallError | None = None
        self._waiting: list[tuple[float, int, Demand, T]] = []
        self._wakes = wakes
        self._arrivals = 0
        self._hopeless = 0
        self._error: CallError | None = None
        self._asked_until = 0.0  # the moment that a refusal named, with no answer since
        self._sockets = inf  # calls in flight that this process may open sockets for
        self._meter = RateMeter(len(DIMENSIONS))
        self.configured: Limits | None = (
            None  # for people to see: the limiter and the window keep to it
        )

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.in_flight}/{self.width} in flight"
        return f"<Lane {self.name}: {state}, {len(self._waiting)} waiting>"

    @property
    def broken(self) -> CallError | None:
        """How every further call fails, or None while some may succeed."""
        if self._refusal is not None:
            return self._refusal
        return self.breaker.dead if self.breaker is not None else None

    @property
    def width(self) -> int:
        """How many calls may be in flight."""
        return int(min(self.window.size, self._sockets))

    @property
    def last_error(self) -> CallError | None:
        """How the call failed that failed last."""
        return self._error

    @property
    def illness(self) -> str:
        """What keeps every call from succeeding, if anything does."""
        if self.broken is not None:
            return "no call can succeed, the others fail at once"
        if self.breaker is not None and self.breaker.is_open:
            return "it answers nobody, and is probed until it does"
        return ""

    @property
    def is_well(self) -> bool:
        """Whether calls go and are answered, as far as is known."""
        return not self.illness

    def is_free(self, now: float) -> bool:
        """Whether a call would go at once."""
        if self._waiting or self.broken is not None or not self._is_open(now):
            return False
        return self.limiter is None or self.limiter.wait(FREE, now, self.in_flight) <= 0.0

    @property
    def is_paced(self) -> bool:
        """Whether it heeds refusals: lets nobody in after a 429 before it is time."""
        return self.limiter is not None

    def retry_wait(self, error: CallError, throttles: int, uniform: float) -> float:
        """Seconds that a call which was refused `throttles` times waits by itself before it queues again."""
        return (
            0.0
            if self.limiter is None
            else self.limiter.own_wait(error.retry_after, throttles, uniform)
        )

    @property
    def queued(self) -> int:
        return len(self._waiting)

    def try_enter(self, now: float, cost: Demand = FREE) -> Admitted | None:
        """Enters if a call may go now and nobody waits before it."""
        return None if self._waiting else self._enter(now, cost)

    def wait_for(self, ticket: T, rank: float, cost: Demand = FREE) -> None:
        """Queues `ticket`; a lower rank goes first, the same rank in order of arrival."""
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, cost, ticket))

    def admit(self, now: float, is_gone: Callable[[T], bool]) -> tuple[T, Admitted] | None:
        """The ticket whose turn has come, which is in flight from here on. Tickets that are gone are dropped."""
        waiting = self._waiting
        while waiting and is_gone(waiting[0][3]):
            heapq.heappop(waiting)
        if not waiting:
            return None
        _, _, cost, ticket = waiting[0]
        admitted = self._enter(now, cost)
        if admitted is None:
            if self.broken is None:
                return None
            self.in_flight += 1
            admitted = Admitted(self, now, self.in_flight, None, is_turned_away=True)
        heapq.heappop(waiting)
        return ticket, admitted

    def next_turn(self, now: float) -> float | None:
        """When `admit` should be asked again though no call ends before, or None."""
        return self.turn_of(self._waiting[0][2], now) if self._waiting else None

    def turn_of(self, cost: Demand, now: float) -> float | None:
        """When a call that would be the next may enter though no other ends before, or None."""
        if self.is_held:
            return None
        if self.breaker is not None and self.breaker.is_open:
            return self.breaker.next_probe(now)
        if self.in_flight >= self.width or self.limiter is None:
            return None
        wait = self.limiter.wait(cost, now, self.in_flight)
        return now + wait if wait < inf else None

    def hold(self, now: float) -> None:
        """Lets no call go until `go`; those in flight end as ever."""
        self.is_held = True
        if self.breaker is not None:
            self.breaker.hold(now)

    def go(self, now: float) -> None:
        """Lets calls go again."""
        self.is_held = False
        if self.breaker is not None:
            self.breaker.go(now)

    def leave(self, entered: Admitted, now: float) -> None:
        """A call ended that says nothing of the provider: cancelled, or a tool's."""
        self.in_flight -= 1
        if self.limiter is not None and entered.sent is not None:
            self.limiter.failed(entered.sent, now)
        self._wake()

    def answered(
        self,
        entered: Admitted,
        now: float,
        usage: Usage = NO_USAGE,
        readings: tuple[LimitReading, ...] = (),
    ) -> None:
        """A call ended with an answer, whose headers say of the limits what `readings` hold."""
        latency = now - entered.at
        self.latency += self.RECENT * (latency - self.latency) if self.latency else latency
        window, breaker = self.window, self.breaker
        if window.adapts:
            window.answered(now, entered.at, entered.ahead, self.in_flight, usage.output_tokens)
        self.in_flight -= 1
        self._hopeless = 0
        self._asked_until = 0.0
        if self._sockets < inf:  # one more a round trip: others may have closed theirs
            self._sockets += 1.0 / self._sockets
        if breaker is not None and not breaker.is_calm:
            breaker.answered(entered.at)
        if self.limiter is not None and entered.sent is not None:
            self.limiter.answered(entered.sent, now, readings, _used(usage))
        if self._waiting:
            self._wake()

    def failed(
        self,
        entered: Admitted,
        error: CallError,
        now: float,
        readings: tuple[LimitReading, ...] = (),
    ) -> None:
        """A call ended with `error`."""
        illness = self.illness
        self._learn(entered, error, now, readings)
        if self._wakes is not None and self.illness not in (illness, ""):
            self._wakes.fell_ill(self, error)
        self._wake()

    def _wake(self) -> None:
        if self._waiting and self._wakes is not None:
            self._wakes.turn_may_come(self)

    def _learn(
        self, entered: Admitted, error: CallError, now: float, readings: tuple[LimitReading, ...]
    ) -> None:
        self._error = error
        if isinstance(error, TooManyFiles):  # of this process: it says nothing of the provider
            self.leave(entered, now)
            self._sockets = float(max(1, self.in_flight))
            return
        self.in_flight -= 1
        is_refusal = self._is_refusal(error)
        if is_refusal:
            error.verdict = Verdict.THROTTLE
        if error.verdict is Verdict.THROTTLE:
            self.throttles += 1
            self._asked_until = max(self._asked_until, _back_at(error, now))
        elif error.verdict is Verdict.HOPELESS:
            self._hopeless += 1
            if self._hopeless >= self.HOPELESS_IN_A_ROW:
                self._refusal = error
        elif error.verdict is Verdict.NONE and error.status is not None:
            self._hopeless = 0  # the provider looked at the call itself
        if self.breaker is not None:
            if is_refusal or error.verdict is Verdict.OUTAGE:
                was_open = self.breaker.is_open
                self.breaker.failed(error, now, self.in_flight)
                if self.breaker.is_open and not was_open and self.limiter is not None:
                    self.limiter.outage(now)
            else:
                self.breaker.answered(entered.at)
        self._tell_limiter(entered, error, now, readings)

    def _is_refusal(self, error: CallError) -> bool:
        """Whether a 503 or 529 is one of those that come between answers: a limit, and no outage."""
        return (
            error.verdict is Verdict.OUTAGE
            and error.status in REFUSALS
            and not (self.breaker is not None and self.breaker.is_suspect)
        )

    def keep_asking(self, now: float) -> None:
        """Where the provider answered nobody for so long that the lane was given up, it is probed on."""
        if self.breaker is not None:
            self.breaker.keep_asking(now)

    def blames(self, own_failures: int) -> bool:
        """Whether the last outage is its call's own failure, which has failed so many times now."""
        return self.breaker is None or self.breaker.blames(own_failures)

    def rations_retries(self) -> bool:
        """Whether so many calls fail that retries could make it worse."""
        return self.breaker is not None and self.breaker.rations_retries

    def look(self, now: float, idle: Bound) -> LaneView:
        """How the lane stands. `idle`: why nothing waits, where nothing does."""
        limits, used = self._limits(now)
        bound = self._bound(now, idle)
        fill = self.in_flight / self.width
        if bound == "in_flight" and self.limiter is not None:
            fill = self.in_flight / self.limiter.refusals.width
        of_rates = bound in (*limits, "limits", "paused", "learning", "")
        shares = [
            used[name] / limit for name, limit in (limits | ceilings_of(self.configured)).items()
        ]
        error = self.broken or self._error
        return LaneView(
            self.name,
            bound,
            limits,
            used,
            self.configured,
            max(shares) if shares and of_rates else fill,
            self.in_flight,
            self.width,
            self.queued,
            self.throttles,
            f"{type(error).__name__}: {error}" if error is not None else "",
            self.breaker.time_left(now) if self.breaker is not None else None,
            self.limiter.belief() if self.limiter is not None else "",
            self._asked_until - now if self._asked_until > now else None,
            self.rations_retries(),
            self.latency,
            self._spare(now),
            self._grounds(),
            self.limiter.chance() if self.limiter is not None else 0.0,
            self.window.slots,
            self.breaker.silence(now) if self.breaker is not None else 0.0,
        )

    def _bound(self, now: float, idle: Bound) -> Bound:
        if self.broken is not None:
            return "broken"
        if self.is_held:
            return "held"
        if self.breaker is not None and self.breaker.is_open:
            return "outage"
        if self.in_flight >= self.width:
            return self.window.bound if self.width == self.window.size else "files"
        if not self._waiting:
            return idle
        if self.limiter is None:
            return ""
        bound = self.limiter.bound(now, self.in_flight)
        return cast(Bound, DIMENSIONS.get(bound, bound))

    def _limits(self, now: float) -> tuple[dict[str, float], dict[str, float]]:
        """What was learned and what is used of it, in units a minute."""
        if self.limiter is None:
            return {}, {}
        rates = dict(zip(DIMENSIONS, self._meter.rates(now, self.limiter.totals), strict=True))
        for name, gauge in self.limiter.gauges.items():
            rates[name] = rates.get(name, 0.0) * gauge.factor
        learned = self.limiter.limits()
        limits = {
            DIMENSIONS[name]: learned[name] for name in DIMENSIONS if learned.get(name, inf) < inf
        }
        return limits, {DIMENSIONS[name]: 60.0 * rates[name] for name in DIMENSIONS}

    def _grounds(self) -> dict[str, str]:
        grounds = {} if self.limiter is None else self.limiter.grounds()
        return {DIMENSIONS[name]: words for name, words in grounds.items() if name in DIMENSIONS}

    def _spare(self, now: float) -> dict[str, float]:
        """What may go at once, by the provider's headers."""
        gauges = {} if self.limiter is None else self.limiter.gauges
        return {
            DIMENSIONS[name]: max(0.0, gauge.level(now))
            for name, gauge in gauges.items()
            if name in DIMENSIONS
        }

    def _tell_limiter(
        self, entered: Admitted, error: CallError, now: float, readings: tuple[LimitReading, ...]
    ) -> None:
        if self.limiter is None or entered.sent is None:
            return
        if error.verdict is Verdict.THROTTLE:
            self.limiter.throttled(entered.sent, now, error.retry_after, readings, error.dimension)
        elif error.usage is not NO_USAGE or error.verdict is Verdict.NONE:
            self.limiter.answered(entered.sent, now, readings, _used(error.usage))  # it was let in
        else:
            self.limiter.failed(entered.sent, now)

    def _enter(self, now: float, cost: Demand) -> Admitted | None:
        """The call in flight, if it may go now."""
        limiter, sent = self.limiter, None
        if not self._is_open(now):
            return None
        if limiter is not None and self.broken is None:
            if now >= self._meter.due:
                self._meter.see(now, limiter.totals)
            sent = limiter.try_send(cost, now, self.in_flight)
            if sent is None:
                return None
        if self.breaker is not None and self.breaker.is_open:
            self.breaker.entered(now)
        self.in_flight += 1
        return Admitted(self, now, self.in_flight, sent)

    def _is_open(self, now: float) -> bool:
        """Whether the user, the window and the breaker let a call go."""
        if self.is_held or self.in_flight >= self.width:
            return False
        return self.breaker is None or not self.breaker.is_open or self.breaker.may_enter(now)


def enter_any(bids: Sequence[tuple[Lane[T], Demand]], now: float) -> Admitted | None:
    """Enters the lane that promises the quickest answer of those that have room, if any has."""
    for lane, cost in sorted(bids, key=_promise) if len(bids) > 1 else bids:
        if lane.broken is None and (admitted := lane.try_enter(now, cost)) is not None:
            return admitted
    return None


def _promise(bid: tuple[Lane[T], Demand]) -> float:
    """Seconds, more or less, until a call at this lane is answered; fuller ones come later."""
    lane, _ = bid
    return lane.latency * (1.0 + lane.in_flight / lane.window.size)


def _back_at(error: CallError, now: float) -> float:
    """The moment from which on a refused call may come again, as the refusal says."""
    return now + (error.retry_after or 0.0)


def _used(usage: Usage) -> Demand:
    return Demand(usage.input_tokens, usage.output_tokens)
