"""What was learned, remembered between runs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flowpool.sharing.memory import MOST_BYTES, MOST_KEYS, Memory

KEY = "0123456789abcdef"
SNAPSHOT = b'{"requests": 50.0, "tokens": [1, 2]}'


def test_what_was_kept_is_recalled_with_its_age(tmp_path: Path) -> None:
    Memory(tmp_path / "learned").keep(KEY, SNAPSHOT, 1000.0)
    memory = Memory(tmp_path / "learned")
    assert memory.recall(KEY, 1060.0) == (SNAPSHOT, 60.0)
    assert memory.recall(KEY, 900.0) == (SNAPSHOT, 0.0), "a clock that was set back"
    assert memory.recall("f" * 16, 1060.0) is None
    memory.keep(KEY, b"{}", 1100.0)
    assert memory.recall(KEY, 1100.0) == (b"{}", 0.0)


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    Memory(tmp_path / "learned").keep(KEY, SNAPSHOT, 0.0)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "learned").iterdir()]
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "learned").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"null", b"[]", b"\xff\xfe", bytes(100), b'{"version": 1, "at": 1.0}'),
        b'{"version": 9, "at": 1.0, "snapshot": {}}',
        b'{"version": 1, "at": "x", "snapshot": {}}',
        b'{"version": 1, "at": 1.0, "snapshot": {"a": ',
    ],
)
def test_a_broken_file_is_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{KEY}.json").write_bytes(content)
    memory = Memory(tmp_path)
    assert memory.recall(KEY, 0.0) is None
    memory.keep(KEY, SNAPSHOT, 0.0)
    assert memory.recall(KEY, 0.0) == (SNAPSHOT, 0.0)


def test_the_oldest_of_many_keys_are_dropped(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    names = [f"{number:016x}" for number in range(MOST_KEYS + 3)]
    for age, name in enumerate(names):
        memory.keep(name, SNAPSHOT, float(age))
        os.utime(tmp_path / f"{name}.json", (age, age))
    assert len(list(tmp_path.iterdir())) == MOST_KEYS
    assert memory.recall(names[0], 0.0) is None
    assert memory.recall(names[2], 0.0) is None
    assert memory.recall(names[3], 3.0) is not None
    assert memory.recall(names[-1], 0.0) is not None


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep(KEY, b'"' + b"x" * MOST_BYTES + b'"', 0.0)
    assert memory.recall(KEY, 0.0) is None


def test_it_is_harmless_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"{KEY}.json").mkdir()
    for memory in (Memory(None), Memory(tmp_path / "file" / "learned"), Memory(tmp_path)):
        memory.keep(KEY, SNAPSHOT, 0.0)
        assert memory.recall(KEY, 0.0) is None
