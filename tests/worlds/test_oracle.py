"""The oracle's time: a formula's where there is one, and a bound that loops without knowledge don't beat."""

from __future__ import annotations

from random import Random

import pytest
from bench.rates.baselines import AimdWindow, PlainLoop
from bench.rates.lab import Lab

from flowpool.worlds import KINDS, draw_scene

FIXED = "latency=0.2 sigma=0"


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        (f"calm {FIXED} items=600 ceiling=100", 1.2),
        (f"cap most=20 {FIXED} items=600", 6.0),
        (f"slots slots=16 {FIXED} items=400", 5.0),
        # 600 calls less the 50 that the bucket holds, at 50 a second, and the last one's latency.
        (f"bucket by=requests rate=50 depth=1 {FIXED} items=600", 11.2),
        # Five windows of 100 after the first one, which has one second left.
        (f"clock by=requests window=2 most=100 offset=0.5 {FIXED} items=600", 1.0 + 4 * 2.0 + 0.2),
        (f"sliding window=4 most=100 {FIXED} items=600", 5 * 4.0 + 0.2),
        (f"gateway keys=4 rate=50 depth=1 {FIXED} items=1200", 23.2),
        ("halved slots=8 at=10 latency=0.5 sigma=0 items=300", 27.5),
        # nginx holds the rest back: the calls leave it at its rate.
        (f"nginx rate=20 burst=10 nodelay=no {FIXED} items=201", 10.2),
    ],
)  # fmt: skip
def test_the_oracles_time_is_what_a_formula_says(spec: str, seconds: float) -> None:
    assert draw_scene(spec, 1).oracle() == pytest.approx(seconds, abs=0.02)


def test_the_oracle_of_a_batching_server_is_the_best_of_the_fixed_windows() -> None:
    scene = draw_scene("batching knee=32 power=6 latency=0.5 sigma=0 items=960", 1)
    assert 960 / (32 / 0.5) <= scene.oracle() <= 1.1 * 960 / (32 / 0.5)


def test_the_oracle_asks_again_what_chance_refused() -> None:
    calm = draw_scene(f"calm {FIXED} items=600 ceiling=100", 1).oracle()
    chance = draw_scene(f"chance share=0.1 {FIXED} items=600 ceiling=100", 1).oracle()
    assert 1.0 < chance / calm < 1.3


def loops_time(spec: str, seed: int) -> tuple[float, float]:
    """The quickest of the loops' times, and the oracle's."""
    scene = draw_scene(spec, seed)
    times = []
    for make in (PlainLoop, AimdWindow):
        lab = Lab(scene.world(), scene.calls(), [make(Random(seed))], seed, horizon=3600.0)
        times.append(lab.run().seconds)
    return min(times), scene.oracle()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("soft", "neighbours")])
def test_no_loop_without_knowledge_beats_the_oracle(kind: str) -> None:
    for seed in range(12):
        loop, oracle = loops_time(f"{kind} items=400", seed)
        # Shared capacity admits a little more than its rate to who comes in bursts: a second or two of it.
        later = 2.5 if kind == "shared" else 0.3
        # Small calls that overtake a large one fill a window of tokens better than calls in their order do.
        tight = 0.95 if kind == "clock" else 0.985
        assert loop >= oracle * tight - later, (kind, seed)


@pytest.mark.parametrize("kind", ["soft", "neighbours"])
def test_who_takes_no_notice_of_refusals_gains_a_little_on_a_polite_oracle(kind: str) -> None:
    for seed in range(12):
        loop, oracle = loops_time(f"{kind} items=400", seed)
        assert loop >= oracle * 0.7
