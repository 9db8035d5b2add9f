"""A run's progress: in a terminal, in a notebook or by a callable. Looks at the pool from its own thread."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Protocol

import msgspec

from flowpool.pool import LaneView, Snapshot
from flowpool.views.notebook import CellOutput, is_notebook
from flowpool.views.words import ProgressText, end_text, progress_text

# Seconds between two looks: often enough to seem steady, seldom enough to cost nothing.
TICK = 0.2
# Seconds: a run that is over sooner needs no bar.
SHOW_AFTER = 1.0
# Looks, of which the most frequent bound is shown: two seconds of them.
STEADY = 10


class Watched(Protocol):
    """What progress needs of a pool."""

    name: str

    @property
    def snapshot(self) -> Snapshot: ...


class Screen(Protocol):
    """Where one run is shown."""

    def show(self, progress: ProgressText) -> None:
        """Draws how it goes, over what was shown before."""

    def finish(self, progress: ProgressText) -> None:
        """Draws how it went, which stays."""


@contextmanager
def showing(pool: Watched, progress: bool | Callable[[Snapshot], None] | None) -> Iterator[None]:
    """Shows the pool's progress while the block runs.

    progress: True shows it at once, None in a terminal or notebook after a second, a callable is given snapshots.
    """
    callback: _Callback | None = None
    view: Callable[[threading.Event], None]
    after = 0.0 if progress else SHOW_AFTER
    if callable(progress):
        view = callback = _Callback(pool, progress)
    elif is_notebook():
        view = _Display(pool, after, CellOutput())
    elif progress or _is_terminal():
        from flowpool.views.terminal import TerminalLines  # slow to import

        view = _Display(pool, after, TerminalLines())
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
        if callback is not None and callback.error is not None:
            warnings.warn(f"the progress callable failed: {callback.error!r}", RuntimeWarning, 2)


def _is_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    return sys.stderr is not None and sys.stderr.isatty() and not is_dumb


class _Callback:
    def __init__(self, pool: Watched, give: Callable[[Snapshot], None]) -> None:
        self._pool = pool
        self._give = give
        self.error: Exception | None = None

    def __call__(self, ended: threading.Event) -> None:
        try:
            while not ended.wait(TICK):
                self._give(self._pool.snapshot)
            self._give(self._pool.snapshot)
        except Exception as error:  # a view's failure is no reason to lose a run
            self.error = error


class _Display:
    def __init__(self, pool: Watched, after: float, screen: Screen) -> None:
        self._pool = pool
        self._after = after
        self._screen = screen

    def __call__(self, ended: threading.Event) -> None:
        if ended.wait(self._after) and self._after and not self._pool.snapshot.stopped:
            return  # too short to be shown
        name, steady = self._pool.name, _Steady()
        with suppress(OSError, ValueError):  # the terminal has gone, or is closed: the run goes on
            while not ended.wait(TICK):
                now = self._pool.snapshot
                self._screen.show(progress_text(name, now, steady.lanes(now)))
            self._screen.finish(end_text(name, self._pool.snapshot))


class _Steady:
    """Lanes whose bound is what it was most of the last two seconds: from one call to the next it may vary."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[LaneView]] = {}

    def lanes(self, now: Snapshot) -> tuple[LaneView, ...]:
        return tuple(self._steadied(lane) for lane in now.lanes)

    def _steadied(self, lane: LaneView) -> LaneView:
        looks = self._looks.setdefault(lane.name, deque(maxlen=STEADY))
        looks.append(lane)
        if lane.bound in ("held", "outage", "broken", "items"):
            return lane
        [(bound, _)] = Counter(look.bound for look in looks).most_common(1)
        like = next(look for look in reversed(looks) if look.bound == bound)
        return msgspec.structs.replace(lane, bound=bound, utilisation=like.utilisation)
