"""The rows of the table: what is played, and the bars that a pool with nothing configured must reach.

A row has one or more worlds with open parameters; each seed takes the next of them and draws what it leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from bench.rates.family import (
    ANY_WORDS,
    PAIRED,
    REFUSING,
    SAYINGS,
    VARIANTS,
    Half,
    pairs,
    sayings,
    variants,
)

# Calls in the family's rows last some tenths of a second; a run without anything that binds lasts seconds.
CALM = "calm latency=0.2 sigma=0"


class Bar(Struct, frozen=True):
    """What holds a row: times of the oracle's time, as the median and the worst of all seeds, and refusals as a
    share of the items plus so many calls, beside what chance brings. plain: times of the plain loop's time, as
    the median. seconds: the worst in seconds instead."""

    median: float
    worst: float
    refused: float = 0.0
    calls: int = 0
    plain: float = math.inf
    seconds: float | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} s"
        refused = f"{self.refused:.1%}" + (f" + {self.calls}" if self.calls else "")
        return f"{self.median:.3g}/{self.worst:.3g}, {refused if self.refused or self.calls else 'none'}"


class Row(Struct, frozen=True, kw_only=True):
    """A line of the table.

    measure: "items" compares the time for all items with the oracle's; "share" what several clients are answered
    from the 15th to the 75th second with what is allowed; "after" a calm run with the memory of the row's worlds
    with one that has none. faults: whether calls are planted with faults. tells_latency: whether the latency
    is printed too. flows: what a user configures as the most at once, where a contender can be told.
    """

    group: str
    name: str
    specs: tuple[str, ...]
    bar: Bar
    measure: Literal["items", "share", "after"] = "items"
    clients: int = 1
    faults: bool = False
    tells_latency: bool = False
    flows: int | None = None


CHANCE = Bar(1.3, 1.6, 0.005, plain=1.1)
CAP = Bar(1.1, 1.25, 0.02, 30)
CLOCK = Bar(1.1, 1.2, 0.01, 30)
SHARED = Bar(1.15, 1.3, 0.03, 30)
SLOTS = Bar(1.08, 1.08)
FRONT = Bar(1.2, 1.2, 0.05)
# A batching server's best fixed window gives all there is: 95 % of that is the bar. What latency that needs depends
# on the server's curve, so it is told and not judged; `python -m bench servers` judges it on real ones.
BATCH = Bar(1 / 0.95, 1.3)
# What one row of the issue names, and which kinds of the family it holds.
GROUPS: dict[str, tuple[Bar, tuple[str, ...]]] = {
    "chance": (CHANCE, ("chance",)),
    "cap in flight": (CAP, ("cap", "queue")),
    "windows": (CLOCK, ("clock", "sliding")),
    "shared capacity, gateways, wandering, neighbours": (
        SHARED,
        ("bucket", "shared", "soft", "gateway", "neighbours", "wandering", "wandering-cap"),
    ),
    "slots, no refusal": (SLOTS, ("slots",)),
    "slots, half of them gone": (Bar(1.15, 1.3), ("halved",)),
    "nginx and HAProxy in front": (FRONT, ("nginx", "haproxy")),
    "a server that batches": (BATCH, ("batching",)),
}


def rows(half: Half) -> tuple[Row, ...]:
    """The named cases, and this half of the family; the rows of a group together."""
    every = (*_named(), *_kinds(half), *_pairs(half), *_sayings(half), *_after(half))
    groups = list(dict.fromkeys(row.group for row in every))
    return tuple(sorted(every, key=lambda row: groups.index(row.group)))


def _named() -> Iterator[Row]:
    group = "nothing refuses"
    yield _one(
        group, "600 calls of 0.2 s, of 100 at once", f"{CALM} items=600 ceiling=100", Bar(1.8, 2.2)
    )
    yield _one(group, "2,000 calls of 2 s, of 1,000 at once",
               "calm latency=2 sigma=0 items=2000 ceiling=1000", Bar(1.15, 1.15))  # fmt: skip
    yield Row(group=group, name="2,000 calls of 2 s, max_flows=1,000, of 1,000 at once", flows=1000,
              specs=("calm latency=2 sigma=0 items=2000 ceiling=1000",), bar=Bar(1.15, 1.15))  # fmt: skip
    for share in (0.01, 0.03, 0.1):
        spec = f"chance share={share} status=429 latency=0.2 sigma=0 items=600"
        yield _one("chance", f"{share:.0%} of 600 calls of 0.2 s", spec, CHANCE)
        yield Row(group="chance", name=f"{share:.0%} of 600 calls of 0.2 s, max_flows=100", flows=100,
                  specs=(spec,), bar=CHANCE)  # fmt: skip
    yield _one("chance", "10 %, and a header of 60 a minute on refusals alone, 480 calls",
               "chance share=0.1 status=429 latency=0.2 sigma=0 items=480 headers=refusals", CHANCE)  # fmt: skip
    for most, items in ((4, 200), (20, 600), (100, 2000)):
        for sigma, words in (("0", "of 0.2 s"), ("0.6", "lognormal")):
            yield _one("cap in flight", f"{most}, {items:,} calls {words}",
                       f"cap most={most} latency=0.2 sigma={sigma} items={items}", CAP)  # fmt: skip
    for window, most, items in ((1, 50, 1000), (2, 100, 1200), (10, 300, 1050), (60, 500, 1200)):
        yield _one("windows", f"{most} in each {window} s, {items:,} calls",
                   f"clock window={window} most={most} by=requests latency=0.2 sigma=0 items={items}",
                   CLOCK)  # fmt: skip
    group = "shared capacity, gateways, wandering, neighbours"
    yield _one(group, "a gateway of 4 keys of 750 a minute, at random, 1,200 calls",
               "gateway keys=4 rate=50 depth=1 pick=random latency=0.2 sigma=0 items=1200",
               SHARED)  # fmt: skip
    yield _one(group, "50 a second, what is beyond refused at random, 1,200 calls",
               "shared rate=50 memory=1 latency=0.2 sigma=0 items=1200", SHARED)  # fmt: skip
    for slots, items in ((4, 240), (16, 400), (64, 600)):
        for sigma, words in (("0", "of 0.3 s"), ("0.5", "lognormal")):
            yield _one("slots, no refusal", f"{slots}, {items} calls {words}",
                       f"slots slots={slots} latency=0.3 sigma={sigma} items={items}", SLOTS)  # fmt: skip
    yield _one("slots, half of them gone", "8 slots, 4 from 10 s on, 300 calls of 0.5 s",
               "halved slots=8 at=10 latency=0.5 sigma=0 items=300", Bar(1.15, 1.3))  # fmt: skip
    group = "nginx and HAProxy in front"
    for nodelay in ("yes", "no"):
        yield _one(group, f"limit_req 20 a second, burst 10{' nodelay' * (nodelay == 'yes')}: 503, 400 calls",
                   f"nginx rate=20 burst=10 nodelay={nodelay} latency=0.2 sigma=0 items=400",
                   FRONT)  # fmt: skip
    yield _one(group, "maxconn 20, 600 calls of 0.2 s",
               "haproxy slots=20 patience=5 latency=0.2 sigma=0 items=600", FRONT)  # fmt: skip
    for depth in (1, 10):
        yield Row(group="several processes on one key", name=f"4, 3,000 a minute in a bucket of {depth} s",
                  specs=(f"bucket rate=50 depth={depth} by=requests latency=0.3 sigma=0.3 items=6000",),
                  bar=Bar(1 / 0.97, 1 / 0.97, 0.01), measure="share", clients=4)  # fmt: skip
    spread = "spread=10 latency=0.3 sigma=0.3"
    for name, spec in (
        ("a bucket of 10 s by tokens", f"bucket by=tokens rate=8 depth=10 items=400 {spread}"),
        ("a bucket of 60 s by tokens", f"bucket by=tokens rate=4 depth=60 items=400 {spread}"),
        (
            "a window of the minute by tokens",
            f"clock by=tokens window=60 most=300 items=700 {spread}",
        ),
    ):
        yield _one("token costs that vary 100-fold", name, spec, SHARED)
    yield Row(group="planted faults", name="50 in 300 calls of 0.1 s", faults=True,
              specs=("calm latency=0.1 sigma=0 items=300 ceiling=100",),
              bar=Bar(1.5, 1.8, seconds=9.0))  # fmt: skip


def _one(group: str, name: str, spec: str, bar: Bar) -> Row:
    return Row(group=group, name=name, specs=(spec,), bar=bar)


def _kinds(half: Half) -> Iterator[Row]:
    for group, (bar, kinds) in GROUPS.items():
        for kind in kinds:
            yield Row(
                group=group,
                name=f"any {kind}",
                specs=variants(kind, half),
                bar=bar,
                tells_latency=kind == "batching",
            )


def _pairs(half: Half) -> Iterator[Row]:
    """One row for each kind with all of its partners in this half."""
    for kind in PAIRED:
        specs = tuple(" + ".join(pair) for pair in pairs(half) if kind in pair)
        yield Row(
            group="two limits at once",
            name=f"{kind.split()[0]} and another",
            specs=specs,
            bar=SHARED,
        )


def _sayings(half: Half) -> Iterator[Row]:
    group = "what refusals and headers say"
    for name in SAYINGS:
        yield Row(group=group, name=name, specs=sayings(name, half), bar=SHARED)
    single = [spec for kind in VARIANTS if kind in REFUSING for spec in variants(kind, half)]
    every = [*single, *(" + ".join(pair) for pair in pairs(half))]
    yield Row(group=group, name="all of it, drawn for each: one limit or two",
              specs=tuple(f"{spec} {ANY_WORDS}" for spec in every), bar=SHARED)  # fmt: skip


def _after(half: Half) -> Iterator[Row]:
    specs = tuple(spec for kind in VARIANTS for spec in variants(kind, half))
    yield Row(group="a calm run after another", name="600 calls of 0.2 s after any of the kinds", specs=specs,
              bar=Bar(1.0, 1.0), measure="after")  # fmt: skip
