from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from flowpool import errors
from flowpool.simulator import (
    PROFILES,
    Fixed,
    Profile,
    SimTransport,
    SimulatedProvider,
    run_virtual,
)
from flowpool.values import HttpRequest, Timeouts

KEY = (("authorization", "Bearer key-canary"),)


def request(
    text: str = "Hello there", path: str = "/v1/chat/completions", method: str = "POST"
) -> Any:
    body = {"model": "gpt-sim", "messages": [{"role": "user", "content": text}]}
    return HttpRequest(method, f"http://sim{path}", KEY, json.dumps(body).encode())


def send(provider: Any, text: str = "Hello there", **timeouts: Any) -> Any:
    """The answer to one request, and the time at which it came."""

    async def main() -> Any:
        transport = SimTransport(provider)
        response = await transport.send(request(text), Timeouts(**timeouts))
        return response, asyncio.get_running_loop().time()

    return run_virtual(main())


def failure_of(text: str, provider: Any = None, **timeouts: Any) -> Any:
    """The error that one request ends with, and when."""

    async def main() -> Any:
        transport = SimTransport(provider or SimulatedProvider())
        with pytest.raises(errors.TransportError) as caught:
            await transport.send(request(text), Timeouts(**timeouts))
        return type(caught.value), asyncio.get_running_loop().time()

    return run_virtual(main())


def test_an_answer_comes_after_the_latency_with_headers_in_lower_case() -> None:
    provider = SimulatedProvider(PROFILES["openai"].replace(latency=Fixed(2.0)))
    response, when = send(provider)
    assert (response.status, when) == (200, 2.0)
    assert response.headers["x-ratelimit-remaining-requests"] == "4999"
    assert response.headers["date"] == "Thu, 01 Jan 2026 00:00:02 GMT"
    message = json.loads(response.body)["choices"][0]["message"]
    assert message["content"] == "Hello there"


def test_faults_of_the_connection_are_raised() -> None:
    assert failure_of("[[sim: reset]]") == (errors.ConnectionReset, 0.0)
    assert failure_of("[[sim: cut]] [[sim: latency=3]]") == (errors.BodyCut, 3.0)


def test_silence_ends_by_the_timeout_that_comes_first() -> None:
    assert failure_of("[[sim: stall]]", total=60, read=600) == (errors.AttemptTimeout, 60.0)
    assert failure_of("[[sim: stall]]", total=60, read=20) == (errors.ReadTimeout, 20.0)
    assert failure_of("[[sim: latency=90]]", total=60) == (errors.AttemptTimeout, 60.0)


def test_a_trickle_outlasts_the_read_timeout_but_not_the_total_one() -> None:
    assert send(SimulatedProvider(), "[[sim: slow=50]]", read=10)[1] == 50.0
    assert failure_of("[[sim: slow=50]]", read=10, total=30) == (errors.AttemptTimeout, 30.0)
    assert failure_of("[[sim: slow=500]]", read=10, total=600) == (errors.ReadTimeout, 10.0)


def test_the_wait_in_the_queue_counts_towards_the_timeout() -> None:
    async def main() -> Any:
        provider = SimulatedProvider(Profile(slots=1, latency=Fixed(10)))
        transport = SimTransport(provider)
        first = asyncio.create_task(transport.send(request("first"), Timeouts()))
        await asyncio.sleep(0)
        with pytest.raises(errors.AttemptTimeout):
            await transport.send(request("second"), Timeouts(total=4))
        left = asyncio.get_running_loop().time(), provider.queued
        await first
        return left, provider.ledger.abandoned

    assert run_virtual(main()) == ((4.0, 0), 1)


def test_a_cancelled_call_frees_its_slot_for_the_next() -> None:
    async def main() -> Any:
        provider = SimulatedProvider(Profile(slots=1, latency=Fixed(10)))
        transport = SimTransport(provider)
        first = asyncio.create_task(transport.send(request("first"), Timeouts()))
        second = asyncio.create_task(transport.send(request("second"), Timeouts()))
        await asyncio.sleep(3)
        first.cancel()
        await second
        return asyncio.get_running_loop().time(), provider.ledger.answers, provider.busy_slots

    assert run_virtual(main()) == (13.0, 1, 0)


def test_a_cancelled_call_in_the_queue_leaves_it() -> None:
    async def main() -> Any:
        provider = SimulatedProvider(Profile(slots=1, latency=Fixed(10)))
        transport = SimTransport(provider)
        tasks = [asyncio.create_task(transport.send(request(f"{n}"), Timeouts())) for n in range(3)]
        await asyncio.sleep(3)
        tasks[1].cancel()
        await asyncio.gather(tasks[0], tasks[2])
        return asyncio.get_running_loop().time(), provider.ledger.in_flight

    assert run_virtual(main()) == (20.0, 0)


def test_a_request_that_cannot_be_read_is_a_400() -> None:
    async def main() -> Any:
        transport = SimTransport()
        bad = HttpRequest("POST", "http://sim/v1/messages", KEY, b"{}")
        response = await transport.send(bad, Timeouts())
        missing = await transport.send(request(path="/v1/nothing"), Timeouts())
        return response.status, json.loads(response.body)["error"]["type"], missing.status

    assert run_virtual(main()) == (400, "invalid_request_error", 404)


def test_pages_come_after_their_latency() -> None:
    async def main() -> Any:
        transport = SimTransport(pages={"a.html": b"<h1>A</h1>"}, page_latency=2.0)
        ask = [request(path=f"/pages/{name}", method="GET") for name in ("a", "a.html", "b", "")]
        answers = await asyncio.gather(*(transport.send(r, Timeouts()) for r in ask))
        return [a.status for a in answers], answers[0].body, asyncio.get_running_loop().time()

    assert run_virtual(main()) == ([200, 200, 404, 200], b"<h1>A</h1>", 2.0)


def test_slots_are_kept_busy_and_the_books_add_up() -> None:
    provider = SimulatedProvider(Profile(slots=16, latency=Fixed(1.0)), seed=2)

    async def main() -> Any:
        transport = SimTransport(provider)
        await asyncio.gather(*(transport.send(request(f"{n}"), Timeouts()) for n in range(1600)))
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(100.0)
    assert provider.ledger.busy_seconds == pytest.approx(1600.0)
    assert provider.ledger.peak_in_flight == 1600
    assert max(provider.ledger.answered.values()) == 1


def test_the_same_seed_gives_the_same_run() -> None:
    def play(seed: int) -> Any:
        provider = SimulatedProvider(
            PROFILES["openai"].replace(faults={"500": 0.1, "cut": 0.1}), seed
        )

        async def main() -> Any:
            transport = SimTransport(provider)
            sends = (transport.send(request(f"{n}"), Timeouts()) for n in range(200))
            await asyncio.gather(*sends, return_exceptions=True)

        run_virtual(main())
        return provider.ledger.as_dict()

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_a_closed_transport_takes_no_calls() -> None:
    async def main() -> Any:
        transport = SimTransport()
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.send(request(), Timeouts())

    run_virtual(main())
