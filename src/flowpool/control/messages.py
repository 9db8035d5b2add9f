"""What goes over the control channel: a line of JSON in, a line out; and the file that says where it is.

The file stands beside the store, for its user's eyes alone: who can read it may steer the run.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from flowpool.errors import InvalidInput
from flowpool.run.sample import LiveView
from flowpool.sharing.directory import write_whole

HOST = "127.0.0.1"
CONTROL_ENDING = ".control"
# Bytes: a request is some hundred; a reply has a view of each run of the store that is at work.
MOST_ADDRESS, MOST_REQUEST, MOST_REPLY = 4096, 16 * 1024, 4 * 1024 * 1024

Order = Literal["set", "pause", "go", "stop", "cancel"]


class Address(Struct, frozen=True):
    """Where a process listens for its runs, and what a request must show."""

    host: str
    pid: int
    port: Annotated[int, Meta(ge=1, le=65535)]
    token: str

    def __repr__(self) -> str:
        return f"Address({self.host!r}, {self.port})"  # the token stays out of sight


class Request(Struct, frozen=True):
    """What is asked of a run; `run`: its name or number, None for the only one, or all that are looked at.

    until: the time, in seconds since 1970, after which nobody waits for the reply; None for ever.
    """

    token: str
    what: Order | Literal["look"]
    run: str | None = None
    values: dict[str, int | float | str] = {}
    until: float | None = None

    def __repr__(self) -> str:
        return f"Request({self.what!r})"


class ControlReply(Struct, frozen=True):
    """What comes back. words: what was done, or why not. views: of what was looked at, by the runs' numbers."""

    how: Literal["done", "refused", "stranger"]
    words: str = ""
    views: dict[int, LiveView] = {}


def control_file(store: Path) -> Path:
    """The file beside a store."""
    real = store.resolve()
    return real.with_name(real.name + CONTROL_ENDING)


def write_address(file: Path, address: Address) -> None:
    """Writes it in one step. Raises `OSError` where that can't be, or others could read it."""
    write_whole(file, msgspec.json.encode(address))
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        file.unlink()
        raise PermissionError(f"{file}: others could read it")


def read_address(file: Path) -> Address | None:
    """The address that a file tells; None where there is none. Raises `InvalidInput` where it is another user's."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as content:
            return msgspec.json.decode(content.read(MOST_ADDRESS), type=Address)
    except PermissionError:
        raise InvalidInput(
            f"{file} can't be read: steer the run as the user who started it."
        ) from None
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def remove_address(file: Path) -> None:
    """Takes the file away, as far as that can be."""
    with suppress(OSError):
        file.unlink(missing_ok=True)


def read_line(connection: socket, most: int, seconds: float) -> bytes:
    """What comes up to the end of a line, within so many seconds in all.

    Raises `TimeoutError`, `ConnectionError` where the other side ends before, and `ValueError` for more than `most`
    bytes.
    """
    until, line = time.monotonic() + seconds, bytearray()
    while b"\n" not in line:
        left = until - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        connection.settimeout(left)
        got = connection.recv(65536)
        if not got:
            raise ConnectionError("ended before the line did")
        line += got
        if len(line) > most:
            raise ValueError(f"more than {most} bytes")
    return bytes(line.partition(b"\n")[0])
