"""A small file that processes read and write in turn, and a sign of life for each process. Knows not what is in it.

Locks, because the system takes them back from a process that dies, whatever it dies of, and because they tell the
living from the dead where process numbers don't: in containers that share a home.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from io import FileIO
from pathlib import Path
from zlib import crc32

from flowpool.sharing.directory import make_private

# Tries, and seconds between them, before a lock counts as held by a process that stands still. Others hold it for
# some 30 microseconds; a loop must not stand still for longer than a few milliseconds.
_TRIES, _BETWEEN = 20, 0.0001
# Bytes that one read gets: what a state of some 30 runs takes.
_PAGE = 4096
_HEAD = 8  # length and check, 4 bytes each
_KEPT_SECONDS = 86_400.0
_SIGN = ".alive"

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 30  # Windows locks bytes against reading too: one that is never read

    def try_lock(file: FileIO) -> bool:
        """Locks the file for this process, unless another one has it."""
        file.seek(_BEYOND)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: FileIO) -> None:
        file.seek(_BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: FileIO) -> bool:
        """Locks the file for this process, unless another one has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class LockedFile:
    """A file in `directory`, made when it is missing; everything may raise `OSError`.

    `read` and `write` are for the time between `lock`, if that says True, and `unlock`.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name
        self._file = self._open()

    def lock(self) -> bool:
        """Waits for some 2 ms at most; False where another process stands still with it."""
        for _ in range(_TRIES):
            if try_lock(self._file):
                if os.fstat(self._file.fileno()).st_nlink:
                    return True
                self._file.close()  # somebody emptied the cache: the others meet in a new one
                self._file = self._open()
            else:
                time.sleep(_BETWEEN)
        return False

    def unlock(self) -> None:
        unlock(self._file)

    def read(self) -> bytes:
        """What was last written; nothing where that can't be made out."""
        self._file.seek(0)
        data = self._file.read(_PAGE) or b""
        length, check = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:_HEAD], "little")
        if length > len(data) - _HEAD:
            data += self._file.read(length) or b""
        body = data[_HEAD : _HEAD + length]
        return body if len(body) == length and crc32(body) == check else b""

    def write(self, body: bytes) -> None:
        data = len(body).to_bytes(4, "little") + crc32(body).to_bytes(4, "little") + body
        self._file.seek(0)
        if self._file.write(data) != len(data):
            raise OSError(f"{self._path}: no space left")

    def close(self) -> None:
        self._file.close()

    def _open(self) -> FileIO:
        make_private(self._path.parent)
        return FileIO(self._path, "r+", opener=_open_or_create)


class SignOfLife:
    """A file that this process holds locked until it ends. `name` tells it from all others."""

    def __init__(self, directory: Path) -> None:
        make_private(directory)
        self._directory = directory
        while True:
            self.name = os.urandom(6).hex()
            path = directory / (self.name + _SIGN)
            self._file = FileIO(path, "x+", opener=_open_private)
            # Another process that sweeps may have taken it for a dead one's before it was locked.
            if try_lock(self._file) and os.fstat(self._file.fileno()).st_nlink:
                break
            self._file.close()

    def is_dead(self, name: str) -> bool:
        """Whether the process has ended whose sign has this name."""
        if name == self.name:
            return False
        path = self._directory / (name + _SIGN)
        try:
            with FileIO(path, "r+") as file:
                if not try_lock(file):
                    return False
                _unlink(path)
        except FileNotFoundError:
            return True
        return True

    def sweep(self) -> None:
        """Deletes the signs of dead processes, and the directory's other files that a day left alone."""
        with os.scandir(self._directory) as entries:
            for entry in entries:
                name = entry.name.removesuffix(_SIGN)
                if name != entry.name:
                    with contextlib.suppress(OSError):
                        self.is_dead(name)
                elif time.time() - entry.stat().st_mtime > _KEPT_SECONDS:
                    _unlink(Path(entry.path))

    def forget(self) -> None:
        """In a forked child: it stays its parent's, and doesn't outlive it here."""
        self._file.close()

    def end(self) -> None:
        self._file.close()
        _unlink(self._directory / (self.name + _SIGN))


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
