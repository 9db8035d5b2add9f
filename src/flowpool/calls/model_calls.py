"""How a skill's call is made: through its model's lane, as many attempts as `decide` says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, assert_never

from flowpool.calls.attachments import AttachmentReader
from flowpool.calls.budget import NOTHING, Amount, Reservation
from flowpool.calls.budget_queue import BudgetQueue
from flowpool.calls.cost_bound import bound_of
from flowpool.calls.decide import (
    AskPlainer,
    Attempts,
    GiveUp,
    Send,
    Wait,
    setting,
    weigh_setup,
    worth_trying,
)
from flowpool.calls.flow import MOST_PENDING, Flow, Rank, StepCall, Times
from flowpool.calls.retry import DEFAULT_RETRIES, RetryPolicy, RetryWaiter
from flowpool.calls.route import (
    Conversation,
    ModelRoute,
    Outcome,
    RequestBuilder,
    attempt_of,
)
from flowpool.calls.worst_case import is_free
from flowpool.chain import Step
from flowpool.errors import AuthFailed, CallError, InvalidOutput, NotFinished, TransportError
from flowpool.http.proxies import proxy_for
from flowpool.http.request import parse_url
from flowpool.http.transport import HttpTransport
from flowpool.http.transport import shared as shared_transport
from flowpool.limits.lane import Admitted, enter_any
from flowpool.limits.lanes import CallLane, Lanes
from flowpool.logs import in_short, log
from flowpool.masking import mask_of
from flowpool.model import Model
from flowpool.providers import without_key
from flowpool.settings import Settings
from flowpool.skill import Skill
from flowpool.structured import TEXT
from flowpool.values import (
    NO_USAGE,
    HttpRequest,
    Message,
    Reply,
    Text,
    Timeouts,
    Timing,
    Tls,
    Transport,
)
from flowpool.wire import WIRES
from flowpool.wire.limits import read_limits

if TYPE_CHECKING:
    from flowpool.tracing.spans import CallSpan, Tracer

DEFAULT_TIMEOUT = 600.0
# Seconds for a connection: one that takes longer won't come, whatever time the answer may take.
CONNECT_TIMEOUT = 10.0
_PLAINER = {
    "format": "refuses the output's format and is asked in words",
    "system": "refuses system messages, whose words go into the user's",
}

# Statuses of an address that is wrong, or of a model that is.
_NOT_THERE = (404, 405)


class ModelCalls:
    """The models of a run's steps, and the calls made to them."""

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        waiter: RetryWaiter,
        transport: Transport,
        environ: Mapping[str, str],
        times: Times,
        budget: BudgetQueue | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._waiter = waiter
        self._transport = transport
        self._environ = environ
        self._times = times
        self._budget = budget
        self._tracer = tracer
        self._reply = self._attempts if tracer is None else self._traced
        self._loop = asyncio.get_running_loop()
        self._routes: dict[Step, tuple[tuple[ModelRoute, ...], ...]] = {}
        self._plainer: set[tuple[CallLane, str]] = set()  # what these refuse, and are asked without
        self._attachments = AttachmentReader()
        self._with_files: set[Step] = set()

    def prepare(self, step: Step, skill: Skill, step_path: str) -> None:
        """Finds the step's endpoints, keys and lanes; raises `InvalidInput` for what is missing."""
        if skill.attachments:
            self._attachments.prepare(skill)
            self._with_files.add(step)
        self._routes[step] = tuple(
            tuple(self._route(step, skill, model, step_path) for model in choice.models)
            for choice in skill.choices
        )

    def close(self) -> None:
        self._attachments.close()

    async def ask(self, call: StepCall) -> Any:
        """The output of a step that is a skill."""
        skill = call.step.runner
        assert isinstance(skill, Skill)
        variables = call.variables
        if skill.variables:
            variables = {**skill.variables, **variables}
        parts = [message.render(variables, call.made) for message in skill.messages]
        if call.step not in self._with_files:
            return await self._converse(call, skill, parts)
        async with self._attachments.read(parts) as read:
            return await self._converse(call, skill, read)

    async def _converse(self, call: StepCall, skill: Skill, parts: Sequence[Any]) -> Any:
        """The conversation up to the skill's output, `parts` being what each of its messages says."""
        said: list[Message] = []
        last = len(parts) - 1
        for at, message in enumerate(skill.messages):
            if message.parts is not None:
                said.append(Message(message.role, parts[at]))
            elif at < last:
                text = await self._ask_models(call, Conversation(tuple(said), TEXT))
                said.append(Message("assistant", (Text(text),)))
        conversation = Conversation(tuple(said), skill.answer, skill.output_retries)
        return await self._ask_models(call, conversation)

    async def _ask_models(self, call: StepCall, conversation: Conversation) -> Any:
        """The output by the first of the step's models that gives one."""
        *first, last = self._routes[call.step]
        for routes in first:
            if worth_trying(routes, self._loop.time()):
                try:
                    return await self._until_it_fits(call, routes, conversation, has_fallback=True)
                except CallError:
                    pass  # the next model is there for this
        return await self._until_it_fits(call, last, conversation, has_fallback=False)

    async def _until_it_fits(
        self,
        call: StepCall,
        routes: tuple[ModelRoute, ...],
        conversation: Conversation,
        *,
        has_fallback: bool,
    ) -> Any:
        """The output by one of the routes; an answer that doesn't fit is asked for again, with what is wrong."""
        left = conversation.retries
        while True:
            reply = await self._reply(call, routes, conversation, has_fallback)
            if conversation.answer.format is None:
                return reply.text
            try:
                accepted = conversation.answer.accept(reply.text)
            except InvalidOutput as error:
                call.flow.witness.unfit(routes[0], error, left)
                if not left:
                    raise
                left -= 1
                conversation = conversation.after(reply, error)
                call.rank = Rank.BEGUN
            else:
                if call.flow.log is not None:
                    call.flow.log.origins.note(conversation.answer, *accepted)
                return accepted.output

    async def _traced(
        self,
        call: StepCall,
        routes: tuple[ModelRoute, ...],
        conversation: Conversation,
        has_fallback: bool,
    ) -> Reply:
        """A reply by one of the routes, with its span."""
        assert self._tracer is not None
        now = self._loop.time
        is_json = conversation.answer.format is not None
        span = self._tracer.call(routes[0].target, conversation.said, is_json, now())
        try:
            reply = await self._attempts(call, routes, conversation, has_fallback, span)
        except BaseException as error:
            span.failed(error, now())
            raise
        span.answered(reply, now())
        return reply

    async def _attempts(
        self,
        call: StepCall,
        routes: tuple[ModelRoute, ...],
        conversation: Conversation,
        has_fallback: bool,
        span: CallSpan | None = None,
    ) -> Reply:
        """A reply by one of the routes: asks for a turn, sends, and does what `decide` says."""
        now = self._loop.time
        attempts: Attempts[ModelRoute] | None = None  # of which there is no need until one fails
        requests = RequestBuilder(conversation, self._plainer)
        backoff = 0.0
        while True:
            usable = routes if attempts is None else attempts.usable
            route, admitted, reserved = await self._enter(call, usable, requests, has_fallback)
            if span is not None:
                span.sent(route.target, admitted.at)
            sent = requests.built.get(route) or requests.of(route)
            outcome = await self._send(call, route, sent.request, admitted, reserved, backoff)
            failure = outcome.result
            if type(failure) is Reply:
                return failure
            assert isinstance(failure, CallError)
            if span is not None:
                span.failed_attempt(failure)
            call.rank, backoff = Rank.BEGUN, 0.0
            if attempts is None:
                began = admitted.at - self._waiter.paused()
                attempts = Attempts(routes, began, has_fallback=has_fallback)
            refused = sent.refused(failure)
            draw, paused = self._waiter.draw(), self._waiter.paused()
            follows = attempts.failed(
                route, failure, now(), draw, paused=paused, refuses_form=bool(refused)
            )
            call.flow.witness.failed(route, admitted.at, now(), failure, follows, attempts)
            match follows:
                case AskPlainer():
                    self._ask_without(refused, requests, route, failure)
                case Wait():
                    waited = await self._waiter.wait(call.flow, follows, route.lane)
                    if waited is None:
                        raise failure
                    backoff = waited
                case GiveUp():
                    raise _given_up(failure, attempts)
                case Send():
                    pass
                case _:
                    assert_never(follows)

    async def _enter(
        self,
        call: StepCall,
        routes: tuple[ModelRoute, ...],
        requests: RequestBuilder,
        has_fallback: bool,
    ) -> tuple[ModelRoute, Admitted, Reservation | None]:
        """The route whose lane lets the call in, with what the budget set aside for it."""
        reserved = None
        if self._budget is not None:
            worst = [(route, requests.worst(route)) for route in routes]
            chosen, reserved = await self._budget.reserve_any(worst, call.rank)
            routes = tuple(chosen)
        try:
            bids = requests.bids(routes)
            admitted = enter_any(bids, self._loop.time())
            if admitted is None:
                admitted = await self._lanes.enter(bids, call.rank, has_fallback=has_fallback)
            route = routes[0]
            if len(routes) > 1:
                route = next(route for route in routes if route.lane is admitted.lane)
        except BaseException:
            if self._budget is not None and reserved is not None:
                self._budget.release(reserved)
            raise
        return route, admitted, reserved

    async def _send(
        self,
        call: StepCall,
        route: ModelRoute,
        request: HttpRequest,
        admitted: Admitted,
        reserved: Reservation | None,
        backoff: float,
    ) -> Outcome:
        """One attempt, entered in all books: the budget, the item's log, the lane and the flow."""
        flow, now = call.flow, self._loop.time
        flow.attempts += 1
        try:
            outcome = await _exchange(route, request)
        except BaseException as error:
            ended, lost = now(), NOTHING
            if self._budget is not None and reserved is not None:
                self._budget.keep(reserved)
                lost = reserved.worst
            # A cancellation says so too, where it came over the network.
            cut = NotFinished("cut off")
            connect, first_byte = getattr(error, "connect", 0.0), getattr(error, "first_byte", 0.0)
            waits = 0.0 if reserved is None else reserved.waited, backoff, connect, first_byte
            self._note(flow, route, admitted, ended, cut, lost, waits)
            route.lane.leave(admitted, ended)
            raise
        ended, result, lost = now(), outcome.result, NOTHING
        if self._budget is not None and reserved is not None:
            lost = _settle(self._budget, reserved, route, outcome)
        of_budget = 0.0 if reserved is None else reserved.waited
        waits = of_budget, backoff, outcome.connect, outcome.first_byte
        self._note(flow, route, admitted, ended, result, lost, waits)
        if type(result) is Reply:
            flow.bill(route.name, result.usage, route.prices)
            if self._waiter.is_short:
                self._waiter.answered()
            route.lane.answered(admitted, ended, result.usage, outcome.readings)
        elif isinstance(result, CallError):
            weigh_setup(result, route.lane)
            route.lane.failed(admitted, result, ended, outcome.readings)
            if result.usage is not NO_USAGE:
                flow.bill(route.name, result.usage, route.prices)
        return outcome

    def _note(
        self,
        flow: Flow,
        route: ModelRoute,
        admitted: Admitted,
        ended: float,
        result: Reply | Exception,
        lost: Amount,
        waits: tuple[float, float, float, float],
    ) -> None:
        """Writes an attempt down, if anybody does, and where its time went. waits: the last four of `Timing`."""
        budget_wait, backoff, connect, first_byte = waits
        slot_wait, limit_wait = admitted.slot_wait, admitted.limit_wait
        started, pending = admitted.at, route.pending
        seconds = ended - started
        pending += (seconds, slot_wait, limit_wait, budget_wait, backoff, connect, first_byte)
        if len(pending) >= MOST_PENDING:
            self._times.sum_up()
        if flow.log is not None:
            timing = Timing(slot_wait, limit_wait, *waits)
            flow.log.attempted(attempt_of(route, started, seconds, result, lost, timing))

    def _ask_without(
        self, what: str, requests: RequestBuilder, route: ModelRoute, error: CallError
    ) -> None:
        if requests.ask_without(what, route):
            log.warning("%s: %s (%s)", route.lane.name, _PLAINER[what], in_short(error))

    def _route(self, step: Step, skill: Skill, model: Model, step_path: str) -> ModelRoute:
        of_step = partial(setting, step=step, pool=self._settings, skill=skill, model=model)
        endpoint = model.endpoint(self._environ)
        transport = self._transport
        if endpoint.base_url and endpoint.wire != "any-llm":
            origin = parse_url(endpoint.base_url).origin
            if not origin.is_local:
                proxy_for(origin, self._environ)  # refused here if it can't be used
        if endpoint.tls != Tls() and isinstance(transport, HttpTransport):
            transport = shared_transport(endpoint.tls)
        timeout = of_step("timeout", DEFAULT_TIMEOUT)
        policy = RetryPolicy(int(of_step("retries", DEFAULT_RETRIES)))
        if skill.retry_delay is not None:
            policy = RetryPolicy(policy.retries, base=skill.retry_delay)
        lane = self._lanes.open_model(endpoint, model.model, step, of_step("limits", None))
        options = {**model.options, **skill.options}
        bound = target = None
        if self._budget is not None:
            bound = bound_of(model, endpoint.wire, options, self._budget.budget)
        if self._tracer is not None:
            target = self._tracer.target(model.provider, model.model, endpoint, options)
        route = ModelRoute(
            model.model,
            model.provider,
            endpoint,
            WIRES[endpoint.wire],
            WIRES[endpoint.wire].transport(transport, endpoint, model.model),
            lane,
            options,
            Timeouts(connect=min(CONNECT_TIMEOUT, timeout), read=timeout, total=timeout),
            policy,
            mask_of(endpoint),
            f"{model.provider}/{model.model}",
            id(skill),
            step_path,
            model.prices,
            self._times.open(lane.name, "reading"),
            bound,
            target,
        )
        if self._budget is not None:
            turns = takewhile(lambda message: message.parts is not None, skill.messages)
            shortest = Conversation(tuple(message.shortest() for message in turns), TEXT)
            self._budget.may_cost(RequestBuilder(shortest, self._plainer).worst(route))
        return route


def _given_up(failure: CallError, attempts: Attempts[ModelRoute]) -> CallError:
    if failure.retryable:
        failures = max(1, attempts.failures)
        log.info("given up after %d failures: %s", failures, in_short(failure))
    return failure


async def _exchange(route: ModelRoute, request: HttpRequest) -> Outcome:
    """Sends a request, and reads what comes back."""
    try:
        response = route.mask.answer(await route.transport.send(request, route.timeouts))
    except TransportError as error:
        return Outcome(error, connect=error.connect, first_byte=error.first_byte)
    result = route.wire.parse(response)
    if type(result) is not Reply and 200 <= response.status < 300:  # no answer after all
        result = route.wire.parse(route.mask.failure(response))
    if isinstance(result, CallError) and result.status in _NOT_THERE:
        result.message += f" (called: {route.mask.text(request.url)})"
    if isinstance(result, AuthFailed) and result.fix == AuthFailed.fix:  # it says no more itself
        result.fix = without_key(route.endpoint) or result.fix
    readings = read_limits(response.headers)
    return Outcome(result, readings, response.status, response.connect, response.first_byte)


def _settle(
    budget: BudgetQueue, reserved: Reservation, route: ModelRoute, outcome: Outcome
) -> Amount:
    """What is reserved for an attempt becomes what it used; returns what stays set aside, as nobody knows."""
    usage = outcome.result.usage
    assert route.bound is not None
    if usage.input_tokens or usage.output_tokens:
        budget.settle(reserved, route.bound.used(usage))
    elif isinstance(outcome.result, CallError) and is_free(outcome.result, outcome.status):
        budget.release(reserved)
    else:
        budget.keep(reserved)
        return reserved.worst
    return NOTHING
