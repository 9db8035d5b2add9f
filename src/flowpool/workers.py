"""Worker processes for CPU-bound steps, so that the event loop never waits for a parser.

Children are plain subprocesses that speak length-prefixed pickles with this parent over pipes: unlike
multiprocessing's, they never import the caller's script, so notebooks and scripts without a `__main__`
guard work. Must not know tools, items or the engine: it is given a dotted name and arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from flowpool.errors import InvalidInput, StepTimeout, WorkerDied, WorkTooLarge
from flowpool.logs import log
from flowpool.per_loop import PerLoop
from flowpool.values import Caps

NO_CAPS = Caps()
_LENGTH = struct.Struct("!Q")
# Bytes of a worker's answer that are read ahead of whoever waits for it.
_BUFFER = 1 << 20
# Lines of the log that one call may have.
_MOST_LINES = 20
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process at once by either
# The parent's import path goes along: a child finds every module that its parent finds.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; del sys.argv[1:];"
    "from flowpool.workers import main; main()"
)


class Workers:
    """Up to `size` worker processes, one per core by default, started as calls need them.

    Belongs to the event loop it is first used on. Closing is `aclose()`, or `async with`.

    Example:
        async with Workers(2) as workers:
            await workers.run("textwrap:shorten", {"text": "to be or not", "width": 8})
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size or default_size()
        self._free = asyncio.Semaphore(self.size)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    async def run(self, dotted: str, kwargs: dict[str, Any], caps: Caps = NO_CAPS) -> Any:
        """The result of the function `dotted` ("module:name") for `kwargs`, computed in a worker.

        Raises what the function raised, `InvalidInput` for arguments that can't be pickled, `StepTimeout` or
        `WorkTooLarge` for what goes over its `caps`, and `WorkerDied` if the process ended on the way. Cancelling
        it kills the worker that computes.
        """
        request = _pickled(dotted, kwargs, caps)
        async with self._free:
            worker = self._idle.pop() if self._idle else await self._start()
            limit = asyncio.timeout(caps.seconds)
            try:
                async with limit:
                    reply = await worker.call(request)
                succeeded, result, said = pickle.loads(reply)
            except (EOFError, OSError, asyncio.IncompleteReadError) as error:
                code = await self._end(worker)
                if limit.expired():
                    raise StepTimeout(
                        f"{dotted}: no result within {caps.seconds:g} s of work "
                        f"(raise the step's timeout, or {_tool(dotted)}.caps)"
                    ) from None
                raise _died(dotted, code, caps) from error
            except BaseException:
                await self._end(worker)
                raise
            for level, line in said:
                log.log(level, line)
            if isinstance(result, WorkTooLarge):  # what it took, it may keep
                await self._end(worker)
            else:
                self._idle.append(worker)
        if succeeded:
            return result
        raise result

    async def aclose(self) -> None:
        """Kills every worker; they hold no state that could be lost."""
        self._closed = True
        self._idle.clear()
        await asyncio.gather(*(self._end(worker) for worker in list(self._all)))

    async def __aenter__(self) -> Workers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        busy = len(self._all) - len(self._idle)
        return f"Workers(size={self.size}, busy={busy}, idle={len(self._idle)})"

    async def _start(self) -> _Worker:
        if self._closed:
            raise RuntimeError("these workers are closed: use flowpool.workers.shared()")
        worker = await _Worker.start()
        self._all.add(worker)
        return worker

    async def _end(self, worker: _Worker) -> int:
        self._all.discard(worker)
        return await worker.kill()


class _Worker:
    """One child process, and the pipes to it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._to, self._from = process, process.stdin, process.stdout

    @classmethod
    async def start(cls) -> _Worker:
        path = [entry or os.getcwd() for entry in sys.path]
        command = (sys.executable, "-P", "-c", _PROGRAM, *path)
        return cls(
            await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=_BUFFER)
        )

    async def call(self, request: bytes) -> bytes:
        self._to.writelines((_LENGTH.pack(len(request)), request))
        await self._to.drain()
        (length,) = _LENGTH.unpack(await self._from.readexactly(_LENGTH.size))
        return await self._from.readexactly(length)

    async def kill(self) -> int:
        """Ends the process, and returns its exit code once its pipes are closed too."""
        if self._process.returncode is None:
            # Not Process.kill: that first reaps a child that has ended, and then its exit code is lost.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, _KILL)
        self._to.close()
        return await self._process.wait()


def _pickled(dotted: str, kwargs: dict[str, Any], caps: Caps) -> bytes:
    try:
        return pickle.dumps((dotted, kwargs, caps), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise InvalidInput(
            f"{dotted}: its arguments can't go to a worker process ({error}): pass plain data"
        ) from error


def _died(dotted: str, code: int, caps: Caps) -> WorkerDied:
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    cap = "" if caps.memory is None else f" (it may take {_megabytes(caps.memory)})"
    return WorkerDied(f"{dotted}: its worker process died ({how}): out of memory{cap}, or a crash?")


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.0f} MB"


_shared: PerLoop[Workers] = PerLoop(Workers)


def default_size() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared() -> Workers:
    """The running loop's workers, closed when that loop shuts down."""
    return _shared.get()


# The child's side.


def main() -> None:
    """Serves calls from stdin until it ends, which it does when the parent dies."""
    # Ctrl-C reaches the whole terminal group; what to do about it is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _take_pipes()
    while request := _read(requests):
        reply = _serve(request)
        replies.write(_LENGTH.pack(len(reply)))
        replies.write(reply)
        replies.flush()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The frames' own descriptors; 0 and 1 no longer lead to them, so no print can break a frame."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _read(requests: BinaryIO) -> bytes:
    head = requests.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack(head)
    body = requests.read(length)
    return body if len(body) == length else b""


class _Said(logging.Handler):
    """What the call says in the log, which its parent has."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < _MOST_LINES:
            self.lines.append((record.levelno, record.getMessage()))


def _serve(request: bytes) -> bytes:
    name, said = "worker", _Said()
    log.addHandler(said)
    try:
        name, kwargs, caps = pickle.loads(request)
        with _memory_capped(caps.memory):
            result = _resolve(name)(**kwargs)
    except MemoryError as error:
        if caps.memory is None:
            return _failure(error)
        return _failure(_too_large(name, f"needs more than {_megabytes(caps.memory)} of memory"))
    except BaseException as error:
        return _failure(error, said.lines)
    finally:
        log.removeHandler(said)
    try:
        reply = pickle.dumps((True, result, said.lines), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _failure(TypeError(f"{name}: its result can't leave the worker process ({error})"))
    if caps.output is not None and len(reply) > caps.output:
        return _failure(_too_large(name, f"its result is longer than {_megabytes(caps.output)}"))
    return reply


def _too_large(name: str, what: str) -> WorkTooLarge:
    return WorkTooLarge(f"{name}: {what}: leave this item out, or raise {_tool(name)}.caps.")


def _tool(dotted: str) -> str:
    return dotted.rpartition(":")[2]


@contextlib.contextmanager
def _memory_capped(size: int | None) -> Iterator[None]:
    """Within it, the process may take so many bytes more than it has; without a limit where there are none."""
    taken = _address_space()
    if size is None or taken is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    hard = before[1]
    most = taken + size if hard == resource.RLIM_INFINITY else min(taken + size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _address_space() -> int | None:
    """Bytes of the process's address space; None where the system doesn't say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _resolve(dotted: str) -> Any:
    from functools import reduce
    from importlib import import_module

    module, _, path = dotted.partition(":")
    found = reduce(getattr, path.split("."), import_module(module))
    # A tool's `run` gives its output and raises, whatever calling the tool itself may do.
    return getattr(found, "run", found)


def _failure(error: BaseException, said: Sequence[tuple[int, str]] = ()) -> bytes:
    """The exception with its traceback as a note; its text alone if it can't make the journey."""
    from traceback import format_exception

    note = "In the worker process:\n" + "".join(format_exception(error)).rstrip()
    try:
        error.add_note(note)
        reply = pickle.dumps((False, error, said), pickle.HIGHEST_PROTOCOL)
        pickle.loads(reply)
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.add_note(note)
        return pickle.dumps((False, plain, said), pickle.HIGHEST_PROTOCOL)
    return reply
