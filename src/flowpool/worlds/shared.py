"""Gates behind which others are: capacity that is shared, several keys, neighbours, and what changes with time."""

from __future__ import annotations

import math
from random import Random

from flowpool.simulator.limits import LimitState
from flowpool.worlds.gates import BY_CHANCE, SLACK, BucketGate, Cap, Gate
from flowpool.worlds.values import Arrival

# Others come and go in bursts of so many seconds, on average.
BURST = 8.0


class SharedCapacity(Gate):
    """A pool of `rate` calls a second: of what is offered beyond it, a call at random is refused.

    The offered rate is an exponential mean over `memory` seconds, and 1 - rate / offered is refused.
    """

    dimension = ""
    last = True

    def __init__(self, rate: float, memory: float, random: Random) -> None:
        self.rate = rate
        self.memory = memory
        self.draw = random.random
        self.offered = 0.0
        self.at = 0.0

    def wait(self, now: float, call: Arrival) -> float:
        if now > self.at:
            self.offered *= math.exp((self.at - now) / self.memory)
            self.at = now
        self.offered += 1.0 / self.memory
        return BY_CHANCE if self.offered * self.draw() > self.rate else 0.0

    def twin(self) -> Gate:
        return BucketGate(self.rate, self.rate * self.memory)


class SoftCapacity(Gate):
    """A backend that is busier the more of it we use: (admitted / rate) ** power of our calls are refused.

    Nothing is refused by a tenth of the rate, all at the whole of it. `polite`: the refused share at which the
    oracle stays; a program that takes no notice of refusals gets more than the oracle.
    """

    dimension = ""
    last = True
    polite = 0.02

    def __init__(self, rate: float, power: float, memory: float, random: Random) -> None:
        self.rate = rate
        self.power = power
        self.memory = memory
        self.draw = random.random
        self.admitted = 0.0
        self.at = 0.0

    def wait(self, now: float, call: Arrival) -> float:
        if now > self.at:
            self.admitted *= math.exp((self.at - now) / self.memory)
            self.at = now
        share = min(1.0, self.admitted / self.rate)
        return BY_CHANCE if self.draw() < share**self.power else 0.0

    def take(self, now: float, call: Arrival) -> float:
        self.admitted += 1.0 / self.memory
        return 0.0

    @property
    def polite_rate(self) -> float:
        return self.rate * float(self.polite ** (1.0 / self.power))

    def twin(self) -> Gate:
        return BucketGate(self.polite_rate, self.polite_rate * self.memory)


class Gateway(Gate):
    """`keys` (or replicas) behind one address, each with its own bucket of an equal part.

    A call is sent to one at random, or to each in turn; if that one is dry it is refused though others aren't.
    Headers are those of the key that was asked, so they jump.
    """

    def __init__(
        self, keys: int, rate: float, depth: float, random: Random, *, in_turn: bool
    ) -> None:
        self.buckets = [BucketGate(rate / keys, depth * rate / keys) for _ in range(keys)]
        self.rate = rate
        self.depth = depth
        self.random = random
        self.in_turn = in_turn
        self.turn = 0
        self.asked = self.buckets[0]

    def wait(self, now: float, call: Arrival) -> float:
        if self.in_turn:
            self.turn = (self.turn + 1) % len(self.buckets)
            self.asked = self.buckets[self.turn]
        else:
            self.asked = self.random.choice(self.buckets)
        return self.asked.wait(now, call)

    def take(self, now: float, call: Arrival) -> float:
        return self.asked.take(now, call)

    def state(self, now: float) -> LimitState:
        return self.asked.state(now)

    def twin(self) -> Gate:
        """All keys in one: what nobody can beat, and who asks another key at once comes near."""
        return BucketGate(self.rate, sum(bucket.capacity for bucket in self.buckets))


class Path:
    """A factor that changes once in `step` seconds and stays at its last value after the path's end."""

    def __init__(self, factors: list[float], step: float = 1.0) -> None:
        self.factors = factors
        self.step = step

    def at(self, now: float) -> float:
        return self.factors[min(len(self.factors) - 1, int(now / self.step + SLACK))]

    def changes_after(self, now: float) -> float:
        """When the factor changes next, inf after the end."""
        index = int(now / self.step + SLACK) + 1
        return index * self.step if index < len(self.factors) else math.inf


class WanderingBucket(BucketGate):
    """A bucket whose rate is multiplied by a path; the capacity stays."""

    def __init__(self, rate: float, depth: float, path: Path) -> None:
        super().__init__(rate, rate * depth)
        self.path = path

    def refill(self, now: float) -> None:
        while self.at < now:
            until = min(now, self.path.changes_after(self.at))
            gained = (until - self.at) * self.rate * self.path.at(self.at)
            self.level = min(self.capacity, self.level + gained)
            self.at = until

    def wait(self, now: float, call: Arrival) -> float:
        self.refill(now)
        missing = min(self.price(call), self.capacity) - self.level
        if missing <= SLACK:
            return 0.0
        at = now
        while True:
            rate, until = self.rate * self.path.at(at), self.path.changes_after(at)
            if missing <= rate * (until - at):
                return at + missing / rate - now
            missing -= rate * (until - at)
            at = until


class Neighbours(BucketGate):
    """A bucket on which others draw too: by chance, `busy` calls a second while they are at it, then none.

    They don't wait and don't ask twice, so a program that takes no notice of refusals takes from them too. The
    oracle leaves them theirs.
    """

    STEP = 0.5
    STEPS = 1200

    def __init__(self, rate: float, depth: float, busy: float, random: Random) -> None:
        super().__init__(rate, rate * depth)
        self.busy = busy
        self.there = Path(self._comings(random), self.STEP)
        # Their calls have a random of their own: when they come doesn't depend on what is asked here.
        self.random = Random(random.getrandbits(64))
        self.next = self.random.expovariate(busy)

    def _comings(self, random: Random) -> list[float]:
        awake, changes, comings = random.random() < 0.5, random.expovariate(1.0 / BURST), []
        for step in range(self.STEPS):
            while changes < step * self.STEP:
                awake = not awake
                changes += random.expovariate(1.0 / BURST)
            comings.append(float(awake))
        return comings

    def refill(self, now: float) -> None:
        while self.next <= now:
            super().refill(self.next)
            if self.level >= 1.0 and self.there.at(self.next):
                self.level -= 1.0
            self.next += self.random.expovariate(self.busy)
        super().refill(now)

    def twin(self) -> Gate:
        left = [1.0 - there * self.busy / self.rate for there in self.there.factors]
        return WanderingBucket(self.rate, self.capacity / self.rate, Path(left, self.STEP))


class WanderingCap(Cap):
    """A cap on calls in flight that is multiplied by a path: a backend that scales up and down."""

    def __init__(self, most: int, path: Path) -> None:
        super().__init__(most)
        self.path = path

    def wait(self, now: float, call: Arrival) -> float:
        if self.inside < max(1, round(self.most * self.path.at(now))):
            return 0.0
        return math.inf


def random_walk(random: Random, seconds: int, step: float = 0.05) -> Path:
    """A factor that goes up or down by some `step` a second, between a third and double."""
    factor, factors = 1.0, []
    for _ in range(seconds):
        factors.append(factor)
        factor = min(2.0, max(1.0 / 3.0, factor * math.exp(random.gauss(0.0, step))))
    return Path(factors)


def step_to(factor: float, at: float) -> Path:
    """1 until `at` seconds, then `factor`."""
    return Path([1.0, factor], at)


def wave(period: float, depth: float, phase: float) -> Path:
    """A day in `period` seconds: from 1 down by `depth` and back."""
    steps = 4000
    return Path(
        [
            1.0 - depth * (0.5 - 0.5 * math.cos(2.0 * math.pi * (second / period + phase)))
            for second in range(steps)
        ]
    )
