"""Told ceilings belong to the key: over pools, at once and one after the other, over threads and processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.sharing.child import Child, start

from flowpool import Limits
from flowpool.limits.demand import Demand
from flowpool.pool import DONE
from flowpool.sharing.ceilings import KeyCeilings, SharedCeilings, open_ceilings
from flowpool.sharing.locked_file import LockedFile, SignOfLife
from flowpool.simulator import Fixed, SimServer
from flowpool.values import Endpoint, Secret

CLIENT = Path(__file__).with_name("ceiling_client.py")
AT = Endpoint("custom", "openai", "http://sim.test/v1", Secret("key-canary"))
CALL = Demand(100.0, 50.0)


def join(key_ceilings: KeyCeilings, model: str = "m", **limits: Any) -> SharedCeilings:
    return key_ceilings.join((AT, model), Limits(**limits), lambda: None)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], KeyCeilings]]:
    """Opens the files of `tmp_path` as another process would."""
    made: list[KeyCeilings] = []

    def open_another() -> KeyCeilings:
        made.append(KeyCeilings(tmp_path / "flowpool"))
        return made[-1]

    yield open_another
    for key_ceilings in made:
        key_ceilings.close()


def together(sim: Any, *pools: Any) -> None:
    async def main() -> None:
        await asyncio.gather(*(pool.arun() for pool in pools))

    sim.run(main())


# Pools of one process, in virtual time


def test_two_pools_at_once_keep_one_ceiling_of_calls_in_flight(simulate: Any) -> None:
    sim = simulate()
    pools = [sim.pool(items=30, limits=Limits(concurrent=5)) for _ in range(2)]
    together(sim, *pools)
    assert sim.ledger.peak_in_flight == 5
    assert sim.seconds <= 12.5  # 60 calls of 1 s, 5 at once
    assert [pool.status[DONE] for pool in pools] == [30, 30]


def test_two_pools_at_once_keep_one_rate(simulate: Any) -> None:
    sim = simulate(latency=Fixed(0.1))
    pools = [sim.pool(items=100, limits=Limits(rpm=120)) for _ in range(2)]
    together(sim, *pools)
    assert 99.0 <= sim.seconds <= 101.0  # 200 calls at 2 a second
    assert max(sim.ledger.answers_by_second.values()) <= 3


def test_both_pools_get_on_and_neither_waits_for_the_others_end(simulate: Any) -> None:
    for limits in (Limits(concurrent=4), Limits(rpm=240)):
        sim = simulate()
        pools = [sim.pool(items=200, limits=limits) for _ in range(2)]

        async def main(pools: list[Any] = pools) -> list[int]:
            tasks = [asyncio.create_task(pool.arun()) for pool in pools]
            await asyncio.sleep(20)
            done = [pool.status[DONE] for pool in pools]
            await asyncio.gather(*tasks)
            return done

        first, second = sim.run(main())
        assert abs(first - second) <= 5
        assert first + second >= 70


def test_pools_one_after_the_other_keep_one_rate(simulate: Any) -> None:
    sim = simulate(latency=Fixed(0.05))

    async def main() -> None:
        for _ in range(40):
            await sim.pool(items=3, limits=Limits(rpm=60)).arun()

    sim.run(main())
    assert 118.0 <= sim.seconds <= 121.0


def test_each_pool_keeps_to_its_own_ceiling_of_what_is_in_flight_in_all(simulate: Any) -> None:
    sim = simulate()
    wide = sim.pool(items=40, limits=Limits(concurrent=8))
    narrow = sim.pool(items=5, limits=Limits(concurrent=2))
    together(sim, wide, narrow)
    assert sim.ledger.peak_in_flight == 8
    assert narrow.status[DONE] == 5


def test_another_model_or_key_has_ceilings_of_its_own(simulate: Any) -> None:
    sim = simulate()
    limits = Limits(concurrent=3)
    pools = [sim.pool(sim.skill(model=sim.model(name)), 12, limits=limits) for name in "ab"]
    together(sim, *pools)
    assert sim.ledger.peak_in_flight == 6


def test_a_tool_keeps_its_ceiling_over_the_pools_of_a_process(simulate: Any) -> None:
    from flowpool import tool

    busy: list[int] = [0, 0]

    @tool
    async def work(text: str) -> str:
        busy[0] += 1
        busy[1] = max(busy)
        await asyncio.sleep(1.0)
        busy[0] -= 1
        return text

    sim = simulate()
    together(sim, *(sim.pool(work, 6, limits=Limits(concurrent=2)) for _ in range(2)))
    assert busy == [0, 2]


def test_calls_that_fail_or_are_cancelled_give_their_slots_back(simulate: Any) -> None:
    sim = simulate(faults={"500": 0.2})
    pools = [sim.pool(items=20, limits=Limits(concurrent=3), retries=1) for _ in range(2)]

    async def main() -> None:
        tasks = [asyncio.create_task(pool.arun()) for pool in pools]
        await asyncio.sleep(2.5)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sim.pool(items=9, limits=Limits(concurrent=3)).arun()

    sim.run(main())
    assert sim.ledger.peak_in_flight == 3


def test_a_pool_without_limits_touches_nothing(simulate: Any) -> None:
    sim = simulate()
    sim.run(sim.pool(items=5))
    assert sim.environment.ceilings._by_key == {}


# Threads


def test_threads_keep_one_ceiling() -> None:
    key_ceilings = KeyCeilings()
    lock, now = threading.Lock(), [0, 0]

    def work() -> None:
        ceilings = join(key_ceilings, concurrent=3)
        for _ in range(60):
            while not ceilings.claim(CALL, time.monotonic()):
                time.sleep(0.001)
            with lock:
                now[0] += 1
                now[1] = max(now)
            time.sleep(0.0005)
            with lock:
                now[0] -= 1
            ceilings.ended(CALL, CALL)
        ceilings.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert now == [0, 3]
    assert key_ceilings._by_key.popitem()[1].state.seats == {}


def test_a_run_that_waits_is_woken_by_anothers_end() -> None:
    key_ceilings, woken = KeyCeilings(), []
    first = join(key_ceilings, concurrent=1)
    second = key_ceilings.join((AT, "m"), Limits(concurrent=1), lambda: woken.append(1))
    assert first.claim(CALL, 0.0)
    assert not second.claim(CALL, 0.0)
    first.ended(CALL, CALL)
    assert woken == [1]
    assert second.wait(CALL, 0.0) == 0.0
    assert second.claim(CALL, 0.0)


# Files


def test_users_of_one_directory_meet_whoever_opened_it(opened: Any) -> None:
    first, second = (join(opened(), concurrent=2) for _ in range(2))
    assert first.claim(CALL, 0.0)
    assert second.claim(CALL, 0.0)
    assert not first.claim(CALL, 0.0)
    second.ended(CALL, CALL)
    assert first.claim(CALL, 1.0)


def test_a_process_after_another_finds_the_rate_as_that_left_it(opened: Any) -> None:
    before = join(opened(), rpm=60)
    assert before.claim(CALL, 100.0)
    before.ended(CALL, CALL)
    before.close()
    after = join(opened(), rpm=60)
    assert not after.claim(CALL, 100.5)
    assert after.wait(CALL, 100.5) == pytest.approx(0.5)
    assert after.claim(CALL, 101.01)


def test_no_name_and_no_file_tells_the_key_or_the_address(opened: Any, tmp_path: Path) -> None:
    ceilings = join(opened(), rpm=60)
    ceilings.claim(CALL, 0.0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        for secret in (b"canary", b"sim.test"):
            assert secret not in path.read_bytes() + path.name.encode()


def test_where_no_file_can_be_written_the_process_keeps_them_alone(
    opened: Any, tmp_path: Path
) -> None:
    (tmp_path / "flowpool").write_text("a file where the directory should be")
    key_ceilings = opened()
    first, second = join(key_ceilings, concurrent=1), join(key_ceilings, concurrent=1)
    assert first.claim(CALL, 0.0)
    assert not second.claim(CALL, 0.0)


def test_a_spoiled_file_is_written_anew_and_a_deleted_one_made_again(
    opened: Any, tmp_path: Path
) -> None:
    key_ceilings = opened()
    first, second = join(key_ceilings, concurrent=2), join(key_ceilings, concurrent=2)
    assert first.claim(CALL, 0.0)
    [path] = (tmp_path / "flowpool" / "ceilings").glob("*.1")
    path.write_bytes(b"\xff" * 40)
    assert second.claim(CALL, 0.0)
    path.unlink()
    assert not first.claim(CALL, 0.0)
    assert path.exists()


def test_a_process_that_stands_still_with_the_lock_holds_up_no_loop(
    opened: Any, tmp_path: Path
) -> None:
    key_ceilings = opened()
    ceilings = join(key_ceilings, concurrent=1)
    assert ceilings.claim(CALL, 0.0)
    [path] = (tmp_path / "flowpool" / "ceilings").glob("*.1")
    other = LockedFile(path.parent, path.name)
    assert other.lock()
    ceilings.ended(CALL, CALL)  # is told later
    assert not ceilings.claim(CALL, 0.0)
    assert 0.0 < ceilings.wait(CALL, 0.0) <= 0.05
    other.unlock()
    other.close()
    assert ceilings.claim(CALL, 1.0)


def test_a_sign_of_life_tells_the_dead_from_the_living(tmp_path: Path) -> None:
    one, other = SignOfLife(tmp_path), SignOfLife(tmp_path)
    assert not one.is_dead(other.name)
    other.end()
    assert one.is_dead(other.name)
    leftover = tmp_path / "0123456789ab.alive"
    leftover.touch()
    one.sweep()
    assert not leftover.exists()
    assert not one.is_dead(one.name)
    one.end()


def test_share_off_keeps_them_within_the_process(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path), "FLOWPOOL_SHARE": "off"}
    off = open_ceilings(environ)
    assert off is open_ceilings(environ)
    assert join(off, "only-here", concurrent=1).claim(CALL, 0.0)
    assert not join(off, "only-here", concurrent=1).claim(CALL, 0.0)
    assert list(tmp_path.iterdir()) == []


# Processes, on real sockets, by the server's books


class Client(Child):
    """A pool in a process of its own."""

    def __init__(
        self, cache: Path, url: str, items: int, text: str = "item", **limits: Any
    ) -> None:
        environ = os.environ | {"XDG_CACHE_HOME": str(cache), "FLOWPOOL_SHARE": "on"}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        command = [sys.executable, str(CLIENT), url, str(items), text, json.dumps(limits)]
        super().__init__(command, environ)

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def done(self) -> int:
        return int(self.process.communicate(timeout=60)[0])


@pytest.fixture
def server() -> Iterator[SimServer]:
    with SimServer("openai", rpm=None, tpm=None, latency=Fixed(0.1), answer_chars=8) as sim:
        yield sim


def start_together(stack: ExitStack, clients: list[Client]) -> None:
    start(stack, clients)
    for client in clients:
        client.go()


def test_four_processes_never_have_more_in_flight_than_was_told(
    server: SimServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        clients = [Client(tmp_path, server.url, 40, concurrent=5) for _ in range(4)]
        start_together(stack, clients)
        assert [client.done() for client in clients] == [40] * 4
    books = server.ledger()
    assert books["peak_in_flight"] == 5
    assert books["requests"] == 160


def test_two_processes_never_send_more_than_the_told_rate(
    server: SimServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        clients = [Client(tmp_path, server.url, 20, rpm=600) for _ in range(2)]
        start_together(stack, clients)
        assert [client.done() for client in clients] == [20] * 2
    books = server.ledger()
    # 10 a second. The first may have come late to the server, by what its start took.
    assert books["requests"] == 40
    assert books["last"] - books["first"] >= 3.6


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_gives_its_slots_back(server: SimServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        killed = Client(tmp_path, server.url, 9, "[[sim: latency=60]]", concurrent=3)
        start_together(stack, [killed])
        while server.ledger()["in_flight"] < 3:
            time.sleep(0.05)
        survivor = Client(tmp_path, server.url, 9, concurrent=3)
        start_together(stack, [survivor])
        time.sleep(0.3)
        assert server.ledger()["requests"] == 3  # it waits for the first one's
        killed.process.send_signal(signal.SIGKILL)
        assert survivor.done() == 9
    books = server.ledger()
    assert books["requests"] == 12
    assert books["peak_in_flight"] <= 3
