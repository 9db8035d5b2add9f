"""The worlds of `worlds.py` on real sockets: each with 100 flows and on auto, the plain loop beside it."""

from __future__ import annotations

from bench.common import Row
from bench.servers.clients import Job
from bench.servers.measuring import (
    PLAIN_FLOWS,
    Comparison,
    Flows,
    Run,
    Settings,
    ask,
    repeat,
    run_client,
    say,
)
from bench.servers.process import Process, our_server

LATENCY = 0.2
# World, calls, and its name in the table.
# fmt: off
WORLDS = (
    ("calm", 600, "nothing refuses"),
    ("chance-1", 600, "1 % refused at random"),
    ("chance-3", 600, "3 % refused at random"),
    ("chance-10", 600, "10 % refused at random"),
    ("cap-20", 600, "20 in flight, no queue"),
    ("window-100-2", 1200, "100 in each 2 s of the clock"),
    ("gateway-4-750", 1200, "a gateway of 4 keys of 750 a minute"),
    ("shared-50", 1200, "shared capacity of 50 a second"),
)
# fmt: on
WITHIN = 1.3

FAULT_CALLS, FAULT_LATENCY = 300, 0.1
FAULTS = ["500"] * 9 + ["429"] * 9 + ["drop"] * 8 + ["hang"] * 8 + ["broken"] * 8 + ["400"] * 8
FAULT_NAME = f"{FAULT_CALLS} calls with {len(FAULTS)} planted faults"
FAULT_TIMEOUT = 5.0
FAULTS_AT_MOST = 9.0


class Sockets:
    """Our own worlds; needs nothing but the bench's packages."""

    name = "sockets"
    hint = "pip install --group bench"

    def is_installed(self, settings: Settings) -> bool:
        return True

    def measure(self, settings: Settings) -> list[Row]:
        rows = []
        command, port = our_server("bench.servers.world_server", f"--latency={LATENCY}")
        with Process(command, port, lifetime=3600) as server:
            for world, calls, name in WORLDS:
                if settings.wants(name):
                    made = _world_rows(server.url, settings, world, calls, name)
                    rows += [say(row) for row in made]
        if settings.wants(FAULT_NAME):
            command, port = our_server("bench.servers.world_server", f"--latency={FAULT_LATENCY}")
            with Process(command, port) as server:
                rows += [say(row) for row in _fault_rows(server.url, settings)]
        return rows


def _world_rows(url: str, settings: Settings, world: str, calls: int, name: str) -> list[Row]:
    def run(client: str, seed: int, flows: Flows) -> Run:
        return _run(url, client, world, seed, Job(url, calls, flows))

    ours, plain = repeat(settings, lambda client, seed: run(client, seed, PLAIN_FLOWS))
    auto = [run("pool", seed, "auto") for seed in range(settings.runs)]
    return [
        Comparison(f"{name}, {calls:,} calls, 100 flows", calls, ours, plain, WITHIN).row(),
        Comparison(f"{name}, {calls:,} calls, auto", calls, auto, plain, WITHIN).row(),
    ]


def _fault_rows(url: str, settings: Settings) -> list[Row]:
    def run(client: str, seed: int, flows: Flows) -> Run:
        job = Job(url, FAULT_CALLS, flows, plants=FAULTS, timeout=FAULT_TIMEOUT)
        done = _run(url, client, "calm", seed, job)
        done.bound = FAULT_TIMEOUT + FAULT_LATENCY
        return done

    ours, plain = repeat(settings, lambda client, seed: run(client, seed, PLAIN_FLOWS))
    auto = [run("pool", seed, "auto") for seed in range(settings.runs)]
    can_be_answered = FAULT_CALLS - FAULTS.count("400")
    return [
        Comparison(
            f"{FAULT_NAME}, {flows}", can_be_answered, runs, plain, at_most=FAULTS_AT_MOST
        ).row()
        for flows, runs in (("100 flows", ours), ("auto", auto))
    ]


def _run(url: str, client: str, world: str, seed: int, job: Job) -> Run:
    ask(f"{url}/reset", {"world": world, "seed": seed})
    figures = run_client(client, job)
    ledger = ask(f"{url}/ledger?calls={job.count}")
    refused = ledger.get("refused", 0) + ledger.get("429", 0)
    return Run(figures["wall"], int(figures["answered"]), refused, ledger["bound"])
