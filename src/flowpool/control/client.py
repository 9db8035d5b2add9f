"""Asks a process that is at work on a store: how its runs stand, and to change how they go."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec

from flowpool.control.messages import (
    HOST,
    MOST_REPLY,
    Address,
    ControlReply,
    Order,
    Request,
    control_file,
    read_address,
    read_line,
)
from flowpool.errors import FlowpoolError, InvalidInput, StoreRefused
from flowpool.folders import local_path
from flowpool.run.sample import LiveView
from flowpool.store.lock import holder_of

# Seconds for an answer: a run that is looked at gives it at once, or is too busy to be waited for; one that is
# given an order waits up to a second for its loop.
LOOKED_AT, ORDERED = 1.0, 5.0


class NobodyAtWork(FlowpoolError):
    """No process is at work on the store, or none that can be steered."""


class RunBusy(FlowpoolError):
    """A process is at work on the store, and doesn't answer in time."""


def looks(path: str | Path) -> dict[int, LiveView]:
    """How each run of a store that is at work stands, by its number there; none where nobody is at work.

    Raises `RunBusy` after a second, and `InvalidInput` where the run is another user's.
    """
    reply = _ask(path, "look", None, {}, LOOKED_AT)
    return {} if reply is None else reply.views


def look(path: str | Path, run: str | None = None) -> LiveView | None:
    """How the run of this name or number stands, else the first that is at work; None where none is.

    Raises as `looks` does.
    """
    reply = _ask(path, "look", run, {}, LOOKED_AT)
    return next(iter(reply.views.values()), None) if reply is not None else None


def order(
    path: str | Path, what: Order, run: str | None = None, **values: int | float | str
) -> str:
    """Has a run at work do something; returns what was done, in words.

    what: "set" (values: max_flows, max_cost, max_tokens_total), "pause", "go", "stop" or "cancel". run: its name or
    number, where several of the store are at work.

    Raises `NobodyAtWork`, `RunBusy`, and `InvalidInput` for what it refuses.
    """
    reply = _ask(path, what, run, values, ORDERED)
    if reply is None:
        store = local_path(path)
        if not store.is_file():
            raise StoreRefused(f"{path}: no such file.")
        if holder := holder_of(store.resolve()):
            raise NobodyAtWork(
                f"{path} is in use by {holder}, which can't be steered: its log says why"
            )
        raise NobodyAtWork(f"{path}: nobody is at work on it")
    if reply.how == "refused":
        raise InvalidInput(reply.words)
    return reply.words


def _ask(
    path: str | Path,
    what: str,
    run: str | None,
    values: dict[str, int | float | str],
    seconds: float,
) -> ControlReply | None:
    """The reply of who is at work; None where nobody is, or none that the file beside the store tells of."""
    store = local_path(path)
    address = read_address(control_file(store))
    if address is None:
        return None
    if address.host != socket.gethostname():
        if not holder_of(store.resolve()):  # left by a run that was killed there
            return None
        raise InvalidInput(f"{path}: its run is at work on {address.host}: ask there.")
    request = {
        "token": address.token,
        "what": what,
        "run": run,
        "values": values,
        "until": time.time() + seconds,
    }
    try:
        reply = _reply_of(address, msgspec.convert(request, Request), seconds)
    except TimeoutError:
        if not holder_of(store.resolve()):  # a stranger has the address of a run that was killed
            return None
        raise RunBusy(
            f"{path}: its run (process {address.pid}) gives no answer within {seconds:g} s: "
            f"it is too busy, or stopped{'' if what == 'look' else ', and the order is dropped: give it again'}"
        ) from None
    except (OSError, ValueError, RecursionError):  # nobody listens, or somebody else
        return None
    return None if reply.how == "stranger" else reply


def _reply_of(address: Address, request: Request, seconds: float) -> ControlReply:
    until = time.monotonic() + seconds
    with socket.create_connection((HOST, address.port), seconds) as connection:
        connection.sendall(msgspec.json.encode(request) + b"\n")
        line = read_line(connection, MOST_REPLY, max(0.0, until - time.monotonic()))
    return msgspec.json.decode(line, type=ControlReply)
