"""The family that rows are drawn from: each kind's parameters in several variants, each pair, and how worlds speak.

A variant is a world with ranges in place of numbers. Half of them are tuned on and the other half is kept aside, by
a fixed hash of their words: both halves have every mechanism, with other parameters and in other company.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import combinations
from typing import Literal

Half = Literal["tune", "held"]

# fmt: off
VARIANTS: dict[str, tuple[str, ...]] = {
    "bucket": (
        "bucket by=requests depth=0.5..2",
        "bucket by=requests depth=5..20",
        "bucket by=requests rate=20..80 depth=1..10 sigma=0.3|0.6",
        "bucket by=tokens depth=0.5..2",
        "bucket by=tokens|input-tokens depth=5..20",
        "bucket by=requests rate=2..8",
    ),
    "sliding": (
        "sliding window=1..3 counts=admitted",
        "sliding window=1..3 counts=all",
        "sliding window=5..20 counts=admitted",
        "sliding window=5..20 counts=all",
    ),
    "clock": (
        "clock window=1 by=requests",
        "clock window=2 by=requests",
        "clock window=3..15 by=requests",
        "clock window=10 by=requests|tokens",
        "clock window=60 by=requests",
        "clock window=60 by=tokens most=300..1500",
    ),
    "cap": (
        "cap most=2..8",
        "cap most=9..30",
        "cap most=31..120",
        "cap most=5..50 sigma=0.6",
        "cap most=5..50 latency=1..3 sigma=0.3",
        "cap most=3..80 sigma=0 latency=0.1..0.3",
    ),
    "queue": (
        "queue slots=2..8 queue=2..16",
        "queue slots=9..32 queue=8..64",
        "queue slots=8..64 queue=64..128",
        "queue slots=2..16 queue=1..4 sigma=0.6",
    ),
    "chance": (
        "chance share=0.003..0.02 status=429",
        "chance share=0.02..0.06 status=429",
        "chance share=0.06..0.15 status=429",
        "chance share=0.005..0.08 status=503",
        "chance share=0.005..0.08 status=529 sigma=0.6",
        "chance share=0.01..0.1 status=429 late=0.5",
    ),
    "shared": (
        "shared rate=5..20 memory=0.3..1",
        "shared rate=20..100 memory=0.3..1",
        "shared rate=10..60 memory=1..3",
        "shared rate=10..60 sigma=0.6 late=0.5",
    ),
    "soft": (
        "soft power=30..60 rate=10..40",
        "soft power=30..60 rate=40..100",
        "soft power=15..30 rate=10..60",
        "soft power=20..50 memory=1..3",
    ),
    "gateway": (
        "gateway keys=2..4 pick=random depth=2..10",
        "gateway keys=5..10 pick=random rate=30..100 depth=4..20",
        "gateway keys=2..4 pick=turn",
        "gateway keys=5..10 pick=turn rate=30..100",
    ),
    "neighbours": (
        "neighbours share=0.1..0.25 depth=0.5..2",
        "neighbours share=0.25..0.5 depth=2..10",
        "neighbours share=0.1..0.25 depth=2..10",
        "neighbours share=0.25..0.5 depth=0.5..2",
    ),
    "wandering": (
        "wandering path=walk",
        "wandering path=walk depth=2..5 sigma=0.6",
        "wandering path=down at=4..8",
        "wandering path=down at=8..15",
        "wandering path=up at=4..8",
        "wandering path=up at=8..15",
        "wandering path=wave period=40..80",
        "wandering path=wave period=80..200",
    ),
    "wandering-cap": (
        "wandering-cap path=walk",
        "wandering-cap path=walk sigma=0.6",
        "wandering-cap path=down",
        "wandering-cap path=down latency=0.5..2",
        "wandering-cap path=up",
        "wandering-cap path=up latency=0.5..2",
        "wandering-cap path=wave period=40..80",
        "wandering-cap path=wave period=80..200",
    ),
    "nginx": (
        "nginx nodelay=yes burst=1..8",
        "nginx nodelay=yes burst=8..40",
        "nginx nodelay=no burst=1..8",
        "nginx nodelay=no burst=8..40",
    ),
    "haproxy": (
        "haproxy slots=2..8 patience=0.5..2",
        "haproxy slots=8..32 patience=0.5..2",
        "haproxy slots=2..8 patience=2..5",
        "haproxy slots=8..32 patience=1..5 sigma=0.6",
    ),
    "slots": (
        "slots slots=2..8",
        "slots slots=8..32",
        "slots slots=32..128",
        "slots slots=4..64 sigma=0.6",
    ),
    "halved": (
        "halved slots=4..16",
        "halved slots=16..64",
        "halved slots=4..64 sigma=0.6",
        "halved slots=8..32 latency=1..2",
    ),
    "batching": (
        "batching knee=8..32 power=1.5..3",
        "batching knee=32..128 power=1.5..3",
        "batching knee=8..32 power=3..6",
        "batching knee=32..128 power=3..6",
    ),
}
# fmt: on

# Mechanisms that are found together: a gateway's in front of a backend's.
PAIRED = ("bucket", "clock", "sliding", "cap", "chance", "shared", "soft", "gateway", "neighbours",
          "wandering", "wandering-cap", "nginx", "slots")  # fmt: skip
# Two of the same nature that would only be one of them, the narrower one.
SAME = ({"cap", "wandering-cap"}, {"shared", "soft"}, {"gateway", "neighbours"})

# Mechanisms that may tell a wait or a limit, and so may tell it wrongly.
TELLING = ("bucket by=requests", "clock by=requests window=2..20", "sliding window=2..10", "cap",
           "chance", "shared", "gateway")  # fmt: skip
SAYINGS: dict[str, tuple[str, ...]] = {
    "Retry-After right": ("retry=right",),
    "Retry-After always 1": ("retry=1",),
    "Retry-After always 60": ("retry=60",),
    "Retry-After in the far future": ("retry=far",),
    "refused after half a second": ("late=0.5",),
    "headers right": ("headers=right style=openai", "headers=right style=anthropic"),
    "headers stale": ("headers=stale",),
    "headers zero": ("headers=zero",),
    "headers jumping": ("headers=jumping",),
    "headers on refusals only: 60, 0, 1 s": ("headers=refusals", "headers=refusals retry=1"),
    "headers of the day": ("headers=day",),
}


def half_of(specs: Iterable[str]) -> dict[str, Half]:
    """Which half each of some alternatives is in: every other one, in the order of their hashes."""
    ordered = sorted(specs, key=_hash)
    # Where the count is odd, the first one's hash says which half has one more.
    first = _hash(ordered[0])[0] % 2 if ordered else 0
    halves: tuple[Half, Half] = ("tune", "held")
    return {spec: halves[(number + first) % 2] for number, spec in enumerate(ordered)}


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def variants(kind: str, half: Half) -> tuple[str, ...]:
    """The variants of a kind in one half."""
    halves = half_of(VARIANTS[kind])
    return tuple(spec for spec in VARIANTS[kind] if halves[spec] == half)


def pairs(half: Half) -> tuple[tuple[str, str], ...]:
    """The pairs of kinds in one half, each kind with some other in both."""
    every = [
        f"{one} + {other}"
        for one, other in combinations(PAIRED, 2)
        if not any({one, other} <= same for same in SAME)
    ]
    halves = half_of(every)
    chosen = [pair.split(" + ") for pair in every if halves[pair] == half]
    return tuple((one, other) for one, other in chosen)


def sayings(name: str, half: Half) -> tuple[str, ...]:
    """The worlds that speak in one way, in one half."""
    every = [f"{world} {words}" for world in TELLING for words in SAYINGS[name]]
    halves = half_of(every)
    return tuple(spec for spec in every if halves[spec] == half)
