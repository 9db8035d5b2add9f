"""Bytes at offsets that several runs read and write: a small file, or memory where no file can be.

Plain reads and writes rather than a mapping: a full disk or a file cut short is then an error that can be
handled, not a signal that ends the process. Must not know what the bytes mean.
"""

from __future__ import annotations

import contextlib
import os
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Protocol

from flowpool.sharing.directory import make_private

_KEPT_SECONDS = 86_400.0


class MemberTable(Protocol):
    """What a member needs of the table where it meets the others. Everything may raise `OSError`."""

    def follow(self) -> bool: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def close(self) -> None: ...


class FileTable:
    """A file in `directory`, made when it is missing."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name
        self._file = self._open()

    def follow(self) -> bool:
        """Opens the file anew if it was deleted, for later ones meet in a new one; says whether it did."""
        opened = os.fstat(self._file.fileno())
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_ino, there.st_dev) == (opened.st_ino, opened.st_dev):
            return False
        file = self._open()
        self._file.close()
        self._file = file
        return True

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length) or b""

    def write(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        if self._file.write(data) != len(data):
            raise OSError(f"{self._path}: no space left")

    def close(self) -> None:
        self._file.close()

    def sweep(self) -> None:
        """Deletes the directory's files that nobody has written to for a day."""
        os.utime(self._path)
        now = os.stat(self._path).st_mtime
        with os.scandir(self._path.parent) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if now - entry.stat().st_mtime > _KEPT_SECONDS:
                        os.unlink(entry.path)

    def _open(self) -> FileIO:
        make_private(self._path.parent)
        return FileIO(self._path, "r+", opener=_open_or_create)


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


class MemoryTable:
    """The same for the runs of one process, from any thread."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._lock = Lock()

    def follow(self) -> bool:
        return False

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            return bytes(self._bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        with self._lock:
            self._bytes.extend(bytes(max(0, offset - len(self._bytes))))
            self._bytes[offset : offset + len(data)] = data

    def close(self) -> None:
        """It serves the others on."""
