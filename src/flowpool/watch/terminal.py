"""The view of a run that fills a terminal: drawn about twice a second, with keys that pause and change it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from rich.console import Console

from flowpool.errors import FlowpoolError
from flowpool.watch.keys import keys_within, pressed_at_once
from flowpool.watch.screen import as_screen
from flowpool.watch.shown import Shown, shown
from flowpool.watch.source import RunSource

# Seconds between two looks, and that what an order came to stays on the screen.
EVERY, STAYS = 0.5, 8.0


def watch_in_terminal(source: RunSource, console: Console) -> None:
    """Shows the run until q or Ctrl-C is pressed. Leaves the terminal as it was, whatever ends it."""
    keys = TerminalKeys(source)
    with _ended_by_signals(), pressed_at_once(), console.screen(hide_cursor=True) as screen:
        due = 0.0
        while not keys.leaves:
            if time.monotonic() >= due:
                due = time.monotonic() + EVERY
                keys.now = shown(source.view())
                screen.update(as_screen(keys.now, console, keys.said))
            for key in keys_within(max(0.0, due - time.monotonic())):
                keys.press(key)
                due = 0.0


class TerminalKeys:
    """What keys do. `said` is what the last order came to, for a while; `now` what is on the screen."""

    def __init__(self, source: RunSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.leaves = False
        self.now: Shown | None = None
        self._source = source
        self._clock = clock
        self._words = ""
        self._said_at = 0.0

    @property
    def said(self) -> str:
        return self._words if self._clock() - self._said_at < STAYS else ""

    def press(self, key: str) -> None:
        if key in ("q", "Q", "\x04"):
            self.leaves = True
        elif self.now is not None and key in ("p", "+", "-"):
            self._say(self._steer(key, self.now))

    def _steer(self, key: str, now: Shown) -> str:
        if not now.steers:
            return "It takes no orders: nobody is at work on it."
        if key == "p":
            return self._order("go" if now.state == "paused" else "pause")
        flows = now.settings.get("max_flows") or now.in_flight
        step = max(1, round(flows / 4))
        return self._order("set", max_flows=max(1, round(flows) + (step if key == "+" else -step)))

    def _order(self, what: str, **values: Any) -> str:
        try:
            return self._source.order(what, **values)
        except FlowpoolError as error:
            return f"Not done: {error}"

    def _say(self, words: str) -> None:
        self._words, self._said_at = words, self._clock()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Has what ends or stops the process at once end the block instead, so that it can tidy up."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    for name, handler in (("SIGTERM", end), ("SIGHUP", end), ("SIGTSTP", signal.SIG_IGN)):
        with suppress(AttributeError):  # not every system has each
            number = getattr(signal, name)
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
