"""Ctrl-C and SIGTERM during `flowpool run`: the first Ctrl-C ends it gently, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from flowpool.run.ctrl_c import say_in_between

INTERRUPTED, TERMINATED = 130, 143


class Interrupts:
    """Handles the signals for the length of a `with` block. `code` is then the exit code, or 0.

    stop: starts no more items. cancel: cuts the calls in flight. SIGTERM does both. A third Ctrl-C leaves the
    process where it stands; what is written is written.
    """

    def __init__(self, stop: Callable[[], None], cancel: Callable[[], None]) -> None:
        self.code = 0
        self._stop = stop
        self._cancel = cancel
        self._times = 0
        self._before: dict[int, signal.Handlers | Callable[..., object] | int | None] = {}

    def __enter__(self) -> Interrupts:
        for number, handler in ((signal.SIGINT, self._interrupt), (signal.SIGTERM, self._end)):
            self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._times += 1
        self.code = INTERRUPTED
        if self._times == 1:
            say_in_between(
                "\nCtrl-C: waiting for the calls in flight; press it again to cancel them.\n"
            )
            self._stop()
        elif self._times == 2:
            say_in_between("\nCtrl-C: cancelling the calls in flight.\n")
            self._cancel()
        else:
            os._exit(INTERRUPTED)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.code = TERMINATED
        self._stop()
        self._cancel()
