"""The store's file: made, refused, brought up to date, shared within a process and with no other."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from flowpool.errors import StoreRefused
from flowpool.store.file import check_version, open_store
from flowpool.store.reading import Reader
from flowpool.store.schema import VERSION


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


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


def test_a_copy_without_its_log_isnt_begun_anew_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(tmp_path / "run.db") as store:
        store.begin_run("a", b"1" * 16, {"settings": "{}", "steps": ""}, 0.0)
        shutil.copy(tmp_path / "run.db", tmp_path / "copy.db")
    with open_store(tmp_path / "copy.db"):
        assert (
            "copy.db has no runs in it: what a killed run wrote may be in copy.db-wal"
            in caplog.text
        )
        assert "begins anew" in caplog.text
