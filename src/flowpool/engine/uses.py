"""How a tool's or function's step is made: through its lane, on the loop, in a thread or in a worker process."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from msgspec import Struct

from flowpool.chain import Step
from flowpool.engine.flow import Flow, Patience
from flowpool.engine.lanes import CallLane, Lanes
from flowpool.engine.retry import DEFAULT_RETRIES, RetryPolicy
from flowpool.engine.settings import Settings, first_told
from flowpool.engine.threads import DaemonThreads
from flowpool.errors import CallError, FlowpoolError, StepFailed, StepTimeout
from flowpool.tools.base import Tool

ASYNC_WIDTH, THREAD_WIDTH = 100, 32


class ToolRoute(Struct):
    """A tool as one step calls it."""

    tool: Tool
    lane: CallLane
    timeout: float | None
    policy: RetryPolicy


class Uses:
    """The tools of a run's steps, and where their functions run."""

    def __init__(self, settings: Settings, lanes: Lanes, patience: Patience) -> None:
        self._settings = settings
        self._lanes = lanes
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._threads: DaemonThreads | None = None
        self._routes: dict[Step, ToolRoute] = {}

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def use(self, step: Step, variables: Mapping[str, Any], flow: Flow, rank: float) -> Any:
        """A tool's output for these variables."""
        route = self._routes[step]
        arguments = route.tool.bind(variables, step.defaults)
        lane = route.lane
        now = self._loop.time
        first: float | None = None
        failures = 0
        while True:
            entered = lane.try_enter(now())
            if entered is None:
                entered = (await self._lanes.enter((lane,), rank)).entered
            flow.attempts += 1
            first = entered.at if first is None else first
            failure: Exception
            try:
                return await self._run_tool(route, arguments)
            except CallError as error:  # it speaks of some host, not of this lane
                failure = error
            except FlowpoolError:
                raise
            except Exception as error:
                failure = error
            finally:
                self._lanes.left(lane, entered)
            failures += 1
            if isinstance(failure, CallError):
                await self._patience.before_retry(
                    route.policy, failure, failures, now() - first, flow
                )
            elif failures <= (step.retries or 0):
                await self._patience.back_off(route.policy, failures, flow)
            else:
                raise StepFailed(route.tool.name, failure) from failure
            rank = -1e9

    async def _run_tool(self, route: ToolRoute, arguments: dict[str, Any]) -> Any:
        name = route.tool.name
        limit = asyncio.timeout(route.timeout)
        try:
            async with limit:
                return await self._body(route.tool, arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise StepTimeout(
                f"{name}: no result within {route.timeout:g} s (raise the step's timeout)"
            ) from None
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            # The function's own, unless somebody cancelled this flow or pressed Ctrl-C.
            if isinstance(error, KeyboardInterrupt):
                is_ours = threading.current_thread() is threading.main_thread()
            else:
                is_ours = _is_cancelled()
            if is_ours:
                raise
            raise StepFailed(name, error) from error
        except SystemExit as error:
            raise StepFailed(name, error) from error

    async def _body(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        if tool.prepare is not None:
            arguments = await tool.prepare(arguments)
        if tool.mode == "async":
            return await tool.fn(**arguments)
        if tool.mode == "process" and tool.dotted is not None:
            from flowpool import workers

            return await workers.shared().run(tool.dotted, arguments)
        if self._threads is None:
            self._threads = DaemonThreads("flowpool-step")
        call = partial(copy_context().run, _call, tool, arguments)
        output = await self._loop.run_in_executor(self._threads, call)
        # A plain function may well give what another, async one gave it.
        return await output if inspect.isawaitable(output) else output

    def prepare(self, step: Step, tool: Tool) -> None:
        """Finds the step's lane and what it was told."""
        told = self._settings
        timeout = first_told(step.timeout, told.timeout, 0.0) or None
        retries = int(first_told(step.retries, told.retries, DEFAULT_RETRIES))
        lane = self._lanes.open_tool(tool, tool.name, step, self._width(tool))
        self._routes[step] = ToolRoute(tool, lane, timeout, RetryPolicy(retries))

    def _width(self, tool: Tool) -> int:
        if tool.max_flows is not None:
            return tool.max_flows
        if tool.mode == "process":
            from flowpool import workers

            return workers.default_size()
        return self._settings.max_flows or (ASYNC_WIDTH if tool.mode == "async" else THREAD_WIDTH)


def _call(tool: Tool, arguments: dict[str, Any]) -> Any:
    """In a thread: the function's result. What no future can carry comes as a `StepFailed`."""
    try:
        return tool.fn(**arguments)
    except (StopIteration, asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
        raise StepFailed(tool.name, error) from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
