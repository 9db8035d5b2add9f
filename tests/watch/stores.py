"""Stores of runs that were made up, and what a run's process would tell: what the views of a run are shown on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from flowpool.errors import BadRequest, ServerError
from flowpool.record import Record
from flowpool.run.sample import Bottleneck, LaneSample, LiveView, Sample, TimeSpread
from flowpool.store.file import open_store
from flowpool.store.rows import AttemptRow, Batch, EventRow, ItemRow, ResultRow
from flowpool.values import Attempt, Status, Timing, Usage

LANE = "openai/gpt-5-mini"
HOSTILE = "<script>alert(1)</script> \x1b[31mred \u202eright to left"


def sample(at: float, **changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "at": at,
        "elapsed": 60.0,
        "total": 400,
        "done": 200,
        "failed": 3,
        "cancelled": 0,
        "running": 16,
        "recalled": 0,
        "rate": 48.9,
        "eta": 123.0,
        "cost": 1.25,
        "tokens": 420_000,
        "cpu": 0.7,
        "lag": 0.0,
        "lanes": (LaneSample(LANE, "tokens", 16, 64, 40, 3, 0.82, 200_000.0, 191_000.0),),
    }
    return Sample(**fields | changes)


def course(began: float, seconds: int) -> list[Sample]:
    """A run that finds its limit, is refused now and then, and keeps to it."""
    found = []
    for second in range(1, seconds + 1):
        rate = 50.0 * (1 - math.exp(-second / 8)) + 3 * math.sin(second / 3)
        lane = LaneSample(
            LANE,
            "tokens" if second > 10 else "learning",
            min(64, 4 + second),
            64,
            max(0, 60 - second // 4),
            second // 20 * 3,
            0.8,
            200_000.0 if second > 8 else None,
            max(0.0, 4000.0 * rate),
        )
        found.append(
            sample(
                began + second,
                elapsed=float(second),
                rate=max(0.0, rate),
                done=min(397, 40 * second),
                lanes=(lane,),
            )
        )
    return found


BOTTLENECK = Bottleneck(
    "limit",
    f"limited by tokens of {LANE} (200,000 a minute, told)",
    "a second key would halve what is left",
    LANE,
)


def make_store(
    path: Path,
    *,
    name: str = "reviews",
    done: int = 200,
    failed: Iterable[str] = ("too long: 9001 tokens", "too long: 7 tokens", HOSTILE),
    to_do: int = 0,
    samples: Iterable[Sample] = (),
    events: Iterable[EventRow] = (),
    complete: bool = True,
    reason: str = "",
    began: float | None = None,
) -> int:
    """A store with a run; returns its number."""
    at = time.time() - 60 if began is None else began
    errors = list(failed)
    with open_store(path) as store:
        values = {"settings": "{}", "steps": ""}
        run = store.begin_run(name, b"f" * 16, values, at)
        items, results, attempts = [], [], []
        for index in range(done + len(errors) + to_do):
            number = store.new_item()
            items.append(ItemRow(number, index.to_bytes(16, "big"), b'{"n": 1}'))
            if index >= done + len(errors):
                continue
            message = errors[index - done] if index >= done else ""
            error = (BadRequest if len(message) < 30 else ServerError)(message) if message else None
            status = Status.FAILED if error else Status.DONE
            record = Record(
                index, {}, status, "yes", error, at + index / 10, 0.8, 1, Usage(900, 20), LANE
            )
            results.append(ResultRow(number, record, None if error else b'"yes"'))
            timing = Timing(0.0, 0.4 + index % 7 / 10, 0.0, 0.0, 0.0, 0.5)
            attempts.append(AttemptRow(number, attempt(at + index / 10, timing)))
        rows = [EventRow(one.at, "sample", msgspec.json.encode(one)) for one in samples]
        batch = Batch(0.0, items=items, results=results, attempts=attempts, events=[*rows, *events])
        store.write(run.id, batch)
        if complete:
            store.complete_run(run.id)
        if reason:
            store.end_run(run.id, reason, time.time())
    return run.id


def attempt(at: float, timing: Timing) -> Attempt:
    return Attempt("1.result", LANE, at, 0.8, usage=Usage(900, 20), timing=timing)


def live(**changes: Any) -> LiveView:
    """What a run's process tells of it."""
    at = time.time()
    fields: dict[str, Any] = {
        "name": "reviews",
        "pid": 4242,
        "sample": sample(at),
        "bottleneck": msgspec.structs.replace(BOTTLENECK, since=at - 75),
        "timings": {
            LANE: {
                "limit_wait": TimeSpread(200, 140.0, 0.6, 1.0, 1.0),
                "first_byte": TimeSpread(200, 100.0, 0.5, 0.5, 0.5),
                "reading": TimeSpread(200, 60.0, 0.3, 0.3, 0.3),
            }
        },
        "settings": {"max_flows": None, "max_cost": 20.0},
        "paused": False,
    }
    return LiveView(**fields | changes)


class Live:
    """What stands for a run's process: `view` is what it tells, `orders` what it was told."""

    def __init__(self, view: LiveView | None = None) -> None:
        self.view = view
        self.orders: list[tuple[str, dict[str, Any]]] = []

    def look(self, path: Path, run: str) -> LiveView | None:
        return self.view

    def order(self, path: Path, what: str, run: str, **values: Any) -> str:
        self.orders.append((what, values))
        if self.view is not None and what in ("pause", "go"):
            self.view = msgspec.structs.replace(self.view, paused=what == "pause")
        return f"done: {what}"
