"""What the killed children do: the same pool over the same store, from its start or from where it stood."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from tests.soak.nursery import say

from flowpool import Chain, Model, Pool, Skill
from flowpool.errors import FlowpoolError
from flowpool.pool import Environment
from flowpool.simulator import Fixed, Profile, SimTransport, SimulatedProvider

FIRST = "[[sim: say=one {text}]] First: {text}"
SECOND = "[[sim: say=two {text}]] Second: {text}, after {one}"
THIRD = "[[sim: say=three {text}]] Third: {text}, after {two}"


def texts(prefix: str, count: int) -> list[str]:
    """The items' texts: no two runs of a soak have one in common."""
    return [f"{prefix}-{number}" for number in range(count)]


def prompts_of(text: str, steps: int) -> list[str]:
    """The prompts that an item is asked with, in order."""
    seen = {"text": text, "one": f"one {text}", "two": f"two {text}"}
    return [prompt.format(**seen) for prompt in (FIRST, SECOND, THIRD)[:steps]]


def output_of(text: str, steps: int) -> str:
    return f"{('one', 'two', 'three')[steps - 1]} {text}"


def runner(url: str, steps: int) -> Any:
    model = Model("m", {"max_tokens": 50}, base_url=f"{url}/v1")
    skills = [Skill(model, prompt=prompt) for prompt in (FIRST, SECOND, THIRD)]
    if steps == 1:
        return skills[0]
    return Chain(list(zip(skills[:steps], ("one", "two", "three"), strict=False)))


def pool_of(job: dict[str, Any], **more: Any) -> Pool:
    items = [{"text": text} for text in texts(job["prefix"], job["count"])]
    url = job.get("url", "http://sim.test")
    return Pool(
        runner(url, job["steps"]),
        items,
        max_flows=job["flows"],
        store=job["store"],
        name="soak",
        progress=False,
        **more,
    )


def work(job: dict[str, Any]) -> None:
    """Runs the pool to its end against a server, saying each record as it comes out of the stream."""
    for record in pool_of(job).stream():
        say(index=record.index, status=int(record.status), output=record.output)
    say(end=True)


def work_in_memory(job: dict[str, Any]) -> None:
    """The same against a provider in memory; `shim` is what the preloaded library is told first."""
    from flowpool.store import file

    if "checkpoint" in job:  # pages of log after which the file itself is written
        file.CHECKPOINT = job["checkpoint"]
    from tests.soak import shim

    provider = SimulatedProvider(Profile(latency=Fixed(0.002)))
    if "shim" in job:
        shim.arm(job["shim"])

    async def main() -> None:
        environment = Environment(SimTransport(provider), {}, Random(0))
        async for record in pool_of(job, environment=environment).astream():
            say(index=record.index, status=int(record.status), output=record.output)

    try:
        asyncio.run(main())
        say(end=True)
    except FlowpoolError as error:
        say(failed=f"{type(error).__name__}: {error}")
    say(asked=provider.ledger.requested)
