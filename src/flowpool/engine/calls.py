"""How a skill's call is made: through its model's lane, as many attempts as its policy allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from flowpool.chain import Step
from flowpool.engine.flow import Flow, Patience
from flowpool.engine.lane import FREE
from flowpool.engine.lanes import CallLane, Lanes
from flowpool.engine.retry import DEFAULT_RETRIES, RetryPolicy
from flowpool.engine.settings import Settings, first_told
from flowpool.errors import CallError, Signal, TransportError
from flowpool.model import Model
from flowpool.skill import Skill
from flowpool.values import (
    NO_USAGE,
    Call,
    Endpoint,
    HttpResponse,
    Message,
    OutputFormat,
    Reply,
    Text,
    Timeouts,
    Transport,
)
from flowpool.wire import WIRES, Wire

DEFAULT_TIMEOUT = 600.0
SHORTEST_KEY = 8


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


class Calls:
    """The models of a run's steps, and the calls made to them."""

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        patience: Patience,
        transport: Transport,
        environ: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._patience = patience
        self._transport = transport
        self._environ = environ
        self._loop = asyncio.get_running_loop()
        self._routes: dict[Step, tuple[Route, ...]] = {}

    def prepare(self, step: Step, skill: Skill) -> None:
        """Finds the step's endpoints, keys and lanes; raises `InvalidInput` for what is missing."""
        self._routes[step] = tuple(self._route(step, skill, model) for model in skill.models)

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
                await self._lanes.enter(lane, rank, cost)
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
                self._lanes.left(lane)
                raise
            if type(result) is Reply:
                flow.usage = (
                    flow.usage + result.usage if flow.usage is not NO_USAGE else result.usage
                )
                flow.model = f"{route.provider}/{route.model}"
                self._patience.answered()
                self._lanes.answered(lane, cost, result.usage, len(request.body))
                return result, output if read is not None else None
            assert isinstance(result, CallError)
            self._lanes.failed(lane, result, sent, cost, len(request.body))
            flow.usage += result.usage
            failures += result.signal is not Signal.THROTTLE
            await self._patience.before_retry(route.policy, result, failures, now() - first, flow)
            rank = -1e9  # what was begun is finished first

    def _route(self, step: Step, skill: Skill, model: Model) -> Route:
        told = self._settings
        endpoint = model.endpoint(self._environ)
        timeout = first_told(
            told.timeout, step.timeout, skill.timeout, model.timeout, DEFAULT_TIMEOUT
        )
        retries = first_told(
            step.retries, told.retries, skill.retries, model.retries, DEFAULT_RETRIES
        )
        policy = RetryPolicy(int(retries))
        if skill.retry_delay is not None:
            policy = RetryPolicy(int(retries), base=skill.retry_delay)
        lane = self._lanes.open(
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
