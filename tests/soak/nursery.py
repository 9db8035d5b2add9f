"""Children that can be killed: forked from one small process that has flowpool loaded, in a millisecond each."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from subprocess import Popen
from typing import Any

ROOT = Path(__file__).parents[2]


class Child:
    """A forked process at its job; `lines` are what it printed so far."""

    def __init__(self, handle: int, output: int) -> None:
        self._handle = handle  # of the process: its number may be another's once it has ended
        self.lines: list[str] = []
        self._output = output
        self._rest = b""
        self.ended = False

    def read(self, seconds: float) -> None:
        """Takes what it prints for so long, or until it ends."""
        until = time.monotonic() + seconds
        while not self.ended:
            left = until - time.monotonic()
            if not select.select([self._output], [], [], max(0.0, left))[0]:
                return
            self._take()

    def kill(self) -> None:
        """SIGKILL, and what it had printed by then."""
        if not self.ended:
            with suppress(ProcessLookupError):  # it came to its end by itself
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.finish()

    def finish(self, seconds: float = 60.0) -> None:
        self.read(seconds)
        if not self.ended:
            raise TimeoutError(f"the child printed this and didn't end: {self.lines[-5:]}")

    def _take(self) -> None:
        data = os.read(self._output, 1 << 16)
        if not data:
            os.close(self._output)
            os.close(self._handle)
            self.ended = True
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode() for line in whole]


class Nursery:
    """Forks children that run `module.function(job)`; ends with its block.

        with Nursery() as nursery:
            child = nursery.spawn("tests.soak.work", "work", {"store": "run.db"})

    preload: a shared library for the children, as `LD_PRELOAD`.
    """

    def __init__(self, preload: Path | None = None) -> None:
        self._preload = preload
        self._turn = threading.Lock()

    def __enter__(self) -> Nursery:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        environ = os.environ | {"PYTHONPATH": path, "FLOWPOOL_SHARE": "off"}
        if self._preload is not None:
            environ["LD_PRELOAD"] = str(self._preload)
        command = [sys.executable, "-m", "tests.soak.nursery", str(theirs.fileno())]
        self._process = Popen(command, pass_fds=[theirs.fileno()], env=environ, cwd=ROOT)
        theirs.close()
        self._line = ours
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.wait(30)

    def spawn(self, module: str, function: str, job: Mapping[str, Any]) -> Child:
        output, theirs = os.pipe()
        order = json.dumps([module, function, job]).encode()
        with self._turn:
            socket.send_fds(self._line, [len(order).to_bytes(4, "big") + order], [theirs])
            [handle] = socket.recv_fds(self._line, 1, 1)[1]
        os.close(theirs)
        return Child(handle, output)


def say(**words: Any) -> None:
    """A child's line to its parent, in one write."""
    os.write(1, json.dumps(words).encode() + b"\n")


def _serve(line: socket.socket) -> None:
    """In the nursery: forks a child for each order until the line is closed."""
    for name in (
        "tests.soak.work",
        "flowpool.http.connections",
        "flowpool.data.frames",
        "ruamel.yaml",
    ):
        import_module(name)
    while True:
        head, fds, _, _ = socket.recv_fds(line, 1 << 16, 1)
        if not head:
            return
        size = int.from_bytes(head[:4], "big")
        order = head[4:]
        while len(order) < size:
            order += line.recv(size - len(order))
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that ended meanwhile
                pass
        pid = os.fork()
        if not pid:
            line.close()
            _be_child(fds[0], *json.loads(order))
        handle = os.pidfd_open(pid)
        socket.send_fds(line, [b"."], [handle])
        os.close(handle)
        os.close(fds[0])


def _be_child(output: int, module: str, function: str, job: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it doesn't outlive its nursery
    os.dup2(output, 1)
    os.close(output)
    work: Callable[[dict[str, Any]], None] = getattr(import_module(module), function)
    try:
        work(job)
    except BaseException:
        say(crash=traceback.format_exc())
    os._exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
