"""A store's content, read beside whoever writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowpool.errors import StoreRefused
from flowpool.store.file import open_store
from flowpool.store.reading import Reader, shape_of
from flowpool.store.rows import AttemptRow, Batch, EventRow, ItemRow
from flowpool.values import Attempt

HOLDER = """
import sys, time
from flowpool.store.file import open_store
with open_store(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def holder(store: Path):
    """Another process that has the store open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def keep_out(store: Path) -> None:
    """As in a folder that can't be written: SQLite can't make its file there, whoever asks it."""
    store.with_name("run.db-shm").symlink_to(store.parent / "none" / "none")


def test_a_reader_needs_no_lock(store, holder) -> None:
    with Reader(store) as reader:
        assert reader.runs() == []


def test_reading_a_store_that_nobody_has_open_leaves_nothing_beside_it(store) -> None:
    with open_store(store):
        pass
    with Reader(store) as reader:
        assert reader.items_like(1, b"x") == []
    assert [file.name for file in store.parent.iterdir()] == ["run.db"]


def test_reading_leaves_the_log_of_a_killed_run_as_it_is(store, holder) -> None:
    holder.kill()
    holder.wait()
    log = store.with_name("run.db-wal")
    content = log.read_bytes()
    assert content
    with Reader(store) as reader:
        assert reader.runs() == []
    assert log.read_bytes() == content


def test_a_store_in_a_folder_that_cant_be_written_is_read(store) -> None:
    with open_store(store):
        pass
    keep_out(store)
    with Reader(store) as reader:
        assert reader.is_frozen
        assert reader.items_like(1, b"x") == []


def test_a_store_whose_log_cant_be_read_says_what_to_do(store, holder) -> None:
    holder.kill()
    holder.wait()
    store.with_name("run.db-shm").unlink()
    keep_out(store)
    with pytest.raises(StoreRefused, match=r"copy both files to a folder that you may write to\.$"):
        Reader(store)


def test_events_come_in_the_order_in_which_they_were_written_each_with_its_row(store) -> None:
    with open_store(store) as opened:
        run = opened.begin_run("job", b"x" * 16, {"settings": "{}", "steps": ""}, 0.0)
        opened.write(run.id, Batch(events=[EventRow(at, "begin", b"{}") for at in (5.0, 5.0, 2.0)]))
    with Reader(store) as reader:
        rows = [event.row for event in reader.events(run.id)]
        assert len(set(rows)) == 3
        assert [event.at for event in reader.events(run.id)] == [5.0, 5.0, 2.0]
        assert [event.at for event in reader.events(run.id, after=rows[0])] == [5.0, 2.0]


def test_a_missing_store_is_named_when_it_is_only_to_be_read(store) -> None:
    with pytest.raises(StoreRefused, match=r"run\.db: no such file"):
        Reader(store)


def test_attempts_come_in_the_order_of_their_starts_with_how_many_are_later(store) -> None:
    attempts = [(1, "1.a", 5.0), (2, "1.a", 1.0), (2, "2.b", 7.0), (2, "2.c", 7.0)]
    with open_store(store) as opened:
        run = opened.begin_run("job", b"x" * 16, {"settings": "{}", "steps": ""}, 0.0)
        batch = Batch(items=[ItemRow(opened.new_item(), b"%d" % n, b"{}") for n in range(2)])
        batch.attempts = [
            AttemptRow(item, Attempt(step, "m", at, 1.0)) for item, step, at in attempts
        ]
        opened.write(run.id, batch)
    with Reader(store) as reader:
        rows = list(reader.attempts_in_time(run.id))
        ordered = list(reader.attempts(run.id))
    assert [(row["item"], row["step"], row["later"]) for row in rows] == [
        (1, "1.a", 2),
        (0, "1.a", 0),
        (1, "2.b", 1),
        (1, "2.c", 0),
    ]
    assert [row["item"] for row in ordered] == [0, 1, 1, 1]
    assert "later" not in ordered[0]


def test_the_shape_of_a_long_message_without_spaces_is_found_at_once() -> None:
    assert shape_of("x" * 1_000_000) == "x" * 1000
    assert shape_of("item 'a' took 12s, id-7 of \"b\"") == shape_of(
        "item 'c' took 3s, id-9 of \"d\""
    )
