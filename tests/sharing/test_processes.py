"""Real processes at one limit of one server."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.sharing.child import Child, start

from flowpool.simulator import Fixed, SimServer

CLIENT = Path(__file__).with_name("client.py")
FINGERPRINT = "0123456789abcdef"
RATE = 160.0  # calls a second that the server allows, all together


class Run(Child):
    """A client in its process; `books` is there once it ended by itself."""

    def __init__(self, directory: Path, url: str, *demand: float) -> None:
        address = url.removeprefix("http://")
        command = [sys.executable, str(CLIENT), str(directory), FINGERPRINT, address, str(RATE)]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        super().__init__([*command, *map(str, demand)], environ)
        self.books: dict[str, Any] = {}

    def end(self) -> None:
        self.process.terminate()
        self.books = json.loads(self.process.communicate(timeout=10)[0])

    def rate(self, start: float, end: float) -> float:
        answers: list[float] = self.books["answers"]
        return sum(start <= at < end for at in answers) / (end - start)

    def reached(self, share: float, after: float) -> float:
        """Seconds from `after` until its share came within 0.01 of `share`."""
        shares: list[tuple[float, float]] = self.books["shares"]
        return next(at - after for at, now in shares if at > after and abs(now - share) < 0.01)


@pytest.fixture
def server() -> Iterator[SimServer]:
    with SimServer(
        "openai", rpm=60 * RATE, tpm=None, depth=1.0, latency=Fixed(0.0), answer_chars=8
    ) as sim:
        yield sim


def test_eight_processes_use_the_whole_limit_in_equal_parts(
    server: SimServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        runs = start(stack, [Run(tmp_path, server.url) for _ in range(8)])
        time.sleep(0.8)
        begun = time.monotonic()
        time.sleep(2.5)
        ended = time.monotonic()
        for run in runs:
            run.end()
    rates = [run.rate(begun, ended) for run in runs]
    assert 0.95 * RATE <= sum(rates) <= 1.02 * RATE
    assert all(abs(rate - RATE / 8) <= 0.2 * RATE / 8 for rate in rates)
    assert sum(run.books["refused"] for run in runs) <= 0.01 * server.ledger()["requests"]


def test_four_processes_share_and_take_over_from_one_that_is_killed(
    server: SimServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        runs = start(stack, [Run(tmp_path, server.url) for _ in range(4)])
        time.sleep(0.8)
        begun = time.monotonic()
        time.sleep(2.0)
        runs[0].process.kill()
        killed = time.monotonic()
        time.sleep(4.0)
        ended = time.monotonic()
        for run in runs[1:]:
            run.end()
    rates = [run.rate(begun, killed) for run in runs[1:]]
    assert all(abs(rate - RATE / 4) <= 0.2 * RATE / 4 for rate in rates)
    assert all(run.reached(1 / 3, killed) <= 2.0 for run in runs[1:])
    rates = [run.rate(killed + 2.0, ended) for run in runs[1:]]
    assert 0.95 * RATE <= sum(rates) <= 1.02 * RATE
    assert all(abs(rate - RATE / 3) <= 0.2 * RATE / 3 for rate in rates)


def test_a_newcomer_and_a_leaver_are_felt_within_a_second(
    server: SimServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (first,) = start(stack, [Run(tmp_path, server.url)])
        time.sleep(0.6)
        came = time.monotonic()
        (second,) = start(stack, [Run(tmp_path, server.url)])
        arrived = time.monotonic()
        time.sleep(1.2)
        second.end()
        left = time.monotonic()
        time.sleep(0.6)
        first.end()
    assert first.reached(0.5, came) - (arrived - came) <= 1.0
    assert second.reached(0.5, came) - (arrived - came) <= 1.0
    assert first.reached(1.0, left - 0.2) <= 1.2
    assert first.books["refused"] + second.books["refused"] == 0


def test_what_a_modest_process_leaves_goes_to_the_others(server: SimServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        runs = start(stack, [Run(tmp_path, server.url, 16.0)])
        runs += start(stack, [Run(tmp_path, server.url) for _ in range(2)])
        time.sleep(0.8)
        begun = time.monotonic()
        time.sleep(2.0)
        ended = time.monotonic()
        for run in runs:
            run.end()
    modest, *greedy = (run.rate(begun, ended) for run in runs)
    assert abs(modest - 16.0) <= 2.0
    assert 0.95 * RATE <= modest + sum(greedy) <= 1.02 * RATE
    assert all(abs(rate - 72.0) <= 0.1 * 72.0 for rate in greedy)
