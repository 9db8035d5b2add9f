"""A simulated provider in virtual time, for tests that run pools."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from flowpool import Model, Pool, Skill
from flowpool.pool import Environment
from flowpool.simulator import Fixed, Profile, SimTransport, SimulatedProvider, run_virtual

# Tests share no limit with the user's own runs, and leave nothing in the user's cache.
os.environ["FLOWPOOL_SHARE"] = "off"


def pytest_collection_finish() -> None:
    """Leaves what is imported by now out of garbage collection: half a second for each test that collects."""
    gc.collect()
    gc.freeze()


class Simulation:
    """A provider, and pools that call it. `run` also sees to it that nothing is left behind."""

    def __init__(self, profile: Profile | None = None, *, seed: int = 0, **changes: Any) -> None:
        changes.setdefault("latency", Fixed(1.0))
        self.provider = SimulatedProvider((profile or Profile()).replace(**changes), seed)
        self.ledger = self.provider.ledger
        self.environment = Environment(SimTransport(self.provider), {}, Random(seed))
        self.pools: list[Pool] = []
        self.seconds = 0.0

    def model(self, name: str = "m", **settings: Any) -> Model:
        return Model(name, base_url="http://sim.test/v1", **settings)

    def skill(self, prompt: str = "{text}", model: Any = None, **settings: Any) -> Skill:
        return Skill(model or self.model(), prompt=prompt, **settings)

    def pool(self, runner: Any = None, items: Any = 1, **settings: Any) -> Pool:
        if isinstance(items, int):
            items = [{"text": f"item {n}"} for n in range(items)]
        pool = Pool(
            runner or self.skill(), items, environment=self.environment, progress=False, **settings
        )
        self.pools.append(pool)
        return pool

    def run(self, work: Pool | Coroutine[Any, Any, Any]) -> Any:
        """What `work` gives, in virtual time; `seconds` is then how long it took."""

        async def main() -> Any:
            try:
                return await (work.arun() if isinstance(work, Pool) else work)
            finally:
                self.seconds = round(asyncio.get_running_loop().time(), 6)

        try:
            return run_virtual(main())
        finally:
            assert self.ledger.in_flight == 0
            for pool in self.pools:
                assert [lane for lane in pool.lanes if lane.in_flight] == []


@pytest.fixture
def simulate() -> type[Simulation]:
    """Makes a simulation: `simulate(latency=Fixed(2.0), rpm=60)`."""
    return Simulation
