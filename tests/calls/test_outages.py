"""What a whole pool does when the provider is ill, dead, slow or out of quota: in virtual time."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import Any

import pytest

from flowpool.errors import (
    AttemptTimeout,
    AuthFailed,
    BadRequest,
    CallError,
    CertificateRefused,
    ConnectFailed,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
)
from flowpool.pool import DONE, FAILED
from flowpool.simulator import Fixed, Lognormal
from flowpool.values import HttpResponse

MINUTE = 60.0


@pytest.mark.parametrize("fault", ["503", "reset"])
@pytest.mark.parametrize("flows", [4, 64, "auto"])
def test_a_dead_minute_costs_no_item_and_few_calls(simulate: Any, fault: Any, flows: Any) -> None:
    sim = simulate(latency=Lognormal(1.0, 0.3), outages=((10.0, 70.0),), outage=fault, slots=32)
    width = 4 if flows == 4 else 32
    pool = sim.pool(items=40 * width, max_flows=flows)
    sim.run(pool)
    assert pool.status[DONE] == 40 * width
    assert sim.seconds <= 1.2 * 40 + MINUTE + 30.0  # a probe may come 30 s late
    assert sim.ledger.requests <= max(1.2 * 40 * width, 1.05 * 40 * width + 100)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_calls_that_fail_now_and_then_are_asked_again_no_more_than_needed(
    simulate: Any, share: float
) -> None:
    sim = simulate(latency=Lognormal(1.0, 0.3), faults={"500": share}, error_latency=0.1)
    pool = sim.pool(items=600, max_flows=50)
    sim.run(pool)
    assert pool.status[DONE] == 600
    assert sim.ledger.requests <= 1.08 * 600 / (1.0 - share)


def test_a_provider_that_never_answers_ends_the_run_in_stated_time_and_all_can_go_on(
    simulate,
) -> None:
    sim = simulate(outages=((20.0, 3600.0),), outage="503", error_latency=0.05)
    pool = sim.pool(items=2000, max_flows=20)
    results = sim.run(pool)
    done = pool.status[DONE]
    assert 300 < sim.seconds <= 20 + 310
    assert 350 <= done <= 400
    assert pool.status[FAILED] == 2000 - done
    assert sim.ledger.requests <= done + 200
    [said] = {str(error) for error in results.errors}
    assert said.startswith("HTTP 503 ")
    assert "has not answered for 300 s; what is done is kept: retry() or resume goes on" in said
    sim.provider.reset(sim.provider.profile.replace(outages=()))
    again = sim.run(pool.aretry())
    assert pool.status[DONE] == 2000
    assert len(again) == 2000
    assert sim.provider.ledger.answers == 2000 - done  # nothing was asked twice


def test_a_server_that_hangs_is_given_up_in_stated_time_too(simulate) -> None:
    sim = simulate(faults={"stall": 1.0})
    pool = sim.pool(items=100, max_flows=10, timeout=20.0)
    results = sim.run(pool)
    assert {type(error) for error in results.errors} == {AttemptTimeout}
    assert sim.seconds <= 20 + 300 + 2 * 20


def test_a_slow_server_is_waited_for(simulate) -> None:
    sim = simulate(latency=Fixed(500.0))
    pool = sim.pool(items=20, max_flows=20)
    sim.run(pool)
    assert (pool.status[DONE], sim.seconds) == (20, 500.0)
    assert sim.ledger.requests == 20


class Lost:
    """A transport on which every call fails, by an error or such an answer, from `begins` until `heals` seconds."""

    def __init__(
        self,
        sim: Any,
        failure: CallError | HttpResponse,
        *,
        begins: float = 0.0,
        heals: float = 1e9,
    ) -> None:
        self._transport = sim.environment.transport
        self._failure, self._begins, self._heals = failure, begins, heals
        self.sent = 0
        sim.environment.transport = self

    async def send(self, request: Any, timeouts: Any) -> Any:
        if asyncio.get_running_loop().time() < self._begins:
            return await self._transport.send(request, timeouts)
        self.sent += 1
        await asyncio.sleep(0.01)
        if asyncio.get_running_loop().time() < self._heals:
            if isinstance(self._failure, HttpResponse):
                return self._failure
            raise copy(self._failure)
        return await self._transport.send(request, timeouts)

    async def aclose(self) -> None:
        await self._transport.aclose()


def of_setup(error: CallError) -> CallError:
    error.of_setup = True
    return error


@pytest.mark.parametrize("items", [4, 10, 500])
def test_an_address_from_which_nothing_was_ever_heard_is_given_up_within_a_minute(
    simulate: Any, items: int
) -> None:
    sim = simulate()
    gone = "could not connect to host.test:80: connection refused"
    lost = Lost(sim, ConnectFailed(gone, fix="is the server running?"))
    results = sim.run(sim.pool(items=items))
    [said] = {str(error) for error in results.errors if "ever answered" in str(error)}
    assert said.startswith(f"{gone} (nobody has ever answered there, in 6")
    assert said.endswith(" s: is the server running?; retry() or resume goes on)")
    assert sim.seconds <= 62.0
    assert lost.sent <= max(60, 2 * 64 + 40)


def test_a_server_that_says_it_is_being_started_is_waited_for(simulate: Any) -> None:
    sim = simulate(outages=((0.0, 200.0),), outage="503", error_latency=0.05)
    pool = sim.pool(items=30)
    sim.run(pool)
    assert pool.status[DONE] == 30
    assert 200.0 <= sim.seconds <= 240.0


SETUPS: list[CallError] = [
    of_setup(ConnectFailed("could not find the address of nowhere.test")),
    of_setup(ConnectFailed("proxy p.test:80 gave no way to host.test:443: 407")),
    of_setup(ProtocolError("host.test:80 speaks TLS there", fix="write https://")),
    CertificateRefused("could not trust host.test:443"),
]


@pytest.mark.parametrize("items", [1, 50])
@pytest.mark.parametrize("error", SETUPS, ids=str)
def test_what_a_wrong_setup_gives_ends_the_run_after_three(
    simulate: Any, error: CallError, items: int
) -> None:
    sim = simulate()
    lost = Lost(sim, error)
    results = sim.run(sim.pool(items=items, max_flows=1))
    assert {str(one) for one in results.errors} == {str(error)}
    assert lost.sent <= 3
    assert sim.seconds <= 5.0


@pytest.mark.parametrize("items", [1, 60])
@pytest.mark.parametrize("status", [500, 501, 405, 404])
def test_an_address_of_a_plain_web_server_ends_the_run_after_three(
    simulate: Any, status: int, items: int
) -> None:
    sim = simulate()
    page = HttpResponse(status, {}, b"<!DOCTYPE HTML><title>Error response</title>")
    lost = Lost(sim, page)
    results = sim.run(sim.pool(items=items, max_flows=1))
    [said] = {str(error) for error in results.errors}
    assert said.startswith(f"HTTP {status} a web page: Error response (")
    assert "base_url" in said
    assert lost.sent <= 3
    assert sim.seconds <= 5.0


def test_a_page_of_a_servers_own_error_in_the_middle_of_a_run_is_an_outage(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(items=200, max_flows=10)
    lost = Lost(sim, HttpResponse(500, {}, b"<html>"), begins=5.0, heals=60.0)
    sim.run(pool)
    assert pool.status[DONE] == 200
    assert sim.seconds >= 60.0
    assert lost.sent > 3


def test_an_unknown_host_in_the_middle_of_a_run_is_an_outage(simulate: Any) -> None:
    sim = simulate()
    pool = sim.pool(items=200, max_flows=10)
    error = of_setup(ConnectFailed("could not find the address of host.test"))
    Lost(sim, error, begins=5.0, heals=60.0)
    sim.run(pool)
    assert pool.status[DONE] == 200
    assert sim.seconds >= 60.0


def test_a_lane_whose_retries_are_rationed_says_so(simulate: Any) -> None:
    sim = simulate(faults={"500": 0.4}, error_latency=0.1)
    pool = sim.pool(items=400, max_flows=50)
    looks: list[Any] = []

    async def main() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(6.0)
        looks.extend(pool.lanes)
        await running

    sim.run(main())
    assert looks[0].rations_retries


# What is answered, the error of a call that nothing helps, and what follows: the call "waits" for the limit, goes
# "again", "fails" alone, or the run "ends" since no other call would fare better.
ANSWERS: list[tuple[str, type[CallError], str]] = [
    ("429", RateLimited, "waits"),
    ("500", ServerError, "again"),
    ("502", ServerError, "again"),
    ("503", Overloaded, "again"),
    ("504", ServerError, "again"),
    ("529", Overloaded, "again"),
    ("408", ServerError, "again"),
    ("reset", CallError, "again"),
    ("quota", QuotaExhausted, "ends"),
    ("402", QuotaExhausted, "ends"),
    ("401", AuthFailed, "ends"),
    ("403", AuthFailed, "ends"),
    ("400", CallError, "fails"),
    ("404", BadRequest, "ends"),
    ("413", CallError, "fails"),
    ("422", CallError, "fails"),
]


@pytest.mark.parametrize(("fault", "kind", "then"), ANSWERS)
def test_each_failure_does_what_can_help(
    simulate: Any, fault: str, kind: type[CallError], then: str
) -> None:
    sim = simulate()
    items = [{"text": f"{n}"} for n in range(20)]
    items[3] = {"text": f"[[sim: {fault} times=1]] 3"}
    pool = sim.pool(items=items, max_flows=4)
    results = sim.run(pool)
    if then in ("again", "waits"):
        assert pool.status[DONE] == 20
        assert results.records[3].attempts == 2
    else:
        [failed] = results.failed
        assert (failed.index, failed.attempts) == (3, 1)
        assert isinstance(failed.error, kind)
    sim = simulate(faults={fault: 1.0})
    pool = sim.pool(items=200, max_flows=4, deadline=2000.0)
    results = sim.run(pool)
    assert pool.status[DONE] == 0
    assert sim.ledger.requests <= (200 if then == "fails" else 1200)
    if then == "ends":
        assert sim.ledger.requests <= 4 + 3
        assert {type(error) for error in results.errors} == {kind}
        assert all(error.fix for error in results.errors)


def test_many_calls_whose_retries_are_rationed_when_it_dies_hear_of_the_end_in_time(
    simulate,
) -> None:
    sim = simulate(
        latency=Lognormal(1.0, 0.3),
        faults={"500": 0.6},
        error_latency=0.1,
        outages=((30.0, 1e6),),
        outage="503",
    )
    pool = sim.pool(items=2000, max_flows=200)
    sim.run(pool)
    assert pool.status[FAILED] + pool.status[DONE] == 2000
    assert sim.seconds <= 30 + 300 + 40
