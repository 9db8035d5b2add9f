"""How a server's latency follows the calls in flight, and where more of them only wait. Plain arithmetic.

Knows no clock: it takes answers and of the calls in flight beside them, and forgets by count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

from msgspec import Struct

EACH = 16  # queues up to this length have a bin each; above it there are
PER_OCTAVE = 8  # bins from a length to its double


class Curve(Struct, frozen=True):
    """latency = idle * max(1, queue / knee) + slope * load, and how badly the answers lie on it.

    queue: calls in flight when the call was sent; load: on average while it was. `scale` is the unit of latency
    in seconds; answers of more than `tokens` tokens take `per_token` seconds more for each.
    """

    misfit: float
    knee: float
    idle: float
    slope: float
    scale: float = 1.0
    per_token: float = 0.0
    tokens: float = 0.0

    def at(self, queue: float, load: float, tokens: float) -> float:
        """Seconds that an answer is expected to take."""
        latency = self.idle * self.slowness(queue, load) * self.scale
        return latency + self.per_token * (tokens - self.tokens)

    def slowness(self, queue: float, load: float) -> float:
        """How many times the latency of an idle server a call is expected to take."""
        return max(1.0, queue / self.knee) + self.slope * load / self.idle

    def pays_to(self, share: float) -> float:
        """The load up to which one per cent more of it still brings `share` per cent more answers."""
        if self.slope <= 1e-9 * self.idle:
            return math.inf
        return self.idle * (1.0 - share) / (self.slope * share)


class Knee(Struct, frozen=True):
    """What the answers so far say of a server.

    curve: what they lie on. likely: calls in flight where the queue begins, as the middle of what can be
    believed; safe: towards its upper end. noise: an answer's spread that nothing explains, as a share of the
    latency of an idle server. seen: the longest queue that enough answers came from.
    """

    curve: Curve
    likely: float
    safe: float
    noise: float
    seen: float


class Bin(Struct):
    """Sums over the answers from queues of about one length; old answers weigh less than 1."""

    weight: float = 0.0
    queue: float = 0.0
    load: float = 0.0
    latency: float = 0.0
    latency2: float = 0.0
    tokens: float = 0.0
    tokens2: float = 0.0
    product: float = 0.0  # of latency and tokens

    def fade(self, share: float) -> None:
        if self.weight < 0.02:
            share = 0.0
        self.weight *= share
        self.queue *= share
        self.load *= share
        self.latency *= share
        self.latency2 *= share
        self.tokens *= share
        self.tokens2 *= share
        self.product *= share

    def covariance(self) -> float:
        return self.product - self.latency * self.tokens / self.weight

    def token_squares(self) -> float:
        return self.tokens2 - self.tokens * self.tokens / self.weight

    def squares(self, per_token: float) -> float:
        """Squares of latency that neither the bin's mean nor the output's length explains."""
        all_of_them = self.latency2 - self.latency * self.latency / self.weight
        return max(0.0, all_of_them - per_token * self.covariance())


class Point(Struct, frozen=True):
    """A bin as the fit sees it: latency at mean length, in units of the mean."""

    weight: float
    queue: float
    load: float
    latency: float


class LoadCurve:
    """Answers by the queue they found, and the curve that they lie on.

    A server with slots answers after its service time until the slots are taken, and in proportion to the queue
    from there on; one that batches slows a little with every call. Both are fitted to all answers at once, so
    a few from many loads say as much as many from few. Service that follows the output's length is kept apart
    from waiting by regression on the output's tokens.
    """

    PRIOR_NOISE = 0.3  # of the latency: what is assumed of the spread before answers tell
    PRIOR_WEIGHT = 8.0  # answers that the assumption counts for
    LEAST_NOISE = 0.04
    SMOOTH_IF = 14.0  # how much better, in squared standard errors, before a slope is believed
    SURE = 0.7  # the share of belief that lies below `safe`

    __slots__ = ("_bins", "_last", "_of")

    def __init__(self, ceiling: int) -> None:
        self._of = [_bin(n) for n in range(ceiling + 1)]
        self._bins = [Bin() for _ in range(self._of[-1] + 1)]
        self._last: Curve | None = None

    def add(self, queue: int, load: float, latency: float, tokens: float) -> None:
        """An answer to a call that was sent as the `queue`-th in flight."""
        sums = self._bins[self._of[queue] if queue < len(self._of) else -1]
        sums.weight += 1.0
        sums.queue += queue
        sums.load += load
        sums.latency += latency
        sums.latency2 += latency * latency
        sums.tokens += tokens
        sums.tokens2 += tokens * tokens
        sums.product += latency * tokens

    def fade(self, share: float) -> None:
        """Leaves `share` of the weight of every answer so far."""
        for sums in self._filled():
            sums.fade(share)

    @property
    def weight(self) -> float:
        return sum(sums.weight for sums in self._bins)

    def weight_up_to(self, queue: float) -> float:
        """The weight of the answers from queues of at most this length."""
        return sum(sums.weight for sums in self._filled() if sums.queue <= queue * sums.weight)

    def fit(self, beyond: float = 2.0) -> Knee | None:
        """What to think of the knee, up to `beyond` times the longest queue; None before any answer."""
        filled = self._filled()
        if not filled:
            return None
        weight = self.weight
        tokens = sum(sums.tokens for sums in filled) / weight
        per_token = _per_token(filled, tokens)
        scale = max(1e-9, sum(sums.latency for sums in filled) / weight)
        points, within = self._points(filled, per_token, tokens, scale)
        fits = _Fits(points)
        knees = _candidates(points[0].queue, points[-1].queue, beyond)
        curves = [fits.plain(knee) for knee in knees]
        best = min(curve.misfit for curve in curves)
        sloped = [fits.sloped(knee) for knee in knees]
        least = min(curve.misfit for curve in sloped)
        noise = self._noise(within + least, weight)
        if best - least > self.SMOOTH_IF * noise**2:
            curves, best = sloped, least
        likely, safe = (_quantile(curves, best, noise, share) for share in (0.5, self.SURE))
        near = min(curves, key=lambda curve: abs(math.log(curve.knee / likely)))
        curve = Curve(near.misfit, likely, near.idle, near.slope, scale, per_token, tokens)
        self._last = curve
        return Knee(curve, likely, safe, noise / curve.idle, _seen(filled))

    def _filled(self) -> list[Bin]:
        return [sums for sums in self._bins if sums.weight]

    def _points(
        self, filled: list[Bin], per_token: float, tokens: float, scale: float
    ) -> tuple[list[Point], float]:
        """The bins as points, and the squares left within them. What is slowed varies as much more."""
        points = []
        within = 0.0
        for sums in filled:
            w = sums.weight
            queue, load = sums.queue / w, sums.load / w
            latency = sums.latency / w
            latency = max(0.1 * latency, latency - per_token * (sums.tokens / w - tokens))
            slowness = self._last.slowness(queue, load) if self._last is not None else 1.0
            points.append(Point(w / slowness**2, queue, load, max(1e-6, latency / scale)))
            within += sums.squares(per_token) / (scale * slowness) ** 2
        return points, within

    def _noise(self, squares: float, weight: float) -> float:
        squares += self.PRIOR_WEIGHT * self.PRIOR_NOISE**2
        degrees = max(1.0, weight + self.PRIOR_WEIGHT - 2.0)
        return max(self.LEAST_NOISE, math.sqrt(squares / degrees))


class _Fits:
    """Weighted least squares through points for any knee, from running sums."""

    __slots__ = ("_queues", "_running", "_whole")

    def __init__(self, points: list[Point]) -> None:
        rows = [(p.weight, p.queue, p.load, p.latency) for p in points]
        self._queues = [p.queue for p in points]
        # From the first point to each, for f = 1 up to the knee and f = queue / knee above it.
        self._running = (
            _running(w for w, _, _, _ in rows),
            _running(w * m for w, _, m, _ in rows),
            _running(w * y for w, _, _, y in rows),
            _running(w * q * q for w, q, _, _ in rows),
            _running(w * q * m for w, q, m, _ in rows),
            _running(w * q * y for w, q, _, y in rows),
        )
        self._whole = (
            sum(w * m * m for w, _, m, _ in rows),
            sum(w * m * y for w, _, m, y in rows),
            sum(w * y * y for w, _, _, y in rows),
        )

    def _terms(self, knee: float) -> tuple[float, float, float]:
        """The weighted sums of f * f, f * load and f * latency."""
        ones, loads, latencies, qq, qm, qy = self._running
        i = sum(queue <= knee for queue in self._queues)
        return (
            ones[i] + (qq[-1] - qq[i]) / knee**2,
            loads[i] + (qm[-1] - qm[i]) / knee,
            latencies[i] + (qy[-1] - qy[i]) / knee,
        )

    def plain(self, knee: float) -> Curve:
        ff, _, fy = self._terms(knee)
        return Curve(max(0.0, self._whole[2] - fy * fy / ff), knee, fy / ff, 0.0)

    def sloped(self, knee: float) -> Curve:
        ff, fm, fy = self._terms(knee)
        mm, my, yy = self._whole
        determinant = ff * mm - fm * fm
        if determinant <= 1e-9 * ff * mm:
            return self.plain(knee)
        idle = (fy * mm - my * fm) / determinant
        slope = (my * ff - fy * fm) / determinant
        if slope <= 0.0 or idle <= 1e-3 * fy / ff:
            return self.plain(knee)
        return Curve(max(0.0, yy - idle * fy - slope * my), knee, idle, slope)


def _bin(queue: int) -> int:
    return queue if queue <= EACH else EACH + round(PER_OCTAVE * math.log2(queue / EACH))


def _running(values: Iterable[float]) -> list[float]:
    return list(accumulate(values, initial=0.0))


def _candidates(lowest: float, highest: float, beyond: float) -> list[float]:
    """Knees from half the shortest queue to `beyond` times the longest, evenly by ratio."""
    low, high = max(0.5, lowest / 2.0), beyond * highest
    steps = max(1, math.ceil(PER_OCTAVE * 1.5 * math.log2(high / low)))
    return [low * (high / low) ** (i / steps) for i in range(steps + 1)]


def _quantile(curves: list[Curve], best: float, noise: float, share: float) -> float:
    """The knee below which lies `share` of the belief, when all were as probable before, by ratio."""
    spread = 2.0 * noise * noise
    beliefs = list(accumulate(math.exp(-(curve.misfit - best) / spread) for curve in curves))
    wanted = share * beliefs[-1]
    i = next(i for i, belief in enumerate(beliefs) if belief >= wanted)
    before = beliefs[i - 1] if i else 0.0
    step = math.log(curves[1].knee / curves[0].knee)
    inside = (wanted - before) / (beliefs[i] - before) - 0.5
    return curves[i].knee * math.exp(step * inside)


def _per_token(filled: list[Bin], mean: float) -> float:
    """Seconds a token takes, by regression within bins, held towards 0 while few answers tell."""
    squares = sum(sums.token_squares() for sums in filled)
    if squares <= 1e-9:
        return 0.0
    return max(0.0, sum(sums.covariance() for sums in filled) / (squares + 2.0 * mean * mean))


def _seen(filled: list[Bin]) -> float:
    above = 0.0
    for sums in reversed(filled):
        above += sums.weight
        queue = sums.queue / sums.weight
        if above >= max(3.0, queue / 8.0):
            return queue
    return filled[0].queue / filled[0].weight
