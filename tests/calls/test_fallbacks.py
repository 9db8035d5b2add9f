"""Fallback models while the first one is ill: asked at once, and left again when the first one answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowpool import Skill
from flowpool.errors import ConnectionReset
from flowpool.pool import DONE
from flowpool.simulator import Fixed
from flowpool.values import HttpRequest, HttpResponse, Timeouts


class Ill:
    """Resets every connection of calls to the model "first" from `start` to `end` seconds."""

    def __init__(self, transport: Any, start: float, end: float) -> None:
        self._transport = transport
        self._start, self._end = start, end
        self.sent: dict[str, list[float]] = {"first": [], "second": []}

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        model = "first" if b'"first"' in request.body else "second"
        now = asyncio.get_running_loop().time()
        self.sent[model].append(now)
        if model == "first" and self._start <= now < self._end:
            await asyncio.sleep(0.01)
            raise ConnectionReset("gone")
        response: HttpResponse = await self._transport.send(request, timeouts)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


def ill(sim: Any, start: float, end: float) -> Ill:
    sim.environment.transport = Ill(sim.environment.transport, start, end)
    transport: Ill = sim.environment.transport
    return transport


def two(sim: Any) -> Skill:
    return Skill([sim.model("first"), sim.model("second")], prompt="{text}")


def test_a_dead_first_model_costs_its_calls_seconds_and_not_minutes(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    transport = ill(sim, 0.0, 1e9)
    pool = sim.pool(two(sim), items=50, max_flows=50)
    sim.run(pool)
    assert pool.status[DONE] == 50
    assert sim.seconds < 20.0
    assert len(transport.sent["second"]) == 50


@pytest.mark.parametrize("flows", [8, 50])
def test_those_that_wait_for_the_first_model_leave_when_it_falls_ill(
    simulate: Any, flows: int
) -> None:
    sim = simulate(latency=Fixed(1.0), slots=8)
    transport = ill(sim, 5.0, 1e9)
    pool = sim.pool(two(sim), items=400, max_flows=flows)
    sim.run(pool)
    assert pool.status[DONE] == 400
    assert sim.seconds < 50.0 + 20.0, "eight at once, and little time lost when it fell ill"
    last_but_probes = sorted(transport.sent["first"])[: -len(transport.sent["first"]) // 2]
    assert max(last_but_probes) < 15.0


def test_the_first_model_is_used_again_once_it_answers(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    transport = ill(sim, 0.0, 30.0)
    pool = sim.pool(two(sim), items=600, max_flows=8)
    sim.run(pool)
    assert pool.status[DONE] == 600
    assert max(transport.sent["second"]) < 30.0 + 31.0, "a probe may come 30 s late"
    assert len([at for at in transport.sent["first"] if at > 61.0]) > 50


def test_it_is_used_again_even_after_it_was_given_up(simulate: Any) -> None:
    sim = simulate(latency=Fixed(1.0))
    transport = ill(sim, 0.0, 400.0)
    pool = sim.pool(two(sim), items=4000, max_flows=8)
    sim.run(pool)
    assert pool.status[DONE] == 4000
    assert max(transport.sent["second"]) < 400.0 + 31.0
