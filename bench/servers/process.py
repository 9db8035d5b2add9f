"""Servers as processes: on loopback, on the server's core, and never left behind.

A process ends with its `with` block, when its lifetime is over, and (on Linux) when the bench itself dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench.common import SERVER_CPU

# The longest row is the engines': six windows, three times each, of some 20 s.
LIFETIME = 900.0
# vLLM takes 40 s to load on one busy core; everything else is there in five.
START_TIMEOUT = 240.0
_PDEATHSIG = 1


class ServerError(Exception):
    """A server didn't start; the words hold the end of what it printed."""


def free_port() -> int:
    """A port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A server's command for the length of a `with` block, which is entered once it listens.

    command: its arguments. port: where on loopback it will listen. lifetime: seconds after which it is ended in any
    case. environ: variables beside ours. wait: seconds that it may take to listen. pinned: False lets it choose its
    core.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        port: int,
        *,
        lifetime: float = LIFETIME,
        environ: Mapping[str, str] | None = None,
        wait: float = START_TIMEOUT,
        pinned: bool = True,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [os.fspath(word) for word in command]
        self._port = port
        self._environ = {**os.environ, **(environ or {})}
        self._wait = wait
        self._pinned = pinned
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        self._timer = threading.Timer(lifetime, self._end)
        self._timer.daemon = True
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Process:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self._environ,
            preexec_fn=self._prepare,
        )
        self._timer.start()
        try:
            self._until_listening(self._process)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _prepare(self) -> None:
        """In the child, before the command: its core, and its end should the bench die."""
        if self._pinned and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {SERVER_CPU})
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)

    def _until_listening(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._wait
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"{self._command[0]} ended at once: {self._last_words()}")
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        raise ServerError(f"{self._command[0]} doesn't listen yet: {self._last_words()}")

    def printed(self) -> str:
        """What it has printed until now."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def _last_words(self) -> str:
        return self.printed()[-2000:]

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        self._timer.cancel()
        self._end()
        self._output.close()


def our_server(module: str, *arguments: str) -> tuple[list[str], int]:
    """The command that starts one of our own server modules on a free port, and the port."""
    port = free_port()
    return [sys.executable, "-m", module, f"--port={port}", *arguments], port


def has_command(name: str) -> str | None:
    """The path of a program, also where a user's PATH leaves the administrators' folders out."""
    for folder in (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"):
        path = Path(folder, name)
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return None
