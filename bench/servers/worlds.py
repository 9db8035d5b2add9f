"""Providers that refuse: a second opinion beside the simulator's worlds.

Written from what providers and gateways are seen to do, with no look at the limiter or at the simulator: one small
class a kind, each with the shortest time that anybody could take (`bound`). Pure: each is told the time.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Protocol


class World(Protocol):
    """When a provider refuses. `now` is in seconds since the first call came."""

    def admits(self, now: float) -> bool:
        """Whether a call that comes now is taken."""
        ...

    def ended(self) -> None:
        """A call that was taken has been answered."""
        ...

    def bound(self, calls: int, latency: float) -> float:
        """Seconds that `calls` calls take at the least, for somebody who knows the world and has 100 flows."""
        ...


class Calm:
    """Refuses nothing."""

    def admits(self, now: float) -> bool:
        return True

    def ended(self) -> None:
        pass

    def bound(self, calls: int, latency: float) -> float:
        return calls * latency / 100


class Chance(Calm):
    """Refuses a share of all calls, whoever sends them and however fast: a busy backend's 429."""

    def __init__(self, share: float, random: Random) -> None:
        self.share = share
        self.random = random

    def admits(self, now: float) -> bool:
        return self.random.random() >= self.share

    def bound(self, calls: int, latency: float) -> float:
        # The unluckiest call is refused so often, and comes back after half a latency each time.
        refusals = math.log(calls, 1 / self.share)
        return super().bound(calls, latency) + latency / 2 * refusals


class Cap(Calm):
    """Refuses at once what would be more than `most` calls in flight."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0

    def admits(self, now: float) -> bool:
        if self.in_flight >= self.most:
            return False
        self.in_flight += 1
        return True

    def ended(self) -> None:
        self.in_flight -= 1

    def bound(self, calls: int, latency: float) -> float:
        return calls * latency / min(self.most, 100)


class ClockWindow(Calm):
    """At most `most` calls in each window of the clock; the first call comes `phase` seconds into a window."""

    def __init__(self, most: int, seconds: float, phase: float) -> None:
        self.most = most
        self.seconds = seconds
        self.phase = phase
        self.taken: Counter[int] = Counter()

    def admits(self, now: float) -> bool:
        window = int((now + self.phase) // self.seconds)
        if self.taken[window] >= self.most:
            return False
        self.taken[window] += 1
        return True

    def bound(self, calls: int, latency: float) -> float:
        windows = math.ceil(calls / self.most)
        return (windows - 1) * self.seconds - self.phase + latency


class Bucket:
    """Tokens that refill evenly up to `depth`."""

    def __init__(self, rate: float, depth: float) -> None:
        self.rate, self.depth = rate, depth
        self.level, self.at = depth, 0.0

    def take(self, now: float) -> bool:
        self.level = min(self.depth, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Gateway(Calm):
    """`keys` keys of `rate` calls a second (a second's worth at once) behind one door; each call takes any."""

    def __init__(self, keys: int, rate: float, random: Random) -> None:
        self.buckets = [Bucket(rate, rate) for _ in range(keys)]
        self.random = random

    def admits(self, now: float) -> bool:
        return self.random.choice(self.buckets).take(now)

    def bound(self, calls: int, latency: float) -> float:
        rate = sum(bucket.rate for bucket in self.buckets)
        depth = sum(bucket.depth for bucket in self.buckets)
        return (calls - depth) / rate + latency


class Shared(Calm):
    """A backend for `rate` calls a second that many use: what comes beyond is refused at random.

    The load is what came in about the last second, refused calls included, so the share that is refused grows
    smoothly with the rate.
    """

    def __init__(self, rate: float, random: Random) -> None:
        self.rate = rate
        self.random = random
        self.load = 0.0  # calls a second, fading over one second
        self.at = 0.0

    def admits(self, now: float) -> bool:
        self.load = self.load * math.exp(self.at - now) + 1.0
        self.at = now
        return self.random.random() < min(1.0, self.rate / self.load)

    def bound(self, calls: int, latency: float) -> float:
        # A second's worth goes at once while the load is still low.
        return (calls - self.rate) / self.rate + latency


def make_world(name: str, seed: int) -> World:
    """The world of a name such as `calm`, `chance-3`, `cap-20`, `window-100-2`, `gateway-4-750`, `shared-50`."""
    kind, *words = name.split("-")
    numbers = [float(word) for word in words]
    random = Random(seed)
    match kind, numbers:
        case "calm", []:
            return Calm()
        case "chance", [percent]:
            return Chance(percent / 100, random)
        case "cap", [most]:
            return Cap(int(most))
        case "window", [most, seconds]:
            return ClockWindow(int(most), seconds, phase=seconds * (seed % 3) / 3)
        case "gateway", [keys, rpm]:
            return Gateway(int(keys), rpm / 60, random)
        case "shared", [rate]:
            return Shared(rate, random)
    raise ValueError(f"no world {name!r}")
