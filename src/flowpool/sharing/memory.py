"""What was learned of a limit, remembered between runs: one small JSON file for each fingerprint.

Everything here is a help, never a need: what can't be read or written is as if it were not there. Must not
know what a snapshot holds, nor keys.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from flowpool.sharing.directory import make_private, write_whole

MOST_KEYS = 256
MOST_BYTES = 16_384
_VERSION = 1


class _Kept(Struct):
    version: int
    at: float
    snapshot: msgspec.Raw


_decode = msgspec.json.Decoder(_Kept).decode


class Memory:
    """Snapshots by fingerprint, in `directory`; the oldest go when there are more than 256.

    Without a directory it remembers nothing.

        memory = Memory(tmp_path)
        memory.keep("0123456789abcdef", b'{"rate": 50.0}', 1000.0)
        memory.recall("0123456789abcdef", 1060.0)  # (b'{"rate": 50.0}', 60.0)
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def recall(self, fingerprint: str, now_wall: float) -> tuple[bytes, float] | None:
        """The snapshot last kept, as JSON, and its age in seconds; None if there is none to be read.

        now_wall: seconds since 1970.
        """
        if self._directory is None:
            return None
        try:
            with open(self._path(self._directory, fingerprint), "rb") as file:
                kept = _decode(file.read(2 * MOST_BYTES))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if kept.version != _VERSION:
            return None
        return bytes(kept.snapshot), max(0.0, now_wall - kept.at)

    def keep(self, fingerprint: str, snapshot: bytes, now_wall: float) -> None:
        """Remembers `snapshot`, JSON of at most 16 KiB, instead of the one before.

        now_wall: seconds since 1970.
        """
        if self._directory is None or len(snapshot) > MOST_BYTES:
            return
        data = msgspec.json.encode(_Kept(_VERSION, now_wall, msgspec.Raw(snapshot)))
        path = self._path(self._directory, fingerprint)
        with contextlib.suppress(OSError):
            make_private(self._directory)
            is_new = not path.exists()
            write_whole(path, data)
            if is_new:
                self._drop_oldest(self._directory)

    def _path(self, directory: Path, fingerprint: str) -> Path:
        return directory / f"{fingerprint}.json"

    def _drop_oldest(self, directory: Path) -> None:
        """Drafts that a crash left behind count, and so go in time as well."""
        with os.scandir(directory) as entries:
            files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_file()]
        for _, path in sorted(files)[: max(0, len(files) - MOST_KEYS)]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
