"""What the benches share: a client process on one core, the server on the other, medians, a table."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

SERVER_CPU, CLIENT_CPU = 0, max(os.cpu_count() or 1, 2) - 1
ROUNDS = 5


class Row(Struct):
    """A line of the table: a figure, what it is compared with, and the bar it is held against."""

    name: str
    figure: str
    against: str
    ratio: str
    bar: str
    holds: bool


def measure(script: Callable[[], Any]) -> dict[str, float]:
    """CPU and wall seconds of `script` in this process, its threads included, and the peak memory in MB."""
    cpu, wall = time.process_time(), time.perf_counter()
    script()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "wall": wall, "peak_mb": peak}


def child(
    *arguments: str, module: str = "bench.clients", environ: Mapping[str, str] | None = None
) -> dict[str, float]:
    """The figures that `python -m MODULE ARGUMENTS` prints, on the client's core, with `environ` added to ours."""

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {CLIENT_CPU % (os.cpu_count() or 1)})

    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=pin,
        env={**os.environ, **(environ or {})},
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def median(rounds: list[dict[str, float]], figure: str) -> float:
    return statistics.median(one[figure] for one in rounds)


def print_table(rows: list[Row]) -> None:
    """The rows as a markdown table."""
    head = ("bench", "measured", "against", "ratio", "bar", "")
    lines = [head, *((r.name, r.figure, r.against, r.ratio, r.bar, _mark(r)) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for number, line in enumerate(lines):
        print(
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            + " |"
        )
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def _mark(row: Row) -> str:
    return "holds" if row.holds else "MISSED"
