"""The loop thread on which synchronous callers' runs live: one a process, started at the first run."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from flowpool.errors import FlowpoolError

T = TypeVar("T")
LOOK_UP = 0.5  # seconds between two looks at whether a signal came


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop where there is one (not on Windows), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def outcome(future: Future[T]) -> T:
    """The future's result, waited for so that Ctrl-C is heard.

    A wait without end isn't woken by a signal that comes to another thread or in the moment before it begins, and
    on Windows by none.
    """
    while not future.done():
        with suppress(TimeoutError):  # the work's own is raised below
            return future.result(LOOK_UP)
    return future.result()


class LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self.thread = threading.Thread(target=self._run, name="flowpool-loop", daemon=True)
        self.thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts `work` on the loop; safe from any other thread."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # closed: the interpreter is ending
            work.close()
            raise

    def refuse_itself(self) -> None:
        """Raises where waiting for this thread would wait forever: on the thread itself."""
        if threading.current_thread() is self.thread:
            raise FlowpoolError(
                "run() was called on flowpool's own loop: in an async function use await arun()."
            )

    def close(self) -> None:
        """Ends what still runs, closes the connections and the loop."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(timeout=5.0)

    def _run_until_stopped(self) -> bool:
        """Whether the loop is to stop. A task's sys.exit() gets here too: it ends the task, not the loop."""
        try:
            self.loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            return False
        return True

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self._run_until_stopped():
                pass
        finally:
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


_lock = threading.Lock()
_current: tuple[int, LoopThread] | None = None


def loop_thread() -> LoopThread:
    """The process's loop thread. A forked child gets its own: threads don't survive a fork."""
    global _current
    with _lock:
        if _current is None or _current[0] != os.getpid():
            _current = (os.getpid(), LoopThread())
            atexit.register(_current[1].close)
        return _current[1]


def _forget_the_lock() -> None:
    """In a forked child: another thread of the parent's may have held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_lock)
