"""How a step's call is made: through its lane, as many attempts as its policy allows. The driver's hands."""

from __future__ import annotations

import asyncio
import copy
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from random import Random
from typing import Any

from msgspec import Struct

from flowpool.chain import Step
from flowpool.engine.bucket import Cost, Quota, tightest
from flowpool.engine.lane import FREE, Lane
from flowpool.engine.retry import DEFAULT_RETRIES, RetryBudget, RetryPolicy
from flowpool.engine.settings import Settings
from flowpool.engine.threads import DaemonThreads
from flowpool.engine.window import AdaptiveWindow, FixedWindow, Window
from flowpool.errors import (
    CallError,
    FlowpoolError,
    Signal,
    StepFailed,
    StepTimeout,
    TransportError,
)
from flowpool.model import Model
from flowpool.skill import Skill
from flowpool.tools.base import Tool
from flowpool.values import (
    NO_USAGE,
    Call,
    Endpoint,
    HttpResponse,
    Limits,
    Message,
    OutputFormat,
    Reply,
    Text,
    Timeouts,
    Transport,
    Usage,
)
from flowpool.wire import WIRES, Wire

DEFAULT_TIMEOUT = 600.0
SHORTEST_KEY = 8
AUTO_START, AUTO_CEILING = 64, 1000
ASYNC_WIDTH, THREAD_WIDTH = 100, 32
Ticket = asyncio.Future[None]
CallLane = Lane[Ticket]


class Flow:
    """What one item's way through the runner has cost so far, and the place that it holds."""

    __slots__ = ("attempts", "branches", "history", "holds_place", "model", "usage")

    def __init__(self) -> None:
        self.branches = 1
        self.holds_place = True
        self.attempts = 0
        self.usage = NO_USAGE
        self.model = ""
        self.history: list[dict[str, Any]] | None = None


Wait = Callable[[Flow, float], Awaitable[None]]


class Route(Struct):
    """A model as one step calls it: where, in what words, through which lane."""

    model: str
    provider: str
    endpoint: Endpoint
    wire: Wire
    lane: CallLane
    options: Mapping[str, Any]
    output: OutputFormat | None
    timeouts: Timeouts
    policy: RetryPolicy
    key: bytes

    def __repr__(self) -> str:
        return f"Route({self.provider}/{self.model})"  # the key stays out of sight


class ToolRoute(Struct):
    """A tool as one step calls it."""

    tool: Tool
    lane: CallLane
    timeout: float | None
    policy: RetryPolicy


class Calls:
    """Every lane of a run, and the calls that go through them.

    `wait` is how a flow lets time pass without holding its place.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        environ: Mapping[str, str],
        random: Random,
        wait: Wait,
    ) -> None:
        self.lanes: dict[object, CallLane] = {}
        self._settings = settings
        self._transport = transport
        self._environ = environ
        self._random = random
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._budget = RetryBudget()
        self._timers: dict[CallLane, asyncio.TimerHandle] = {}
        self._threads: DaemonThreads | None = None
        self._told: dict[object, tuple[int, Limits]] = {}
        self._routes: dict[Step, tuple[Route, ...]] = {}
        self._tools: dict[Step, ToolRoute] = {}

    def prepare(self, step: Step) -> None:
        """Finds the step's endpoint, key and lane; raises `InvalidInput` for what is missing."""
        runner = step.runner
        if isinstance(runner, Skill):
            self._routes[step] = tuple(self._route(step, runner, m) for m in runner.models)
        elif isinstance(runner, Tool):
            self._tools[step] = self._tool_route(step, runner)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    # Skills

    async def ask(self, step: Step, variables: Mapping[str, Any], flow: Flow, rank: float) -> Any:
        """A skill's output for these variables."""
        skill = step.runner
        assert isinstance(skill, Skill)
        if skill.variables:
            variables = {**skill.variables, **variables}
        said: list[Message] = []
        for message in skill.messages:
            if message.parts is None:
                reply, _ = await self._ask_models(step, tuple(said), None, flow, rank)
                said.append(Message("assistant", (Text(reply.text),)))
            else:
                said.append(message.render(variables))
        if skill.messages[-1].parts is None:
            return skill.read(reply.text)
        reply, output = await self._ask_models(step, tuple(said), skill.read, flow, rank)
        return output

    async def _ask_models(
        self,
        step: Step,
        said: tuple[Message, ...],
        read: Callable[[str], Any] | None,
        flow: Flow,
        rank: float,
    ) -> tuple[Reply, Any]:
        routes = self._routes[step]
        for route in routes[:-1]:
            try:
                return await self._attempts(route, said, read, flow, rank)
            except CallError:
                continue  # the next model is there for this
        return await self._attempts(routes[-1], said, read, flow, rank)

    async def _attempts(
        self,
        route: Route,
        said: tuple[Message, ...],
        read: Callable[[str], Any] | None,
        flow: Flow,
        rank: float,
    ) -> tuple[Reply, Any]:
        lane = route.lane
        request = route.wire.build(
            Call(route.model, said, route.options, route.output), route.endpoint
        )
        cost = FREE
        if lane.quota is not None:
            cost = lane.quota.estimate(len(request.body), route.options.get("max_tokens"))
        now = self._loop.time
        first: float | None = None
        failures = 0
        while True:
            if lane.broken is not None or not lane.try_enter(now(), cost):
                await self._enter(lane, rank, cost)
            flow.attempts += 1
            sent = now()
            if first is None:
                first = sent
            result: Reply | CallError
            try:
                response = _without_key(
                    await self._transport.send(request, route.timeouts), route.key
                )
                result = route.wire.parse(response)
                if read is not None and type(result) is Reply:
                    output = read(result.text)
            except TransportError as error:
                result = error
            except CallError as error:  # the answer came, but can't be read
                assert isinstance(result, Reply)
                error.usage = result.usage
                result = error
            except BaseException:
                self._left(lane)
                raise
            if type(result) is Reply:
                flow.usage = (
                    flow.usage + result.usage if flow.usage is not NO_USAGE else result.usage
                )
                flow.model = f"{route.provider}/{route.model}"
                self._answered(lane, cost, result.usage, len(request.body))
                return result, output if read is not None else None
            assert isinstance(result, CallError)
            self._failed(lane, result, sent, cost, len(request.body))
            flow.usage += result.usage
            failures += result.signal is not Signal.THROTTLE
            await self._before_retry(route.policy, result, failures, now() - first, flow)
            rank = -1e9  # what was begun is finished first

    async def _before_retry(
        self, policy: RetryPolicy, error: CallError, failures: int, elapsed: float, flow: Flow
    ) -> None:
        """Waits for the next attempt, or raises `error` when there is none."""
        wait = policy.wait(error, max(1, failures), elapsed, self._random.random())
        if wait is None:
            raise error
        if error.signal is Signal.OUTAGE and not self._budget.take():
            error.add_note("Not tried again: too many of this run's calls fail.")
            raise error
        await self._wait(flow, wait)

    def _route(self, step: Step, skill: Skill, model: Model) -> Route:
        told = self._settings
        endpoint = model.endpoint(self._environ)
        timeout = _first(told.timeout, step.timeout, skill.timeout, model.timeout, DEFAULT_TIMEOUT)
        retries = _first(step.retries, told.retries, skill.retries, model.retries, DEFAULT_RETRIES)
        policy = RetryPolicy(int(retries))
        if skill.retry_delay is not None:
            policy = RetryPolicy(int(retries), base=skill.retry_delay)
        lane = self._lane(
            (endpoint.base_url, endpoint.key, model.model),
            f"{model.provider}/{model.model}",
            step,
            told.limits or model.limits,
            None,
        )
        return Route(
            model.model,
            model.provider,
            endpoint,
            WIRES[endpoint.wire],
            lane,
            {**model.options, **skill.options},
            skill.output_format,
            Timeouts(connect=min(10.0, timeout), read=timeout, total=timeout),
            policy,
            endpoint.key.reveal().encode(),
        )

    # Tools and functions

    async def use(self, step: Step, variables: Mapping[str, Any], flow: Flow, rank: float) -> Any:
        """A tool's output for these variables."""
        route = self._tools[step]
        arguments = route.tool.bind(variables, step.defaults)
        lane = route.lane
        now = self._loop.time
        first: float | None = None
        failures = 0
        while True:
            if not lane.try_enter(now()):
                await self._enter(lane, rank, FREE)
            flow.attempts += 1
            if first is None:
                first = now()
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
                self._left(lane)
            failures += 1
            if isinstance(failure, CallError):
                await self._before_retry(route.policy, failure, failures, now() - first, flow)
            elif failures <= (step.retries or 0):
                await self._wait(flow, route.policy.backoff(failures, self._random.random()))
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

    def _tool_route(self, step: Step, tool: Tool) -> ToolRoute:
        timeout = _first(step.timeout, self._settings.timeout, 0.0) or None
        told = self._settings.retries
        retries = int(_first(step.retries, told, DEFAULT_RETRIES))
        lane = self._lane(tool, tool.name, step, None, self._tool_width(tool))
        return ToolRoute(tool, lane, timeout, RetryPolicy(retries))

    def _tool_width(self, tool: Tool) -> int:
        if tool.max_flows is not None:
            return tool.max_flows
        if tool.mode == "process":
            from flowpool import workers

            return workers.default_size()
        return self._settings.max_flows or (ASYNC_WIDTH if tool.mode == "async" else THREAD_WIDTH)

    # Lanes

    def _lane(
        self, key: object, name: str, step: Step, limits: Limits | None, width: int | None
    ) -> CallLane:
        """The lane of `key`. Steps that share one keep to the tightest of what was told of it."""
        limits = limits or Limits()
        ceilings = [n for n in (limits.concurrent, step.max_flows) if n is not None]
        if width is None:
            ceilings.append(self._settings.max_flows or AUTO_CEILING)
        elif step.max_flows is None:
            ceilings.append(width)
        ceiling = min(ceilings)
        if key in self._told:
            known, known_limits = self._told[key]
            ceiling, limits = min(known, ceiling), tightest(known_limits, limits)
        self._told[key] = ceiling, limits
        window: Window = FixedWindow(ceiling)
        if width is None:
            window = AdaptiveWindow(self._settings.max_flows or AUTO_START, ceiling)
        quota = Quota(limits)
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(name, window)
        lane.window, lane.quota = window, quota if quota else None
        return lane

    async def _enter(self, lane: CallLane, rank: float, cost: Cost) -> None:
        """Waits for a turn in the lane; raises the lane's failure if it is broken."""
        if lane.broken is None:
            ticket: Ticket = self._loop.create_future()
            lane.wait_for(ticket, rank, cost)
            self._pump(lane)
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self._left(lane)  # its turn came in the same moment
                raise
            if lane.broken is None:
                return
            lane.leave()
        error = copy.copy(lane.broken)
        error.__dict__.pop("__notes__", None)  # those speak of another item
        raise error

    def _pump(self, lane: CallLane) -> None:
        """Tells those whose turn has come, and asks again when the lane says."""
        now = self._loop.time()
        for ticket in lane.admit(now, asyncio.Future.done):
            ticket.set_result(None)
        timer = self._timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        turn = lane.next_turn(now)
        if turn is not None:
            self._timers[lane] = self._loop.call_at(turn, self._pump, lane)

    def _left(self, lane: CallLane) -> None:
        lane.leave()
        if lane.queued:
            self._pump(lane)

    def _answered(self, lane: CallLane, cost: Cost, usage: Usage, size: int) -> None:
        lane.answered()
        self._budget.answered()
        if lane.quota is not None:
            lane.quota.settle(cost, usage, size)
        if lane.queued:
            self._pump(lane)

    def _failed(self, lane: CallLane, error: CallError, sent: float, cost: Cost, size: int) -> None:
        lane.failed(error, sent, self._loop.time())
        if lane.quota is not None and error.usage is not NO_USAGE:
            lane.quota.settle(cost, error.usage, size)
        if lane.queued:
            self._pump(lane)


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _without_key(response: HttpResponse, key: bytes) -> HttpResponse:
    """The response without the key, which some providers repeat in their error messages.

    A key shorter than any real one is a placeholder such as "any", and may well be a word of the answer.
    """
    if len(key) < SHORTEST_KEY:
        return response
    headers, body = response.headers, response.body
    if response.status != 200 and any(key.decode() in value for value in headers.values()):
        headers = {name: value.replace(key.decode(), "***") for name, value in headers.items()}
    elif key not in body:
        return response
    return HttpResponse(response.status, headers, body.replace(key, b"***"))


def _call(tool: Tool, arguments: dict[str, Any]) -> Any:
    """In a thread: the function's result. What no future can carry comes as a `StepFailed`."""
    try:
        return tool.fn(**arguments)
    except (StopIteration, asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
        raise StepFailed(tool.name, error) from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
