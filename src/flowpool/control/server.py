"""Hears orders for the runs of a store, in threads of its own: never on a run's loop, which may be busy.

Listens on the loopback address alone, and to nobody who doesn't know the token.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from flowpool.control.messages import (
    HOST,
    MOST_REQUEST,
    Address,
    ControlReply,
    Request,
    control_file,
    read_line,
    remove_address,
    write_address,
)
from flowpool.errors import InvalidInput
from flowpool.logs import log
from flowpool.printable import printable
from flowpool.run.monitor import sample_of
from flowpool.run.progress import Snapshot
from flowpool.run.sample import LiveView, Sample
from flowpool.settings import Settings
from flowpool.threads import DaemonThreads

# Seconds that a request may take to come, and its reply to be taken.
PATIENCE = 2.0
# Requests at once: whoever comes beside them waits, and none takes a file from the run.
MOST_AT_ONCE = 8
# Seconds after which a closed listener notices, where nothing wakes it.
TICK = 1.0
# Seconds that an order waits until a busy loop heeds it.
HEARD_WITHIN = 1.0
# What can be changed of a run at work.
CHANGEABLE = ("max_flows", "max_cost", "max_tokens_total")

By = Literal["python", "shell"]


class Steered(Protocol):
    """A run at work, as it is steered: from any thread."""

    name: str
    settings: Settings

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def samples(self) -> Sequence[Sample]: ...
    @property
    def is_paused(self) -> bool: ...
    def change(self, by: By, **given: Any) -> Sequence[object]: ...
    def pause(self, by: By) -> bool: ...
    def go(self, by: By) -> bool: ...
    def stop(self, by: By) -> None: ...
    def cancel(self, by: By) -> None: ...
    def is_heard(self, seconds: float) -> bool: ...


class ControlServer:
    """Listens for the runs of one store, by their numbers, until `close`. Raises `OSError` where nothing can."""

    def __init__(self, store: Path) -> None:
        self.runs: dict[int, Steered] = {}
        self._file = control_file(store)
        remove_address(self._file)  # of a run that was killed: nobody is to take it for this one
        self._token = secrets.token_urlsafe(32)
        self._is_closed = False
        self._turns = threading.Semaphore(MOST_AT_ONCE)
        self._threads = DaemonThreads("flowpool-control", MOST_AT_ONCE)
        self._listener = socket.create_server((HOST, 0), backlog=MOST_AT_ONCE)
        try:
            port = self._listener.getsockname()[1]
            write_address(self._file, Address(socket.gethostname(), os.getpid(), port, self._token))
            self._listener.settimeout(TICK)
            threading.Thread(target=self._listen, name="flowpool-control", daemon=True).start()
        except BaseException:
            self.close()
            self._listener.close()
            raise

    def close(self) -> None:
        """Nobody is heard any more."""
        self._is_closed = True
        remove_address(self._file)
        self._threads.shutdown(wait=False)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who listens, who closes it

    def forget(self) -> None:
        """In a forked child: the parent goes on listening, alone."""
        self._is_closed = True
        self._listener.close()

    def _listen(self) -> None:
        with self._listener:
            while not self._is_closed:
                if self._turns.acquire(timeout=TICK) and not self._take():
                    self._turns.release()

    def _take(self) -> bool:
        """Has the next who comes answered; False where nobody came."""
        try:
            connection, _ = self._listener.accept()
        except TimeoutError:
            return False
        except OSError:  # closed, or the process may open no more files
            if not self._is_closed:
                time.sleep(TICK)
            return False
        try:
            self._threads.submit(self._answer, connection)
        except RuntimeError:  # closed meanwhile
            connection.close()
            return False
        return True

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError, ValueError):
                reply = self.reply(read_line(connection, MOST_REQUEST, PATIENCE))
                connection.settimeout(PATIENCE)
                connection.sendall(msgspec.json.encode(reply) + b"\n")
        except Exception as error:  # a bug of ours: the run goes on
            log.warning("steering: a request failed (%s)", type(error).__name__)
        finally:
            self._turns.release()

    def reply(self, line: bytes) -> ControlReply:
        """What comes back for a request."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return ControlReply("stranger", "this is no request of flowpool's")
        given = request.token.encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self._token.encode()):
            return ControlReply("stranger", "another run listens here: the token isn't its own")
        try:
            if request.what == "look":
                return ControlReply(
                    "done", views={n: _view_of(run) for n, run in self._chosen(request)}
                )
            return ControlReply("done", carry_out(request, self._only(request)))
        except InvalidInput as error:
            return ControlReply("refused", printable(str(error)))

    def _chosen(self, request: Request) -> list[tuple[int, Steered]]:
        """The runs that a request is about."""
        name = request.run
        return [(n, run) for n, run in list(self.runs.items()) if name in (None, run.name, str(n))]

    def _only(self, request: Request) -> Steered:
        chosen = self._chosen(request)
        if len(chosen) == 1:
            return chosen[0][1]
        listed = ", ".join(f"{n} ({run.name})" for n, run in list(self.runs.items()))
        if not chosen:
            raise InvalidInput(f"no run {request.run!r} is at work: at work are {listed}.")
        raise InvalidInput(f"several runs are at work: name one by its number, of {listed}.")


def _view_of(run: Steered) -> LiveView:
    now, settings = run.snapshot, run.settings
    samples = run.samples
    cpu, lag = (samples[-1].cpu, samples[-1].lag) if samples else (0.0, 0.0)
    timings = now.timings
    return LiveView(
        printable(run.name),
        os.getpid(),
        sample_of(now, time.time(), cpu, lag),
        now.bottleneck,
        {lane: dict(spreads) for lane, spreads in timings.items()},
        {name: getattr(settings, name) for name in CHANGEABLE},
        run.is_paused,
    )


def carry_out(request: Request, run: Steered) -> str:
    """Does what is asked; returns it in words. Refuses what comes too late for its reply to be waited for."""
    if request.until is not None and time.time() + HEARD_WITHIN > request.until:
        log.warning("steering: dropped an order that came too late (%s)", request.what)
        raise InvalidInput(
            f"the order ({request.what}) came too late and is dropped: give it again."
        )
    words = _set(request, run) if request.what == "set" else _order(request, run)
    if not run.is_heard(HEARD_WITHIN):
        words += "; its loop is busy now, and heeds it as soon as it can"
    return words


def _order(request: Request, run: Steered) -> str:
    now = run.snapshot
    in_flight = sum(lane.in_flight for lane in now.lanes)
    ending = f"{in_flight:,} calls in flight end" if in_flight != 1 else "1 call in flight ends"
    match request.what:
        case "pause":
            return f"paused: {ending}" if run.pause("shell") else "it is paused already"
        case "go":
            return "it goes on" if run.go("shell") else "it isn't paused"
        case "stop" if run.is_paused:
            run.stop("shell")
            return f"stopped: {ending}, and no more are sent"
        case "stop":
            run.stop("shell")
            return f"stopped: no more items begin, {now.running:,} in progress go on to their end"
    run.cancel("shell")
    return f"cancelled: {in_flight:,} calls in flight are cut, what is done is kept"


def _set(request: Request, run: Steered) -> str:
    for name in request.values:
        if name not in CHANGEABLE:
            raise InvalidInput(
                f"{name} can't be changed of a run at work: {', '.join(CHANGEABLE)} can."
            )
    changes = run.change("shell", **request.values)
    return "; ".join(map(str, changes)) or "nothing is another than it was"


# Who listens for the runs of this process, by their stores' files.
_servers: dict[Path, ControlServer] = {}
_opening = threading.Lock()


@contextmanager
def listening(run: Steered, store: Path, number: int) -> Iterator[None]:
    """Has a run of a store heed orders from other processes; where nobody can listen it goes on without."""
    path = control_file(store)
    with _opening:
        server = _servers.get(path) or _opened(store)
        if server is not None:
            _servers[path] = server
            server.runs[number] = run
    try:
        yield
    finally:
        with _opening:
            if server is not None:
                server.runs.pop(number, None)
                if not server.runs and _servers.get(path) is server:
                    del _servers[path]
                    server.close()


def _opened(store: Path) -> ControlServer | None:
    try:
        return ControlServer(store)
    except OSError as error:
        words = error.strerror or error
        log.warning("%s: this run can't be steered from another shell: %s", store, words)
        return None


def _forget_all() -> None:
    global _opening
    _opening = threading.Lock()
    for server in _servers.values():
        server.forget()
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
