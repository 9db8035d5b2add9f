"""The library that is preloaded into a child to log its writes, or to make one of them fail; and its log."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).with_name("shim.c")


class Event(NamedTuple):
    """One thing that a child did: `kind` is W (write), T (truncate), S (sync), C (create), U (remove) of the file
    `name`, or A: `data` was printed. The name "/" is the folder."""

    kind: str
    name: str
    offset: int
    data: bytes


def build(folder: Path) -> Path:
    """The compiled library. There is no going without it: raises `RuntimeError` where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the crash tests need a C compiler: apt install gcc")
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run([*command, "-lpthread"], check=True, capture_output=True)
    return library


def arm(told: dict[str, Any]) -> None:
    """In a child: starts the preloaded library. `prefix` and `log` are paths."""
    start = ctypes.CDLL(None).shim_arm
    prefix, log = str(told["prefix"]).encode(), str(told.get("log", "")).encode()
    start(prefix, log, told.get("fail_at", 0), told.get("error", 0), told.get("persists", 0))


def operations() -> int:
    """In a child: how many writes, truncations and syncs there were so far."""
    return int(ctypes.CDLL(None).shim_operations())


def read_log(path: Path) -> list[Event]:
    return list(_events(path.read_bytes()))


def _events(log: bytes) -> Iterator[Event]:
    at = 0
    while at < len(log):
        kind, size = struct.unpack_from("<cH", log, at)
        at += 3
        name = log[at : at + size].decode()
        offset, length = struct.unpack_from("<qq", log, at + size)
        at += size + 16
        yield Event(kind.decode(), name, offset, log[at : at + length])
        at += length
