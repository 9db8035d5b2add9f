"""Plays rows: each seed's world by every contender, in several processes, with the oracle's time beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing import get_context
from random import Random

from msgspec import Struct

from bench.rates.baselines import Aimd, Plain, PlainLoop
from bench.rates.lab import Fault, Lab, Outcome
from bench.rates.policy import Contender, Policy, Refusal
from bench.rates.rows import CALM, Row
from flowpool.worlds import Scene, draw_scene

# A run that takes so many times the oracle's time and seconds more isn't waited for.
PATIENCE, GRACE = 8.0, 60.0
SHARE_SPAN = (15.0, 75.0)  # seconds that "share" measures
BATCH = 5  # seeds that a process plays at a time
# 50 calls with faults: how many of each, and what their attempts meet.
PLANTED: tuple[tuple[int, list[Fault]], ...] = (
    (12, ["500", "500"]),
    (12, ["429"]),
    (10, ["drop"]),
    (4, ["hang"]),
    (8, ["json"]),
    (4, ["400"]),
)


class Figures(Struct, frozen=True):
    """One contender's run. time: seconds for all items; ratio: over the oracle's; granted: refusals that nothing
    could have avoided, by chance or planted."""

    time: float
    ratio: float
    refused: int
    sent: int
    lost: int
    peak: int
    pace: float
    latency: float
    granted: int = 0


class Run(Struct, frozen=True):
    """One seed of a row. oracle, latency: the oracle's seconds and its median latency. pushy: whether who takes no
    notice of refusals can beat the oracle."""

    seed: int
    spec: str
    words: str
    items: int
    oracle: float
    latency: float
    pushy: bool
    figures: dict[str, Figures]


class Eager(PlainLoop):
    """The oracle of planted faults: 100 at once, and what failed is asked again at once."""

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        return 0.0


def contender(name: str) -> Contender:
    """A contender by name: a baseline, or the class `Name` of `bench.rates.name_policy`.

    Raises `ImportError` where there is no such module.
    """
    if name == "plain":
        return Plain()
    if name == "aimd":
        return Aimd()
    module = import_module(f"bench.rates.{name}_policy")
    found: Contender = getattr(module, name.title())()
    return found


def play_row(row: Row, seeds: Sequence[int], names: Sequence[str]) -> list[Run]:
    """The runs of some seeds, each in the same world by every contender."""
    return [_play(row, seed, names) for seed in seeds]


def _play(row: Row, seed: int, names: Sequence[str]) -> Run:
    scene = draw_scene(row.specs[seed % len(row.specs)], seed)
    faults = planted(scene.items, seed) if row.faults else None
    oracle, latency = _oracle(row, scene, faults)
    figures = {}
    for name in names:
        who = contender(name)
        if row.flows is not None and hasattr(who, "fixed"):
            who = who.fixed(row.flows)
        figures[name] = _figures(row, scene, oracle, who, faults)
    return Run(seed, scene.spec, scene.words, scene.items, oracle, latency, scene.pushy, figures)


def _oracle(row: Row, scene: Scene, faults: dict[int, list[Fault]] | None) -> tuple[float, float]:
    """The oracle's seconds and median latency."""
    if row.faults:
        outcome = run(scene, [Eager(Random(scene.seed), scene.ceiling)], faults)
        return outcome.seconds, outcome.latency
    if row.measure == "share":
        return SHARE_SPAN[1] - SHARE_SPAN[0], scene.service.median
    oracle = scene.oracle_run()
    return oracle.seconds, oracle.latency


def _figures(
    row: Row,
    scene: Scene,
    oracle: float,
    who: Contender,
    faults: dict[int, list[Fault]] | None,
) -> Figures:
    random = Random(f"policy {scene.seed}")
    policies = who.start(row.clients, random, None)
    horizon = SHARE_SPAN[1] if row.measure == "share" else oracle * PATIENCE + GRACE
    outcome = run(scene, policies, faults, horizon)
    if row.measure == "share":
        return _share(scene, outcome)
    if row.measure == "after":
        return _after(scene, outcome, policies, who)
    planted_limits = sum(met.count("429") for met in (faults or {}).values())
    return _told(outcome, outcome.seconds, outcome.seconds / oracle, planted_limits)


def run(
    scene: Scene,
    policies: Sequence[Policy],
    faults: dict[int, list[Fault]] | None = None,
    horizon: float = math.inf,
) -> Outcome:
    """One run of a scene by some clients."""
    lab = Lab(scene.world(), scene.calls(), policies, scene.seed, faults=faults, horizon=horizon)
    return lab.run()


def planted(items: int, seed: int) -> dict[int, list[Fault]]:
    """Which calls have faults planted."""
    random = Random(f"faults {seed}")
    where = random.sample(range(items), sum(count for count, _ in PLANTED))
    meets = [list(faults) for count, faults in PLANTED for _ in range(count)]
    return dict(zip(where, meets, strict=True))


def _told(outcome: Outcome, time: float, ratio: float, granted: int = 0) -> Figures:
    return Figures(time, ratio, outcome.refused, outcome.sent, outcome.lost, outcome.peak, outcome.pace,
                   outcome.latency, outcome.by_chance + granted)  # fmt: skip


def _share(scene: Scene, outcome: Outcome) -> Figures:
    """How many were answered in the span, as times that the allowed ones would have taken."""
    start, end = SHARE_SPAN
    answered = sum(start <= moment < end for moment in outcome.moments)
    allowed = scene.parts[0].pace * (end - start)
    ratio = allowed / answered if answered else math.inf
    return _told(outcome, (end - start) * ratio, ratio)


def _after(scene: Scene, outcome: Outcome, policies: list[Policy], who: Contender) -> Figures:
    """A calm run with the memory of this one, in times of one without memory."""
    at = outcome.seconds if outcome.seconds < math.inf else 1000.0
    memory = who.memory(policies, at)
    calm = draw_scene(f"{CALM} items=600", scene.seed)
    times = []
    for known in (None, memory):
        random = Random(f"calm {scene.seed}")
        outcome = run(calm, who.start(1, random, known), horizon=300.0)
        times.append(outcome.seconds)
    return _told(outcome, times[1], times[1] / times[0])


def _job(job: tuple[int, Row, Sequence[int], Sequence[str]]) -> tuple[int, list[Run]]:
    number, row, seeds, names = job
    return number, play_row(row, seeds, names)


def play(
    rows: Sequence[Row], seeds: range, names: Sequence[str], processes: int
) -> Iterator[tuple[Row, list[Run]]]:
    """Each row with its runs, in order, as they are ready."""
    jobs = [
        (number, row, seeds[start : start + BATCH], names)
        for number, row in enumerate(rows)
        for start in range(0, len(seeds), BATCH)
    ]
    runs: dict[int, list[Run]] = {number: [] for number in range(len(rows))}
    following = 0
    with get_context("fork").Pool(processes) as pool:
        for number, some in pool.imap_unordered(_job, jobs):
            runs[number] += some
            while following < len(rows) and len(runs[following]) == len(seeds):
                yield rows[following], sorted(runs.pop(following), key=lambda run: run.seed)
                following += 1
