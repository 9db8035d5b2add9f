"""When a lane's next call may go, so that the provider's limits are used and not overrun. Knows no clock.

Three sources of knowledge, in the order they come: a ramp while nothing is known, gauges made of limit headers,
and a pacer once a 429 came that no header explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from flowpool.engine.bucket import Cost
from flowpool.engine.gauge import Gauge, Reading
from flowpool.engine.pacer import Pacer


class Sent(Struct, frozen=True):
    """A call on its way, as the limiter needs to know it again."""

    at: float
    cost: Cost
    taken: tuple[float, ...]


class Limiter:
    """Learns a provider's request and token rates for one lane."""

    RAMP_START = 8.0  # calls a second
    RAMP_DOUBLES = 0.5  # seconds
    PAUSE = 0.3  # seconds after a 429 that doesn't say how long

    def __init__(self, random: Any = None, *, ramp: bool = True) -> None:
        self._random = random
        self._ramp = ramp
        self._first: float | None = None
        self._next = 0.0
        self._admitted = 0
        self._sent = 0
        self._paused_until = 0.0
        self._last_cut = float("-inf")
        self.gauges: dict[str, Gauge] = {}
        self.pacer: Pacer | None = None
        self.throttles = 0

    def wait(self, cost: Cost, now: float) -> float:
        """Seconds until a call of this cost may go; 0 for now."""
        wait = self._paused_until - now
        if self._ramp and self._first is not None:
            wait = max(wait, self._next - now)
        if self.pacer is not None:
            wait = max(wait, self.pacer.wait(now))
        for dimension, gauge in self.gauges.items():
            wait = max(wait, gauge.wait(_of(cost, dimension), now))
        return wait if wait > 1e-9 else 0.0

    def sent(self, cost: Cost, now: float) -> Sent:
        if self._first is None:
            self._first = now
        if self._ramp:
            self._next = max(self._next, now) + 1.0 / self._ramp_rate(now)
        if self.pacer is not None:
            self.pacer.sent(now)
        for dimension, gauge in self.gauges.items():
            gauge.take(_of(cost, dimension), now)
        self._sent += 1
        return Sent(now, cost, tuple(gauge.taken for gauge in self.gauges.values()))

    def answered(self, sent: Sent, now: float, readings: Sequence[Reading], used: Cost) -> None:
        self._admitted += 1
        if self.pacer is not None:
            self.pacer.answered(sent.at)
        self._read(sent, now, readings, True)

    def throttled(
        self, sent: Sent, now: float, retry_after: float | None, readings: Sequence[Reading]
    ) -> None:
        self.throttles += 1
        for dimension, gauge in self.gauges.items():
            gauge.refuse(_of(sent.cost, dimension))
        self._read(sent, now, readings, False)
        pause = retry_after * 1.02 + 0.001 if retry_after else self.PAUSE
        self._paused_until = max(self._paused_until, now + pause)
        if self.pacer is not None:
            self.pacer.hold(self._paused_until)
        explained = any(
            reading.remaining < max(1.0, _of(sent.cost, reading.dimension)) for reading in readings
        )
        if sent.at <= self._last_cut:
            return  # sent before the last 429 was known: it says nothing new
        self._last_cut = now
        if explained:
            return
        if self.pacer is not None:
            self.pacer.throttled(now)
            return
        self.pacer = Pacer(now, self._admitted, now - (self._first or now))
        self.pacer.hold(max(self._paused_until, now + 3.0 / self.pacer.rate))
        self._follow_headers()
        self._ramp = False

    def _read(self, sent: Sent, now: float, readings: Sequence[Reading], admitted: bool) -> None:
        taken = dict(zip(self.gauges, sent.taken, strict=False))
        for reading in readings:
            if reading.limit <= 0:
                continue
            gauge = self.gauges.get(reading.dimension)
            cost = _of(sent.cost, reading.dimension) if admitted or gauge is None else 0.0
            if gauge is None:
                gauge = self.gauges[reading.dimension] = Gauge(reading.dimension)
            gauge.read(reading, sent.at, taken.get(reading.dimension, 0.0), cost, now)
        if self.pacer is not None:
            self._follow_headers()

    def _follow_headers(self) -> None:
        """Where headers tell the minute's rate, a pacer is there for a shorter window behind it: same rate."""
        known = self.gauges.get("requests")
        if self.pacer is not None and known is not None and known.is_per_minute:
            self.pacer.follow(0.99 * known.rate)

    def _ramp_rate(self, now: float) -> float:
        assert self._first is not None
        rate = self.RAMP_START * 2.0 ** min(20.0, (now - self._first) / self.RAMP_DOUBLES)
        known = self.gauges.get("requests")
        return max(rate, 2.0 * known.rate) if known is not None else rate


def _of(cost: Cost, dimension: str) -> float:
    if dimension == "requests":
        return 1.0
    if dimension == "input":
        return cost.input
    if dimension == "output":
        return cost.output
    # The usual rule: what may be produced is reserved, if the call says how much that is.
    return max(cost.reserved, cost.input) if cost.reserved else cost.input + cost.output
