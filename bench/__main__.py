"""`python -m bench [NAME ...]`: runs the benches and prints the table that stands in the README.

`python -m bench rates [--seeds 200] [--half tune|held] [--only WORDS] [--figure FILE.svg]` plays every kind of
world in virtual time first, and `python -m bench rates exact` buckets and headers; see `--help` of both.
`python -m bench servers [NAME ...]` measures against real servers, those that are installed, and
`python -m bench pages FOLDER` how well main content is found on sets of pages. `python -m bench against TREE` holds
the CPU of an item against that of another checkout.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.against import against
from bench.common import ROUNDS, SERVER_CPU, Row, child, median, print_table
from bench.data import data
from bench.hostile import hostile
from bench.pages import main as pages_table
from bench.rates.command import main as rates_table
from bench.rates.sockets import sockets
from bench.report import report
from bench.servers.command import main as servers_table
from bench.store import store
from bench.watch import watch
from flowpool.simulator import Fixed, Lognormal, SimServer

PAGE = "<html><head><title>A page to read</title></head><body><p>Some words.</p></body></html>"


@contextmanager
def _server(latency: Fixed | Lognormal, pages: str | None = None) -> Iterator[SimServer]:
    with SimServer(
        "free",
        cpu=SERVER_CPU,
        latency=latency,
        answer_chars=200,
        pages_dir=pages,
        page_latency=0.5 if pages else 0.0,
    ) as server:
        yield server


def cpu_per_item() -> list[Row]:
    count = 20_000
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with _server(Fixed(0.0)) as server:
        for _ in range(ROUNDS):  # in turn, so that a noisy moment meets both
            ours.append(child("pool", server.url, str(count), "64"))
            theirs.append(child("loop", server.url, str(count), "64"))
    ratio = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(ours, theirs, strict=True))
    mine, base = (median(rounds, "cpu") / count * 1e6 for rounds in (ours, theirs))
    return [
        Row(
            "client CPU per item, zero latency, 64 flows",
            f"{mine:.0f} us",
            f"hand-written loop {base:.0f} us",
            f"{ratio:.2f}",
            "1.0",
            ratio <= 1.0,
        )
    ]


def waves() -> list[Row]:
    rows = []
    with _server(Fixed(2.0)) as server:
        for flows, bound, bar in ((10, 10.0, 10.2), (50, 2.0, 2.08)):
            wall = median(
                [child("pool", server.url, "50", str(flows)) for _ in range(ROUNDS)], "wall"
            )
            rows.append(_bounded(f"50 items of 2.0 s, {flows} flows", wall, bound, bar))
    return rows


def wide() -> list[Row]:
    with _server(Fixed(1.0)) as server:
        rounds = [child("pool", server.url, "4000", "1000") for _ in range(ROUNDS)]
    peak = median(rounds, "rss_mb")
    return [
        _bounded("4,000 items of 1.0 s, 1,000 flows", median(rounds, "wall"), 4.0, 4.6),
        Row("the same, peak memory", f"{peak:.0f} MB", "", "", "150 MB", peak <= 150),
    ]


def busy() -> list[Row]:
    with _server(Lognormal(0.2, 0.6)) as server:
        share = median([child("busy", server.url, "2000", "100") for _ in range(ROUNDS)], "busy")
    return [
        Row(
            "2,000 items, lognormal latency, 100 flows: slots busy",
            f"{share:.1%}",
            "until the last 100 items",
            f"{share:.3f}",
            "98 %",
            share >= 0.98,
        )
    ]


def stages() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text(PAGE)
        with _server(Fixed(0.5), folder) as server:
            rounds = [child("stages", server.url, "200") for _ in range(ROUNDS)]
    # The model's lane can't begin before the first page is there.
    bound = 0.5 + 200 / 10 * 0.5
    return [_bounded("fetch 0.5 s, 50 wide, then model 0.5 s, 10 wide: 200 items", median(rounds, "wall"), bound,
                     1.05 * bound)]  # fmt: skip


def memory() -> list[Row]:
    with _server(Fixed(0.0)) as server:
        peaks = [
            statistics.median(child("stream", server.url, count)["rss_mb"] for _ in range(rounds))
            for count, rounds in (("20000", ROUNDS), ("200000", 1))
        ]
    growth = peaks[1] - peaks[0]
    return [
        Row(
            "200,000 items through stream(): peak memory",
            f"{peaks[1]:.0f} MB",
            f"at 20,000: {peaks[0]:.0f} MB",
            f"{growth:+.0f} MB",
            "+20 MB",
            growth <= 20,
        )
    ]


def rates() -> list[Row]:
    rows = []
    for headers, bar, most in (("openai", 11.9, 3), ("none", 14.0, 30)):
        figures, refused = [], []
        for _ in range(ROUNDS):
            with SimServer(
                "free",
                cpu=SERVER_CPU,
                headers=headers,
                rpm=3000,
                depth=1.0,
                latency=Fixed(0.3),
                answer_chars=200,
            ) as server:
                figures.append(child("limited", server.url, "600"))
                refused.append(server.ledger()["throttled"])
        wall, throttled = median(figures, "wall"), statistics.median(refused)
        name = "600 items at 3,000 a minute, nothing configured, " + (
            "with headers" if headers == "openai" else "no headers"
        )
        rows.append(_bounded(name, wall, 11.3, bar))
        rows.append(
            Row(
                "the same, answers of 429", f"{throttled:.0f}", "", "", f"{most}", throttled <= most
            )
        )
    return rows


def startup() -> list[Row]:
    rows = []
    bare = _command_ms("pass")
    for name, code, bar in (
        ("import flowpool", "import flowpool", 100),
        ("flowpool --help", "from flowpool.cli import main; main(['--help'])", 250),
    ):
        took = _command_ms(code)
        rows.append(
            Row(
                name,
                f"{took:.0f} ms",
                f"bare python {bare:.0f} ms",
                f"{took / bare:.1f}",
                f"{bar} ms",
                took <= bar,
            )
        )
    return rows


def _command_ms(code: str) -> float:
    times = []
    for _ in range(2 * ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def _bounded(name: str, wall: float, bound: float, bar: float) -> Row:
    return Row(
        name,
        f"{wall:.2f} s",
        f"bound {bound:.2f} s",
        f"{wall / bound:.3f}",
        f"{bar:.2f} s",
        wall <= bar,
    )


BENCHES: dict[str, Callable[[], list[Row]]] = {
    bench.__name__: bench
    for bench in (
        cpu_per_item,
        waves,
        wide,
        busy,
        stages,
        memory,
        data,
        store,
        rates,
        sockets,
        startup,
        hostile,
        report,
        watch,
    )
}


def main(*names: str) -> None:
    if names[:1] == ("servers",):
        servers_table(*names[1:])
        return
    if names[:1] == ("pages",):
        pages_table(*names[1:])
        return
    if names[:1] == ("against",):
        print_table(against(*names[1:]))
        return
    if names[:1] == ("rates",):
        if not rates_table(*names[1:]):
            return
        names = ("rates", "sockets")
    unknown = set(names) - BENCHES.keys()
    if unknown:
        sys.exit(f"no bench {unknown.pop()!r}: there are {', '.join(BENCHES)}")
    rows = []
    for name in names or BENCHES:
        print(f"{name} ...", file=sys.stderr)
        for row in BENCHES[name]():
            print(f"  {row.name}: {row.figure} ({row.against}), bar {row.bar}", file=sys.stderr)
            rows.append(row)
    print_table(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
