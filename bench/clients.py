"""The work that the benches time, one job a process: `python -m bench.clients JOB URL [NUMBERS]`."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench.common import measure

PROMPT = "Summarise in one sentence:\n\n"
TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 12


def _skill(url: str) -> Any:
    from flowpool import Model, Skill

    return Skill(
        Model("bench", base_url=url + "/v1", api_key="bench-key"), prompt=PROMPT + "{text}"
    )


def _pool(url: str, count: int, flows: int) -> dict[str, float]:
    """A pool with everything on: retries, timeouts, records, usage and cost, progress told."""
    from flowpool import Pool

    items = [{"text": f"{i} {TEXT}"} for i in range(count)]
    pool = Pool(_skill(url), items, max_flows=flows, progress=lambda snapshot: None)
    results: list[Any] = []

    def run() -> None:
        results.append(pool.run())
        assert not results[0].failed, results[0].failed[0].error

    figures = measure(run)
    assert results[0].usage.output_tokens > 0
    return figures


def _loop(url: str, count: int, flows: int) -> dict[str, float]:
    """The hand-written loop: aiohttp, uvloop, a semaphore, orjson, and nothing else."""
    import aiohttp
    import orjson
    import uvloop

    items = [{"text": f"{i} {TEXT}"} for i in range(count)]
    endpoint = url + "/v1/chat/completions"
    headers = {"authorization": "Bearer bench-key", "content-type": "application/json"}

    async def work() -> list[str]:
        room = asyncio.Semaphore(flows)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

            async def one(item: dict[str, str]) -> str:
                message = {"role": "user", "content": PROMPT + item["text"]}
                body = orjson.dumps({"model": "bench", "messages": [message]})
                async with room, session.post(endpoint, data=body) as response:
                    answer = orjson.loads(await response.read())
                content: str = answer["choices"][0]["message"]["content"]
                return content

            return await asyncio.gather(*(one(item) for item in items))

    return measure(lambda: uvloop.run(work()))


def _stages(url: str, count: int) -> dict[str, float]:
    """fetch (50 wide) then the model (10 wide), so that the model's lane is the bound."""
    from flowpool import Chain, Pool
    from flowpool.tools import fetch

    chain = Chain(
        [
            (fetch, "page", {"url": "source"}, {"allow_private": True, "max_flows": 50}),
            (_skill(url), "summary", {"text": "title"}, {"max_flows": 10}),
        ]
    )
    items = [{"source": f"{url}/pages/page?n={i}"} for i in range(count)]
    pool = Pool(chain, items, progress=False)

    def run() -> None:
        results = pool.run()
        assert not results.failed, results.failed[0].error

    return measure(run)


def _stream(url: str, count: int) -> dict[str, float]:
    """Items from a generator through `stream()`; the peak of this process's memory."""
    from flowpool import Pool

    def items() -> Iterator[dict[str, str]]:
        return ({"text": f"{i} {TEXT}"} for i in itertools.islice(itertools.count(), count))

    def run() -> None:
        pool = Pool(_skill(url), items(), max_flows=64, progress=False)
        done = sum(1 for record in pool.stream() if record.error is None)
        assert done == count, done

    return measure(run)


def _busy(url: str, count: int, flows: int) -> dict[str, float]:
    """The share of `flows` slots that had a call in flight, from the start until the last 100 items."""
    from bench.recorder import Recorder
    from flowpool import Pool

    items = [{"text": f"{i} {TEXT}"} for i in range(count)]
    recorder = Recorder()
    environment = recorder.environment()
    pool = Pool(_skill(url), items, max_flows=flows, progress=False, environment=environment)
    start = time.perf_counter()
    assert not pool.run().failed
    wall = time.perf_counter() - start
    until = sorted(end for _, end in recorder.spans)[-100]
    busy = sum(max(0.0, min(end, until) - sent) for sent, end in recorder.spans)
    return {"wall": wall, "busy": busy / (flows * (until - start))}


def _limited(url: str, count: int, flows: int = 0) -> dict[str, float]:
    """A pool against a provider with limits, with nothing configured or so many flows."""
    from flowpool import Pool

    items = [{"text": f"{i} {TEXT}"} for i in range(count)]
    pool = Pool(_skill(url), items, max_flows=flows or "auto", progress=False)

    def run() -> None:
        assert not pool.run().failed

    return measure(run)


def _faulty(url: str, count: int, flows: int) -> dict[str, float]:
    """A pool whose calls meet planted faults: as many as the lab's, at the same items."""
    from bench.rates.lab import TIMEOUT
    from bench.rates.play import planted
    from flowpool import Pool

    words = {"500": "500 times=2", "429": "429 times=1", "drop": "reset times=1", "hang": "stall times=1",
             "json": "not-json times=1", "400": "400"}  # fmt: skip
    faults = planted(count, 1)
    items = [
        {"text": f"{i} [[sim: {words[faults[i][0]]}]]" if i in faults else f"{i} {TEXT}"}
        for i in range(count)
    ]
    pool = Pool(_skill(url), items, max_flows=flows or "auto", timeout=TIMEOUT, progress=False)
    wrong = sum(met == ["400"] for met in faults.values())

    def run() -> None:
        failed = pool.run().failed
        assert len(failed) == wrong, failed[0].error

    return measure(run)


def main(job: str, url: str, *numbers: str) -> None:
    jobs = {"pool": _pool, "loop": _loop, "stages": _stages, "stream": _stream, "busy": _busy}
    jobs |= {"limited": _limited, "faulty": _faulty}
    figures = jobs[job](url, *map(int, numbers))  # type: ignore[operator]
    figures["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
