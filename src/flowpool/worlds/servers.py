"""What an admitted call meets: how long its answer takes, and how that depends on the others."""

from __future__ import annotations

import heapq
import math
from random import Random

from flowpool.worlds.values import Arrival


class AnswerQueue:
    """Answers take `median` seconds, spread by `sigma` (0: all alike), however many there are.

    per_token: seconds that each token of output adds.
    """

    # More in flight than this gains nothing; an oracle goes no further.
    useful = math.inf

    def __init__(self, median: float, sigma: float, random: Random, per_token: float = 0.0) -> None:
        self.median = median
        self.sigma = sigma
        self.per_token = per_token
        self.gauss = random.gauss

    def service(self, call: Arrival) -> float:
        """Seconds of work in a call."""
        work = self.median + self.per_token * call.output
        return work * math.exp(self.gauss(0.0, self.sigma)) if self.sigma else work

    def begin(self, now: float, call: Arrival, in_flight: int) -> float:
        """The latency of a call that comes when `in_flight` others are there; inf: it leaves unserved."""
        return self.service(call)

    def gave_up_after(self) -> float:
        """Seconds until a call leaves unserved."""
        return math.inf


class SlotQueue(AnswerQueue):
    """So many calls are served at once; more wait in a queue, in their order.

    patience: seconds after which one that waits is sent away (HAProxy's `timeout queue`, a 503).
    """

    def __init__(
        self,
        slots: int,
        median: float,
        sigma: float,
        random: Random,
        *,
        per_token: float = 0.0,
        patience: float = math.inf,
        halved_at: float = math.inf,
    ) -> None:
        super().__init__(median, sigma, random, per_token)
        self.slots = slots
        self.patience = patience
        self.halved_at = halved_at
        # With calls in the queue no slot idles while a refused call comes back; who must not wait has none there.
        self.useful = 2 * slots if patience == math.inf else slots
        self.free = [0.0] * slots  # a heap: when each slot is free again

    def begin(self, now: float, call: Arrival, in_flight: int) -> float:
        start = max(now, self.free[0])
        if start >= self.halved_at and len(self.free) == self.slots > 1:
            # A replica went away: the slots that were free first are no more.
            self.free = sorted(self.free)[self.slots - max(1, self.slots // 2) :]
            start = max(now, self.free[0])
        free = self.free
        if start - now > self.patience:
            return math.inf
        end = start + self.service(call)
        heapq.heapreplace(free, end)
        return end - now

    def gave_up_after(self) -> float:
        return self.patience


class Batching(AnswerQueue):
    """A server that batches: alone a call takes `median`; with n at once n / knee times as long, and smoothly so:
    (1 + (n / knee) ** power) ** (1 / power). So many a second as knee / median is the most there can be.

    What comes later doesn't slow the calls that are there: it is nearly true of decoding, and cheap to compute.
    """

    def __init__(
        self, knee: float, power: float, median: float, sigma: float, random: Random
    ) -> None:
        super().__init__(median, sigma, random)
        self.knee = knee
        self.power = power

    def begin(self, now: float, call: Arrival, in_flight: int) -> float:
        load = (1.0 + ((in_flight + 1) / self.knee) ** self.power) ** (1.0 / self.power)
        return self.service(call) * float(load)
