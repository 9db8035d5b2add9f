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

# For each kind its mechanisms, and for each of those ranges of parameters, which are divided between the halves.
# fmt: off
VARIANTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "bucket": (
        ("bucket by=requests depth=0.5..1", "bucket by=requests depth=1..2"),
        ("bucket by=requests depth=5..10 rate=5..40", "bucket by=requests depth=10..20 rate=2..20"),
        ("bucket by=requests rate=2..5 depth=1..5", "bucket by=requests rate=60..100 depth=1..5"),
        ("bucket by=tokens depth=0.5..2", "bucket by=tokens|input-tokens depth=5..10"),
        ("bucket by=tokens rate=4..12 depth=10..30 spread=10",
         "bucket by=tokens rate=8..20 depth=3..10 spread=10"),
    ),
    "sliding": (
        ("sliding window=1..2 counts=admitted", "sliding window=2..5 counts=admitted"),
        ("sliding window=5..10 counts=admitted", "sliding window=10..20 counts=admitted"),
        ("sliding window=1..4 counts=all", "sliding window=4..15 counts=all"),
    ),
    "clock": (
        ("clock window=1 by=requests most=5..30", "clock window=1 by=requests most=30..90"),
        ("clock window=2 by=requests", "clock window=3..6 by=requests"),
        ("clock window=10 by=requests", "clock window=12..20 by=requests"),
        ("clock window=60 by=requests most=100..400", "clock window=60 by=requests most=400..1200"),
        ("clock window=10 by=tokens", "clock window=60 by=tokens most=200..1200"),
    ),
    "cap": (
        ("cap most=2..5", "cap most=6..10"),
        ("cap most=10..24", "cap most=24..48"),
        ("cap most=48..80", "cap most=80..120"),
        ("cap most=5..20 latency=1..3 sigma=0.3", "cap most=20..50 latency=1..3 sigma=0.6"),
    ),
    "queue": (
        ("queue slots=2..8 queue=2..16", "queue slots=9..32 queue=8..64"),
        ("queue slots=8..24 queue=64..128", "queue slots=24..64 queue=64..128"),
        ("queue slots=2..6 queue=1..4", "queue slots=6..24 queue=1..4 sigma=0.6"),
    ),
    "chance": (
        ("chance share=0.003..0.01 status=429", "chance share=0.01..0.02 status=429"),
        ("chance share=0.02..0.04 status=429", "chance share=0.04..0.07 status=429"),
        ("chance share=0.07..0.1 status=429", "chance share=0.1..0.15 status=429"),
        ("chance share=0.005..0.03 status=503", "chance share=0.03..0.1 status=503"),
        ("chance share=0.005..0.03 status=529 sigma=0.6", "chance share=0.03..0.1 status=529"),
    ),
    "shared": (
        ("shared rate=5..12 memory=0.3..1", "shared rate=12..30 memory=0.3..1"),
        ("shared rate=30..60 memory=0.3..1", "shared rate=60..100 memory=0.3..1"),
        ("shared rate=10..30 memory=1..3", "shared rate=30..60 memory=1..3"),
    ),
    "soft": (
        ("soft power=30..60 rate=10..30", "soft power=30..60 rate=30..100"),
        ("soft power=15..30 rate=10..30", "soft power=15..30 rate=30..60"),
        ("soft power=20..50 memory=1..2", "soft power=20..50 memory=2..3"),
    ),
    "gateway": (
        ("gateway keys=2 pick=random", "gateway keys=3..4 pick=random rate=20..100"),
        ("gateway keys=5..7 pick=random rate=30..100 depth=4..20",
         "gateway keys=8..10 pick=random rate=40..100 depth=4..20"),
        ("gateway keys=2..4 pick=turn", "gateway keys=5..10 pick=turn rate=30..100"),
    ),
    "neighbours": (
        ("neighbours share=0.1..0.25 depth=0.5..2", "neighbours share=0.1..0.25 depth=2..10"),
        ("neighbours share=0.25..0.5 depth=2..10", "neighbours share=0.25..0.5 depth=0.5..2"),
    ),
    "wandering": (
        ("wandering path=walk depth=0.5..2", "wandering path=walk depth=2..5"),
        ("wandering path=down at=4..8", "wandering path=down at=8..15"),
        ("wandering path=up at=4..8", "wandering path=up at=8..15"),
        ("wandering path=wave period=40..80", "wandering path=wave period=80..200"),
    ),
    "wandering-cap": (
        ("wandering-cap path=walk most=4..20", "wandering-cap path=walk most=20..80"),
        ("wandering-cap path=down at=4..8", "wandering-cap path=down at=8..15"),
        ("wandering-cap path=up at=4..8", "wandering-cap path=up at=8..15"),
        ("wandering-cap path=wave period=40..80", "wandering-cap path=wave period=80..200"),
    ),
    "nginx": (
        ("nginx nodelay=yes burst=1..8", "nginx nodelay=yes burst=8..40"),
        ("nginx nodelay=no burst=1..8", "nginx nodelay=no burst=8..40"),
        ("nginx nodelay=yes refusal=429 rate=5..20", "nginx nodelay=yes refusal=429 rate=20..60"),
    ),
    "haproxy": (
        ("haproxy slots=2..8 patience=0.5..2", "haproxy slots=8..32 patience=0.5..2"),
        ("haproxy slots=2..8 patience=2..5", "haproxy slots=8..32 patience=2..5"),
    ),
    "slots": (
        ("slots slots=2..8 sigma=0", "slots slots=8..20 sigma=0"),
        ("slots slots=20..50 sigma=0.3", "slots slots=50..128 sigma=0.3"),
        ("slots slots=4..16 sigma=0.6", "slots slots=16..64 sigma=0.6"),
    ),
    "halved": (
        ("halved slots=4..16", "halved slots=16..64"),
    ),
    "batching": (
        ("batching knee=8..32 power=1.5..3", "batching knee=32..128 power=1.5..3"),
        ("batching knee=8..32 power=3..6", "batching knee=32..128 power=3..6"),
    ),
}
# fmt: on

# Mechanisms that are found together: a gateway's in front of a backend's. Windows that count refusals stand alone:
# with another gate that refuses, who isn't told of both is hardly ever let in.
PAIRED = ("bucket", "clock", "sliding counts=admitted", "cap", "chance", "shared", "soft", "gateway", "neighbours",
          "wandering", "wandering-cap", "nginx", "slots")  # fmt: skip
# Two of the same nature that would only be one of them, the narrower one.
SAME = ({"cap", "wandering-cap"}, {"shared", "soft"}, {"gateway", "neighbours"})

# Mechanisms that may be told of with any words, and those that count, so that headers can say how much is left.
TELLING = ("bucket by=requests", "clock by=requests window=2..20",
           "sliding window=2..10 counts=admitted", "cap", "chance", "shared", "gateway")  # fmt: skip
COUNTING = ("bucket by=requests", "bucket by=tokens depth=2..10", "clock by=requests window=2..20",
            "sliding window=2..10 counts=admitted", "gateway")  # fmt: skip
SAYINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "which limit was reached": (TELLING, ("names=yes",)),
    "Retry-After right": (COUNTING, ("retry=right",)),
    "Retry-After always 1": (TELLING, ("retry=1",)),
    "Retry-After always 60": (TELLING, ("retry=60",)),
    "Retry-After in the far future": (TELLING, ("retry=far",)),
    "refused after half a second": (TELLING, ("late=0.5",)),
    "headers right": (
        COUNTING,
        (
            "headers=right style=openai",
            "headers=right style=anthropic",
            "headers=right style=mistral",
        ),
    ),
    "headers and Retry-After right": (COUNTING, ("headers=right retry=right style=openai",)),
    "headers stale": (COUNTING, ("headers=stale", "headers=stale retry=right")),
    "headers zero": (TELLING, ("headers=zero",)),
    "headers jumping": (COUNTING, ("headers=jumping",)),
    "headers on refusals only: 60, 0, 1 s": (
        TELLING,
        ("headers=refusals", "headers=refusals retry=1"),
    ),
    "headers of the day": (TELLING, ("headers=day",)),
}


REFUSING = tuple(kind for kind in VARIANTS if kind not in ("slots", "halved", "batching"))
# All ways at once, each drawn for itself.
ANY_WORDS = ("retry=absent|right|1|60|far headers=absent|right|stale|zero|jumping|refusals|day "
             "style=openai|anthropic|mistral late=0|0.5 names=yes|no")  # fmt: skip


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
    """The variants of a kind in one half: some of each mechanism."""
    chosen: list[str] = []
    for alternatives in VARIANTS[kind]:
        halves = half_of(alternatives)
        chosen += [spec for spec in alternatives if halves[spec] == half]
    return tuple(chosen)


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
    worlds, said = SAYINGS[name]
    every = [f"{world} {words}" for world in worlds for words in said]
    halves = half_of(every)
    return tuple(spec for spec in every if halves[spec] == half)
