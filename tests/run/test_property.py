"""Whatever happens in a run, each item is accounted for once and nothing is left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from flowpool import Chain, Limits, Skill, Status
from flowpool.errors import FlowpoolError
from flowpool.plan import Plan
from flowpool.simulator import Fixed, Lognormal

SEEDS = 300
CHUNK = 50
FAULTS = ("429", "500", "503", "reset", "cut", "stall", "400", "401", "empty", "quota", "refuse")


def random_step(sim: Any, random: Random) -> Any:
    kind = random.choice(("skill", "skill", "async", "plain", "other model"))
    if kind == "skill":
        return sim.skill("{text}")
    if kind == "other model":
        return sim.skill("{text}", model=[sim.model("other"), sim.model("m")])
    rate = random.choice((0.0, 0.1))
    odds = Random(random.random())

    async def pause(text: str) -> str:
        await asyncio.sleep(odds.random())
        if odds.random() < rate:
            raise odds.choice((LookupError("no"), FlowpoolError("no"), asyncio.CancelledError()))
        return text

    def plain(text: str) -> str:
        if odds.random() < rate:
            raise LookupError("no")
        return text

    return pause if kind == "async" else plain


def random_chain(sim: Any, random: Random) -> Any:
    steps: list[Any] = []
    for number in range(random.randint(1, 3)):
        options = {"retries": random.randint(0, 2)} if random.random() < 0.3 else {}
        if random.random() < 0.25:
            sides: list[Any] = [
                (random_step(sim, random), f"k{number}{n}", {}, options) for n in range(2)
            ]
            steps.append(sides)
        else:
            steps.append((random_step(sim, random), f"k{number}", {}, options))
    if random.random() < 0.2:
        steps[0] = (Chain(steps[:1]), "nested")
    return Chain(steps, on_step_error=random.choice(("raise", "raise", "skip", "stop")))


def random_items(count: int, random: Random) -> Any:
    rows = [{"text": f"item {n}"} for n in range(count)]
    kind = random.choice(("list", "list", "generator", "async"))
    if kind == "generator":
        return (row for row in rows)
    if kind == "list":
        return rows

    async def later() -> Any:
        for row in rows:
            if random.random() < 0.3:
                await asyncio.sleep(random.random())
            yield row

    return later()


def random_simulation(simulate: Any, random: Random) -> Any:
    names = random.sample(FAULTS, random.randint(0, 4))
    return simulate(
        seed=random.randrange(10**6),
        latency=random.choice((Fixed(0.0), Fixed(0.3), Lognormal(0.3, 1.0))),
        error_latency=random.choice((0.0, 0.1)),
        faults={name: random.choice((0.02, 0.1, 0.2)) for name in names},
        slots=random.choice((None, None, 4)),
        rpm=random.choice((None, None, 600)),
        retry_after=random.choice((None, 0.3)),
    )


async def drained(stream: Any, leave_after: int) -> None:
    async for record in stream:
        if record.index >= leave_after:
            break
    await stream.aclose()


async def disturbed(pool: Any, run: Any, random: Random) -> None:
    """A run that is stopped, cancelled, cut by its caller, or left alone."""
    running = asyncio.ensure_future(run)
    order = random.choice((None, None, pool.stop, pool.cancel, running.cancel))
    if order is not None:
        await asyncio.sleep(random.choice((0.0, random.random(), random.random() * 5)))
        order()
    with suppress(FlowpoolError, asyncio.CancelledError):
        await running


def check(pool: Any, count: int, seed: int) -> None:
    status, records = pool.status, pool.results.records
    where = f"seed {seed}: {status}"
    assert status[Status.RUNNING] == 0, where
    indexes = [record.index for record in records]
    assert indexes == sorted(set(indexes)), where
    if isinstance(pool.items, list):
        assert sum(status.values()) == len(records) == count, where
    for kind in (Status.DONE, Status.FAILED):
        assert sum(record.status is kind for record in records) == status[kind], where
    for record in records:
        assert (record.error is None) == (record.status is Status.DONE), where
    assert all(lane.in_flight == 0 for lane in pool.lanes), where


def play(simulate: Any, seed: int) -> None:
    random = Random(seed)
    sim = random_simulation(simulate, random)
    count = random.randint(1, 25)
    settings = {
        "max_flows": random.choice((1, 2, 5, "auto")),
        "on_error": random.choice(("collect", "collect", "stop", "raise")),
        "retries": random.choice((0, 2, 5)),
        "timeout": random.choice((2.0, 30.0)),
        "deadline": random.choice((None, None, None, 3.0)),
        "limits": random.choice((None, Limits(concurrent=2), Limits(rpm=240), Limits(tpm=6000))),
    }

    async def main() -> None:
        chain = random_chain(sim, random)
        if not any(isinstance(step.runner, Skill) for step in Plan(chain).steps()):
            settings["limits"] = None  # they hold for models
        pool = sim.pool(chain, random_items(count, random), **settings)
        if random.random() < 0.25:
            leave = random.choice((count // 2, count))
            ordered = random.random() < 0.5
            with suppress(FlowpoolError):
                await drained(pool.astream(ordered=ordered), leave)
            assert sum(pool.status.values()) >= len(pool.results), f"seed {seed}"
        else:
            await disturbed(pool, pool.arun(), random)
            check(pool, count, seed)
            for _ in range(random.randint(0, 3)):
                await disturbed(pool, pool.aretry(), random)
                check(pool, count, seed)
        await asyncio.sleep(10)  # an async source that was left in the middle of an item gives it

    try:
        sim.run(main())
    except BaseException:
        print(f"\nfailing seed: {seed}")
        raise


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_each_item_is_accounted_for_once_and_nothing_is_left(simulate, first) -> None:
    for seed in range(first, first + CHUNK):
        play(simulate, seed)
