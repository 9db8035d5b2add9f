"""The clients that are measured, one a process: `python -m bench.servers.clients CLIENT '{"url": ..., ...}'`.

`pool` is flowpool; `plain` a hand-written loop that knows nothing: so many at once, 12 tries, full jitter. Each
prints its figures as a line of JSON: seconds, answers, and how long a call took.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from random import Random
from typing import Any, Literal

import msgspec

from bench.common import measure

TRIES = 12
# Seconds. The longest is that of OpenAI's and Anthropic's own clients; with 30 s a run takes up to twice as long.
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 8.0


class Job(msgspec.Struct):
    """What a client is to do. Times in seconds."""

    url: str
    count: int
    flows: int | Literal["auto"] = "auto"
    plants: list[str] = []  # failures to plant, one in each of the first so many prompts
    timeout: float = 60.0  # of one attempt
    deadline: float = 60.0  # of the whole run
    model: str = "bench"
    key: str = "bench-key"  # the servers are our own: a key made up for the run
    options: dict[str, Any] = {}
    latencies: bool = False  # whether each call's time is wanted
    prompt: str = "Say in one sentence what number"

    def prompts(self) -> list[str]:
        plants = [f" {{plant {name}}}" for name in self.plants]
        plants += [""] * (self.count - len(plants))
        Random(0).shuffle(plants)
        return [f"{self.prompt} {i} is.{plant}" for i, plant in enumerate(plants)]


def pool(job: Job) -> dict[str, float]:
    """flowpool with nothing configured but `max_flows`."""
    from bench.recorder import Recorder
    from flowpool import Model, Pool, Skill

    model = Model(job.model, job.options, base_url=job.url + "/v1", api_key=job.key,
                  provider="openai")  # fmt: skip
    recorder = Recorder()
    made = Pool(
        Skill(model, prompt="{text}"),
        [{"text": text} for text in job.prompts()],
        max_flows=job.flows,
        timeout=job.timeout,
        deadline=job.deadline,
        progress=False,
        environment=recorder.environment() if job.latencies else None,
    )
    results: list[Any] = []
    figures = measure(lambda: results.append(made.run()))
    failed = results[0].failed
    for record in failed[:1]:
        print(f"pool: {type(record.error).__name__}: {record.error}"[:300], file=sys.stderr)
    return figures | {"answered": job.count - len(failed)} | _paces(recorder.spans)


def plain(job: Job) -> dict[str, float]:
    """The loop: aiohttp, a semaphore, full jitter from 0.5 s, the same for whatever fails."""
    import aiohttp
    import uvloop

    endpoint = job.url + "/v1/chat/completions"
    headers = {"authorization": f"Bearer {job.key}"}
    spans: list[tuple[float, float]] = []
    flows = 100 if job.flows == "auto" else job.flows

    async def attempt(session: aiohttp.ClientSession, text: str) -> bool | None:
        """True when answered, False when it may be tried again, None when never."""
        body = {"model": job.model, "messages": [{"role": "user", "content": text}], **job.options}
        sent = time.perf_counter()
        try:
            async with session.post(endpoint, json=body) as response:
                if response.status == 400:
                    return None
                if response.status != 200:
                    return False
                json.loads(await response.read())["choices"][0]["message"]["content"]
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError):
            return False
        spans.append((sent, time.perf_counter()))
        return True

    async def work() -> None:
        at_once = asyncio.Semaphore(flows)
        timeout = aiohttp.ClientTimeout(total=job.timeout)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers
        ) as session:

            async def one(text: str) -> None:
                async with at_once:
                    for tried in range(TRIES):
                        if await attempt(session, text) is not False:
                            return
                        longest = min(FIRST_BACKOFF * 2**tried, LONGEST_BACKOFF)
                        await asyncio.sleep(random.uniform(0, longest))

            calls = asyncio.gather(*(one(text) for text in job.prompts()))
            try:
                await asyncio.wait_for(calls, job.deadline)
            except TimeoutError:
                print("plain: the run's deadline passed", file=sys.stderr)

    random = Random(0)
    figures = measure(lambda: uvloop.run(work()))
    return figures | {"answered": len(spans)} | _paces(spans)


def _paces(spans: list[tuple[float, float]]) -> dict[str, float]:
    """The median time of a call, and the answers a second over the middle 60 % of them."""
    if len(spans) < 10:
        return {}
    ends = sorted(end for _, end in spans)
    low, high = len(ends) // 5, len(ends) * 4 // 5
    return {
        "p50": statistics.median(end - sent for sent, end in spans),
        "pace": (high - low) / (ends[high] - ends[low]),
    }


CLIENTS = {"pool": pool, "plain": plain}


def main(client: str, job: str) -> None:
    print(json.dumps(CLIENTS[client](msgspec.json.decode(job, type=Job))))


if __name__ == "__main__":
    main(*sys.argv[1:])
