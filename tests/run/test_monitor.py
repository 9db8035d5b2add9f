"""The look at a run from second to second: it ends with its run, and nothing that it meets ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flowpool import Pool
from flowpool.run.monitor import EVERY, PART, SELDOM
from flowpool.simulator import Fixed
from flowpool.store.reading import Reader


def test_a_reason_with_half_a_character_ends_the_run_as_any_other(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield {"text": "a"}
        raise ValueError("caf\udce9")

    def upper(text: str) -> str:
        return text.upper()

    store = tmp_path / "run.db"
    with pytest.raises(ValueError, match="caf"):
        Pool(upper, rows(), store=store).run()
    with Reader(store) as reader:
        [run] = reader.runs()
        [end] = reader.events(run.id, "end")
    assert "caf\\udce9" in run.reason
    assert end.data["reason"] == run.reason


def test_no_look_comes_after_a_run_that_was_cancelled_twice(simulate) -> None:
    sim = simulate(latency=Fixed(5.0))
    pool = sim.pool(items=100, max_flows=10)

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(3.0)
        run.cancel()
        await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        seen = len(pool._session.samples)
        await asyncio.sleep(30.0)
        return seen, len(pool._session.samples)

    seen, later = sim.run(main())
    assert seen == later


def test_samples_get_rarer_and_looks_stay_frequent(simulate) -> None:
    sim = simulate(latency=Fixed(60.0))
    pool = sim.pool(items=300, max_flows=1)
    pauses = []

    async def main() -> Any:
        run = asyncio.create_task(pool.arun())
        await asyncio.sleep(4 * 3600.0)
        pool.pause()
        await asyncio.sleep(60.0)
        pool.go()
        await asyncio.sleep(0.1)
        pauses.append(pool.snapshot.bottleneck)
        pool.cancel()
        await run

    sim.run(main())
    samples = pool._session.samples
    gaps = [after.elapsed - before.elapsed for before, after in pairwise(samples)]
    assert gaps[0] == pytest.approx(EVERY, abs=0.1)
    assert 4 * 3600 * PART * 0.9 < max(gaps) < 4 * 3600 * PART + 2 * SELDOM
    assert len(samples) < 3000
    assert pauses[0].kind != "held"
