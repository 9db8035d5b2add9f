"""What every server's rows share: a client run with an empty memory, medians of the runs, the rows' words."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from bench.common import Row, child
from bench.servers.clients import Job

Flows = int | Literal["auto"]
PLAIN_FLOWS = 100
# Never much worse than knowing nothing: the bar of every row that has the plain loop beside it.
TIMES_PLAIN, OVER_PLAIN = 1.1, 1.0


class Settings(Struct):
    """What the command line says."""

    runs: int = 3
    installed: Path = Path(".venv")  # where servers that bring an environment of their own are
    url: str = ""  # a server that runs already
    plain: bool = True  # whether the plain loop runs beside
    only: str = ""  # rows whose world has these words

    def wants(self, words: str) -> bool:
        return self.only in words


class RealServer(Protocol):
    """A server to be measured against."""

    name: str
    hint: str  # how to install it

    def is_installed(self, settings: Settings) -> bool: ...

    def measure(self, settings: Settings) -> list[Row]: ...


class Run(Struct):
    """One client's run: seconds and answers, and what the server counted."""

    wall: float
    answered: int
    refused: int
    bound: float
    p50: float = 0.0
    pace: float = 0.0
    cpu: float = 0.0


def run_client(client: str, job: Job) -> dict[str, float]:
    """The figures of one client on its core, who remembers nothing of earlier runs."""
    with tempfile.TemporaryDirectory(prefix="flowpool-bench-") as cache:
        words = msgspec.json.encode(job).decode()
        environ = {"XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache}
        return child(client, words, module="bench.servers.clients", environ=environ)


def ask(url: str, body: Any = None) -> Any:
    """The JSON that one of our own servers answers; with `body`, to a POST of it."""
    data = None if body is None else json.dumps(body).encode()
    return json.loads(read(url, data))


def read(url: str, data: bytes | None = None) -> str:
    """The text at a URL of loopback, past any proxy that the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=data), timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def flows_in_words(flows: Flows) -> str:
    return flows if isinstance(flows, str) else f"{flows} flows"


class Comparison(Struct):
    """A row in the making: flowpool's runs, the plain loop's beside them, and the bars."""

    name: str
    calls: int
    ours: list[Run]
    plain: list[Run]
    within: float | None = None  # times the bound
    at_most: float | None = None  # seconds
    refused: float | None = None  # share of the calls

    def row(self) -> Row:
        wall = statistics.median(run.wall for run in self.ours)
        ratio = statistics.median(run.wall / run.bound for run in self.ours)
        refused = statistics.median(run.refused for run in self.ours)
        answered = min(run.answered for run in self.ours)
        bars, holds = [], answered >= self.calls
        if self.within is not None:
            bars.append(f"{self.within:g} x")
            holds = holds and ratio <= self.within
        if self.at_most is not None:
            bars.append(f"{self.at_most:g} s")
            holds = holds and wall <= self.at_most
        if (most := self._plain_bar()) is not None:
            bars.append(f"{most:.2f} s by the plain loop")
            holds = holds and wall <= most
        if self.refused is not None:
            bars.append(f"{self.refused:.0%} refused")
            holds = holds and refused <= self.refused * self.calls
        bound = statistics.median(run.bound for run in self.ours)
        against = f"bound {bound:.2f} s{self._beside()}"
        figure = f"{wall:.2f} s, {refused:.0f} refused"
        if answered < self.calls:
            figure += f", {answered} of {self.calls} answered"
        return Row(self.name, figure, against, f"{ratio:.2f}", ", ".join(bars), holds)

    def _plain_bar(self) -> float | None:
        """Seconds that the plain loop allows, where it answered everything."""
        if not self.plain or min(run.answered for run in self.plain) < self.calls:
            return None
        return TIMES_PLAIN * statistics.median(run.wall for run in self.plain) + OVER_PLAIN

    def _beside(self) -> str:
        if not self.plain:
            return ""
        wall = statistics.median(run.wall for run in self.plain)
        refused = statistics.median(run.refused for run in self.plain)
        words = f"; plain loop {wall:.2f} s, {refused:.0f} refused"
        answered = min(run.answered for run in self.plain)
        return words if answered >= self.calls else f"{words}, {answered} answered"


def repeat(settings: Settings, run: Callable[[str, int], Run]) -> tuple[list[Run], list[Run]]:
    """flowpool's runs and the plain loop's, in turn, so that a noisy moment meets both; `run(client, seed)`."""
    ours, plain = [], []
    for seed in range(settings.runs):
        ours.append(run("pool", seed))
        if settings.plain:
            plain.append(run("plain", seed))
    return ours, plain


def say(row: Row) -> Row:
    """Shows a row on stderr as soon as it stands."""
    print(f"  {row.name}: {row.figure} ({row.against}), bar {row.bar}", file=sys.stderr)
    return row
