"""What reading and writing cost beside the pool: JSON lines and Parquet in and out, a model that answers at once.

`python -m bench data` runs it; `python -m bench.data KIND FILE COUNT` is one measurement in a process of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from bench.common import Row, measure
from flowpool.values import HttpRequest, HttpResponse, Timeouts

SMALL, LARGE = 100_000, 400_000
ROUNDS = 3
WHOLE = 5_000_000
TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 6
KINDS = ("jsonl", "parquet")
_MOST_MB, _MOST_US = 300, 20.0


class Instant:
    """A provider that answers at once, and costs next to nothing itself."""

    def __init__(self) -> None:
        message = {"role": "assistant", "content": "A short answer of some words."}
        usage = {"prompt_tokens": 100, "completion_tokens": 8, "total_tokens": 108}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "x", "model": "bench", "choices": [choice], "usage": usage}
        self._response = HttpResponse(200, {}, json.dumps(body).encode())

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        return self._response

    async def aclose(self) -> None:
        pass


def items(count: int) -> Iterator[dict[str, Any]]:
    for n in itertools.islice(itertools.count(), count):
        yield {"id": n, "text": f"{n} {TEXT}", "stars": n % 5, "lang": "en", "share": n / 7}


def prepare(path: Path, count: int) -> None:
    """Writes a file of `count` rows."""
    if path.suffix == ".jsonl":
        with path.open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in items(count))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = items(count)
    writer = None
    while batch := list(itertools.islice(rows, 10_000)):
        table = pa.Table.from_pylist(batch)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=100_000)
    assert writer is not None
    writer.close()


def run(kind: str, path: Path, count: int) -> dict[str, float]:
    """The figures of a run over the file into another one; over nothing but the pool for the kind "pool"."""
    from flowpool import Model, Pool, Skill
    from flowpool.run.environment import Environment

    model = Model("bench", base_url="http://bench.test/v1", api_key="bench-key")
    skill = Skill(model, prompt="Summarise in one sentence:\n\n{text}")
    environment = Environment(Instant(), os.environ, Random(0))
    settings: dict[str, Any] = {"max_flows": 64, "progress": False, "environment": environment}

    rows = list(items(count)) if kind == "pool" else []

    def pool_alone() -> None:
        records = Pool(skill, rows, **settings).stream()
        assert sum(1 for record in records if record.error is None) == count

    def through_files() -> None:
        target = path.with_name(f"out.{kind}")
        status = Pool(skill, str(path), **settings).write(target, ordered=True, overwrite=True)
        assert {done for done, n in status.items() if n} == {2}, status

    figures = measure(pool_alone if kind == "pool" else through_files)
    figures["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def data() -> list[Row]:
    """The bench's rows."""
    figures: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            (kind, count): Path(folder, f"{count}.{kind}")
            for kind in KINDS
            for count in (SMALL, LARGE)
        }
        for (_, count), path in paths.items():
            _child("prepare", path, count)  # else the memory of this would be its children's too
        for _ in range(ROUNDS):  # in turn, so that a noisy moment meets all
            for count in (SMALL, LARGE):
                for kind in ("pool", *KINDS):
                    path = paths.get((kind, count), Path(folder))
                    figures.setdefault((kind, count), []).append(_child(kind, path, count))
    rows = []
    for kind in KINDS:
        base, ours = _slope(figures, "pool"), _slope(figures, kind)
        over = (ours - base) * 1e6
        rows.append(
            Row(
                f"{kind} in and out, zero latency: CPU a row over the pool",
                f"{over:.1f} us",
                f"the pool alone {base * 1e6:.0f} us",
                f"{ours / base:.2f}",
                f"{_MOST_US:.0f} us",
                over <= _MOST_US,
            )
        )
        small, large = (
            statistics.median(one["rss_mb"] for one in figures[kind, count])
            for count in (SMALL, LARGE)
        )
        growth = max(0.0, large - small) / (LARGE - SMALL)
        whole = large + growth * (WHOLE - LARGE)
        rows.append(
            Row(
                f"the same, {LARGE:,} rows: peak memory",
                f"{large:.0f} MB",
                f"at {SMALL:,}: {small:.0f} MB",
                f"{growth * 1e6:.1f} MB a million rows: {whole:.0f} MB at {WHOLE:,}",
                f"{_MOST_MB} MB",
                whole <= _MOST_MB,
            )
        )
    return rows


def _slope(figures: dict[tuple[str, int], list[dict[str, float]]], kind: str) -> float:
    """CPU seconds for a further row: start-up and first imports are in both counts."""
    return statistics.median(
        (large["cpu"] - small["cpu"]) / (LARGE - SMALL)
        for small, large in zip(figures[kind, SMALL], figures[kind, LARGE], strict=True)
    )


def _child(kind: str, path: Path, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.data", kind, str(path), str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    kind, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if kind == "prepare":
        prepare(path, count)
        print("{}")
    else:
        print(json.dumps(run(kind, path, count)))
