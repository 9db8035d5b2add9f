"""Mocks and gateways from the registries: aimock's chaos, and LiteLLM's proxy before the simulator."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from bench.common import SERVER_CPU, Row
from bench.servers.clients import Job
from bench.servers.measuring import (
    PLAIN_FLOWS,
    Comparison,
    Flows,
    Run,
    Settings,
    flows_in_words,
    read,
    repeat,
    run_client,
    say,
)
from bench.servers.process import Process, free_port, has_command
from flowpool.simulator import Fixed, SimServer, find_profile

LATENCY = 0.2
BOTH_FLOWS: tuple[Flows, ...] = (PLAIN_FLOWS, "auto")

AIMOCK_CALLS, AIMOCK_REFUSED = 480, 0.05
AIMOCK_AT_MOST = 60.0


class Aimock:
    """Chance 429s whose headers say 60 a minute, and no headers on the answers between them."""

    name = "aimock"
    hint = "npm install --prefix .venv/aimock @copilotkit/aimock"

    def is_installed(self, settings: Settings) -> bool:
        return has_command("node") is not None and _aimock(settings).is_file()

    def measure(self, settings: Settings) -> list[Row]:
        return [say(self._row(settings, flows)) for flows in BOTH_FLOWS]

    def _row(self, settings: Settings, flows: Flows) -> Row:
        def run(client: str, seed: int) -> Run:
            with self._served(settings) as url:
                figures = run_client(client, Job(url, AIMOCK_CALLS, flows))
                refused = _refused_by_aimock(read(f"{url}/metrics"))
            bound = AIMOCK_CALLS * LATENCY / PLAIN_FLOWS
            return Run(figures["wall"], int(figures["answered"]), refused, bound)

        ours, plain = repeat(settings, run)
        share = f"{AIMOCK_REFUSED:.0%} of 429s whose headers say 60 a minute"
        name = f"aimock ({share}), {AIMOCK_CALLS} calls, {flows_in_words(flows)}"
        return Comparison(name, AIMOCK_CALLS, ours, plain, at_most=AIMOCK_AT_MOST).row()

    @contextmanager
    def _served(self, settings: Settings) -> Iterator[str]:
        port = free_port()
        node = has_command("node")
        assert node is not None
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flowpool-bench-"))
            fixtures = Path(folder, "any.json")
            fixtures.write_text('{"fixtures": [{"match": {}, "response": {"content": "Yes."}}]}')
            command = [node, str(_aimock(settings)), f"--port={port}", f"--fixtures={fixtures}"]
            command += [
                f"--chaos-ratelimit={AIMOCK_REFUSED}",
                f"--chaos-latency={LATENCY * 1e3:.0f}",
            ]
            command += ["--metrics", "--log-level=silent", "--journal-max=10"]
            yield stack.enter_context(Process(command, port)).url


def _aimock(settings: Settings) -> Path:
    return settings.installed / "aimock/node_modules/@copilotkit/aimock/dist/cli.js"


def _refused_by_aimock(metrics: str) -> int:
    lines = re.findall(r'^aimock_requests_total\{.*status="429".*\} (\d+)$', metrics, re.MULTILINE)
    return sum(int(count) for count in lines)


class Gate(Struct):
    """How LiteLLM is set up: whose limit it is, the calls, their least seconds, and the most that a run gets."""

    words: str
    calls: int
    bound: float
    deadline: float
    own_rpm: int | None = None  # enforced by LiteLLM, in minutes of the clock
    sim_rpm: int | None = None  # enforced by the simulator for each of the two keys behind LiteLLM


GATES = (
    # What is over the minute's waits for the next, and both begin in the first half of a minute.
    Gate("its own limit of 300 a minute", 360, 60.0, 150.0, own_rpm=300),
    # Two keys of 5 a second with a second's worth at once.
    Gate("two keys of 300 a minute behind it", 210, 20.0, 150.0, sim_rpm=300),
)


class LiteLlm:
    """LiteLLM's proxy before the simulator: limits of its own, and those of keys that it takes out after a 429."""

    name = "litellm"
    # Later ones name a package that the index doesn't have.
    hint = (
        "python3 -m venv .venv/litellm && .venv/litellm/bin/pip install 'litellm[proxy]==1.105.7'"
    )

    def is_installed(self, settings: Settings) -> bool:
        return _litellm(settings).is_file()

    def measure(self, settings: Settings) -> list[Row]:
        gates = [gate for gate in GATES if settings.wants(gate.words)]
        return [say(self._row(settings, gate, flows)) for gate in gates for flows in BOTH_FLOWS]

    def _row(self, settings: Settings, gate: Gate, flows: Flows) -> Row:
        def run(client: str, seed: int) -> Run:
            with _behind_litellm(settings, gate) as (server, key):
                bound = gate.bound if gate.own_rpm is None else gate.bound - _early_in_minute()
                job = Job(server.url, gate.calls, flows, key=key, deadline=gate.deadline)
                figures = run_client(client, job)
                refused = server.printed().count('HTTP/1.1" 429')
            return Run(figures["wall"], int(figures["answered"]), refused, bound)

        ours, plain = repeat(settings, run)
        name = f"LiteLLM ({gate.words}), {gate.calls} calls, {flows_in_words(flows)}"
        return Comparison(name, gate.calls, ours, plain).row()


def _early_in_minute() -> float:
    """Waits for the first half of a minute of the clock, and tells how many seconds of it have gone."""
    gone = time.time() % 60
    if gone > 30:
        time.sleep(61 - gone)
    return time.time() % 60


def _litellm(settings: Settings) -> Path:
    return settings.installed / "litellm/bin/litellm"


@contextmanager
def _behind_litellm(settings: Settings, gate: Gate) -> Iterator[tuple[Process, str]]:
    """The proxy, and the key that it takes."""
    port, key = free_port(), f"sk-{secrets.token_urlsafe(32)}"
    with ExitStack() as stack:
        profile = find_profile("free").replace(latency=Fixed(LATENCY))
        if gate.sim_rpm is not None:
            profile = profile.replace(rpm=gate.sim_rpm, depth=1.0)
        sim = stack.enter_context(SimServer(profile, cpu=SERVER_CPU))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flowpool-bench-"))
        config = Path(folder, "config.yaml")
        config.write_text(json.dumps(_litellm_config(sim.url, gate)))
        environ = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [str(_litellm(settings)), "--config", str(config), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--telemetry", "False"]
        yield stack.enter_context(Process(command, port, environ=environ)), key


def _litellm_config(sim_url: str, gate: Gate) -> dict[str, object]:
    keys = ["one"] if gate.sim_rpm is None else ["one", "two"]
    deployments = [
        {"model": "openai/bench", "api_base": f"{sim_url}/v1", "api_key": key, "rpm": gate.own_rpm}
        for key in keys
    ]
    return {
        "model_list": [{"model_name": "bench", "litellm_params": one} for one in deployments],
        "router_settings": {
            "optional_pre_call_checks": ["enforce_model_rate_limits"] if gate.own_rpm else []
        },
    }
