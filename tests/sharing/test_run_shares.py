"""Runs that use one key share its limit, and what was learned of it is known to the next run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flowpool import Model, Pool, Skill
from flowpool.pool import DONE
from flowpool.run.environment import Environment
from flowpool.sharing import Sharing
from flowpool.simulator import PROFILES, Fixed, SimTransport, SimulatedProvider, run_virtual

LIMIT = 600  # requests a minute


def provider(headers: str) -> SimulatedProvider:
    limits = {"rpm": LIMIT, "tpm": None, "depth": 1.0, "meaning": "rate"}
    profile = PROFILES["openai"].replace(**limits, latency=Fixed(0.3), headers=headers)
    return SimulatedProvider(profile)


def pool_of(at: SimulatedProvider, sharing: Sharing | None, count: int, seed: int = 0) -> Pool:
    skill = Skill(Model("m", base_url="http://sim.test/v1"), prompt="{text}")
    items = [{"text": f"{seed} {n}"} for n in range(count)]
    environment = Environment(SimTransport(at), {}, Random(seed), sharing)
    return Pool(skill, items, progress=False, environment=environment)


@pytest.mark.parametrize(("runs", "headers"), [(2, "openai"), (4, "openai"), (4, "none")])
def test_runs_at_one_key_use_its_limit_together_and_fairly(runs: int, headers: str) -> None:
    at, sharing = provider(headers), Sharing(None)
    pools = [pool_of(at, sharing, 3000, seed) for seed in range(runs)]

    async def together() -> list[int]:
        tasks = [asyncio.create_task(pool.arun()) for pool in pools]
        await asyncio.sleep(30)  # without headers the limit must be found first
        before = [pool.status[DONE] for pool in pools]
        await asyncio.sleep(90)
        done = [pool.status[DONE] - begun for pool, begun in zip(pools, before, strict=True)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return done

    done = run_virtual(together())
    assert sum(done) >= (0.95 if headers == "openai" else 0.85) * 1.5 * LIMIT
    # Each begins with sixteen calls, and all of them with a bucket of ten.
    begun = (16 if headers == "none" else 32) * runs
    assert at.ledger.throttled <= begun + (0.01 if headers == "openai" else 0.05) * sum(done)
    assert all(0.8 <= part / (sum(done) / runs) <= 1.2 for part in done)


def test_the_next_run_starts_at_the_rate_that_was_learned(tmp_path: Path) -> None:
    seconds = []
    for _ in range(2):
        at = provider("none")

        async def timed() -> Any:
            start = asyncio.get_running_loop().time()
            pool = pool_of(at, Sharing(tmp_path), 600)  # noqa: B023
            await pool.arun()
            return asyncio.get_running_loop().time() - start

        seconds.append((run_virtual(timed()), at.ledger.throttled))
    (first, refused_first), (second, refused_second) = seconds
    assert second <= 1.02 * first
    assert refused_second <= refused_first


def test_a_run_without_sharing_leaves_nothing_behind(tmp_path: Path) -> None:
    at = provider("openai")
    run_virtual(pool_of(at, None, 50).arun())
    assert list(tmp_path.iterdir()) == []
