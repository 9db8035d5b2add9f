"""How many calls of a lane may be in flight. Plain policies: given answers and throttles, they hold a size."""

from __future__ import annotations

import math
from bisect import bisect_left
from heapq import heappop, heappush
from typing import Protocol

from flowpool.limits.lane_view import Bound
from flowpool.limits.load_curve import Knee, LoadCurve


class Window(Protocol):
    """A number of calls in flight, and what moves it."""

    size: int
    adapts: bool  # whether answers move it

    @property
    def bound(self) -> Bound:
        """What keeps it from being wider, in a person's words."""

    @property
    def slots(self) -> int:
        """How many calls the server seems to work on at once; 0 while that isn't known."""

    def answered(
        self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int
    ) -> None:
        """A call sent at `sent` was answered at `now`. `ahead` were in flight when it was sent, `in_flight`
        are before it leaves: it is one of both.
        """


class FixedWindow:
    """A size that somebody chose."""

    adapts = False
    slots = 0
    __slots__ = ("bound", "size")

    def __init__(self, size: int, bound: Bound = "max_flows") -> None:
        self.size = size
        self.bound: Bound = bound

    def answered(
        self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int
    ) -> None:
        pass


class AdaptiveWindow:
    """Finds the calls in flight past which more of them only wait, and stays a little above.

    Every quarter of a window's answers the load curve is fitted anew. While no knee shows, the window goes up to
    `GROWTH` times the longest queue that answers came from, so it grows only as far as it is used. Where a
    knee shows, it is `MARGIN` above, and dips just below it for as many answers as it takes to know what an
    idle server's latency is. Where latency rises with each call, it ends where one per cent more calls bring
    less than `PAYS` per cent more answers.

    Failures and refusals say nothing here: they are the limiter's business.
    """

    adapts = True
    MARGIN = 1.15
    DIP = 0.97  # of the knee
    DEEP = 0.6  # of it, where latency rises with each call or is `SUSPECT` times the least seen
    SUSPECT = 1.7
    BLUR, AVERAGED = 2.0, 32  # standard errors allowed for; answers in the mean that is compared
    PRECISION = 0.1  # of an idle server's latency: how well it should be known
    RARELY, OFTEN = 0.08, 0.4  # the share of answers from below the knee, at least and at most
    # Where one per cent more calls bring less than so many per cent more answers, a server that batches is full: at
    # 0.1 that is 9 times the calls at which latency doubles, with 90 % of the most that it can give. At 0.25 (3
    # times, 75 %) a vLLM gave a quarter less than it could; at 0.05 the latency is twice as long for 5 % more.
    PAYS = 0.1
    GROWTH = 3.0
    # Mean latencies after which a call's answer is weighed: one, and so many times their spread. The first answers
    # from a longer queue are the quick ones, and would say that nobody waits.
    CLOSED = 1.35
    AFTER_KNEE = 2.0  # the growth once there was one
    SHRINK = 0.85  # a fit makes of the window no less
    SLOWEST = 5.0  # times the least latency seen: no growth beyond
    EVERY = 0.02  # seconds between two fits, at least: quicker answers tell no more
    IDLE = 64  # answers between fits while less than half of it is used
    MEMORY, LEAST_MEMORY = 16, 400  # answers that count: so many windows, but at least so many

    def __init__(self, start: int, ceiling: int, chosen: Bound = "max_flows") -> None:
        self.size = min(start, ceiling)
        self._chosen: Bound = chosen  # who chose the ceiling
        self._ceiling = ceiling
        self._growth = self.GROWTH
        self._curve = LoadCurve(ceiling)
        self._young: list[
            tuple[float, int, float, float, int]
        ] = []  # answers, the first sent first
        self._history = _InFlight()
        self._change = _Change()
        self._answers = 0
        self._adjusted = -math.inf
        self._queues = 0
        self._recent = 0.0  # the mean latency of the last answers
        self._seen = 0
        self._least = math.inf
        self.knee: Knee | None = None

    @property
    def bound(self) -> Bound:
        knee = self.knee
        if self.size >= self._ceiling:
            return self._chosen
        if knee is None or knee.safe > knee.seen:
            return "learning"
        return "latency" if knee.curve.pays_to(self.PAYS) < self.MARGIN * knee.safe else "slots"

    @property
    def slots(self) -> int:
        return 0 if self.knee is None else round(self.knee.likely)

    def answered(
        self, now: float, sent: float, ahead: int, in_flight: int, output_tokens: int
    ) -> None:
        latency = now - sent
        load = self._history.mean(now, sent, ahead, in_flight)
        heappush(self._young, (sent, ahead, load, latency, output_tokens))
        self._learn(now)
        self._seen += 1
        self._recent += (latency - self._recent) / min(self.AVERAGED, self._seen)
        self._answers += 1
        self._queues += ahead
        if self._answers >= max(4, self.size // 4) and now - self._adjusted >= self.EVERY:
            self._adjusted = now
            self._adjust()

    def _learn(self, now: float) -> None:
        """From the answers to calls that were sent long enough ago that nearly all of their time have come."""
        spread = self.knee.noise if self.knee is not None else LoadCurve.PRIOR_NOISE
        old = now - (1.0 + self.CLOSED * spread) * self._recent
        while self._young and self._young[0][0] <= old:
            _, ahead, load, latency, tokens = heappop(self._young)
            if self.knee is not None and ahead <= 1.1 * self.knee.seen:
                self._change.saw(self.knee, ahead, load, latency, tokens)
            self._curve.add(ahead, load, latency, tokens)

    def _adjust(self) -> None:
        queue = self._queues / self._answers
        is_wide = queue < self.size / 2
        if is_wide and self._answers < self.IDLE:
            return
        if self._change.is_certain(queue):
            self._curve.fade(_Change.KEEPS)
        self.knee = self._curve.fit(self._growth)
        self._curve.fade(math.exp(-self._answers / max(self.LEAST_MEMORY, self.MEMORY * queue)))
        self._answers = self._queues = 0
        if self._seen >= 16:
            self._least = min(1.002 * self._least, self._recent)
        if self.knee is not None and not is_wide:
            self._move(self.knee, queue)

    def _move(self, knee: Knee, queue: float) -> None:
        bend, pays = self.MARGIN * knee.safe, knee.curve.pays_to(self.PAYS)
        target = min(bend, pays)
        if target < knee.seen:
            self._growth = min(self._growth, self.AFTER_KNEE)
        dip = self._dip(knee, bend, pays) if queue >= 0.85 * self.size else None
        if dip is not None:
            target = min(dip, self.size)
        elif knee.safe > knee.seen and bend <= pays:
            target = max(target, self.size)  # nothing seen so far is too much
        if self._recent > self.SLOWEST * self._least:
            target = min(target, self.size)
        target = min(target, max(self._growth * knee.seen, self.size), self._ceiling)
        smallest = max(1, int(self.SHRINK * self.size))
        self.size = max(smallest, math.ceil(target))

    def _dip(self, knee: Knee, bend: float, pays: float) -> int | None:
        """A size below the knee, when more answers from there are wanted."""
        weight = self._curve.weight
        share = min(self.OFTEN, max(self.RARELY, (knee.noise / self.PRECISION) ** 2 / weight))
        blur = 1.0 + self.BLUR * knee.noise / math.sqrt(
            self.AVERAGED
        )  # the least of many noisy means is low
        is_deep = bend > pays or self._recent > self.SUSPECT * blur * self._least
        if is_deep and min(pays, knee.safe) > 1.3 * knee.seen:
            return None  # the knee isn't in sight yet
        if is_deep:
            size = max(1, int(self.DEEP * min(pays, knee.safe, knee.seen)))
            limit = max(1.15 * size, size + 0.5)
        else:
            size = round(self.DIP * knee.safe)
            limit = max(1.02 * knee.safe, knee.likely + 0.5)
        return size if self._curve.weight_up_to(limit) < share * weight else None


class _InFlight:
    """How many calls were in flight, as the answers show."""

    __slots__ = ("_area", "_areas", "_times")

    KEPT = 4096  # answers: a call that took longer than these is taken for one that took as long

    def __init__(self) -> None:
        self._area = 0.0  # calls times seconds
        self._times: list[float] = []
        self._areas: list[float] = []

    def mean(self, now: float, sent: float, ahead: int, in_flight: int) -> float:
        """Of the time from `sent` to `now`, given in the order that it comes."""
        times, areas = self._times, self._areas
        if times:
            self._area += in_flight * (now - times[-1])
        times.append(now)
        areas.append(self._area)
        i = bisect_left(times, sent)
        area = self._area - areas[i] + ahead * (times[i] - sent)
        if len(times) >= 2 * self.KEPT:
            del times[: self.KEPT], areas[: self.KEPT]
        return area / (now - sent) if now > sent else float(in_flight)


class _Change:
    """Notices that a server isn't what it was: answers keep taking longer, or shorter, than expected."""

    __slots__ = ("_longer", "_shorter")

    DRIFT = 0.12  # standard errors an answer that are let pass
    CERTAIN = 24.0  # the sum of standard errors beyond that, and one for each call in flight
    KEEPS = 0.2  # of what was known, after a change

    def __init__(self) -> None:
        self._longer = self._shorter = 0.0

    def saw(self, knee: Knee, ahead: int, load: float, latency: float, tokens: float) -> None:
        curve = knee.curve
        usual = knee.noise * curve.idle * curve.scale * curve.slowness(ahead, load)
        off = max(-3.0, min(3.0, (latency - curve.at(ahead, load, tokens)) / usual))
        self._longer = max(0.0, self._longer + off - self.DRIFT)
        self._shorter = max(0.0, self._shorter - off - self.DRIFT)

    def is_certain(self, in_flight: float) -> bool:
        """Whether it has changed since this was last so."""
        if max(self._longer, self._shorter) <= self.CERTAIN + in_flight:
            return False
        self._longer = self._shorter = 0.0
        return True
