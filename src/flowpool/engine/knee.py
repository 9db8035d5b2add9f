"""How a server's latency follows the calls in flight, and where more of them only wait. Plain arithmetic.

Knows no clock: it is told of answers and of the calls in flight beside them, and forgets by count.
"""

from __future__ import annotations

import math
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
        latency = self.idle * max(1.0, queue / self.knee) + self.slope * load
        return latency * self.scale + self.per_token * (tokens - self.tokens)

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
    believed; safe: towards its upper end. noise: seconds of an answer's spread that nothing explains.
    seen: the longest queue that enough answers came from.
    """

    curve: Curve
    likely: float
    safe: float
    noise: float
    seen: float


class LoadCurve:
    """Answers by the queue they found, and the curve that they lie on.

    A server with slots answers after its service time until the slots are taken, and in proportion to the queue
    from there on; one that batches slows a little with every call. Both are fitted to all answers at once, so
    a few from many loads say as much as many from few. Service that follows the output's length is told apart
    from waiting by regression on the output's tokens.
    """

    PRIOR_NOISE = 0.3  # of the latency: what is assumed of the spread before answers tell
    PRIOR_WEIGHT = 8.0  # answers that the assumption counts for
    LEAST_NOISE = 0.04
    SMOOTH_IF = 9.0  # how much better, in squared standard errors, before a slope is believed
    SURE = 0.7  # the share of belief that lies below `safe`

    __slots__ = ("_bins", "_last", "_of")

    def __init__(self, ceiling: int) -> None:
        self._last: Curve | None = None
        self._of = [_bin(n) for n in range(ceiling + 1)]
        # Per bin the sums of: 1, queue, load, latency, latency^2, tokens, tokens^2, latency * tokens.
        self._bins = [[0.0] * 8 for _ in range(self._of[-1] + 1)]

    def add(self, queue: int, load: float, latency: float, tokens: float) -> None:
        """An answer to a call that was sent as the `queue`-th in flight."""
        sums = self._bins[self._of[queue] if queue < len(self._of) else -1]
        sums[0] += 1.0
        sums[1] += queue
        sums[2] += load
        sums[3] += latency
        sums[4] += latency * latency
        sums[5] += tokens
        sums[6] += tokens * tokens
        sums[7] += latency * tokens

    def fade(self, share: float) -> None:
        """Leaves `share` of the weight of every answer so far."""
        for sums in self._bins:
            if sums[0]:
                sums[:] = [value * share for value in sums] if sums[0] > 0.02 else [0.0] * 8

    def share_below(self, queue: float) -> float:
        """The share of the answers' weight that lies at or below this queue."""
        filled = [sums for sums in self._bins if sums[0]]
        below = sum(sums[0] for sums in filled if sums[1] <= queue * sums[0])
        return below / sum(sums[0] for sums in filled)

    @property
    def weight(self) -> float:
        return sum(sums[0] for sums in self._bins)

    def fit(self, beyond: float = 2.0) -> Knee | None:
        """What to think of the knee, up to `beyond` times the longest queue; None before any answer."""
        filled = [sums for sums in self._bins if sums[0]]
        if not filled:
            return None
        weights = [sums[0] for sums in filled]
        queues = [sums[1] / sums[0] for sums in filled]
        loads = [sums[2] / sums[0] for sums in filled]
        latencies, within, per_token, tokens = _without_length(filled)
        scale = max(1e-9, _mean(weights, latencies))
        if self._last is not None:  # what is slowed varies as much more
            weights = [w / self._last.slowness(q, m) ** 2 for w, q, m in zip(weights, queues, loads, strict=True)]
            within = sum(_squares(sums, per_token)/self._last.slowness(q,m)**2 for sums,q,m in zip(filled,queues,loads,strict=True))
        fits = _Fits(weights, queues, loads, [latency / scale for latency in latencies])
        knees = _candidates(queues[0], queues[-1], beyond)
        curves = [fits.plain(knee) for knee in knees]
        best = min(curve.misfit for curve in curves)
        sloped = [fits.sloped(knee) for knee in knees]
        least = min(curve.misfit for curve in sloped)
        noise = self._noise(within / scale**2 + least, sum(sums[0] for sums in filled))
        if best - least > self.SMOOTH_IF * noise**2:
            curves, best = sloped, least
        likely, safe = (_quantile(curves, best, noise, share) for share in (0.5, self.SURE))
        curve = min(curves, key=lambda curve: abs(math.log(curve.knee / likely)))
        told = self._last = Curve(curve.misfit, likely, curve.idle, curve.slope, scale, per_token, tokens)
        return Knee(told, likely, safe, noise * scale, _seen([sums[0] for sums in filled], queues))

    def _noise(self, squares: float, weight: float) -> float:
        squares += self.PRIOR_WEIGHT * self.PRIOR_NOISE**2
        degrees = max(1.0, weight + self.PRIOR_WEIGHT - 2.0)
        return max(self.LEAST_NOISE, math.sqrt(squares / degrees))


class _Fits:
    """Least squares over weighted points, for any knee, from running sums."""

    __slots__ = ("_queues", "_sums")

    def __init__(
        self, weights: list[float], queues: list[float], loads: list[float], values: list[float]
    ) -> None:
        rows = list(zip(weights, queues, loads, values, strict=True))
        self._queues = queues
        # From the first point to each, with f = 1 below the knee and q / knee above it.
        self._sums = [
            [0.0, *accumulate(terms)]
            for terms in zip(
                *((w, w * m, w * y, w * q * q, w * q * m, w * q * y) for w, q, m, y in rows),
                strict=True,
            )
        ] + [[sum(w * a * b for w, a, b in zip(weights, x, y, strict=True))] for x, y in (
            (loads, loads), (loads, values), (values, values))]  # fmt: skip

    def _terms(self, knee: float) -> tuple[float, float, float, float, float, float]:
        """Sums over points of f*f, f*m, f*y, m*m, m*y, y*y, weighted; m is the load, y the latency."""
        w, wm, wy, wqq, wqm, wqy, mm, my, yy = self._sums
        i = sum(queue <= knee for queue in self._queues)
        return (
            w[i] + (wqq[-1] - wqq[i]) / knee**2,
            wm[i] + (wqm[-1] - wqm[i]) / knee,
            wy[i] + (wqy[-1] - wqy[i]) / knee,
            mm[0],
            my[0],
            yy[0],
        )

    def plain(self, knee: float) -> Curve:
        ff, _, fy, _, _, yy = self._terms(knee)
        return Curve(max(0.0, yy - fy * fy / ff), knee, fy / ff, 0.0)

    def sloped(self, knee: float) -> Curve:
        ff, fm, fy, mm, my, yy = self._terms(knee)
        determinant = ff * mm - fm * fm
        if determinant <= 1e-9 * ff * mm:
            return self.plain(knee)
        idle = (fy * mm - my * fm) / determinant
        slope = (my * ff - fy * fm) / determinant
        if slope <= 0.0 or idle <= 0.0:
            return self.plain(knee)
        return Curve(max(0.0, yy - idle * fy - slope * my), knee, idle, slope)


def _bin(queue: int) -> int:
    return queue if queue <= EACH else EACH + round(PER_OCTAVE * math.log2(queue / EACH))


def _mean(weights: list[float], values: list[float]) -> float:
    return sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)


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


def _without_length(filled: list[list[float]]) -> tuple[list[float], float, float, float]:
    """Each bin's mean latency as if its answers were of mean length, the squares left within bins, the seconds
    a token takes, and the mean length.
    """
    ll = lt = tt = 0.0
    for w, _, _, latency, latency2, tokens, tokens2, product in filled:
        ll += latency2 - latency * latency / w
        lt += product - latency * tokens / w
        tt += tokens2 - tokens * tokens / w
    per_token = max(0.0, lt / tt) if tt > 1e-9 else 0.0
    mean = sum(sums[5] for sums in filled) / sum(sums[0] for sums in filled)
    latencies = [sums[3] / sums[0] - per_token * (sums[5] / sums[0] - mean) for sums in filled]
    return latencies, max(0.0, ll - per_token * lt), per_token, mean


def _squares(sums, per_token):
    w, _, _, latency, latency2, tokens, tokens2, product = sums
    return max(0.0, latency2 - latency * latency / w - per_token*(product - latency * tokens / w))


def _seen(weights: list[float], queues: list[float]) -> float:
    above = 0.0
    for weight, queue in zip(reversed(weights), reversed(queues), strict=True):
        above += weight
        if above >= max(3.0, queue / 8.0):
            return queue
    return queues[0]
