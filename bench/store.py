"""`python -m bench store`: what keeping a run costs, how large it gets, and how soon a long one goes on."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from bench.common import ROUNDS, SERVER_CPU, Row, child, measure, median
from flowpool.simulator import Fixed, SimServer

COUNT = 20_000
FINISHED, RESUMES = 1_000_000, 3
WORDS = Path(__file__).parents[1].joinpath("LICENSE").read_text().split()


def store(finished: int = FINISHED) -> list[Row]:
    return [*cost(), *pace(), *size(), *resuming(finished)]


def cost() -> list[Row]:
    plain: list[dict[str, float]] = []
    kept: list[dict[str, float]] = []
    with SimServer("free", cpu=SERVER_CPU, latency=Fixed(0.0), answer_chars=200) as server:
        for _ in range(ROUNDS):  # in turn, so that a noisy moment meets both
            plain.append(_child("run", server.url, str(COUNT), ""))
            kept.append(_child("run", server.url, str(COUNT), "store"))
    more = statistics.median(
        (b["cpu"] - a["cpu"]) / COUNT * 1e6 for a, b in zip(plain, kept, strict=True)
    )
    base = median(plain, "cpu") / COUNT * 1e6
    return [
        Row(
            "CPU per item that a store adds, zero latency, 64 flows",
            f"{more:+.0f} us",
            f"without: {base:.0f} us",
            f"{1 + more / base:.2f}",
            "+25 us",
            more <= 25,
        )
    ]


def pace() -> list[Row]:
    with SimServer("free", cpu=SERVER_CPU, latency=Fixed(0.2), answer_chars=200) as server:
        plain, kept = (
            median([_child("paced", server.url, "200", mode) for _ in range(ROUNDS)], "wall")
            for mode in ("", "store")
        )
    return [
        Row(
            "200 items at 50 calls a second, with a store",
            f"{kept:.2f} s",
            f"without: {plain:.2f} s",
            f"{kept / plain:.3f}",
            "1.01",
            kept <= 1.01 * plain,
        )
    ]


def size() -> list[Row]:
    figures = _child("size", "", "5000", "store")
    return [
        Row(
            "store, for 1.5 KB an item of input and output",
            f"{figures['bytes']:,.0f} B",
            f"as it stands: {figures['raw']:,.0f} B",
            f"{figures['bytes'] / figures['raw']:.2f}",
            "1,300 B",
            figures["bytes"] <= 1300,
        )
    ]


def resuming(finished: int) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        SimServer("free", cpu=SERVER_CPU, latency=Fixed(0.0)) as server,
    ):
        path = str(Path(folder, "run.db"))
        _child("fill", server.url, str(finished), path)
        rounds = [
            _child("resume", server.url, str(finished + more), path)
            for more in range(1, RESUMES + 1)
        ]
    first, cpu, peak = (median(rounds, name) for name in ("first", "cpu", "rss_mb"))
    return [
        Row(
            f"resume of {finished:,} finished items: the first new call",
            f"{first:.1f} s",
            f"CPU: {cpu:.1f} s",
            "",
            "10 s",
            first <= 10,
        ),
        Row("the same, peak memory", f"{peak:.0f} MB", "", "", "300 MB", peak <= 300),
    ]


# The work, in a process of its own.


def _skill(url: str, **settings: Any) -> Any:
    from flowpool import Model, Skill

    model = Model("bench", base_url=url + "/v1", api_key="bench-key", **settings)
    return Skill(model, prompt="Summarise in one sentence:\n\n{text}")


def _texts(count: int, length: int) -> Iterator[str]:
    """Pieces of real text, each of about so many characters."""
    random = Random(1)
    while count:
        at = random.randrange(len(WORDS) - length // 4)
        yield f"{count} {' '.join(WORDS[at : at + length // 4])}"[:length]
        count -= 1


def run(url: str, count: int, mode: str, folder: str) -> dict[str, float]:
    from flowpool import Pool

    items = [{"text": text} for text in _texts(count, 900)]
    store = Path(folder, "run.db") if mode else None
    pool = Pool(_skill(url), items, max_flows=64, progress=False, store=store)
    return measure(lambda: _check(pool.run()))


def paced(url: str, count: int, mode: str, folder: str) -> dict[str, float]:
    from flowpool import Limits, Pool

    items = [{"text": text} for text in _texts(count, 900)]
    store = Path(folder, "run.db") if mode else None
    limits = Limits(rpm=3000)
    pool = Pool(_skill(url), items, limits=limits, progress=False, store=store)
    return measure(lambda: _check(pool.run()))


def size_of(url: str, count: int, mode: str, folder: str) -> dict[str, float]:
    from flowpool import Pool

    path = Path(folder, "run.db")
    outputs = list(_texts(count, 750))
    items = [{"text": text, "number": number} for number, text in enumerate(_texts(count, 750))]
    Pool(lambda number: outputs[number], items, progress=False, store=path).run()
    raw = sum(len(json.dumps(item)) for item in items) + sum(len(out) + 2 for out in outputs)
    return {"bytes": path.stat().st_size / count, "raw": raw / count}


def fill(url: str, count: int, path: str, folder: str) -> dict[str, float]:
    """A store with so many finished items of a file, which has a few more."""
    with Path(path).with_suffix(".jsonl").open("w") as file:
        for number in range(count + RESUMES):
            file.write(json.dumps({"text": f"{number} The clocks were striking thirteen."}) + "\n")
    _run_file(url, count, path)
    return {}


def resume(url: str, count: int, path: str, folder: str) -> dict[str, float]:
    import flowpool.http.transport

    sent: list[tuple[float, float]] = []
    send = flowpool.http.transport.HttpTransport.send

    async def watched(self: Any, request: Any, timeouts: Any) -> Any:
        sent.append((time.perf_counter(), time.process_time()))
        return await send(self, request, timeouts)

    flowpool.http.transport.HttpTransport.send = watched  # type: ignore[method-assign]
    began, cpu = time.perf_counter(), time.process_time()
    done = _run_file(url, count, path)
    assert (done, len(sent)) == (count, 1), (done, len(sent))
    return {"first": sent[0][0] - began, "cpu": sent[0][1] - cpu}


def _run_file(url: str, count: int, path: str) -> int:
    from flowpool import Pool

    rows = Path(path).with_suffix(".jsonl")
    pool = Pool(_skill(url), rows, limit=count, progress=False, store=path, max_flows=64)
    return sum(1 for _ in pool.stream())


def _check(results: Any) -> None:
    assert not results.failed, results.failed[0].error


JOBS = {"run": run, "paced": paced, "size": size_of, "fill": fill, "resume": resume}


def _child(*arguments: str) -> dict[str, float]:
    return child(*arguments, module="bench.store", environ={"FLOWPOOL_SHARE": "off"})


def main() -> None:
    job, url, count, more = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as folder:
        figures = JOBS[job](url, int(count), more, folder)
    figures["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
