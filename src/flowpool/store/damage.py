"""A store whose content isn't what flowpool wrote: said in one line, whatever is wrong in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from flowpool.errors import FlowpoolError, StoreRefused, message_of

# What reading a value of another type or form than was written raises.
ODD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    msgspec.MsgspecError,
)
DAMAGED = "it is damaged or no SQLite file: restore it from a copy, or name another file"
_LOCKED = "another program holds a lock on it for long: close what has it open"
_MEANINGS = {
    # SQLite's code: what it means for a person
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_READONLY: "it can't be written: the file or its folder is read-only",
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_IOERR: "the disk failed to write or read it: check the disk, or use another",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: name a file in a folder that is there, and that you may write to",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}


def in_words(error: sqlite3.Error) -> str:
    """What an SQLite error means for a person."""
    # An extended code has what it extends in its lowest byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _MEANINGS.get(code, str(error))


def is_of_a_row(error: BaseException) -> bool:
    """Whether a failure says something of the values that were to be written, rather than of the store."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code not in _MEANINGS and not isinstance(error, MemoryError)


def why(error: BaseException) -> str:
    """Why the store, or a row of it, couldn't be written."""
    if isinstance(error, sqlite3.Error):
        return in_words(error)
    return f"{type(error).__name__}: {message_of(error)}"


@contextmanager
def refuses_damage(path: str | Path) -> Iterator[None]:
    """Raises `StoreRefused`, in one line, for what can't be read of a store in this block."""
    try:
        yield
    except FlowpoolError:
        raise
    except sqlite3.Error as error:
        raise StoreRefused(f"{path}: {in_words(error)}.") from None
    except ODD as error:
        raise StoreRefused(damaged(path, error)) from None


def damaged(path: str | Path, error: Exception) -> str:
    """What is said of a store with such a value in it."""
    words = " ".join(str(error).split())[:100]
    return f"{path} is damaged ({type(error).__name__}: {words}): restore it from a copy."
