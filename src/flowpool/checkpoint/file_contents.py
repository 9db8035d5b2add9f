"""What files hold, as 16 bytes: each is read once while its time and size stay. Blocks: called in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from hashlib import blake2b, file_digest
from pathlib import PurePath
from threading import Lock


class FileContents:
    """The contents of the files of one run."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._turns: dict[str, Lock] = {}

    def of(self, path: PurePath) -> bytes | None:
        """What tells the file's content from another; None for what is no file or can't be read."""
        name = os.fspath(path)
        try:
            found = os.stat(name)
            if not stat.S_ISREG(found.st_mode):
                return None
            state = found.st_mtime_ns, found.st_size
            with self._turns.setdefault(name, Lock()):  # several items may name it at once
                known = self._known.get(name)
                if known is None or known[0] != state:
                    known = self._known[name] = state, self._read(name)
        except (OSError, ValueError):
            return None
        return known[1]

    def _read(self, name: str) -> bytes:
        with open(name, "rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=16)).digest()

    def of_all(self, paths: Iterable[PurePath]) -> tuple[bytes | None, ...]:
        """The contents of several, in their order."""
        return tuple(map(self.of, paths))
