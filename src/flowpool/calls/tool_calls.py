"""How a tool's or function's step is made: through its lane, on the loop, in a thread or in a worker process."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flowpool.calls.flow import Flow, RetryWaiter
from flowpool.calls.retry import DEFAULT_RETRIES, RetryPolicy
from flowpool.chain import Step
from flowpool.errors import (
    AttemptTimeout,
    CallError,
    FlowpoolError,
    InvalidInput,
    StepFailed,
    StepTimeout,
    Verdict,
)
from flowpool.integrations import ForeignAnswer, ForeignTool
from flowpool.integrations.failures import recognised
from flowpool.limits.demand import Demand
from flowpool.limits.lane import FREE, Admitted
from flowpool.limits.lanes import AUTO_CEILING, CallLane, Lanes
from flowpool.settings import Settings, first_told
from flowpool.threads import DaemonThreads
from flowpool.tools.base import Tool
from flowpool.values import NO_USAGE, Attempt

if TYPE_CHECKING:
    from flowpool.tracing.spans import Tracer

ASYNC_WIDTH, THREAD_WIDTH = 100, 32


class ToolRoute(Struct):
    """A tool as one step calls it."""

    tool: Tool
    lane: CallLane
    timeout: float | None
    policy: RetryPolicy
    place: str  # the step, as records call it

    def cost(self, arguments: Mapping[str, Any]) -> Demand:
        """What a call will take of told limits: by its texts, and what calls before it took."""
        if self.lane.limiter is None:
            return FREE
        size = sum(len(value) for value in arguments.values() if isinstance(value, str))
        return self.lane.limiter.estimate(self.tool.name, size, None)


class ToolCalls:
    """The tools of a run's steps, and where their functions run."""

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        patience: RetryWaiter,
        tracer: Tracer | None = None,
        *,
        is_single: bool,
    ) -> None:
        self._settings = settings
        self._tracer = tracer
        self._is_single = is_single
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
        if self._tracer is None:
            return await self._use(step, variables, flow, rank)
        attempts, usage = flow.attempts, flow.usage
        is_function = not isinstance(step.runner, ForeignTool)
        with self._tracer.step(step.runner.name, is_function=is_function) as tell:
            try:
                return await self._use(step, variables, flow, rank)
            finally:
                tell(flow.attempts - attempts, flow.usage - usage)

    async def _use(self, step: Step, variables: Mapping[str, Any], flow: Flow, rank: float) -> Any:
        route = self._routes[step]
        arguments = route.tool.bind(variables, step.defaults)
        lane = route.lane
        now = self._loop.time
        first: float | None = None
        failures = 0
        while True:
            entered = await self._enter(lane, route.cost(arguments), rank)
            flow.attempts += 1
            first = entered.at if first is None else first
            try:
                return await self._noted_attempt(route, arguments, entered, flow)
            except CallError as error:
                failure = error
            except FlowpoolError:
                raise
            except Exception as error:
                failures += 1
                if failures > (step.retries or 0):
                    raise StepFailed(route.tool.name, error) from error
                await self._patience.back_off(route.policy, failures, flow)
                rank = -1e9
                continue
            if failure.signal is Verdict.OUTAGE:
                failures += lane.blames(failures + 1)
            else:
                failures += failure.signal is not Verdict.THROTTLE or lane.limiter is None
            await self._patience.before_retry(
                route.policy,
                failure,
                failures,
                now() - first,
                flow,
                rationed=lane.rations_retries,
                paced=lane.limiter is not None,
            )
            rank = -1e9

    async def _enter(self, lane: CallLane, cost: Demand, rank: float) -> Admitted:
        if lane.broken is None:
            entered = lane.try_enter(self._loop.time(), cost)
            if entered is not None:
                return entered
        return (await self._lanes.enter(((lane, cost),), rank)).entered

    async def _noted_attempt(
        self, route: ToolRoute, arguments: dict[str, Any], entered: Admitted, flow: Flow
    ) -> Any:
        """One call's output; its failure is written down."""
        try:
            return await self._attempt(route, arguments, entered, flow)
        except Exception as error:
            if flow.log is not None:
                status = error.status if isinstance(error, CallError) else None
                seconds = self._loop.time() - entered.at
                kind = type(error).__name__
                flow.log.attempted(Attempt(route.place, "", entered.at, seconds, status, kind))
            raise

    async def _attempt(
        self, route: ToolRoute, arguments: dict[str, Any], entered: Admitted, flow: Flow
    ) -> Any:
        """One call's output; tells the lane how it ended."""
        tool, lane = route.tool, route.lane
        is_foreign = isinstance(tool, ForeignTool)
        try:
            output = await self._run_tool(route, arguments)
            answer = tool.answer(output) if isinstance(tool, ForeignTool) else ForeignAnswer(output)
        except CallError:  # a tool's own: it speaks of some host, not of this lane
            self._lanes.left(lane, entered)
            raise
        except StepTimeout as error:
            if not is_foreign:
                self._lanes.left(lane, entered)
                raise
            failure: CallError = AttemptTimeout(str(error))
            self._lanes.failed(lane, entered, failure, ())
            raise failure from None
        except Exception as error:
            found = recognised(error, of_sdks_only=not is_foreign)
            if found is None:
                self._lanes.left(lane, entered)
                raise
            self._lanes.failed(lane, entered, found, ())
            raise found from error
        except BaseException:
            self._lanes.left(lane, entered)
            raise
        self._lanes.answered(lane, entered, answer.usage, ())
        if is_foreign:
            self._patience.answered()
        if answer.usage is not NO_USAGE:
            flow.bill(answer.model, answer.usage, None)
        if flow.log is not None:
            seconds, usage = self._loop.time() - entered.at, answer.usage
            note = Attempt(route.place, answer.model, entered.at, seconds, None, usage=usage)
            flow.log.attempted(note)
        return answer.output

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

    def prepare(self, step: Step, tool: Tool, place: str) -> None:
        """Finds the step's lane and what it was told."""
        told = self._settings
        timeout = first_told(step.timeout, told.timeout, 0.0) or None
        retries = int(first_told(step.retries, told.retries, DEFAULT_RETRIES))
        if isinstance(tool, ForeignTool):
            if told.max_cost is not None or told.max_tokens_total is not None:
                raise InvalidInput(
                    f"{tool.name} calls models by itself, so max_cost and max_tokens_total can't be kept: "
                    "use a Skill, or leave them out."
                )
            most = AUTO_CEILING if tool.mode == "async" else THREAD_WIDTH
            lane = self._lanes.open_foreign(tool, tool.name, step, most)
        else:
            # What a pool is told of limits speaks of models; of a function where that is all it runs.
            limits = told.limits if self._is_single else None
            lane = self._lanes.open_tool(tool, tool.name, step, self._width(tool), limits)
        self._routes[step] = ToolRoute(tool, lane, timeout, RetryPolicy(retries), place)

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
