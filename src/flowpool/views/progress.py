"""A run's progress: in a terminal, in a notebook or told to a callable. Looks at the pool from its own thread."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Protocol

import msgspec

from flowpool.pool import LaneView, Snapshot
from flowpool.views.notebook import CellOutput, is_notebook
from flowpool.views.words import Telling, tell, tell_end

TICK = 0.2
SHOW_AFTER = 1.0
STEADY = 10  # looks, of which the most frequent bound is shown


class Watched(Protocol):
    """What progress needs of a pool."""

    name: str

    @property
    def snapshot(self) -> Snapshot: ...


class Screen(Protocol):
    """Where one run is shown."""

    def show(self, telling: Telling) -> None:
        """Draws how it goes, in place of what was shown before."""

    def finish(self, telling: Telling) -> None:
        """Draws how it went, which stays."""


@contextmanager
def showing(pool: Watched, progress: bool | Callable[[Snapshot], None] | None) -> Iterator[None]:
    """Shows the pool's progress while the block runs.

    progress: True shows it at once, None in a terminal or notebook after a second, a callable is told.
    """
    told: _Told | None = None
    view: Callable[[threading.Event], None]
    after = 0.0 if progress else SHOW_AFTER
    if callable(progress):
        view = told = _Told(pool, progress)
    elif is_notebook():
        view = _Shown(pool, after, CellOutput())
    elif progress or _is_terminal():
        from flowpool.views.terminal import TerminalLines  # slow to import

        view = _Shown(pool, after, TerminalLines())
    else:
        yield
        return
    ended = threading.Event()
    # In a copy of the context, by which a notebook knows the cell that the output belongs to.
    thread = threading.Thread(
        target=copy_context().run, args=(view, ended), name="flowpool-progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if told is not None and told.error is not None:
            warnings.warn(f"the progress callable failed: {told.error!r}", RuntimeWarning, 2)


def _is_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    return sys.stderr is not None and sys.stderr.isatty() and not is_dumb


class _Told:
    def __init__(self, pool: Watched, tell: Callable[[Snapshot], None]) -> None:
        self._pool = pool
        self._tell = tell
        self.error: Exception | None = None

    def __call__(self, ended: threading.Event) -> None:
        try:
            while not ended.wait(TICK):
                self._tell(self._pool.snapshot)
            self._tell(self._pool.snapshot)
        except Exception as error:  # a view's failure is no reason to lose a run
            self.error = error


class _Shown:
    def __init__(self, pool: Watched, after: float, screen: Screen) -> None:
        self._pool = pool
        self._after = after
        self._screen = screen

    def __call__(self, ended: threading.Event) -> None:
        if ended.wait(self._after) and self._after:
            return
        name, steady = self._pool.name, _Steady()
        while not ended.wait(TICK):
            now = self._pool.snapshot
            self._screen.show(tell(name, now, steady.lanes(now)))
        self._screen.finish(tell_end(name, self._pool.snapshot))


class _Steady:
    """Lanes whose bound is what it was most of the last two seconds: from one call to the next it may vary."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[LaneView]] = {}

    def lanes(self, now: Snapshot) -> tuple[LaneView, ...]:
        return tuple(self._steadied(lane) for lane in now.lanes)

    def _steadied(self, lane: LaneView) -> LaneView:
        looks = self._looks.setdefault(lane.name, deque(maxlen=STEADY))
        looks.append(lane)
        if lane.bound in ("outage", "broken", "items"):
            return lane
        [(bound, _)] = Counter(look.bound for look in looks).most_common(1)
        like = next(look for look in reversed(looks) if look.bound == bound)
        return msgspec.structs.replace(lane, bound=bound, utilisation=like.utilisation)
