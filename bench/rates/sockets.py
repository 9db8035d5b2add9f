"""The worlds that the issue names, on real sockets: a pool of 100 flows and one on auto against each."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bench.common import SERVER_CPU, Row, child
from bench.rates.play import PLANTED
from flowpool.simulator import SimServer
from flowpool.worlds import draw_scene

FIXED = "latency=0.2 sigma=0"
TIMES = 1.3  # of the bound
FAULTS_WITHIN = 9.0  # seconds
CALLS_WITH_FAULTS = 300


class Case(Struct, frozen=True):
    """A world on sockets; its bound is the oracle's time."""

    name: str
    spec: str


CASES = (
    Case("nothing refuses", f"calm {FIXED} items=600 ceiling=100"),
    Case("1 % by chance", f"chance share=0.01 status=429 {FIXED} items=600 ceiling=100"),
    Case("3 % by chance", f"chance share=0.03 status=429 {FIXED} items=600 ceiling=100"),
    Case("10 % by chance", f"chance share=0.1 status=429 {FIXED} items=600 ceiling=100"),
    Case("at most 20 in flight", f"cap most=20 {FIXED} items=600"),
    Case("100 in each 2 s of the clock", f"clock by=requests window=2 most=100 {FIXED} items=1200"),
    Case(
        "a gateway of four keys", f"gateway keys=4 rate=50 depth=1 pick=random {FIXED} items=1200"
    ),
    Case("a shared 50 a second", f"shared rate=50 memory=1 {FIXED} items=1200"),
)


def sockets() -> list[Row]:
    """A row for each case, with 100 flows and with nothing configured, and the planted faults."""
    rows = []
    for case in CASES:
        for flows in (100, 0):
            rows.append(_row(case, flows))
    return [*rows, _faults(100), _faults(0)]


def _row(case: Case, flows: int) -> Row:
    scene = draw_scene(case.spec, 1)
    bound = scene.oracle()
    with _server(world=case.spec, world_seed=1) as server:
        wall = child("limited", server.url, str(scene.items), str(flows))["wall"]
        refused = server.ledger()["throttled"]
    return Row(
        f"{case.name}, {scene.items:,} calls, {_flows(flows)}",
        f"{wall:.2f} s, {refused} refused",
        f"bound {bound:.2f} s",
        f"{wall / bound:.2f}",
        f"{TIMES:g}",
        wall <= TIMES * bound,
    )


def _faults(flows: int) -> Row:
    with _server(world="calm latency=0.1 sigma=0") as server:
        wall = child("faulty", server.url, str(CALLS_WITH_FAULTS), str(flows))["wall"]
    count = sum(many for many, _ in PLANTED)
    return Row(
        f"{count} planted faults in {CALLS_WITH_FAULTS} calls of 0.1 s, {_flows(flows)}",
        f"{wall:.2f} s",
        "a hang ends after 5 s",
        "",
        f"{FAULTS_WITHIN:g} s",
        wall <= FAULTS_WITHIN,
    )


def _server(**world: Any) -> SimServer:
    return SimServer("free", cpu=SERVER_CPU, answer_chars=200, **world)


def _flows(flows: int) -> str:
    return f"{flows} flows" if flows else "auto"
