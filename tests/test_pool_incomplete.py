"""A run that was stopped before its end: every item that is known to be there has a place, and it says so."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowpool.errors import NotFinished
from flowpool.store.reading import Reader
from flowpool.values import Status
from flowpool.views.words import end_text


def rows_file(folder: Path, count: int) -> Path:
    path = folder / "rows.csv"
    path.write_text("text\n" + "".join(f"row {n}\n" for n in range(count)))
    return path


def cut(sim: Any, items: Any, **settings: Any) -> Any:
    """A pool that a deadline ended: of 120 items, each of 1 s, 20 at once."""
    pool = sim.pool(items=items, max_flows=20, deadline=2.5, **settings)
    sim.run(pool)
    return pool


@pytest.mark.parametrize("kind", ["list", "file"])
def test_results_have_as_many_places_as_there_are_items(simulate, tmp_path: Path, kind) -> None:
    items = 120 if kind == "list" else rows_file(tmp_path, 120)
    pool = cut(simulate(), items)
    assert len(pool.results) == 120
    assert [record.index for record in pool.results.records] == list(range(120))
    assert sum(pool.status.values()) == 120
    assert pool.status[Status.PENDING] == pool.status[Status.RUNNING] == 0
    assert pool.status[Status.DONE] == 40
    assert pool.results.records[-1].variables == {
        "text": "row 119" if kind == "file" else "item 119"
    }
    assert pool.snapshot.total == 120


def test_it_says_where_it_stopped_and_why(simulate, tmp_path: Path) -> None:
    pool = cut(simulate(), rows_file(tmp_path, 120))
    says = "stopped at 40 of 120: the run's deadline of 2.5 s passed"
    assert pool.snapshot.stopped == says
    assert (says, True) in end_text("x", pool.snapshot).lines
    with pytest.raises(
        NotFinished, match=f"^40 of 120 items are done: 80 were cancelled .*; {says}"
    ):
        pool.results.raise_if_incomplete()


def test_where_nobody_knows_how_many_were_to_come_it_says_so(simulate) -> None:
    pool = cut(simulate(), ({"text": f"row {n}"} for n in range(120)))
    assert pool.snapshot.stopped.startswith("stopped at 40 of an unknown number: ")
    with pytest.raises(NotFinished, match="stopped at 40 of an unknown number"):
        pool.results.raise_if_incomplete()


def test_a_retry_goes_on_with_the_rows_that_were_never_read(simulate, tmp_path: Path) -> None:
    sim = simulate()
    path = rows_file(tmp_path, 60)
    pool = sim.pool(items=path, max_flows=20)

    async def stopped() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(1.5)
        pool.stop()
        await running

    sim.run(stopped())
    assert len(pool.results) == 60
    results = sim.run(pool.aretry())
    assert list(results.raise_if_incomplete()) == [f"row {n}" for n in range(60)]
    assert pool.snapshot.stopped == ""
    assert pool.status[Status.DONE] == 60


def test_failed_items_are_missing_too(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=[{"text": "a"}, {"text": "[[sim: 400]] b"}]))
    with pytest.raises(
        NotFinished, match=r"1 of 2 items are done: 1 failed; first failure: items\[1\]: BadR"
    ):
        results.raise_if_incomplete()


async def interrupted(pool: Any) -> Any:
    """A pool's results after Ctrl-C."""
    running = asyncio.ensure_future(pool.arun())
    await asyncio.sleep(1.5)
    pool._session.interrupted = True
    pool.stop()
    await running
    return pool.results


def test_an_interrupted_run_isnt_written_as_if_it_were_whole(simulate, tmp_path: Path) -> None:
    sim = simulate()
    pool = sim.pool(items=rows_file(tmp_path, 60), max_flows=20)
    results = sim.run(interrupted(pool))
    path = tmp_path / "out.csv"
    with pytest.raises(NotFinished, match=r"^stopped at 40 of 60: .* was not written: pool.retry"):
        results.write(path)
    assert not path.exists()
    results.write(path, partial=True)
    assert len(path.read_text().splitlines()) == 61
    sim.run(pool.aretry())
    pool.results.write(path, overwrite=True)
    assert path.read_text().splitlines()[-1] == "row 59,row 59"


def test_a_run_that_was_stopped_is_written_with_a_warning(simulate, tmp_path: Path) -> None:
    pool = cut(simulate(), rows_file(tmp_path, 120))
    path = tmp_path / "out.csv"
    with pytest.warns(RuntimeWarning, match=r"stopped at 40 of 120: .*out.csv has rows without"):
        pool.results.write(path)
    assert len(path.read_text().splitlines()) == 121


def test_rows_that_a_stopped_run_never_wrote_are_told_of(simulate, tmp_path: Path) -> None:
    sim = simulate()
    pool = sim.pool(items=rows_file(tmp_path, 120), max_flows=20, deadline=2.5)
    with pytest.warns(RuntimeWarning, match=r"stopped at 40 of 120: .*out.csv has no other rows"):
        sim.run(pool.awrite(tmp_path / "out.csv"))


ENDS: dict[str, Callable[[Any], object]] = {
    "interrupt": lambda pool: pool.interrupt(),
    "stop": lambda pool: pool.stop(),
    "both": lambda pool: (pool.stop(), pool.interrupt()),
}


@pytest.mark.parametrize("kind", ["list", "file", "iterator"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_whose_items_have_all_ended_is_complete_whatever_was_pressed(
    simulate, tmp_path: Path, kind, end, fails
) -> None:
    sim = simulate()
    rows: list[dict[str, str]] = [{"text": f"row {n}"} for n in range(24)]
    if fails:
        rows[5] = {"text": "[[sim: 400]]"}
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    items: Any = {"list": rows, "file": path, "iterator": iter(rows)}[kind]
    pool = sim.pool(items=items, max_flows=30, store=tmp_path / "run.db")

    async def ended_early() -> None:
        running = asyncio.ensure_future(pool.arun())
        await asyncio.sleep(0.5)
        ENDS[end](pool)
        await running

    sim.run(ended_early())
    assert pool.status[Status.DONE] == 24 - fails
    assert (pool.snapshot.stopped, pool.results.stopped) == ("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool.results.write(tmp_path / "out.csv")
    with Reader(tmp_path / "run.db") as reader:
        assert [run.reason for run in reader.runs()] == [""]
    if not fails:
        assert len(pool.results.raise_if_incomplete()) == 24


def test_a_deadline_that_passes_when_no_call_is_left_to_cut_ended_nothing(simulate) -> None:
    async def finishes(text: str) -> str:
        try:
            await asyncio.sleep(5.0)
        except asyncio.CancelledError:
            return text
        return text

    sim = simulate()
    pool = sim.pool(finishes, items=3, deadline=2.0)
    sim.run(pool)
    assert pool.status[Status.DONE] == 3
    assert pool.results.stopped == ""


def test_a_failure_that_ends_the_run_after_all_others_ended_leaves_nothing_over(simulate) -> None:
    sim = simulate()
    items = [{"text": "a"}, {"text": "[[sim: latency=9]] [[sim: 400]] b"}]
    pool = sim.pool(items=items, on_error="stop")
    results = sim.run(pool)
    assert (pool.status[Status.DONE], pool.status[Status.FAILED]) == (1, 1)
    assert results.stopped == ""
    with pytest.raises(NotFinished, match=r"^1 of 2 items are done: 1 failed; first failure"):
        results.raise_if_incomplete()
