"""The kinds of worlds, by name: what each is made of, and the ranges from which its parameters are drawn.

Ranges are what providers and gateways do: limits of hundreds to thousands of requests a minute, buckets of a second
to a minute, a handful of slots on one's own machine, tens to hundreds in flight at a hosted model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from msgspec import Struct

from flowpool.worlds.draw import Draw
from flowpool.worlds.gates import (
    BucketGate,
    Cap,
    Chance,
    ClockWindow,
    Gate,
    LimitReq,
    SlidingWindow,
)
from flowpool.worlds.servers import AnswerQueue, Batching, SlotQueue
from flowpool.worlds.shared import (
    Gateway,
    Neighbours,
    Path,
    SharedCapacity,
    SoftCapacity,
    WanderingBucket,
    WanderingCap,
    random_walk,
    step_to,
    wave,
)

# Tokens of a call in the family's work, on average: of input, and of output (and so `max_tokens`).
INPUT, OUTPUT = 100.0, 20.0
# Seconds of a random walk that are computed; afterwards it stays.
WALK = 900


class Service(Struct, frozen=True):
    """The latency of an idle server: its median and spread."""

    median: float
    sigma: float

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2.0)


class Part(Struct, frozen=True):
    """One mechanism with its parameters: what makes it, and what it lets through.

    pace: answers a second at most, in the long run. burst: calls that pass at once at the start. refuses:
    whether it ever refuses a call. pushy: who takes no notice of refusals can be faster than the oracle.
    window: how many calls fit in one of its windows.
    """

    words: str
    gate: Callable[[Random], Gate] | None = None
    server: Callable[[Random, Service], AnswerQueue] | None = None
    pace: float = math.inf
    burst: float = 0.0
    refuses: bool = True
    pushy: bool = False
    window: int = 0


def _units(dimension: str) -> float:
    """What a call of the family's work costs in a dimension, on average."""
    if dimension == "requests":
        return 1.0
    return INPUT if dimension == "input-tokens" else INPUT + OUTPUT


def _calm(draw: Draw, service: Service) -> Part:
    return Part("nothing is refused", refuses=False)


def _bucket(draw: Draw, service: Service) -> Part:
    dimension = draw.pick("by", "requests", "requests", "tokens", "input-tokens")
    rate, depth = draw.number("rate", 2, 80), draw.number("depth", 0.5, 20)
    charges = draw.pick("charges", "reserved", "produced")
    shown = draw.pick("shown", "capacity", "rate")
    unit = _units(dimension)

    def gate(random: Random) -> Gate:
        shown_rate = rate * unit * 60.0 if shown == "rate" else None
        return BucketGate(rate * unit, rate * unit * depth, dimension, reserved=charges == "reserved",
                      shown=shown_rate)  # fmt: skip

    words = f"{rate * unit:.4g} {dimension} a second in a bucket of {depth:g} s"
    return Part(words, gate, pace=rate, burst=rate * depth)


def _sliding(draw: Draw, service: Service) -> Part:
    seconds = draw.number("window", 1, 20)
    most = draw.whole("most", max(2, round(2 * seconds)), round(60 * seconds))
    counts = draw.pick("counts", "admitted", "admitted", "all")
    return Part(
        f"{most} calls in any {seconds:g} s" + (", refused ones counted" * (counts == "all")),
        lambda random: SlidingWindow(most, seconds, counts_refusals=counts == "all"),
        pace=most / seconds,
        burst=most,
        window=most,
    )


def _clock(draw: Draw, service: Service) -> Part:
    seconds = draw.number("window", 1, 60)
    most = draw.whole("most", max(2, round(2 * seconds)), round(60 * seconds))
    offset = draw.number("offset", 0.001, 1.0) * seconds
    dimension = draw.pick("by", "requests", "requests", "tokens")
    unit = _units(dimension)
    return Part(
        f"{most * unit:.6g} {dimension} in each {seconds:g} s of the clock",
        lambda random: ClockWindow(most * unit, seconds, offset, dimension),
        pace=most / seconds,
        burst=most,
        window=most,
    )


def _cap(draw: Draw, service: Service) -> Part:
    most = draw.whole("most", 2, 120)
    words = f"at most {most} in flight, no queue"
    return Part(words, lambda random: Cap(most), pace=most / service.mean, burst=0)


def _queue(draw: Draw, service: Service) -> Part:
    slots = draw.whole("slots", 2, 64)
    queue = draw.whole("queue", 2, 128)
    return Part(
        f"{slots} served at once, {queue} more wait, any further is refused",
        lambda random: Cap(slots + queue),
        lambda random, service: SlotQueue(slots, service.median, service.sigma, random),
        pace=slots / service.mean,
    )


def _chance(draw: Draw, service: Service) -> Part:
    share = draw.number("share", 0.003, 0.15)
    status = int(draw.pick("status", "429", "429", "503", "529"))
    words = f"{share:.1%} of all calls get a {status} by chance"
    return Part(words, lambda random: Chance(share, status, random))


def _shared(draw: Draw, service: Service) -> Part:
    rate, memory = draw.number("rate", 5, 100), draw.number("memory", 0.3, 3)
    return Part(
        f"a shared {rate:g} calls a second: what is beyond is refused at random",
        lambda random: SharedCapacity(rate, memory, random),
        pace=rate,
        burst=rate * memory,
    )


def _soft(draw: Draw, service: Service) -> Part:
    rate, power = draw.number("rate", 5, 100), draw.number("power", 12, 60)
    memory = draw.number("memory", 0.3, 3)
    pace = SoftCapacity(rate, power, memory, Random(0)).polite_rate
    return Part(
        f"a backend that is busier the nearer to {rate:g} a second, by a power of {power:.0f}",
        lambda random: SoftCapacity(rate, power, memory, random),
        pace=pace,
        burst=pace * memory,
        pushy=True,
    )


def _gateway(draw: Draw, service: Service) -> Part:
    # Five calls or more in each key's bucket: with fewer, a random choice alone refuses a tenth.
    keys, rate = draw.whole("keys", 2, 8), draw.number("rate", 20, 100)
    depth, pick = draw.number("depth", 2, 20), draw.pick("pick", "random", "turn")
    return Part(
        f"{keys} keys of {rate / keys:.3g} a second each behind one address, taken "
        + ("in turn" if pick == "turn" else "at random"),
        lambda random: Gateway(keys, rate, depth, random, in_turn=pick == "turn"),
        pace=rate,
        burst=rate * depth,
    )


def _neighbours(draw: Draw, service: Service) -> Part:
    rate, depth = draw.number("rate", 5, 80), draw.number("depth", 0.5, 10)
    share = draw.number("share", 0.1, 0.5)
    return Part(
        f"{rate:g} a second in a bucket of {depth:g} s, of which others take {share:.0%} now and then",
        lambda random: Neighbours(rate, depth, share * rate, random),
        pace=rate * (1.0 - share / 2.0),
        burst=rate * depth,
        pushy=True,
    )


def _path(draw: Draw) -> tuple[str, Callable[[Random], Path]]:
    how = draw.pick("path", "walk", "down", "up", "wave")
    if how == "walk":
        return "wanders", lambda random: random_walk(random, WALK)
    if how == "wave":
        period, depth = draw.number("period", 40, 200), draw.number("swing", 0.3, 0.7)
        phase = draw.number("phase", 0.001, 1.0)
        return f"falls by {depth:.0%} and rises in {period:g} s", lambda random: wave(
            period, depth, phase
        )
    at = draw.number("at", 5, 15)
    factor = draw.number("factor", 0.3, 0.7) if how == "down" else draw.number("factor", 1.5, 3)
    return f"is {factor:g} times as much from {at:g} s on", lambda random: step_to(factor, at)


def _wandering(draw: Draw, service: Service) -> Part:
    rate, depth = draw.number("rate", 5, 60), draw.number("depth", 0.5, 5)
    words, path = _path(draw)
    return Part(
        f"{rate:g} a second in a bucket of {depth:g} s, and the rate {words}",
        lambda random: WanderingBucket(rate, depth, path(random)),
        pace=rate,
        burst=rate * depth,
    )


def _wandering_cap(draw: Draw, service: Service) -> Part:
    most = draw.whole("most", 4, 80)
    words, path = _path(draw)
    return Part(
        f"at most {most} in flight, and that {words}",
        lambda random: WanderingCap(most, path(random)),
        pace=most / service.mean,
    )


def _limit_req(draw: Draw, service: Service) -> Part:
    rate, burst = draw.number("rate", 5, 60), draw.whole("burst", 1, 40)
    nodelay = draw.pick("nodelay", "yes", "no")
    return Part(
        f"nginx limit_req rate={rate:g}r/s burst={burst}{' nodelay' * (nodelay == 'yes')}",
        lambda random: LimitReq(rate, burst, nodelay=nodelay == "yes"),
        pace=rate,
        burst=burst,
    )


def _slots(draw: Draw, service: Service) -> Part:
    slots = draw.whole("slots", 2, 128)
    return Part(
        f"{slots} slots and an endless queue",
        server=lambda random, service: SlotQueue(slots, service.median, service.sigma, random),
        pace=slots / service.mean,
        refuses=False,
    )


def _halved(draw: Draw, service: Service) -> Part:
    slots, at = draw.whole("slots", 4, 64), draw.number("at", 5, 20)
    return Part(
        f"{slots} slots and an endless queue, half of them gone at {at:g} s",
        server=lambda random, service: SlotQueue(
            slots, service.median, service.sigma, random, halved_at=at
        ),
        pace=0.6 * slots / service.mean,
        refuses=False,
    )


def _haproxy(draw: Draw, service: Service) -> Part:
    slots, patience = draw.whole("slots", 2, 32), draw.number("patience", 0.5, 5)
    return Part(
        f"HAProxy with maxconn {slots}: more wait, and after {patience:g} s get a 503",
        server=lambda random, service: SlotQueue(
            slots, service.median, service.sigma, random, patience=patience
        ),
        pace=slots / service.mean,
    )


def _batching(draw: Draw, service: Service) -> Part:
    knee, power = draw.number("knee", 8, 128), draw.number("power", 1.5, 6)
    return Part(
        f"a batching server, latency doubles by {knee:g} at once",
        server=lambda random, service: Batching(knee, power, service.median, service.sigma, random),
        pace=knee / service.mean,
        refuses=False,
    )


# fmt: off
KINDS: dict[str, Callable[[Draw, Service], Part]] = {
    "calm": _calm,
    "bucket": _bucket,
    "sliding": _sliding,
    "clock": _clock,
    "cap": _cap,
    "queue": _queue,
    "chance": _chance,
    "shared": _shared,
    "soft": _soft,
    "gateway": _gateway,
    "neighbours": _neighbours,
    "wandering": _wandering,
    "wandering-cap": _wandering_cap,
    "nginx": _limit_req,
    "haproxy": _haproxy,
    "slots": _slots,
    "halved": _halved,
    "batching": _batching,
}
# fmt: on
