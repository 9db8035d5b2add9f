"""A store's tables, and older files brought to them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from flowpool.store.file import check_version, migrate, open_store
from flowpool.store.schema import APPLICATION_ID, MIGRATIONS, VERSION


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def made(path: Path) -> Path:
    with open_store(path):
        pass
    return path


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
