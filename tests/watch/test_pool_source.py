"""A pool's run, watched from within its process."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from flowpool import Pool
from flowpool.errors import InvalidInput
from flowpool.watch.pool_source import PoolGone, PoolSource
from flowpool.watch.serving import obey


def work(n: int) -> int:
    if n % 10 == 3:
        raise ValueError(f"odd: {n}")
    return n


ITEMS = [{"n": n} for n in range(40)]


def source(pool: Pool[Any]) -> PoolSource:
    return PoolSource(pool._session, obey)


def test_a_pool_that_hasnt_begun_says_so() -> None:
    pool = Pool(work, ITEMS)
    view = source(pool).view()
    assert (view.state, view.words, view.now.total) == ("away", "The run has not begun.", 40)
    assert not view.steers


def test_a_run_that_is_over_says_what_failed_and_why() -> None:
    pool = Pool(work, ITEMS, name="odd ones")
    watched = source(pool)
    pool.run()
    view = watched.view()
    assert (view.name, view.state) == ("odd ones", "ended")
    assert (view.now.done, view.now.failed) == (36, 4)
    [group] = view.groups
    assert (group.error, group.count) == ("StepFailed", 4)
    assert {one.item for one in view.failures} == {3, 13, 23, 33}
    assert view.grid is not None
    assert view.grid.failed == [1 if n % 10 == 3 else 0 for n in range(40)]
    assert view.grid.done == [0 if n % 10 == 3 else 1 for n in range(40)]


def test_a_run_is_watched_while_it_goes_and_nothing_is_counted_twice() -> None:
    first, goes_on = threading.Event(), threading.Event()

    def wait(n: int) -> int:
        if n == 20:
            first.set()
            goes_on.wait(10)
        return work(n)

    pool = Pool(wait, ITEMS, max_flows=1, progress=False)
    watched = source(pool)
    running = threading.Thread(target=pool.run)
    running.start()
    assert first.wait(10)
    view = watched.view()
    assert (view.state, view.now.done, view.now.failed, view.now.running) == ("running", 18, 2, 1)
    assert view.steers
    assert view.groups[0].count == 2
    goes_on.set()
    running.join()
    assert watched.view().groups[0].count == 4


def test_another_run_of_the_pool_begins_anew() -> None:
    pool = Pool(work, ITEMS)
    watched = source(pool)
    pool.run()
    watched.view()
    pool.run()
    view = watched.view()
    assert view.groups[0].count == 4
    assert view.grid is not None
    assert sum(view.grid.done) == 36


def test_items_that_are_handed_over_have_no_grid_and_their_failures_are_told() -> None:
    pool = Pool(work, ITEMS)
    watched = source(pool)
    list(pool.stream())
    view = watched.view()
    assert view.grid is None
    assert view.groups[0].count == 4


def test_with_a_store_they_have_one(tmp_path: Path) -> None:
    pool = Pool(work, ITEMS, store=tmp_path / "run.db")
    watched = source(pool)
    list(pool.stream())
    grid = watched.view().grid
    assert grid is not None
    assert (grid.items, sum(grid.done), grid.failed[3], grid.done[3]) == (40, 36, 1, 0)


def test_orders_of_the_page_are_heeded() -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def wait(n: int) -> int:
        begun.set()
        goes_on.wait(10)
        return n

    pool = Pool(wait, ITEMS, max_flows=1, progress=False)
    watched = source(pool)
    running = threading.Thread(target=pool.run)
    running.start()
    assert begun.wait(10)
    assert watched.order("pause").startswith("paused")
    assert watched.view().state == "paused"
    assert watched.order("set", max_flows=7) == "max_flows from 1 to 7"
    assert pool.max_flows == 7
    with pytest.raises(InvalidInput, match="max_cost"):
        watched.order("set", max_cost=-1.0)
    watched.order("go")
    watched.order("stop")
    goes_on.set()
    running.join()
    assert watched.view().words.startswith("The run ended before its end: stopped at")


def test_a_pool_that_nobody_holds_is_gone_and_not_kept() -> None:
    pool = Pool(work, ITEMS)
    watched = source(pool)
    del pool
    gc.collect()
    with pytest.raises(PoolGone):
        watched.view()
