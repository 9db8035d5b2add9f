"""How a tool's or function's step is made: through its lane, on the loop, in a thread or in a worker process.

What follows an attempt is `decide`'s.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from flowpool.calls.decide import Attempts, GiveUp, Wait, setting
from flowpool.calls.flow import MOST_PENDING, Flow, Pending, Rank, StepCall, Times
from flowpool.calls.retry import DEFAULT_RETRIES, RetryPolicy, RetryWaiter
from flowpool.chain import Step
from flowpool.errors import (
    AttemptTimeout,
    CallError,
    FlowpoolError,
    InvalidInput,
    StepFailed,
    StepTimeout,
    TooManyFiles,
)
from flowpool.integrations import ForeignAnswer, ForeignTool
from flowpool.integrations.failures import recognised
from flowpool.limits.demand import Demand
from flowpool.limits.lane import FREE, Admitted, enter_any
from flowpool.limits.lanes import AUTO_CEILING, CallLane, Lanes
from flowpool.settings import RetryOn, Settings, is_retried
from flowpool.threads import DaemonThreads
from flowpool.tools.base import Tool
from flowpool.values import NO_TIMING, NO_USAGE, Attempt, Timing

if TYPE_CHECKING:
    from flowpool.tracing.spans import Tracer

# Calls at once of a function that says no width: coroutines cost little; threads are what a machine has room for.
ASYNC_WIDTH, THREAD_WIDTH = 100, 32
_NO_ANSWER = ForeignAnswer(None)


class ToolRoute(Struct, frozen=True, eq=False):
    """A tool as one step calls it."""

    tool: Tool
    lane: CallLane
    timeout: float | None
    policy: RetryPolicy
    retry_on: RetryOn | None
    step_path: str  # the step, as records call it
    pending: Pending

    def demand(self, arguments: Mapping[str, Any]) -> Demand:
        """What a call will take of the lane's limits: by its texts, and what calls before it took."""
        if self.lane.limiter is None:
            return FREE
        size = sum(len(value) for value in arguments.values() if isinstance(value, str))
        return self.lane.limiter.estimates.of(self.tool.name, size, None)


class ToolCalls:
    """The tools of a run's steps, and where their functions run."""

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        waiter: RetryWaiter,
        times: Times,
        tracer: Tracer | None = None,
        *,
        is_single: bool,
    ) -> None:
        self._settings = settings
        self._tracer = tracer
        self._is_single = is_single
        self._lanes = lanes
        self._waiter = waiter
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._threads: DaemonThreads | None = None
        self._routes: dict[Step, ToolRoute] = {}

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def modes(self) -> dict[str, str]:
        """How each function runs, by the name of its lane."""
        routes = self._routes.values()
        own = (route for route in routes if not isinstance(route.tool, ForeignTool))
        return {route.lane.name: route.tool.mode for route in own}

    async def use(self, call: StepCall) -> Any:
        """The output of a step that is a tool."""
        if self._tracer is None:
            return await self._use(call)
        flow, runner = call.flow, call.step.runner
        attempts, usage = flow.attempts, flow.usage
        is_function = not isinstance(runner, ForeignTool)
        with self._tracer.step(runner.name, is_function=is_function) as tell:
            try:
                return await self._use(call)
            finally:
                tell(flow.attempts - attempts, flow.usage - usage)

    async def _use(self, call: StepCall) -> Any:
        route = self._routes[call.step]
        arguments = route.tool.bind(call.variables, call.step.defaults)
        for name, made_of in route.tool.from_steps.items():
            if name in call.made and name in arguments:
                arguments[name] = made_of(arguments[name])
        attempts: Attempts[ToolRoute] | None = None
        backoff = 0.0
        while True:
            admitted = await self._enter(route.lane, route.demand(arguments), call.rank)
            waits = admitted.slot_wait, admitted.limit_wait, 0.0, backoff
            call.flow.attempts += 1
            try:
                return await self._noted_attempt(route, arguments, admitted, call.flow, waits)
            except Exception as error:
                if isinstance(error, FlowpoolError) and not isinstance(error, CallError):
                    now = self._loop.time()
                    call.flow.witness.failed(route, admitted.at, now, error, GiveUp(error), None)
                    raise
                failure = error
            call.rank = Rank.BEGUN
            paused = self._waiter.paused()
            attempts = attempts or Attempts((route,), admitted.at - paused)
            weighed = failure
            if not isinstance(failure, CallError):
                weighed = recognised(failure, of_sdks_only=False) or failure
            follows = attempts.failed(
                route,
                weighed,
                self._loop.time(),
                self._waiter.draw(),
                paused=paused,
                wanted=is_retried(route.retry_on, failure),
            )
            call.flow.witness.failed(
                route, admitted.at, self._loop.time(), failure, follows, attempts
            )
            if isinstance(follows, Wait):
                waited = await self._waiter.wait(call.flow, follows, route.lane)
                if waited is not None:
                    backoff = waited
                    continue
            if isinstance(failure, CallError):
                raise failure
            raise StepFailed(route.tool.name, failure) from failure

    async def _enter(self, lane: CallLane, demand: Demand, rank: float) -> Admitted:
        bids = ((lane, demand),)
        admitted = enter_any(bids, self._loop.time())
        return await self._lanes.enter(bids, rank) if admitted is None else admitted

    async def _noted_attempt(
        self,
        route: ToolRoute,
        arguments: dict[str, Any],
        admitted: Admitted,
        flow: Flow,
        waits: tuple[float, float, float, float],
    ) -> Any:
        """One call's output; how it went is written down, and where its time went."""
        try:
            answer = await self._attempt(route, arguments, admitted, flow)
        except Exception as error:
            status = error.status if isinstance(error, CallError) else None
            self._note(flow, route, admitted, waits, status, type(error).__name__)
            raise
        self._note(flow, route, admitted, waits, answer=answer)
        return answer.output

    def _note(
        self,
        flow: Flow,
        route: ToolRoute,
        admitted: Admitted,
        waits: tuple[float, float, float, float],
        status: int | None = None,
        error: str | None = None,
        answer: ForeignAnswer = _NO_ANSWER,
    ) -> None:
        """Writes an attempt down, if anybody does, and where its time went. waits: the first four of `Timing`."""
        began, pending = admitted.at, route.pending
        seconds = self._loop.time() - began
        pending += (seconds, *waits, 0.0, 0.0)
        if len(pending) >= MOST_PENDING:
            self._times.sum_up()
        if flow.log is not None:
            timing = Timing(*waits) if any(waits) else NO_TIMING
            flow.log.attempted(
                Attempt(
                    route.step_path,
                    answer.model,
                    began,
                    seconds,
                    status,
                    error,
                    answer.usage,
                    timing=timing,
                )
            )

    async def _attempt(
        self, route: ToolRoute, arguments: dict[str, Any], admitted: Admitted, flow: Flow
    ) -> ForeignAnswer:
        """What one call gave; tells the lane how it ended."""
        tool, lane = route.tool, route.lane
        is_foreign = isinstance(tool, ForeignTool)
        try:
            output = await self._run_tool(route, arguments)
            answer = tool.answer(output) if isinstance(tool, ForeignTool) else ForeignAnswer(output)
        except TooManyFiles as error:
            lane.failed(admitted, error, self._loop.time())
            raise
        except CallError:  # a tool's own: it speaks of some host, not of this lane
            lane.leave(admitted, self._loop.time())
            raise
        except StepTimeout as error:
            if not is_foreign:
                lane.leave(admitted, self._loop.time())
                raise
            failure: CallError = AttemptTimeout(str(error))
            lane.failed(admitted, failure, self._loop.time())
            raise failure from None
        except Exception as error:
            found = recognised(error, of_sdks_only=not is_foreign)
            if found is None:
                lane.leave(admitted, self._loop.time())
                raise
            lane.failed(admitted, found, self._loop.time())
            raise found from error
        except BaseException:
            lane.leave(admitted, self._loop.time())
            raise
        lane.answered(admitted, self._loop.time(), answer.usage)
        if is_foreign:
            self._waiter.answered()
        if answer.usage is not NO_USAGE:
            flow.bill(answer.model, answer.usage, None)
        return answer

    async def _run_tool(self, route: ToolRoute, arguments: dict[str, Any]) -> Any:
        name = route.tool.name
        limit = asyncio.timeout(route.timeout)
        try:
            async with limit:
                return await self._body(route, arguments, limit)
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

    async def _body(
        self, route: ToolRoute, arguments: dict[str, Any], limit: asyncio.Timeout
    ) -> Any:
        tool = route.tool
        if tool.prepare is not None:
            arguments = await tool.prepare(arguments)
        if tool.mode == "async":
            return await tool.fn(**arguments)
        if tool.mode == "process" and tool.dotted is not None:
            from flowpool import workers

            # An item that waits for a worker takes no time of its own.
            limit.reschedule(None)
            seconds = route.timeout or tool.caps.seconds
            caps = structs.replace(tool.caps, seconds=seconds)
            return await workers.shared().run(tool.dotted, arguments, caps)
        if self._threads is None:
            self._threads = DaemonThreads("flowpool-step")
        call = partial(copy_context().run, _call, tool, arguments)
        output = await self._loop.run_in_executor(self._threads, call)
        # A plain function may well give what another, async one gave it.
        return await output if inspect.isawaitable(output) else output

    def prepare(self, step: Step, tool: Tool, step_path: str) -> None:
        """Finds the step's lane and settings."""
        settings = self._settings
        of_step = partial(setting, step=step, pool=settings, skill=tool)
        policy = RetryPolicy(
            int(of_step("retries", DEFAULT_RETRIES)), of_exceptions=int(of_step("retries", 0))
        )
        if isinstance(tool, ForeignTool):
            if settings.max_cost is not None or settings.max_tokens_total is not None:
                raise InvalidInput(
                    f"{tool.name} calls models by itself, so max_cost and max_tokens_total can't be kept: "
                    "use a Skill, or leave them out."
                )
            most = AUTO_CEILING if tool.mode == "async" else THREAD_WIDTH
            lane = self._lanes.open_foreign(tool, tool.name, step, most)
        else:
            # A pool's limits speak of models; of a function where that is all it runs.
            limits = settings.limits if self._is_single else None
            most = ASYNC_WIDTH if tool.mode == "async" else THREAD_WIDTH
            lane = self._lanes.open_tool(tool, tool.name, step, _own_width(tool), most, limits)
        timeout = of_step("timeout", 0.0) or None
        retry_on = of_step("retry_on", None)
        pending = self._times.open(lane.name, "own_code")
        self._routes[step] = ToolRoute(tool, lane, timeout, policy, retry_on, step_path, pending)


def _own_width(tool: Tool) -> int | None:
    """The most calls of it at once, whatever the pool's number is; None where that holds."""
    if tool.max_flows is None and tool.mode == "process":
        from flowpool import workers

        return workers.default_size()
    return tool.max_flows


def _call(tool: Tool, arguments: dict[str, Any]) -> Any:
    """In a thread: the function's result. What no future can carry comes as a `StepFailed`."""
    try:
        return tool.fn(**arguments)
    except (StopIteration, asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
        raise StepFailed(tool.name, error) from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
