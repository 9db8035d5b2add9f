"""Where a tool's call happens: on the loop, in a thread, or in a worker process.

Must not know items, lanes or retries: one tool, its arguments, one result.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from flowpool import workers
from flowpool.tools.base import Tool

_Job = Callable[[], None]


async def arun(tool: Tool, kwargs: dict[str, Any]) -> Any:
    """The tool's output for the arguments that `bind` gave, without holding up the loop.

    Cancelling it cancels an async tool, kills the worker of a CPU-bound one, and leaves a blocking one
    to end by itself, unheard. Raises what the tool raises.
    """
    if tool.prepare is not None:
        kwargs = await tool.prepare(kwargs)
    if tool.mode == "process" and tool.dotted:
        return await workers.shared().run(tool.dotted, kwargs)
    result = tool.fn(**kwargs) if tool.mode == "async" else await in_thread(tool.fn, kwargs)
    return await result if inspect.isawaitable(result) else result


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result, waited for here: in a loop of its own, in its own thread if one runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return _in_new_thread(lambda: asyncio.run(coroutine))


def _in_new_thread(fn: Callable[[], Any]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(fn).result()


class _Threads:
    """Daemon threads that are reused, and started when none is idle.

    asyncio's own executor has a handful of threads on a small machine, and waits for all of them at exit:
    one call that never returns would hang the program.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def submit(self, job: _Job) -> None:
        with self._lock:
            self._jobs.put(job)
            if self._idle:
                self._idle -= 1
                return
        threading.Thread(target=self._work, name="flowpool-tool", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._idle += 1


_threads = _Threads()


async def in_thread(fn: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    """The result of a blocking `fn(**kwargs)`, run in a thread with this task's context variables."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def job() -> None:
        result, error = None, None
        try:
            result = context.run(fn, **kwargs)
        except BaseException as raised:
            # A future can't carry StopIteration: it would end the coroutine that awaits it.
            stop = isinstance(raised, StopIteration)
            error = RuntimeError(f"{type(raised).__name__}: {raised}") if stop else raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has closed: nobody waits any more

    _threads.submit(job)
    return await done
