"""`python -m bench watch`: what watching costs a run of 2,000 items a second, and how busy the page keeps a core.

With and without in turn, medians of pairs. The run, the simulated provider, the page's server, and whoever looks share
two cores here, so that a few percent are noise: of the wall time more than of the CPU time.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.common import CLIENT_CPU, SERVER_CPU, Row, measure
from flowpool.simulator import Fixed, SimServer

# Items, and how many are in progress for how long: 2,000 a second.
COUNT, FLOWS, LATENCY = 30_000, 128, 0.064
ROUNDS = 3
# Seconds of which a browser's CPU is taken, after those that its start takes.
LOOKED, STARTED = 8.0, 3.0
MODES = ("", "process", "pool")


def watch() -> list[Row]:
    runs: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    with SimServer("free", cpu=SERVER_CPU, latency=Fixed(LATENCY), answer_chars=100) as server:
        for _ in range(ROUNDS):
            for mode in MODES:
                runs[mode].append(_run(server.url, mode))
        looks = _run(server.url, "looks")["looks"]
        browser = _in_browser(server.url)
    plain = statistics.median(COUNT / one["wall"] for one in runs[""])
    rows = [
        _slower("flowpool watch in another process", runs[""], runs["process"], plain),
        _slower("the page served by the run's own process", runs[""], runs["pool"], plain),
    ]
    rows.append(_part("looks from within the run's process, of a core", looks, 0.02))
    server_part = statistics.median(one["page_cpu"] / one["wall"] for one in runs["process"])
    rows.append(_part("the page's server, of a core", server_part))
    if browser is not None:
        rows.append(_part("the page in Chromium, of a core", browser))
    return rows


def _slower(
    name: str, plain: Sequence[dict[str, float]], watched: Sequence[dict[str, float]], rate: float
) -> Row:
    pairs = list(zip(plain, watched, strict=True))
    ratio = statistics.median(b["wall"] / a["wall"] for a, b in pairs)
    cpu = statistics.median((b["cpu"] - a["cpu"]) / COUNT * 1e6 for a, b in pairs)
    words = f"{ratio - 1:+.1%} wall, {cpu:+.1f} us CPU an item"
    return Row(f"a run, {name}", words, f"{rate:,.0f} items/s without", f"{ratio:.3f}", "1.02", ratio <= 1.02)


def _part(name: str, part: float, bar: float = 0.30) -> Row:
    return Row(name, f"{part:.1%}", "a look a second", "", f"{bar:.0%}", part <= bar)


def _run(url: str, mode: str) -> dict[str, float]:
    """A run's figures, watched in this way; `page_cpu`: seconds that the page's server took in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "run.db")
        process = _begin(url, mode, store)
        page: subprocess.Popen[bytes] | None = None
        try:
            if mode == "process":
                page, address = _page_of(store)
            elif mode == "pool":
                assert process.stderr is not None
                address = process.stderr.readline().decode().split()[-1]
            with _looked_at(address) if page is not None or mode == "pool" else _nobody():
                out, _ = process.communicate()
            figures: dict[str, float] = json.loads(out.splitlines()[-1])
            figures["page_cpu"] = _cpu_of_session(page.pid) if page is not None else 0.0
        finally:
            if page is not None:
                _end(page)
    return figures


def _begin(url: str, mode: str, store: Path) -> subprocess.Popen[bytes]:
    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {CLIENT_CPU % (os.cpu_count() or 1)})

    return subprocess.Popen(
        [sys.executable, "-m", "bench.watch", url, mode, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if mode == "pool" else None,
        preexec_fn=pin,
    )


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
    process.kill()
    process.communicate()


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def _looked_at(address: str) -> Iterator[None]:
    """Asks as the page does, a second after each answer."""
    over = threading.Event()

    def look() -> None:
        after = 0.0
        while not over.wait(1.0):
            try:
                with urllib.request.urlopen(f"{address}view?after={after}", timeout=10) as answer:
                    after = (json.loads(answer.read())["series"]["at"] or [after])[-1]
            except OSError:  # the run's process has ended
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _in_browser(url: str) -> float | None:
    """The part of a core that the page keeps busy in headless Chromium; None where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None or not Path("/proc").is_dir():
        return None
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "run.db")
        run = _begin(url, "", store)
        page, address = _page_of(store)
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0")
        browser = subprocess.Popen(
            [path, *options, f"--user-data-dir={folder}/profile", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(STARTED)
            before = _cpu_of_session(browser.pid)
            time.sleep(LOOKED)
            return (_cpu_of_session(browser.pid) - before) / LOOKED
        finally:
            for process in (browser, page, run):
                _end(process)
            time.sleep(0.5)  # the browser's other processes end with it, and write no more


def _cpu_of_session(leader: int) -> float:
    """Seconds of CPU of all processes that belong to a session; 0 where the system doesn't tell."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == leader:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# The work, in a process of its own.


def _work(url: str, mode: str, store: str) -> dict[str, float]:
    from flowpool import Model, Pool, Skill

    model = Model("bench", base_url=url + "/v1", api_key="bench-key")
    items: list[dict[str, Any]] = [{"text": f"Text {n}."} for n in range(COUNT)]
    skill = Skill(model, prompt="Say it in other words: {text}")
    pool = Pool(skill, items, FLOWS, store=store, watch=mode == "pool", progress=False)
    if mode != "looks":
        return measure(pool.run)
    spent: list[float] = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: spent.extend(_looks(pool, over)))
    thread.start()
    figures = measure(pool.run)
    over.set()
    thread.join()
    return {**figures, "looks": sum(spent) / figures["wall"]}


def _looks(pool: Any, over: threading.Event) -> Iterator[float]:
    """Seconds of CPU of each look at a pool, a second after the other, as the page's server makes it."""
    import msgspec

    from flowpool.watch.pool_source import PoolSource
    from flowpool.watch.shown import shown

    source = PoolSource(pool._session)
    while not over.wait(1.0):
        before = time.thread_time()
        msgspec.json.encode(shown(source.view(), time.time() - 2.0))
        yield time.thread_time() - before


if __name__ == "__main__":
    print(json.dumps(_work(*sys.argv[1:])))
