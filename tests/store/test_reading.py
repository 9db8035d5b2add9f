"""A store's content, read beside whoever writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowpool.errors import StoreRefused
from flowpool.store.reading import Reader, shape_of

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


def test_a_reader_needs_no_lock(store, holder) -> None:
    with Reader(store) as reader:
        assert reader.runs() == []


def test_a_missing_store_is_named_when_it_is_only_to_be_read(store) -> None:
    with pytest.raises(StoreRefused, match=r"run\.db: no such file"):
        Reader(store)


def test_the_shape_of_a_long_message_without_spaces_is_found_at_once() -> None:
    assert shape_of("x" * 1_000_000) == "x" * 1000
    assert shape_of("item 'a' took 12s, id-7 of \"b\"") == shape_of(
        "item 'c' took 3s, id-9 of \"d\""
    )
