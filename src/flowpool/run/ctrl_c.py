"""Ctrl-C while runs are carried out on the main thread's own event loop: the first ends them gently.

asyncio would cancel the main task at once, and with it calls that are paid. Only Python's and asyncio's own handler
is stood in for, and put back with the last run's end: whoever set another one keeps it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

WAITING = "\nCtrl-C: waiting for calls in flight; again to cancel them.\n"


class Interruptible(Protocol):
    """A run that may be ended gently; `interrupted` says whether it was."""

    interrupted: bool

    def interrupt(self) -> None: ...


_running: list[Interruptible] = []
_before: Any = None  # the handler that is stood in for


@contextmanager
def heeded_by(run: Interruptible) -> Iterator[None]:
    """While the block runs on the main thread, the first Ctrl-C interrupts `run`; the next is Python's again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _running.append(run)
    _stand_in()
    try:
        yield
    finally:
        _running.remove(run)
        if not _running and signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, _before)


def _stand_in() -> None:
    global _before
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler or _is_asyncios(handler):
        with suppress(ValueError):  # a subinterpreter has no signals
            signal.signal(signal.SIGINT, _interrupt)
            _before = handler


def _is_asyncios(handler: Any) -> bool:
    owner = getattr(getattr(handler, "func", None), "__self__", None)
    return isinstance(owner, asyncio.Runner)


def _interrupt(number: int, frame: FrameType | None) -> None:
    unaware = [run for run in _running if not run.interrupted]
    if not unaware:
        _before(number, frame)
        return
    for run in unaware:  # before anything is said: the next Ctrl-C may come into the middle of this
        run.interrupted = True
        run.interrupt()
    say_in_between(WAITING)


def say_in_between(words: str) -> None:
    """Says it on standard error, from a signal's handler that may come in the middle of a print."""
    with suppress(OSError):  # its reader has gone
        os.write(2, words.encode())
