"""HTTP clients side by side: CPU microseconds per call, and whether cancelling one closes its connection.

    python bench/transports.py [--calls 20000] [--rounds 5] [--only flowpool,aiohttp]

One server process on the last core, each client in a process of its own on the first; 64 calls at a time, POST
of 1 KB answered by 1 KB of JSON, kept-alive connections. The CPU time is the client process's, its threads
included; the figure is the median of the rounds. Clients that aren't installed are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httptools
import uvloop

from flowpool.http.transport import HttpTransport
from flowpool.values import HttpRequest, Timeouts

AT_ONCE = 64
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 960}]}).encode()
ANSWER = json.dumps({"id": "1", "choices": [{"message": {"content": "y" * 930}}]}).encode()
HEADERS = (("content-type", "application/json"), ("authorization", "Bearer key-canary"))
Post = Callable[[str], Awaitable[bytes]]


class Server(asyncio.Protocol):
    """Answers every POST at once, except /hang; GET /open tells how many hang."""

    hanging: ClassVar[set[Server]] = set()
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_0123456789\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
        b"date: Mon, 01 Jan 2029 00:00:00 GMT\r\ncontent-length: %d\r\n\r\n"
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.hanging.discard(self)
        del self.parser

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        if self.url == b"/hang":
            self.hanging.add(self)
            return
        body = b"%d" % len(self.hanging) if self.url == b"/open" else ANSWER
        self.transport.write(self.head % len(body) + body)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# Each client: a context manager that gives `post(url) -> body`.


@asynccontextmanager
async def with_flowpool() -> AsyncIterator[Post]:
    transport = HttpTransport(environ={})
    timeouts = Timeouts()

    async def post(url: str) -> bytes:
        return (await transport.send(HttpRequest("POST", url, HEADERS, BODY), timeouts)).body

    yield post
    await transport.aclose()


@asynccontextmanager
async def with_aiohttp() -> AsyncIterator[Post]:
    aiohttp: Any = importlib.import_module("aiohttp")
    headers = dict(HEADERS)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def post(url: str) -> bytes:
            async with session.post(url, data=BODY, headers=headers) as response:
                body: bytes = await response.read()
                return body

        yield post


@asynccontextmanager
async def with_wreq() -> AsyncIterator[Post]:
    wreq: Any = importlib.import_module("wreq")
    client = wreq.Client(no_proxy=True, http1_only=True)
    headers = dict(HEADERS)

    async def post(url: str) -> bytes:
        response = await client.post(url, headers=headers, body=BODY)
        return bytes(await response.bytes())

    yield post


@asynccontextmanager
async def with_pyreqwest() -> AsyncIterator[Post]:
    module: Any = importlib.import_module("pyreqwest.client")
    headers = dict(HEADERS)
    async with module.ClientBuilder().no_proxy().http1_only().build() as client:

        async def post(url: str) -> bytes:
            response = await client.post(url).headers(headers).body_bytes(BODY).build().send()
            return bytes(await response.bytes())

        yield post


@asynccontextmanager
async def with_httpx2() -> AsyncIterator[Post]:
    httpx2: Any = importlib.import_module("httpx2")
    headers = dict(HEADERS)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, trust_env=False) as client:

        async def post(url: str) -> bytes:
            body: bytes = (await client.post(url, content=BODY, headers=headers)).content
            return body

        yield post


CLIENTS = {
    "flowpool": with_flowpool,
    "aiohttp": with_aiohttp,
    "wreq": with_wreq,
    "pyreqwest": with_pyreqwest,
    "httpx2": with_httpx2,
}


async def measure(name: str, base: str, calls: int) -> tuple[float, float, bool]:
    """CPU seconds and wall seconds for `calls` calls, and whether a cancelled call's connection closed."""
    async with CLIENTS[name]() as post:
        await asyncio.gather(*(post(base) for _ in range(AT_ONCE)))
        left = iter(range(calls))

        async def worker() -> None:
            for _ in left:
                assert len(await post(base)) == len(ANSWER)

        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        hanging = [asyncio.ensure_future(post(f"{base}hang")) for _ in range(8)]
        await asyncio.sleep(0.2)
        assert int(await post(f"{base}open")) == 8
        for task in hanging:
            task.cancel()
        await asyncio.sleep(0.2)
        return cpu, wall, int(await post(f"{base}open")) == 0


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def child(*words: str) -> list[str]:
    return [sys.executable, os.path.abspath(__file__), *words]


def compare(names: list[str], calls: int, rounds: int) -> None:
    server = subprocess.Popen(child("--role", "server"), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        rows = {}
        for name in names:
            words = ("--role", name, "--base", base, "--calls", str(calls))
            runs = [
                json.loads(subprocess.run(child(*words), check=True, capture_output=True).stdout)
                for _ in range(rounds)
            ]
            cpu = statistics.median(run[0] for run in runs) / calls * 1e6
            rate = statistics.median(calls / run[1] for run in runs)
            rows[name] = (cpu, rate, all(run[2] for run in runs))
    finally:
        server.terminate()
        server.wait()
    against = rows.get("aiohttp", rows[names[0]])[0]
    print(f"{'client':<12}{'CPU us/call':>12}{'vs aiohttp':>12}{'calls/s':>10}  cancel closes")
    for name, (cpu, rate, closes) in rows.items():
        yes = "yes" if closes else "no"
        print(f"{name:<12}{cpu:>12.1f}{cpu / against:>11.2f}x{rate:>10.0f}  {yes}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare HTTP clients on one core.")
    parser.add_argument("--calls", type=int, default=20_000, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts")
    parser.add_argument("--only", default=",".join(CLIENTS), help="clients, separated by commas")
    parser.add_argument("--role", default="", help=argparse.SUPPRESS)
    parser.add_argument("--base", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "server":
        pin((os.cpu_count() or 1) - 1)
        uvloop.run(serve())
    elif options.role:
        pin(0)
        print(json.dumps(uvloop.run(measure(options.role, options.base, options.calls))))
    else:
        names = [name for name in options.only.split(",") if importlib.util.find_spec(name)]
        compare(names, options.calls, options.rounds)


if __name__ == "__main__":
    main()
