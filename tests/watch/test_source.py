"""A run read from its store, beside whoever writes it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.watch.stores import BOTTLENECK, LANE, Live, course, live, make_store, sample

from flowpool.control.client import RunBusy
from flowpool.errors import InvalidInput, StoreRefused
from flowpool.store.file import open_store
from flowpool.store.reading import Reader
from flowpool.store.rows import Batch, EventRow
from flowpool.values import Timing
from flowpool.watch.shown import shown
from flowpool.watch.source import StoreSource

opened: list[StoreSource] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


def source(path: Path, process: Live | None = None, run: str | None = None) -> StoreSource:
    process = process or Live()
    found = StoreSource(path, run, look=process.look, order=process.order)
    opened.append(found)
    return found


def event(at: float, kind: str, data: object) -> EventRow:
    return EventRow(at, kind, msgspec.json.encode(data))


def test_a_run_that_is_over_says_so_with_its_counts(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", done=20)
    view = source(tmp_path / "run.db").view()
    assert (view.name, view.state, view.words) == ("reviews", "ended", "The run has ended.")
    assert (view.now.done, view.now.failed, view.now.total, view.steers) == (20, 3, 23, False)
    assert view.bottleneck is None


def test_a_run_at_work_is_as_its_process_tells(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", complete=False)
    view = source(tmp_path / "run.db", Live(live())).view()
    assert (view.state, view.words, view.steers) == ("running", "At work: process 4242.", True)
    assert view.now.rate == 48.9
    assert view.bottleneck is not None
    assert view.bottleneck.words == BOTTLENECK.words
    assert view.timings[LANE]["limit_wait"].p95 == 1.0


def test_a_paused_run_says_so(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", complete=False)
    assert source(tmp_path / "run.db", Live(live(paused=True))).view().state == "paused"


def test_a_process_that_is_too_busy_to_answer_is_no_reason_to_show_nothing(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", complete=False)

    def look(path: Path, run: str) -> None:
        raise RunBusy("its run (process 7) gives no answer within 1 s")

    watched = StoreSource(tmp_path / "run.db", look=look)
    assert watched.view().words == "its run (process 7) gives no answer within 1 s"
    assert watched.view().now.done == 200
    watched.close()


def test_a_run_whose_process_was_killed_says_that_nobody_is_at_work(tmp_path: Path) -> None:
    began = time.time() - 60
    make_store(tmp_path / "run.db", to_do=5, complete=False, samples=[sample(began)], began=began)
    view = source(tmp_path / "run.db").view()
    assert (view.state, view.now.running, view.now.rate) == ("away", 0, 0.0)
    assert view.words == "Nobody is at work on it: its process has ended or was killed."
    assert view.fix == "run its script again, with the same store: it goes on with what is left"


def test_a_killed_run_that_has_its_definition_says_how_to_resume_it(tmp_path: Path) -> None:
    path = tmp_path / "my run.db"
    make_store(path, to_do=5, complete=False)
    with open_store(path) as store, store._transaction() as db:
        db.execute("UPDATE runs SET definition = '{}'")
    watched = source(path)
    assert watched.view().fix == f"flowpool resume '{path}' goes on with what is left"
    assert shown(watched.view()).fix == watched.view().fix


def test_a_run_of_hours_whose_process_gives_no_answer_is_not_called_killed(tmp_path: Path) -> None:
    """Its samples are 60 s apart by then, and who holds the store is asked."""
    began = time.time() - 36_050
    long = sample(began + 36_000, elapsed=36_000.0)
    run = make_store(tmp_path / "run.db", to_do=5, complete=False, samples=[long], began=began)
    watched = source(tmp_path / "run.db")
    assert watched.view().state == "away"
    with open_store(tmp_path / "run.db") as store:
        view = watched.view()
        assert (view.state, view.now.running) == ("running", 16)
        store.write(run, Batch(events=[event(began + 36_001, "end", {"reason": ""})]))
        assert watched.view().state == "away"


def test_another_run_of_a_store_at_work_leaves_a_killed_one_killed(tmp_path: Path) -> None:
    began = time.time() - 3600
    make_store(tmp_path / "run.db", to_do=5, complete=False, samples=[sample(began)], began=began)
    make_store(tmp_path / "run.db", name="other", to_do=5, complete=False)
    with open_store(tmp_path / "run.db"):
        assert source(tmp_path / "run.db", run="reviews").view().state == "away"
        assert source(tmp_path / "run.db", run="other").view().state == "running"


def test_events_of_a_clock_that_was_set_back_or_stands_still_are_seen(tmp_path: Path) -> None:
    began = time.time() - 100
    run = make_store(tmp_path / "run.db", samples=[sample(began)], began=began)
    watched = source(tmp_path / "run.db")
    watched.view()
    with open_store(tmp_path / "run.db") as store:
        store.write(run, Batch(events=[event(began, "sample", sample(began))]))
        store.write(run, Batch(events=[event(began - 50, "sample", sample(began - 50))]))
    assert len(watched.view().samples) == 3


def test_events_of_an_older_store_are_seen_once_a_run_has_brought_it_to_this_version(
    tmp_path: Path,
) -> None:
    path, began = tmp_path / "run.db", time.time() - 100
    run = make_store(path, began=began)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE events")
        for name in Timing.__struct_fields__:
            db.execute(f"ALTER TABLE attempts DROP COLUMN {name}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    watched = source(path)
    assert watched.view().samples == []
    with open_store(path) as store:
        store.write(run, Batch(events=[event(began, "sample", sample(began))]))
    assert len(watched.view().samples) == 1


def test_what_a_run_spent_in_all_is_beside_what_it_spent_since_it_went_on(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", to_do=5, complete=False)
    process = Live(live(sample=sample(time.time(), recalled=150)))
    view = source(tmp_path / "run.db", process).view()
    assert view.cost_in_all is not None
    figures = {one.name: one for one in shown(view).figures}
    assert figures["spent since it went on"].words == "$1.25"
    assert figures["spent since it went on"].note.endswith("with earlier sessions")
    assert "tokens since it went on" in figures
    assert source(tmp_path / "run.db", Live(live())).view().cost_in_all is None


def test_a_run_that_ended_before_its_end_says_why(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", to_do=5, complete=False, reason="the run was stopped")
    view = source(tmp_path / "run.db").view()
    assert view.words == "The run ended before its end: the run was stopped"


def test_failures_are_grouped_with_an_example_and_the_fix_and_the_last_ones_named(
    tmp_path: Path,
) -> None:
    make_store(tmp_path / "run.db", done=10, failed=["too long: 9 tokens", "too long: 7 tokens"])
    view = source(tmp_path / "run.db").view()
    [group] = view.groups
    assert (group.error, group.count, group.example) == ("BadRequest", 2, "too long: 7 tokens")
    assert group.fix.startswith("the provider refuses what is sent")
    assert [one.item for one in view.failures] == [11, 10]


def test_a_small_runs_grid_has_a_cell_an_item(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", done=3, failed=["no"], to_do=2)
    grid = source(tmp_path / "run.db").view().grid
    assert grid is not None
    assert (grid.size, grid.items) == (1, 6)
    assert (grid.done, grid.failed) == ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0])


def test_a_large_runs_grid_has_a_cell_for_several(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db", done=2500, failed=["no"])
    grid = source(tmp_path / "run.db").view().grid
    assert grid is not None
    assert (grid.size, grid.items, len(grid.done)) == (5, 2501, 501)
    assert (grid.done[:2], grid.done[-1], grid.failed[-1]) == ([5, 5], 0, 1)


def test_what_comes_later_is_seen_and_nothing_twice(tmp_path: Path) -> None:
    began = time.time() - 100
    run = make_store(tmp_path / "run.db", samples=course(began, 5), began=began)
    watched = source(tmp_path / "run.db")
    assert len(watched.view().samples) == 5
    changed = {"what": "max_flows", "from": 16, "to": 50, "by": "shell"}
    later = [
        event(began + 6, "sample", sample(began + 6)),
        event(began + 7, "bottleneck", BOTTLENECK),
        event(began + 7.5, "change", changed),
        event(began + 8, "lane", {"lane": LANE, "state": "broken", "error": "401"}),
        event(began + 9, "sample", {"of": "another version"}),
    ]
    with open_store(tmp_path / "run.db") as store:
        store.write(run, Batch(events=later))
    view = watched.view()
    assert len(view.samples) == 6
    assert view.bottlenecks == [BOTTLENECK]
    assert [one.words for one in view.changes] == [
        "max_flows from 16 to 50, by shell",
        f"{LANE} broken: 401",
    ]


def test_an_order_goes_to_the_runs_process(tmp_path: Path) -> None:
    make_store(tmp_path / "run.db")
    process = Live(live())
    assert source(tmp_path / "run.db", process).order("set", max_flows=5) == "done: set"
    assert process.orders == [("set", {"max_flows": 5})]


def test_where_the_time_went_is_read_from_the_attempts_of_a_run_that_is_over(
    tmp_path: Path,
) -> None:
    make_store(tmp_path / "run.db")
    times = source(tmp_path / "run.db").view().timings[LANE]
    assert list(times) == ["limit_wait", "first_byte", "reading"]
    assert times["first_byte"].p50 == 0.5


def test_a_store_that_goes_away_leaves_what_was_seen_last(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    make_store(path, done=7)
    watched = source(path)
    watched.view()
    for file in tmp_path.iterdir():
        file.unlink()
    view = watched.view()
    assert (view.state, view.now.done, view.steers) == ("ended", 7, False)
    assert (view.words, view.is_gone) == ("The run ended and its store was removed.", True)
    make_store(path, done=8, name="anew")  # and a new one in its place is seen
    assert (watched.view().name, watched.view().now.done) == ("anew", 8)


def test_the_end_of_a_run_that_drops_its_store_is_seen_though_nobody_looked_just_then(
    tmp_path: Path,
) -> None:
    path, began = tmp_path / "run.db", time.time() - 10
    run = make_store(path, done=390, failed=["no"], complete=False, samples=[sample(began)])
    process = Live(live())
    watched = source(path, process)
    assert watched.view().state == "running"
    process.view = None
    with open_store(path) as store:
        store.complete_run(run)
        store.write(run, Batch(events=[event(began + 9, "sample", sample(began + 9, total=391))]))
    for file in tmp_path.iterdir():
        file.unlink()
    now = shown(watched.view())
    assert (now.state, now.counts) == ("ended", "391 of 391")
    assert now.verdict == "The run ended and its store was removed."


def test_a_watcher_of_a_store_that_was_made_anew_leaves_the_new_ones_log(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    make_store(path)
    watched = source(path)
    watched.view()
    for file in tmp_path.iterdir():
        file.unlink()
    with open_store(path) as store:
        store.begin_run("anew", b"f" * 16, {"settings": "{}", "steps": ""}, 0.0)
        assert watched.view().name == "anew"
        opened.pop().close()
        assert path.with_name("run.db-wal").stat().st_size > 0
        with Reader(path) as reader:
            assert [run.name for run in reader.runs()] == ["anew"]


def test_watching_keeps_nobody_from_writing_or_folding_the_log_back(tmp_path: Path) -> None:
    run = make_store(tmp_path / "run.db")
    watched = source(tmp_path / "run.db")
    watched.view()
    with open_store(tmp_path / "run.db") as store:
        store.write(run, Batch(events=[event(1.0, "begin", {})]))
        [busy, *_] = store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0


def test_a_store_or_a_run_that_isnt_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="no such file"):
        source(tmp_path / "none.db")
    make_store(tmp_path / "run.db")
    with pytest.raises(InvalidInput, match=r"no run 'other': it has 1 \(reviews\)"):
        source(tmp_path / "run.db", run="other")
