"""How a skill's call is made: through its model's lane, as many attempts as its policy allows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from flowpool.calls.attachments import AttachmentReader
from flowpool.calls.bounds import bounds_of
from flowpool.calls.budget import NOTHING, Amount, Reservation
from flowpool.calls.flow import Flow, RetryWaiter
from flowpool.calls.retry import DEFAULT_RETRIES, RetryPolicy
from flowpool.calls.route import (
    BuiltRequest,
    Conversation,
    ModelRoute,
    Outcome,
    attempt_of,
    size_of,
    without_key,
)
from flowpool.calls.spending import BudgetQueue
from flowpool.calls.worst_case import is_free
from flowpool.chain import Step
from flowpool.errors import (
    BudgetSpent,
    CallError,
    InvalidOutput,
    NotFinished,
    TransportError,
    Verdict,
)
from flowpool.limits.lane import Admitted
from flowpool.limits.lanes import Bid, CallLane, Lanes
from flowpool.logs import in_short, log
from flowpool.model import Model
from flowpool.settings import Settings, first_told
from flowpool.skill import Skill
from flowpool.structured import TEXT
from flowpool.values import (
    NO_USAGE,
    Call,
    HttpRequest,
    Message,
    Reply,
    Text,
    Timeouts,
    Transport,
)
from flowpool.wire import WIRES
from flowpool.wire.json_in_words import refuses_format
from flowpool.wire.limits import read_limits

if TYPE_CHECKING:
    from flowpool.tracing.spans import CallSpan, Tracer

DEFAULT_TIMEOUT = 600.0


class ModelCalls:
    """The models of a run's steps, and the calls made to them."""

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        patience: RetryWaiter,
        transport: Transport,
        environ: Mapping[str, str],
        spending: BudgetQueue | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._patience = patience
        self._transport = transport
        self._environ = environ
        self._spending = spending
        self._tracer = tracer
        self._attempt = self._attempts if tracer is None else self._traced
        self._loop = asyncio.get_running_loop()
        self._routes: dict[Step, tuple[tuple[ModelRoute, ...], ...]] = {}
        self._in_words: set[CallLane] = set()  # these refuse a format, and are asked in words
        self._attached = AttachmentReader()
        self._with_files: set[Step] = set()

    def prepare(self, step: Step, skill: Skill, place: str) -> None:
        """Finds the step's endpoints, keys and lanes; raises `InvalidInput` for what is missing."""
        if skill.attachments:
            self._attached.prepare(skill)
            self._with_files.add(step)
        self._routes[step] = tuple(
            tuple(self._route(step, skill, model, place) for model in choice.models)
            for choice in skill.choices
        )

    def close(self) -> None:
        self._attached.close()

    async def ask(self, step: Step, variables: Mapping[str, Any], flow: Flow, rank: float) -> Any:
        """A skill's output for these variables."""
        skill = step.runner
        assert isinstance(skill, Skill)
        if skill.variables:
            variables = {**skill.variables, **variables}
        parts = [message.render(variables) for message in skill.messages]
        if step not in self._with_files:
            return await self._converse(step, skill, parts, flow, rank)
        async with self._attached.read(parts) as read:
            return await self._converse(step, skill, read, flow, rank)

    async def _converse(
        self, step: Step, skill: Skill, parts: Sequence[Any], flow: Flow, rank: float
    ) -> Any:
        """The conversation up to the skill's output, `parts` being what each of its messages says."""
        said: list[Message] = []
        last = len(parts) - 1
        for at, message in enumerate(skill.messages):
            if message.parts is not None:
                said.append(Message(message.role, parts[at]))
            elif at < last:
                asked = Conversation(tuple(said), TEXT)
                text = await self._ask_models(step, asked, flow, rank)
                said.append(Message("assistant", (Text(text),)))
        question = Conversation(tuple(said), skill.answer, skill.output_retries)
        return await self._ask_models(step, question, flow, rank)

    async def _ask_models(self, step: Step, question: Conversation, flow: Flow, rank: float) -> Any:
        *first, last = self._routes[step]
        for routes in first:
            try:
                return await self._ask_until_it_fits(routes, question, flow, rank)
            except CallError:
                continue  # the next model is there for this
        return await self._ask_until_it_fits(last, question, flow, rank)

    async def _ask_until_it_fits(
        self, routes: tuple[ModelRoute, ...], question: Conversation, flow: Flow, rank: float
    ) -> Any:
        """The output by one of the routes; an answer that doesn't fit is asked for again, with what is wrong."""
        for _ in range(question.retries):
            reply = await self._attempt(routes, question, flow, rank)
            try:
                return question.answer.read(reply.text)
            except InvalidOutput as error:
                question = question.after(reply, error)
                rank = -1e9  # what was begun is finished first
        reply = await self._attempt(routes, question, flow, rank)
        return question.answer.read(reply.text)

    async def _traced(
        self, routes: tuple[ModelRoute, ...], question: Conversation, flow: Flow, rank: float
    ) -> Reply:
        """A reply by one of the routes, with its span."""
        assert self._tracer is not None
        now = self._loop.time
        is_json = question.answer.format is not None
        span = self._tracer.call(routes[0].target, question.said, is_json, now())
        try:
            reply = await self._attempts(routes, question, flow, rank, span)
        except BaseException as error:
            span.failed(error, now())
            raise
        span.answered(reply, now())
        return reply

    async def _attempts(
        self,
        routes: tuple[ModelRoute, ...],
        question: Conversation,
        flow: Flow,
        rank: float,
        span: CallSpan | None = None,
    ) -> Reply:
        """A reply by one of the routes."""
        now = self._loop.time
        spending = self._spending
        reserved: Reservation | None = None
        requests: dict[int, BuiltRequest] = {}
        began: float | None = None
        failures = 0
        usable = routes
        tried: list[ModelRoute] = []  # since the last wait
        while True:
            if spending is not None:
                usable, reserved = await self._reserve(spending, usable, question, requests, rank)
            try:
                route, entered = await self._enter(usable, question, requests, rank)
            except BaseException:
                if spending is not None and reserved is not None:
                    spending.release(reserved)
                raise
            flow.attempts += 1
            began = entered.at if began is None else began
            if span is not None:
                span.sent(route.target, entered.at)
            try:
                sent = requests[id(route)]
                outcome = await self._send(route, sent.request)
            except BaseException:
                lost = NOTHING
                if spending is not None and reserved is not None:
                    spending.keep(reserved)
                    lost = reserved.worst
                if flow.log is not None:
                    cut = NotFinished("cut off")
                    flow.log.attempted(attempt_of(route, entered.at, now(), cut, lost))
                self._lanes.left(route.lane, entered)
                raise
            result = outcome.result
            lost = NOTHING
            if spending is not None and reserved is not None:
                lost = _settle(spending, reserved, route, outcome)
            if flow.log is not None:
                flow.log.attempted(attempt_of(route, entered.at, now(), result, lost))
            if type(result) is Reply:
                flow.bill(route.name, result.usage, route.prices)
                self._patience.answered()
                self._lanes.answered(route.lane, entered, result.usage, outcome.readings)
                return result
            assert isinstance(result, CallError)
            self._lanes.failed(route.lane, entered, result, outcome.readings)
            if span is not None:
                span.failed_attempt(result)
            if result.usage is not NO_USAGE:
                flow.bill(route.name, result.usage, route.prices)
            if refuses_format(result, sent.output):
                self._ask_in_words(route, result)
                del requests[id(route)]
                rank = -1e9
                continue
            if result.signal is Verdict.OUTAGE:
                failures += route.lane.blames(failures + 1)
            else:
                failures += result.signal is not Verdict.THROTTLE
            rank = -1e9  # what was begun is finished first
            tried.append(route)
            if result.signal is Verdict.HOPELESS and len(routes) > 1:
                usable = routes = tuple(other for other in routes if other is not route)
                continue  # another key or provider may do
            usable = tuple(o for o in routes if o not in tried and o.lane.is_free(now()))
            if usable and result.signal is not Verdict.NONE:
                continue  # another that shares the calls may do, at once
            usable = routes
            tried.clear()
            await self._patience.before_retry(
                route.policy,
                result,
                failures,
                now() - began,
                flow,
                rationed=route.lane.rations_retries,
            )

    async def _reserve(
        self,
        spending: BudgetQueue,
        routes: tuple[ModelRoute, ...],
        question: Conversation,
        requests: dict[int, BuiltRequest],
        rank: float,
    ) -> tuple[tuple[ModelRoute, ...], Reservation]:
        """Those of the routes that the budget has room for, and what is set aside for any of them.

        Raises `BudgetSpent` when there is none.
        """
        worst: dict[int, Amount] = {}
        for route in routes:
            if id(route) not in requests:
                requests[id(route)] = self._request(route, question)
            assert route.bounds is not None
            body = requests[id(route)].request.body
            worst[id(route)] = route.bounds.of(body, question.said)
        if len(routes) == 1:
            return routes, await spending.reserve(worst[id(routes[0])], rank)
        never = spending.budget.can_never_afford
        while True:
            # Of several, those that are too dear by now are left out; the cheapest is left to say so.
            left = tuple(route for route in routes if not never(worst[id(route)]))
            left = left or (min(routes, key=lambda route: worst[id(route)]),)
            most = Amount(
                max(worst[id(route)].cost for route in left),
                max(worst[id(route)].tokens for route in left),
            )
            if len(left) > 1 and never(most):  # one is dear in money, another in tokens
                left = left[:1]
                most = worst[id(left[0])]
            try:
                return left, await spending.reserve(most, rank)
            except BudgetSpent:
                if len(left) == 1:
                    raise

    async def _enter(
        self,
        routes: tuple[ModelRoute, ...],
        question: Conversation,
        requests: dict[int, BuiltRequest],
        rank: float,
    ) -> tuple[ModelRoute, Admitted]:
        """The route whose lane lets the call in, with its request in `requests`."""
        wants = self._wants(routes, question, requests)
        turn = self._lanes.enter_now(wants) or await self._lanes.enter(wants, rank)
        route = next(route for route in routes if route.lane is turn.lane)
        if id(route) not in requests:
            requests[id(route)] = self._request(route, question)
        return route, turn.entered

    def _wants(
        self,
        routes: tuple[ModelRoute, ...],
        question: Conversation,
        requests: dict[int, BuiltRequest],
    ) -> list[Bid]:
        """What the call would take from each route's lane."""
        first = routes[0]
        if id(first) not in requests:
            requests[id(first)] = self._request(first, question)
        size = requests[id(first)].size
        wants = []
        for route in routes:
            limiter = route.lane.limiter
            assert limiter is not None
            most = route.options.get("max_tokens")
            wants.append((route.lane, limiter.estimate(route.template, size, most)))
        return wants

    async def _send(self, route: ModelRoute, request: HttpRequest) -> Outcome:
        """One attempt."""
        try:
            response = without_key(await route.transport.send(request, route.timeouts), route.key)
        except TransportError as error:
            return Outcome(error)
        return Outcome(route.wire.parse(response), read_limits(response.headers), response.status)

    def _request(self, route: ModelRoute, question: Conversation) -> BuiltRequest:
        output = question.answer.format
        if output is not None and route.lane in self._in_words:
            output = replace(output, form="words")
        call = Call(route.model, question.said, route.options, output)
        request = route.wire.build(call, route.endpoint)
        return BuiltRequest(request, output, size_of(request.body, question.said))

    def _ask_in_words(self, route: ModelRoute, error: CallError) -> None:
        if route.lane not in self._in_words:
            self._in_words.add(route.lane)
            log.warning(
                "%s: refuses the output's format and is asked in words (%s)",
                *(route.lane.name, in_short(error)),
            )

    def _route(self, step: Step, skill: Skill, model: Model, place: str) -> ModelRoute:
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
        lane = self._lanes.open_model(endpoint, model.model, step, told.limits or model.limits)
        options = {**model.options, **skill.options}
        bounds = None
        if self._spending is not None:
            bounds = bounds_of(model, endpoint.wire, options, self._spending.budget)
        route = ModelRoute(
            model.model,
            model.provider,
            endpoint,
            WIRES[endpoint.wire],
            WIRES[endpoint.wire].transport(self._transport, endpoint, model.model),
            lane,
            options,
            Timeouts(connect=min(10.0, timeout), read=timeout, total=timeout),
            policy,
            endpoint.key.reveal().encode(),
            f"{model.provider}/{model.model}",
            id(skill),
            place,
            model.prices,
            bounds,
        )
        if self._tracer is not None:
            route.target = self._tracer.target(model.provider, model.model, endpoint, options)
        if self._spending is not None and bounds is not None:
            turns = takewhile(lambda message: message.parts is not None, skill.messages)
            shortest = Conversation(tuple(message.shortest() for message in turns), TEXT)
            body = self._request(route, shortest).request.body
            self._spending.may_cost(bounds.of(body, shortest.said))
        return route


def _settle(
    spending: BudgetQueue, reserved: Reservation, route: ModelRoute, outcome: Outcome
) -> Amount:
    """What is reserved for an attempt becomes what it used; returns what stays set aside, as nobody knows."""
    usage = outcome.result.usage
    assert route.bounds is not None
    if usage.input_tokens or usage.output_tokens:
        spending.settle(reserved, route.bounds.used(usage))
    elif isinstance(outcome.result, CallError) and is_free(outcome.result, outcome.status):
        spending.release(reserved)
    else:
        spending.keep(reserved)
        return reserved.worst
    return NOTHING
