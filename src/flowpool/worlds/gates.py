"""What lets calls pass or refuses them, one mechanism each: buckets, windows, caps, chance.

A gate takes the time, which never goes back, and knows nothing else. `wait` is asked first and changes nothing
that can be seen from outside; `take` follows only when every gate of a world lets the call pass.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random

from flowpool.simulator.limits import LimitState
from flowpool.worlds.values import Arrival, Voice

BY_CHANCE = -1.0  # what `wait` says of a refusal that says nothing of the next call
# Sums of floats: a bucket that is short by less holds enough.
SLACK = 1e-9


class Gate:
    """Lets everything pass: what the mechanisms have in common."""

    dimension = "requests"
    status = 429
    voice: Voice = "api"
    # Backends that refuse by chance stand behind the gateways that count: they are asked last.
    last = False
    # Refuses whatever one does.
    by_lot = False

    def wait(self, now: float, call: Arrival) -> float:
        """0 where the call may pass; else seconds until it might, inf (a call must end) or `BY_CHANCE`."""
        return 0.0

    def take(self, now: float, call: Arrival) -> float:
        """The call passes; returns the seconds that the gate holds it back."""
        return 0.0

    def refused(self, now: float, call: Arrival) -> None:
        """The call was sent away, by this gate or another: some counters count that too."""

    def ended(self, now: float, call: Arrival) -> None:
        """A call that passed is over."""

    def state(self, now: float) -> LimitState | None:
        """What true limit headers would say, None where no provider has headers for it."""
        return None

    def twin(self) -> Gate:
        """The gate for an oracle's run: where knowing all would mean pushing others out, a politer one."""
        return self


class BucketGate(Gate):
    """Evenly refilled: `rate` units a second, at most `capacity`, full at first.

    A unit is a request or a token. Of tokens the input is paid on entry, and the output too (`most`) where it is
    `reserved`; otherwise as it is produced, which may overdraw the bucket. `shown`: what the header calls the
    limit, the capacity by default.
    """

    def __init__(
        self,
        rate: float,
        capacity: float,
        dimension: str = "requests",
        *,
        reserved: bool = True,
        shown: float | None = None,
    ) -> None:
        self.rate = rate
        self.capacity = max(1.0, capacity)
        self.dimension = dimension
        self.reserved = reserved
        self.shown = self.capacity if shown is None else shown
        self.level = self.capacity
        self.at = 0.0

    def price(self, call: Arrival) -> float:
        if self.dimension == "requests":
            return 1.0
        whole = self.reserved and self.dimension == "tokens"
        return float(call.input + call.most if whole else call.input)

    def refill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
            self.at = now

    def wait(self, now: float, call: Arrival) -> float:
        self.refill(now)
        # A call larger than the bucket passes when that is full, as a provider's estimate is cut at the limit.
        missing = min(self.price(call), self.capacity) - self.level
        return missing / self.rate if missing > SLACK else 0.0

    def take(self, now: float, call: Arrival) -> float:
        self.level -= self.price(call)
        return 0.0

    def ended(self, now: float, call: Arrival) -> None:
        if self.dimension == "tokens" and not self.reserved:
            self.level -= call.output

    def state(self, now: float) -> LimitState:
        self.refill(now)
        left = max(0.0, self.level)
        return LimitState(
            self.dimension, int(self.shown), int(left + SLACK), (self.capacity - left) / self.rate
        )


class LimitReq(BucketGate):
    """nginx's `limit_req rate burst`: what is over the burst gets a 503 at once, and the rest leaves the queue
    at the rate, or at once with `nodelay`."""

    status = 503
    voice = "nginx"

    def __init__(self, rate: float, burst: int, *, nodelay: bool) -> None:
        super().__init__(rate, burst + 1.0)
        self.nodelay = nodelay

    def take(self, now: float, call: Arrival) -> float:
        self.level -= 1.0
        return 0.0 if self.nodelay else (self.capacity - 1.0 - self.level) / self.rate

    def state(self, now: float) -> LimitState:
        raise NotImplementedError("nginx has no limit headers")


class SlidingWindow(Gate):
    """At most `most` calls in any `seconds`. `counts_refusals`: a refused call counts as much as an admitted one
    (a log in a shared cache that is written before it is read), so who hammers is never let in."""

    def __init__(self, most: int, seconds: float, *, counts_refusals: bool = False) -> None:
        self.most = most
        self.seconds = seconds
        self.counts_refusals = counts_refusals
        # The last `most` calls are all that matters: the oldest of them has to be `seconds` ago.
        self.times: deque[float] = deque(maxlen=most)
        self.counted: deque[float] = deque()  # what headers count: those inside the window

    def wait(self, now: float, call: Arrival) -> float:
        times = self.times
        if len(times) < self.most:
            return 0.0
        return max(0.0, times[0] + self.seconds - now)

    def take(self, now: float, call: Arrival) -> float:
        self.times.append(now)
        self.counted.append(now)
        return 0.0

    def refused(self, now: float, call: Arrival) -> None:
        if self.counts_refusals:
            self.times.append(now)
            self.counted.append(now)

    def twin(self) -> Gate:
        """An oracle asks when it may, and is never counted for asking."""
        return SlidingWindow(self.most, self.seconds)

    def state(self, now: float) -> LimitState:
        counted, start = self.counted, now - self.seconds
        while counted and counted[0] <= start:
            counted.popleft()
        reset = counted[-1] - start if counted else 0.0
        return LimitState("requests", self.most, max(0, self.most - len(counted)), reset)


class ClockWindow(Gate):
    """At most `most` units in each `seconds` of the clock, whose windows began `offset` seconds ago."""

    def __init__(
        self, most: float, seconds: float, offset: float, dimension: str = "requests"
    ) -> None:
        self.most = most
        self.seconds = seconds
        self.offset = offset
        self.dimension = dimension
        self.window = -1
        self.used = 0.0

    def price(self, call: Arrival) -> float:
        return 1.0 if self.dimension == "requests" else float(call.input + call.most)

    def turn(self, now: float) -> None:
        window = math.floor((now + self.offset) / self.seconds + SLACK)
        if window != self.window:
            self.window, self.used = window, 0.0

    def wait(self, now: float, call: Arrival) -> float:
        self.turn(now)
        if self.used == 0.0 or self.used + self.price(call) <= self.most:
            return 0.0
        return self.until_next(now)

    def until_next(self, now: float) -> float:
        return max(SLACK, (self.window + 1) * self.seconds - self.offset - now)

    def take(self, now: float, call: Arrival) -> float:
        self.used += self.price(call)
        return 0.0

    def state(self, now: float) -> LimitState:
        self.turn(now)
        left = max(0, int(self.most - self.used))
        return LimitState(self.dimension, int(self.most), left, self.until_next(now))


class Cap(Gate):
    """At most `most` calls in flight; one more is refused at once."""

    dimension = "concurrency"

    def __init__(self, most: int) -> None:
        self.most = most
        self.inside = 0

    def wait(self, now: float, call: Arrival) -> float:
        return 0.0 if self.inside < self.most else math.inf

    def take(self, now: float, call: Arrival) -> float:
        self.inside += 1
        return 0.0

    def ended(self, now: float, call: Arrival) -> None:
        self.inside -= 1


class Chance(Gate):
    """Refuses a `share` of all calls, whatever anybody does: a busy backend behind a load balancer."""

    dimension = ""
    last = True
    by_lot = True

    def __init__(self, share: float, status: int, random: Random) -> None:
        self.share = share
        self.status = status
        self.draw = random.random

    def wait(self, now: float, call: Arrival) -> float:
        return BY_CHANCE if self.draw() < self.share else 0.0
