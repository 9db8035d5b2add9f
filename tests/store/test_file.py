"""The store's file: made, refused, brought up to date, shared within a process and with no other."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flowpool.errors import StoreRefused
from flowpool.store.file import check_version, migrate, open_store
from flowpool.store.reading import Reader
from flowpool.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

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


def made(path: Path) -> Path:
    with open_store(path):
        pass
    return path


def test_a_new_store_is_safe_against_power_cuts_and_says_what_it_is(store) -> None:
    with open_store(store) as opened:
        (mode,) = opened._db.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = opened._db.execute("PRAGMA synchronous").fetchone()
        assert (mode, synchronous) == ("wal", 2)
        assert check_version(opened._db, store) == VERSION


def test_a_store_that_another_process_has_is_refused_with_who_has_it(store, holder) -> None:
    with (
        pytest.raises(StoreRefused, match=rf"in use by -c \(process {holder.pid}, since 20"),
        open_store(store),
    ):
        pass


def test_a_killed_process_leaves_the_store_free(store, holder) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with open_store(store):
        pass


def test_a_reader_needs_no_lock(store, holder) -> None:
    with Reader(store) as reader:
        assert reader.runs() == []


def test_runs_of_one_process_share_an_open_store(store) -> None:
    with open_store(store) as one, open_store(str(store)) as other:
        assert one is other
    assert not store.with_name("run.db.lock").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_keep_the_store_from_others(store) -> None:
    reader, writer = os.pipe()
    with open_store(store):
        child = os.fork()
        if not child:
            os.read(reader, 1)  # outlives its parent's use of the store
            os._exit(0)
    try:
        with open_store(store):
            pass
    finally:
        os.write(writer, b"x")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_what_is_no_store_is_refused_and_left_as_it_was(tmp_path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to look at: " + "x" * 2000)
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE people (name)")
    db.close()
    for path, words in ((text, "damaged or no SQLite file"), (foreign, "but no flowpool store")):
        before = path.read_bytes()
        with pytest.raises(StoreRefused, match=words), open_store(path):
            pass
        with pytest.raises(StoreRefused, match=words):
            Reader(path)
        assert path.read_bytes() == before


def test_a_newer_store_is_refused_with_the_command_that_helps(store) -> None:
    db = sqlite3.connect(made(store))
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with (
        pytest.raises(StoreRefused, match=r"newer flowpool .* pip install --upgrade"),
        open_store(store),
    ):
        pass
    with pytest.raises(StoreRefused, match="newer flowpool"):
        Reader(store)


def test_a_damaged_store_is_refused(store) -> None:
    made(store)
    whole = store.read_bytes()
    store.write_bytes(whole[:100] + b"\xff" * 5000 + whole[5100:])
    with pytest.raises(StoreRefused, match="damaged"), open_store(store):
        pass


def test_a_missing_folder_is_named(tmp_path) -> None:
    with (
        pytest.raises(StoreRefused, match="can't be locked: No such file or directory"),
        open_store(tmp_path / "nowhere" / "run.db"),
    ):
        pass


def test_a_migration_is_whole_or_not_there(store) -> None:
    db = sqlite3.connect(made(store), isolation_level=None)
    ahead = (*MIGRATIONS, ("CREATE TABLE more (a)", "CREATE TABLE more (again)"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, VERSION, ahead)
    assert check_version(db, store) == VERSION
    assert not db.execute("SELECT * FROM sqlite_master WHERE name = 'more'").fetchall()
    migrate(db, VERSION, (*MIGRATIONS, ("CREATE TABLE more (a)",)))
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    db.close()


def test_a_missing_store_is_named_when_it_is_only_to_be_read(store) -> None:
    with pytest.raises(StoreRefused, match=r"run\.db: no such file"):
        Reader(store)
