"""Kill it, cut its power, fill its disk: what came out of the run is in its store, and the same words go on."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.soak import kills, seeds, shim, writes
from tests.soak.__main__ import fast_folder
from tests.soak.nursery import Nursery


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    """Children whose writes are logged or fail."""
    with Nursery(shim.build(tmp_path_factory.mktemp("shim"))) as nursery:
        yield nursery


@pytest.fixture
def fast() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        yield Path(folder)


def test_50_kills_lose_no_item_and_repeat_no_call_that_was_saved(tmp_path) -> None:
    found = kills.soak(50, seed=1, folder=tmp_path, at_once=3)
    assert len(found) >= 50
    assert sum(kill.acknowledged for kill in found) > 100  # they did come in the middle of things
    assert max(kill.in_flight for kill in found) > 1


@pytest.mark.parametrize("steps", [1, 3])
def test_a_power_loss_takes_no_answer_that_was_acknowledged(nursery, fast, steps) -> None:
    assert writes.lose_power(nursery, fast, seed=steps, steps=steps, most=60) > 150


def test_a_disk_that_lies_about_its_syncs_is_found_out(nursery, fast) -> None:
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        writes.lose_power(nursery, fast, seed=1, steps=1, most=60, syncs=False)


def test_whichever_write_fails_nothing_acknowledged_is_lost_and_the_run_goes_on(
    nursery, fast
) -> None:
    ends = writes.fail_each_write(nursery, fast, count=2, steps=3, in_turn=True)
    assert len(ends) > 50
    stopped = [how for how in ends if how != "done"]
    assert len(stopped) > 20
    assert all(how.startswith(("StoreFailed: ", "StoreRefused: ")) for how in stopped)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_200_courses_of_faults_cuts_and_resumes_end_with_each_item_once(first, fast) -> None:
    for seed in range(first, first + 50):
        seeds.play(seed, fast)


def test_a_seed_plays_the_same_again(fast) -> None:
    courses = []
    for _ in range(2):
        course = seeds.Course(7, fast / "again.db")
        course.play()
        courses.append((course.asked(), course.provider.ledger.as_dict()))
        os.remove(fast / "again.db")
    assert courses[0] == courses[1]
