"""What both demos end with: the comparison of all jobs, and the file of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from flowpool.demo import corpus
from flowpool.demo.jobs import LOOP, POOL, Item, Timed
from flowpool.demo.screen import DemoScreen
from flowpool.errors import InvalidInput

RESULTS = "results.jsonl"


def comparison(screen: DemoScreen, timed: Sequence[Timed]) -> None:
    """The table of all jobs: seconds one by one and pooled, and how many times faster that was."""
    loops = {one.job: one.seconds for one in timed if one.way == LOOP}
    rows = []
    for one in timed:
        if one.way != LOOP:
            job = one.job if one.way == POOL else f"{one.job}, {one.way}"
            slow, fast = loops[one.job], one.seconds
            rows.append((job, f"{slow:.2f} s", f"{fast:.2f} s", f"{slow / fast:.1f} x"))
    screen.table("Measured in this run", ("job", LOOP, POOL, "speed-up"), rows)


def results_file(output: Path) -> Path:
    """Where the results go; raises `InvalidInput` now if they couldn't."""
    target = output / RESULTS
    try:
        output.mkdir(parents=True, exist_ok=True)
        target.open("ab").close()
    except OSError as error:
        raise InvalidInput(f"--output {output}: can't be written: {error.strerror}.") from None
    return target


def write_results(target: Path, items: Sequence[Item], summaries: Sequence[Any]) -> None:
    """A line of JSON a page: its address, its title and its summary."""
    titles = {page.name: page.title for page in corpus.pages()}
    with target.open("wb") as file:
        for item, summary in zip(items, summaries, strict=True):
            url = item["source"]
            row = {"url": url, "title": titles[url.rpartition("/")[2]], "summary": summary}
            file.write(msgspec.json.encode(row) + b"\n")
