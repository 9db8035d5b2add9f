"""`python -m bench report`: how large the report of a long run is, how soon it is made, and how soon it is seen."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.common import Row, median
from bench.made_run import MadeRun

COUNT, TIMES = 100_000, 3
PROJECT = Path(__file__).parents[1]
BROWSER = PROJECT / ".venv" / "browser" / "bin" / "python"


def report() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store, page = Path(folder, "run.db"), Path(folder, "report.html")
        MadeRun(COUNT).write(store)
        words = [sys.executable, "-m", "flowpool.cli", "report", str(store), "-o", str(page)]
        seconds = []
        for _ in range(TIMES):
            start = time.perf_counter()
            subprocess.run([*words, "--force"], check=True, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        size, made = page.stat().st_size / 1e6, statistics.median(seconds)
        name = f"report of {COUNT:,} items"
        rows = [
            Row(f"{name}: its size", f"{size:.1f} MB", "", "", "8 MB", size < 8),
            Row(f"{name}: made within", f"{made:.1f} s", "", "", "15 s", made <= 15),
        ]
        if not BROWSER.exists():
            print("  no .venv/browser, which make test-browser installs: no paint is measured")
            return rows
        seen = [_seen(page) for _ in range(TIMES)]
    paint, whole = median(seen, "paint"), median(seen, "whole")
    against = f"whole after {whole:.0f} ms"
    return [
        *rows,
        Row(f"{name}: first paint", f"{paint:.0f} ms", against, "", "2,000 ms", paint <= 2000),
    ]


def _seen(page: Path) -> dict[str, float]:
    command = [str(BROWSER), "-m", "bench.first_paint", str(page)]
    done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
