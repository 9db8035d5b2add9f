"""Files that are packed as their ending says."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from flowpool.data.compression import open_to_read, unpacked_name, unpacking_errors, zstd
from flowpool.errors import InvalidInput

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "a.jsonl": bytes,
    "a.jsonl.gz": gzip.compress,
    "a.jsonl.zst": lambda d: zstd().compress(d),
}


@pytest.mark.parametrize("name", PACKERS)
def test_a_file_is_read_as_its_ending_says(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKERS[name](b"one\ntwo\n"))
    with open_to_read(tmp_path / name) as file:
        assert file.readline() == b"one\n"
    assert unpacked_name(Path(name.upper())) == "a.jsonl"


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_a_damaged_file_raises_one_of_the_known_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKERS[f"a.jsonl{Path(name).suffix}"](b"x" * 1000)[:-5])
    with pytest.raises(unpacking_errors()), open_to_read(tmp_path / name) as file:
        file.read()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nothing\.gz: can't be read"):
        open_to_read(tmp_path / "nothing.gz")
