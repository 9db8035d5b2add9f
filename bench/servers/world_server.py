"""A world of `worlds.py` as a server: OpenAI's chat API on loopback, without limit headers or Retry-After.

    python -m bench.servers.world_server --world cap-20 --latency 0.2 --port 8300

`GET /ledger?calls=N` has what happened and the bound of N calls, `POST /reset` begins anew with
`{"world": NAME, "seed": N}`. It takes some 60 us a call: rounds of 100 calls show what a server takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
import uvloop

from bench.servers.worlds import World, make_world


class Ask(msgspec.Struct):
    """A reset's body."""

    world: str
    seed: int = 0


class Message(msgspec.Struct):
    """A message of a call."""

    content: str


class Call(msgspec.Struct):
    """A call's body, as far as it matters here."""

    messages: list[Message]


class Provider:
    """One world and its ledger: takes calls, and tells each connection what to answer and when.

    A prompt with `{plant NAME}` fails first: `500` twice, `429`, `drop`, `hang` and `broken` once, `400` always.
    """

    def __init__(self, world: World, latency: float) -> None:
        self.latency = latency
        self.begin(world)

    def begin(self, world: World) -> None:
        """A new world, and an empty ledger."""
        self.world = world
        self.first: float | None = None
        self.counts: Counter[str] = Counter()
        self.planted: Counter[str] = Counter()

    def ledger(self, calls: int) -> dict[str, float]:
        return {**self.counts, "bound": self.world.bound(calls, self.latency)}

    def take(self, prompt: str, connection: Connection) -> None:
        """Answers a call now or later."""
        now = time.monotonic()
        if self.first is None:
            self.first = now
        self.counts["calls"] += 1
        if (plant := self._plant(prompt)) is not None:
            self._fail(plant, connection)
        elif not self.world.admits(now - self.first):
            self.counts["refused"] += 1
            connection.answer(429, _error("rate_limit_exceeded", "Too many requests."))
        else:
            connection.later(self.latency, partial(self._answer, self.world, prompt, connection))

    def _answer(self, world: World, prompt: str, connection: Connection) -> None:
        world.ended()
        self.counts["answered"] += 1
        connection.answer(200, _completion(prompt))

    def _plant(self, prompt: str) -> str | None:
        _, found, rest = prompt.partition("{plant ")
        if not found:
            return None
        plant = rest.partition("}")[0]
        self.planted[prompt] += 1
        times = {"500": 2, "400": 1_000_000}.get(plant, 1)
        return plant if self.planted[prompt] <= times else None

    def _fail(self, plant: str, connection: Connection) -> None:
        self.counts[plant] += 1
        match plant:
            case "drop":
                connection.transport.abort()
            case "hang":
                pass  # until the client has had enough
            case "broken":
                whole = _completion("cut off")
                half = partial(connection.answer, 200, whole[: len(whole) // 2])
                connection.later(self.latency, half)
            case "429":
                connection.answer(429, _error("rate_limit_exceeded", "Too many requests."))
            case "400":
                connection.answer(400, _error("invalid_request_error", "It can't be read."))
            case _:
                connection.answer(500, _error("server_error", "The server had an error."))


class Connection(asyncio.Protocol):
    """One kept connection; a client sends its next call only after the answer."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self.url = b""
        self.body = bytearray()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path, _, query = self.url.decode().partition("?")
        match path:
            case "/v1/chat/completions":
                call = msgspec.json.decode(self.body, type=Call)
                self.provider.take(call.messages[-1].content, self)
            case "/ledger":
                calls = int(query.removeprefix("calls=") or 0)
                self.answer(200, msgspec.json.encode(self.provider.ledger(calls)))
            case "/reset":
                ask = msgspec.json.decode(self.body, type=Ask)
                self.provider.begin(make_world(ask.world, ask.seed))
                self.answer(200, b"{}")
            case _:
                self.answer(404, _error("not_found", "There is no such page."))

    def later(self, seconds: float, action: Any) -> None:
        self.loop.call_later(seconds, action)

    def answer(self, status: int, body: bytes) -> None:
        if self.transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)


def _error(code: str, words: str) -> bytes:
    return json.dumps({"error": {"message": words, "type": code, "code": code}}).encode()


def _completion(prompt: str) -> bytes:
    message = {"role": "assistant", "content": f"An answer to: {prompt[:100]}"}
    usage = {"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    whole = {"id": "1", "object": "chat.completion", "model": "bench", "choices": choices}
    return msgspec.json.encode({**whole, "usage": usage})


async def serve(provider: Provider, port: int) -> None:
    """Serves on loopback until it is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(provider), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.servers.world_server", description="A provider that refuses."
    )
    parser.add_argument("--world", default="calm", help="as cap-20, window-100-2, chance-3 [calm]")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds an answer takes [0.2]")
    parser.add_argument("--port", type=int, default=8300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    provider = Provider(make_world(options.world, options.seed), options.latency)
    uvloop.run(serve(provider, options.port))


if __name__ == "__main__":
    main()
