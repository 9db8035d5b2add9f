"""`python -m bench watch`: what watching costs a run of 2,000 items a second, and how busy the page keeps a core.

A run is watched for two seconds and left alone for two, in turn: the medians of both are beside each other. The
run, the simulated provider, the page's server and whoever looks share the machine's cores; on two of them, with
anything else going on, a percent or two are noise. What looks take within the run's own process is measured apart.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.common import CLIENT_CPU, SERVER_CPU, Row
from flowpool.simulator import Fixed, SimServer

# Items, and how many are in progress for how long: 2,000 a second.
COUNT, FLOWS, LATENCY = 160_000, 128, 0.064
# Seconds with somebody looking, and without; how many of both; and those in which the run finds its pace.
WINDOW, WINDOWS, STARTED = 2.0, 32, 3.0
# Seconds of which a browser's CPU is taken.
BROWSER = 8.0


def watch() -> list[Row]:
    with SimServer("free", cpu=SERVER_CPU, latency=Fixed(LATENCY), answer_chars=100) as server:
        apart = _windows(server.url, "apart")
        within = _windows(server.url, "within")
        browser = _in_browser(server.url)
    rows = [
        _slower("a run that `flowpool watch` looks at", apart),
        _slower("a run whose own process serves the page", within),
        _part("looks from within the run's process, of a core", within["looks"], 0.02),
        _part("the page's server, of a core", apart["page"]),
    ]
    return rows if browser is None else [*rows, _part("the page in Chromium, of a core", browser)]


def _slower(name: str, figures: dict[str, float]) -> Row:
    ratio = figures["with"] / figures["without"]
    return Row(
        name,
        f"{figures['with']:,.0f} items/s",
        f"not looked at: {figures['without']:,.0f}, quartiles {figures['spread']:.1%} apart",
        f"{ratio:.3f}",
        "0.98",
        ratio >= 0.98,
    )


def _part(name: str, part: float, bar: float = 0.30) -> Row:
    return Row(name, f"{part:.1%}", "a look a second", "", f"{bar:.0%}", part <= bar)


def _windows(url: str, mode: str) -> dict[str, float]:
    """Items a second with somebody looking and without, and what the page's server and the looks took of a core."""
    with tempfile.TemporaryDirectory() as folder, _run(url, mode, Path(folder)) as run:
        page = _page_of(run.store) if mode == "apart" else None
        address = run.address if page is None else page[1]
        time.sleep(STARTED)
        looked: list[tuple[float, float]] = []
        before, began = _cpu_of(page[0] if page else None), time.monotonic()
        for _ in range(WINDOWS // 2):
            start = time.monotonic()
            _look(address, start + WINDOW)
            looked.append((start, time.monotonic()))
            time.sleep(WINDOW)
        took = (_cpu_of(page[0] if page else None) - before) / sum(b - a for a, b in looked)
        counts, spent = run.end()
        if page is not None:
            _end(page[0])
    rates = {True: [], False: []}  # type: dict[bool, list[float]]
    edges = [edge for window in looked for edge in window]
    for number, (start, end) in enumerate(
        zip(edges, [*edges[1:], edges[-1] + WINDOW], strict=True)
    ):
        rates[number % 2 == 0].append(_rate(counts, start, end))
    low, _, high = statistics.quantiles(rates[False], n=4)
    without = statistics.median(rates[False])
    return {
        "with": statistics.median(rates[True]),
        "without": without,
        "spread": (high - low) / without,
        "page": took,
        "looks": spent / (edges[-1] - began),
    }


def _rate(counts: list[tuple[float, int]], start: float, end: float) -> float:
    """Items a second between two moments."""
    within = [(at, count) for at, count in counts if start <= at <= end]
    return (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0])


def _look(address: str, until: float) -> None:
    """Asks as the page does, each second."""
    after = 0.0
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{address}view?after={after}", timeout=10) as answer:
            after = (json.loads(answer.read())["series"]["at"] or [after])[-1]
        time.sleep(max(0.0, min(1.0, until - time.monotonic())))


class _Run:
    """A run in a process of its own, and the address of its page where it serves one."""

    def __init__(self, url: str, mode: str, folder: Path) -> None:
        def pin() -> None:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {CLIENT_CPU % (os.cpu_count() or 1)})

        self.store = folder / "run.db"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.watch", url, mode, str(self.store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=pin,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().strip()

    def end(self) -> tuple[list[tuple[float, int]], float]:
        """How many items had ended when, and the CPU seconds of looks within the process."""
        out, _ = self.process.communicate(b"\n")
        return msgspec.json.decode(out.splitlines()[-1], type=tuple[list[tuple[float, int]], float])


@contextmanager
def _run(url: str, mode: str, folder: Path) -> Iterator[_Run]:
    run = _Run(url, mode, folder)
    try:
        yield run
    finally:
        _end(run.process)


def _page_of(store: Path) -> tuple[subprocess.Popen[bytes], str]:
    while not Path(f"{store}.control").exists():
        time.sleep(0.01)
    page = subprocess.Popen(
        [sys.executable, "-m", "flowpool.cli", "watch", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert page.stdout is not None
    return page, page.stdout.readline().decode().strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


def _in_browser(url: str) -> float | None:
    """The part of a core that the page keeps busy in headless Chromium; None where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None or not Path("/proc").is_dir():
        return None
    with tempfile.TemporaryDirectory() as folder, _run(url, "apart", Path(folder)) as run:
        page, address = _page_of(run.store)
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0")
        browser = subprocess.Popen(
            [path, *options, f"--user-data-dir={folder}/profile", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(STARTED)
            before = _cpu_of(browser)
            time.sleep(BROWSER)
            return (_cpu_of(browser) - before) / BROWSER
        finally:
            _end(browser)
            _end(page)
            time.sleep(0.5)  # the browser's other processes end with it, and write no more


def _cpu_of(leader: subprocess.Popen[bytes] | None) -> float:
    """CPU seconds of all processes of a session; 0 of none, or where the system doesn't tell."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if leader is not None and int(fields[3]) == leader.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# The work, in a process of its own.


def _work(url: str, mode: str, store: str) -> None:
    from flowpool import Model, Pool, Skill
    from flowpool.pool import DONE
    from flowpool.watch.server import PageServer
    from flowpool.watch.shown import Shown

    model = Model("bench", base_url=url + "/v1", api_key="bench-key")
    items: list[dict[str, Any]] = [{"text": f"Text {n}."} for n in range(COUNT)]
    skill = Skill(model, prompt="Say it in other words: {text}")
    pool = Pool(skill, items, FLOWS, store=store, progress=False)
    print(pool.watch() if mode == "within" else "", flush=True)
    spent = 0.0
    shown = PageServer.shown

    def timed(server: PageServer, after: float) -> Shown:
        nonlocal spent
        before = time.thread_time()
        try:
            return shown(server, after)
        finally:
            spent += time.thread_time() - before

    PageServer.shown = timed  # type: ignore[method-assign, assignment]
    over = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        over.set()

    for work in (wait, pool.run):
        threading.Thread(target=work, daemon=True).start()
    counts = []
    while not over.wait(0.1):
        counts.append((time.monotonic(), pool.status[DONE]))
    print(json.dumps([counts, spent]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    _work(*sys.argv[1:])
