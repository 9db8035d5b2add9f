"""An event loop with a simulated clock: hours of waiting pass at once, and the same way each time.

Time starts at 0 and jumps to the next timer when there is nothing to do. Work given to executors takes
real time, in which the simulated clock stands still. Real sockets aren't for this loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from flowpool.errors import FlowpoolError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(FlowpoolError):
    """Every task waits for something that nothing will ever do."""


class LeakedTasks(FlowpoolError):
    """The run is over and tasks of it are still going."""


class _Selector(selectors.DefaultSelector):
    """Asked to wait until a timer is due, it moves the loop's clock there instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.loop.outside:
            return super().select(None)
        events = super().select(0)
        if events:
            return events
        if timeout is None or self.loop.only_looks():
            raise Deadlock(_waiting(self.loop))
        self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time()` is simulated. `outside` counts executor jobs under way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.outside = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def only_looks(self) -> bool:
        """Whether nothing is planned but looks at a run, which go on as long as it does."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return all(timer.cancelled() or _is_look(timer) for timer in timers)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.outside += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.outside += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.outside -= 1

    def _came_back(self, future: asyncio.Future[Any]) -> None:
        self.outside -= 1


def _is_look(timer: asyncio.TimerHandle) -> bool:
    callback = timer._callback  # type: ignore[attr-defined]
    return getattr(getattr(callback, "__self__", None), "is_idle", False) is True


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end in simulated time, starting at 0, and returns what it returns.

    Raises `Deadlock` when nothing can happen any more, and `LeakedTasks` when `main` is over but tasks
    that it started are not.

        async def nap() -> float:
            await asyncio.sleep(3600)
            return asyncio.get_running_loop().time()

        run_virtual(nap())  # 3600.0, in a millisecond
    """
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main)
        loop.run_until_complete(asyncio.sleep(0))
        leaked = [task for task in asyncio.all_tasks(loop) if not task.done()]
        if leaked:
            names = ", ".join(sorted(_describe(task) for task in leaked)[:5])
            raise LeakedTasks(f"{len(leaked)} tasks outlive the run: {names}")
        return result
    finally:
        _close(loop)


def _close(loop: VirtualLoop) -> None:
    try:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        with contextlib.suppress(Deadlock):
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _waiting(loop: VirtualLoop) -> str:
    tasks = sorted(_describe(task) for task in asyncio.all_tasks(loop))
    return f"at {loop.now:g} s nothing can happen any more; waiting: {', '.join(tasks[:5])}"


def _describe(task: asyncio.Task[Any]) -> str:
    """A task's name and the innermost of its own lines that it waits at."""
    coroutine: Any = task.get_coro()
    where = ""
    while frame := getattr(coroutine, "cr_frame", None):
        where = f" at {frame.f_code.co_qualname}:{frame.f_lineno}"
        coroutine = coroutine.cr_await
    return f"{task.get_name()}{where}"


run = run_virtual
