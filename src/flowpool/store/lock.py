"""One writing process a store: a file beside it is locked, and says who holds it. A crash frees it."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from flowpool.errors import StoreRefused

LOCK_ENDING = ".lock"
# How often a lock that is held is tried, and seconds between.
LOOKS, LOOKED_AT = 3, 0.01
_held: set[StoreLock] = set()


class StoreLock:
    """The lock of a store, held from its making until `release`.

    Raises `StoreRefused`, naming the holder, when another process has it.
    """

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + LOCK_ENDING)
        self._file = self._take(store)
        _held.add(self)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "program": Path(sys.argv[0] if sys.argv else "python").name or "python",
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        with suppress(OSError):  # a full disk: whoever finds it locked doesn't learn by whom
            self._file.truncate(0)
            self._file.write(msgspec.json.encode(holder))

    def release(self) -> None:
        """Lets another process have the store."""
        _held.discard(self)
        self._path.unlink(missing_ok=True)
        self._file.close()

    def forget(self) -> None:
        """In a forked child: the lock stays its parent's, and doesn't outlive it here."""
        self._file.close()

    def _take(self, store: Path) -> IO[bytes]:
        while True:
            try:
                file = self._path.open("ab+", buffering=0)
            except OSError as error:
                raise StoreRefused(
                    f"{store}: can't be locked: {error.strerror}: use a folder that you may write to."
                ) from None
            if not _lock_soon(file):
                holder = _holder(file)
                file.close()
                raise StoreRefused(
                    f"{store} is in use by {holder}: wait for its end or stop it, or name another store."
                )
            if self._is_current(file):
                return file
            file.close()  # its holder removed it between our opening and locking it

    def _is_current(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False


def holder_of(store: Path) -> str:
    """Who holds the store now, in words; nothing when nobody does."""
    path = store.with_name(store.name + LOCK_ENDING)
    try:
        with path.open("rb+") as file:
            return "" if _lock(file) else _holder(file)
    except OSError:
        return ""


def _lock_soon(file: IO[bytes]) -> bool:
    """Takes the lock, whoever looks for a moment who holds it: `holder_of` has it meanwhile."""
    for _ in range(LOOKS):
        if _lock(file):
            return True
        time.sleep(LOOKED_AT)
    return False


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    try:
        note: Any = msgspec.json.decode(file.read())
        host = "" if note["host"] == socket.gethostname() else f" on {note['host']}"
        return f"{note['program']} (process {note['pid']}{host}, since {note['since']})"
    except (msgspec.DecodeError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        file.seek(1 << 30)  # beyond what is read: Windows locks bytes against reading too
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _forget_all() -> None:
        for lock in _held:
            lock.forget()

    os.register_at_fork(after_in_child=_forget_all)

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
