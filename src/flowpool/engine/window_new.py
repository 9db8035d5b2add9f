"""How many calls of a lane may be in flight. Plain policies: told of answers and throttles, they hold a size."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Protocol

from flowpool.engine.knee import Knee, LoadCurve


class Window(Protocol):
    """A number of calls in flight, and what moves it."""

    size: int

    def answered(self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int) -> None:
        """A call sent at `sent`, as the `in_flight`-th of those in flight, was answered at `now`."""

    def throttled(self, sent: float, now: float) -> None:
        """A call sent at `sent` was answered 429 at `now`."""


class FixedWindow:
    """A size that somebody chose."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def answered(self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int) -> None:
        pass

    def throttled(self, sent: float, now: float) -> None:
        pass


class AdaptiveWindow:
    MARGIN = 1.15
    LO = 0.97
    CUT = 0.7
    MEMORY = 16
    LEAST_MEMORY = 400
    PRECISION = 0.1
    PAYS = 0.25
    GROWTH = 3.0
    DRIFT = 0.12
    ALARM = 24.0
    FORGET = 0.2

    def __init__(self, start: int, ceiling: int) -> None:
        self.size = min(start, ceiling)
        self._ceiling = ceiling
        self._curve = LoadCurve(ceiling)
        self._answers = 0
        self._load = 0.0
        self._last_cut = -math.inf
        self._growth = self.GROWTH
        self.knee: Knee | None = None
        self._slower = self._faster = 0.0
        self.alarms = 0
        self._area = 0.0
        self._times: list[float] = []
        self._areas: list[float] = []

    def answered(self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int) -> None:
        self._area += in_flight * (now - self._times[-1]) if self._times else 0.0
        self._times.append(now)
        self._areas.append(self._area)
        i = bisect_left(self._times, sent)
        load = (self._area - self._areas[i] + ahead * max(0.0,self._times[i] - sent)) / max(1e-9, now - sent)
        if len(self._times) > 8192:
            del self._times[:4096], self._areas[:4096]
        self._area += in_flight * (now - self._times[-1]) if self._times else 0.0
        self._times.append(now)
        self._areas.append(self._area)
        i = bisect_left(self._times, sent)
        load = (self._area - self._areas[i] + ahead * max(0.0,self._times[i] - sent)) / max(1e-9, now - sent)
        if len(self._times) > 8192:
            del self._times[:4096], self._areas[:4096]
        k = self.knee
        if k is not None and ahead<=1.1*k.seen:
            off = (now - sent - k.curve.at(ahead, load, output_tokens)) / (k.noise*k.curve.slowness(ahead,load))
            off = max(-3.0, min(3.0, off))
            self._slower = max(0.0, self._slower + off - self.DRIFT)
            self._faster = max(0.0, self._faster - off - self.DRIFT)
        self._curve.add(ahead, load, now - sent, output_tokens)
        self._answers += 1
        self._load += ahead
        if self._answers >= max(4, self.size // 4):
            self._adjust()

    def _adjust(self) -> None:
        load = self._load / self._answers
        least = math.floor(0.85 * self.size)
        memory = max(self.LEAST_MEMORY, self.MEMORY * load)
        if max(self._slower, self._faster) > self.ALARM + load:
            self._slower = self._faster = 0.0
            self.alarms += 1
            self._curve.fade(self.FORGET)
        self.knee = knee = self._curve.fit(self._growth)
        self._curve.fade(math.exp(-self._answers / memory))
        self._answers, self._load = 0, 0.0
        if knee is None:
            return
        bend = self.MARGIN * knee.safe
        pays = max(1.0, knee.curve.pays_to(self.PAYS))
        target = min(bend, pays)
        if knee.safe > knee.seen and target < self.size and target==bend:
            return
        if target < knee.seen: self._growth = min(self._growth, 2.0)
        full = load >= 0.85 * self.size
        if full:
            weight=self._curve.weight
            noise = knee.noise / (knee.curve.idle * knee.curve.scale)
            share = min(0.4, max(0.08, (noise / self.PRECISION) ** 2 / weight))
            if bend <= pays:
                if self._curve.share_below(max(1.02 * knee.safe, knee.likely + 0.5)) < share:
                    self.size=max(1, least, min(self.size, round(self.LO * knee.safe)))
                    return
            elif pays<=1.3*knee.seen and self._curve.share_below(0.7 * pays) < share:
                self.size=max(1, least, min(self.size, round(0.6 * pays)))
                return
        target = min(target, max(self._growth * knee.seen, self.size), self._ceiling)
        self.size = max(1, least, math.ceil(target))

    def throttled(self, sent: float, now: float) -> None:
        if sent <= self._last_cut:
            return
        self._last_cut = now
        self._growth = 1.1
        self.size = max(1, int(self.size * self.CUT))
