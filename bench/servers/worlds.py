"""Providers that refuse, as a server of their own: a second opinion beside the simulator's.

Written from what providers and gateways are seen to do, with no look at the limiter or at the simulator: one small
class a kind, each with the shortest time that anybody could take (`bound`). No limit headers, no Retry-After.

    python -m bench.servers.worlds --world cap-20 --latency 0.2 --port 8300

`GET /ledger` has what happened, `POST /reset` begins anew with `{"world": NAME, "seed": N}`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import Counter
from random import Random
from typing import Protocol

import msgspec
import uvloop
from aiohttp import web

# The longest run is given up by its client at 60 s; a call that hangs outlives every client's patience.
HANGS = 120.0


class World(Protocol):
    """When a provider refuses. `now` is in seconds since the first call came."""

    def admits(self, now: float) -> bool:
        """Whether a call that comes now is taken."""
        ...

    def ended(self) -> None:
        """A call that was taken has been answered."""
        ...

    def bound(self, calls: int, latency: float) -> float:
        """Seconds that `calls` calls take at the least, for somebody who knows the world and has 100 flows."""
        ...


class Calm:
    """Refuses nothing."""

    def admits(self, now: float) -> bool:
        return True

    def ended(self) -> None:
        pass

    def bound(self, calls: int, latency: float) -> float:
        return calls * latency / 100


class Chance(Calm):
    """Refuses a share of all calls, whoever sends them and however fast: a busy backend's 429."""

    def __init__(self, share: float, random: Random) -> None:
        self.share = share
        self.random = random

    def admits(self, now: float) -> bool:
        return self.random.random() >= self.share

    def bound(self, calls: int, latency: float) -> float:
        # The unluckiest call is refused so often, and comes back after half a latency each time.
        refusals = math.log(calls, 1 / self.share)
        return super().bound(calls, latency) + latency / 2 * refusals


class Cap(Calm):
    """Refuses at once what would be more than `most` calls in flight."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_flight = 0

    def admits(self, now: float) -> bool:
        if self.in_flight >= self.most:
            return False
        self.in_flight += 1
        return True

    def ended(self) -> None:
        self.in_flight -= 1

    def bound(self, calls: int, latency: float) -> float:
        return calls * latency / min(self.most, 100)


class ClockWindow(Calm):
    """At most `most` calls in each window of the clock; the first call comes `phase` seconds into a window."""

    def __init__(self, most: int, seconds: float, phase: float) -> None:
        self.most = most
        self.seconds = seconds
        self.phase = phase
        self.taken: Counter[int] = Counter()

    def admits(self, now: float) -> bool:
        window = int((now + self.phase) // self.seconds)
        if self.taken[window] >= self.most:
            return False
        self.taken[window] += 1
        return True

    def bound(self, calls: int, latency: float) -> float:
        windows = math.ceil(calls / self.most)
        return (windows - 1) * self.seconds - self.phase + latency


class Bucket:
    """Tokens that refill evenly up to `depth`."""

    def __init__(self, rate: float, depth: float) -> None:
        self.rate, self.depth = rate, depth
        self.level, self.at = depth, 0.0

    def take(self, now: float) -> bool:
        self.level = min(self.depth, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Gateway(Calm):
    """`keys` keys of `rate` calls a second (a second's worth at once) behind one door; each call takes any."""

    def __init__(self, keys: int, rate: float, random: Random) -> None:
        self.buckets = [Bucket(rate, rate) for _ in range(keys)]
        self.random = random

    def admits(self, now: float) -> bool:
        return self.random.choice(self.buckets).take(now)

    def bound(self, calls: int, latency: float) -> float:
        rate = sum(bucket.rate for bucket in self.buckets)
        depth = sum(bucket.depth for bucket in self.buckets)
        return (calls - depth) / rate + latency


class Shared(Calm):
    """A backend for `rate` calls a second that many use: what comes beyond is refused at random.

    The load is what came in about the last second, refused calls included, so the share that is refused grows
    smoothly with the rate.
    """

    def __init__(self, rate: float, random: Random) -> None:
        self.rate = rate
        self.random = random
        self.load = 0.0  # calls a second, fading over one second
        self.at = 0.0

    def admits(self, now: float) -> bool:
        self.load = self.load * math.exp(self.at - now) + 1.0
        self.at = now
        return self.random.random() < min(1.0, self.rate / self.load)

    def bound(self, calls: int, latency: float) -> float:
        # A second's worth goes at once while the load is still low.
        return (calls - self.rate) / self.rate + latency


def make_world(name: str, seed: int) -> World:
    """The world of a name such as `calm`, `chance-3`, `cap-20`, `window-100-2`, `gateway-4-750`, `shared-50`."""
    kind, *words = name.split("-")
    numbers = [float(word) for word in words]
    random = Random(seed)
    match kind, numbers:
        case "calm", []:
            return Calm()
        case "chance", [percent]:
            return Chance(percent / 100, random)
        case "cap", [most]:
            return Cap(int(most))
        case "window", [most, seconds]:
            return ClockWindow(int(most), seconds, phase=seconds * (seed % 3) / 3)
        case "gateway", [keys, rpm]:
            return Gateway(int(keys), rpm / 60, random)
        case "shared", [rate]:
            return Shared(rate, random)
    raise ValueError(f"no world {name!r}")


class Ask(msgspec.Struct):
    """A reset's body."""

    world: str
    seed: int = 0


class Provider:
    """One world behind `/v1/chat/completions`, and its ledger.

    A prompt with `{plant NAME}` fails first: `500` twice, `429`, `drop`, `hang` and `broken` once, `400` always.
    """

    def __init__(self, world: World, latency: float) -> None:
        self.world = world
        self.latency = latency
        self._clear()

    def _clear(self) -> None:
        self.first: float | None = None
        self.last = 0.0
        self.counts: Counter[str] = Counter()
        self.planted: Counter[str] = Counter()

    async def complete(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        if self.first is None:
            self.first = now
        self.last = now - self.first
        prompt = json.loads(await request.read())["messages"][-1]["content"]
        self.counts["calls"] += 1
        if (plant := self._plant(prompt)) is not None:
            return await self._fail(plant, request)
        if not self.world.admits(self.last):
            self.counts["refused"] += 1
            return _error(429, "rate_limit_exceeded", "Too many requests.")
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.world.ended()
        self.counts["answered"] += 1
        return web.json_response(_answer(prompt))

    def _plant(self, prompt: str) -> str | None:
        _, found, rest = prompt.partition("{plant ")
        if not found:
            return None
        plant = rest.partition("}")[0]
        self.planted[prompt] += 1
        times = {"500": 2, "400": 1_000_000}.get(plant, 1)
        return plant if self.planted[prompt] <= times else None

    async def _fail(self, plant: str, request: web.Request) -> web.StreamResponse:
        self.counts[plant] += 1
        match plant:
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case "hang":
                await asyncio.sleep(HANGS)
            case "broken":
                await asyncio.sleep(self.latency)
                whole = json.dumps(_answer("cut off"))
                return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
            case "429":
                return _error(429, "rate_limit_exceeded", "Too many requests.")
            case "400":
                return _error(400, "invalid_request_error", "The input can't be read.")
        return _error(500, "server_error", "The server had an error.")

    async def ledger(self, request: web.Request) -> web.Response:
        calls = int(request.query.get("calls", 0))
        bound = self.world.bound(calls, self.latency)
        return web.json_response({**self.counts, "last": self.last, "bound": bound})

    async def reset(self, request: web.Request) -> web.Response:
        ask = msgspec.json.decode(await request.read(), type=Ask)
        self.world = make_world(ask.world, ask.seed)
        self._clear()
        return web.json_response({})


def _error(status: int, code: str, words: str) -> web.Response:
    return web.json_response(
        {"error": {"message": words, "type": code, "code": code}}, status=status
    )


def _answer(prompt: str) -> dict[str, object]:
    message = {"role": "assistant", "content": f"An answer to: {prompt[:100]}"}
    tokens = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 30}
    usage = {**tokens, "total_tokens": sum(tokens.values())}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "bench",
        "choices": [choice],
        "usage": usage,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers.worlds", description=__doc__)
    parser.add_argument("--world", default="calm")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds an answer takes")
    parser.add_argument("--port", type=int, default=8300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    provider = Provider(make_world(options.world, options.seed), options.latency)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.complete)
    app.router.add_get("/ledger", provider.ledger)
    app.router.add_post("/reset", provider.reset)
    # The loop that flowpool brings: the plain one takes half a millisecond a call, which shows in rounds of 100.
    web.run_app(app, loop=uvloop.new_event_loop(), host="127.0.0.1", port=options.port, print=None, access_log=None,
                shutdown_timeout=0.5, backlog=1024)  # fmt: skip


if __name__ == "__main__":
    main()
