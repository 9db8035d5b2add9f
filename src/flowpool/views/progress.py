"""A run's progress: a bar in a terminal or notebook, or a callable's. Looks at the pool from its own thread."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

TICK = 0.2
SHOW_AFTER = 1.0


class Watched(Protocol):
    """What progress needs of a pool."""

    name: str

    @property
    def snapshot(self) -> Any: ...


@contextmanager
def showing(pool: Watched, progress: bool | Callable[[Any], None] | None) -> Iterator[None]:
    """Shows the pool's progress while the block runs.

    progress: True shows it at once, None in a terminal or notebook after a second, a callable is told.
    """
    view: Callable[[threading.Event], None]
    told: _Told | None = None
    if callable(progress):
        view = told = _Told(pool, progress)
    elif progress or _is_watched():
        view = _Bar(pool, 0.0 if progress else SHOW_AFTER)
    else:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=view, args=(ended,), name="flowpool-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if told is not None and told.error is not None:
            warnings.warn(f"the progress callable failed: {told.error!r}", RuntimeWarning, 2)


def _is_watched() -> bool:
    return (sys.stderr is not None and sys.stderr.isatty()) or "ipykernel" in sys.modules


class _Told:
    def __init__(self, pool: Watched, tell: Callable[[Any], None]) -> None:
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


class _Bar:
    def __init__(self, pool: Watched, after: float) -> None:
        self._pool = pool
        self._after = after

    def __call__(self, ended: threading.Event) -> None:
        if ended.wait(self._after):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        # Counts are of this run: retries of an earlier one start where they left.
        first = self._pool.snapshot
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=False,
            # What a run prints to a file or pipe must go on to it, not to the terminal.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        with bar:
            task = bar.add_task(self._pool.name, total=first.total, counts="")
            while True:
                self._update(bar, task, first)
                if ended.wait(TICK):
                    break
            self._update(bar, task, first)

    def _update(self, bar: Any, task: Any, first: Any) -> None:
        now = self._pool.snapshot
        ended = now.done + now.failed + now.cancelled
        since = ended - first.done - first.failed - first.cancelled
        rate = since / (now.elapsed - first.elapsed) if now.elapsed > first.elapsed else 0.0
        words = [f"{now.done:,} done"]
        if now.failed:
            words.append(f"{now.failed:,} failed")
        if now.running:
            words.append(f"{now.running:,} running")
        if rate > 0:
            words.append(f"{rate:,.1f}/s")
            if now.total and ended < now.total:
                words.append(f"{_clock((now.total - ended) / rate)} left")
        bar.update(task, completed=ended, total=now.total, counts=", ".join(words))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
