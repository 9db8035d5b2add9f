"""What a model's call is made of: its route, the conversation, the request that was built, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from flowpool.calls.budget import PER_DOLLAR, Amount
from flowpool.calls.cost_bound import CostBound
from flowpool.calls.flow import Pending
from flowpool.calls.retry import RetryPolicy
from flowpool.errors import CallError, InvalidOutput
from flowpool.limits.lanes import Bid, CallLane
from flowpool.masking import Mask
from flowpool.structured import Answer
from flowpool.values import (
    NO_USAGE,
    Attempt,
    Call,
    Endpoint,
    HttpRequest,
    LimitReading,
    Media,
    Message,
    OutputFormat,
    Prices,
    Reply,
    Text,
    Timeouts,
    Timing,
    Transport,
)
from flowpool.wire import Wire
from flowpool.wire.json_in_words import refuses_format
from flowpool.wire.system_message import refuses_system, without_system

# Characters that a picture or document is taken for until answers tell: about 1,000 tokens.
MEDIA_SIZE = 4_000


class ModelRoute(Struct, frozen=True, eq=False):
    """A model as one step calls it: where, in what words, through which lane."""

    model: str
    provider: str
    endpoint: Endpoint
    wire: Wire
    transport: Transport
    lane: CallLane
    options: Mapping[str, Any]
    timeouts: Timeouts
    policy: RetryPolicy
    mask: Mask
    name: str  # provider/model
    template: int  # which prompt: calls of one are alike in tokens
    step_path: str  # the step, as records call it
    prices: Prices | None  # as the user gave them, where the price list isn't to be asked
    pending: Pending
    bound: CostBound | None = None  # where the run has a ceiling
    target: Any = None  # how spans name it, where the run is traced

    def __repr__(self) -> str:
        return f"ModelRoute({self.name})"  # the key stays out of sight


class Conversation(Struct, frozen=True):
    """What is asked: the conversation so far, and what the answer must be."""

    said: tuple[Message, ...]
    answer: Answer
    retries: int = 0  # how often an answer that doesn't fit is asked for again

    def after(self, reply: Reply, error: InvalidOutput) -> Conversation:
        """The same asked again, with what was wrong."""
        wrong = Message("assistant", (Text(reply.text),))
        correction = Message("user", (Text(self.answer.correction(error)),))
        return replace(self, said=(*self.said, wrong, correction))


class BuiltRequest(NamedTuple):
    """A route's request, and how it asks for the answer's format."""

    request: HttpRequest
    output: OutputFormat | None
    size: int  # characters of text that it is like in tokens
    said: tuple[Message, ...]

    def refused(self, error: CallError) -> Literal["", "format", "system"]:
        """What of it the server won't have: the call is asked again without that."""
        if refuses_format(error, self.output):
            return "format"
        return "system" if refuses_system(error, self.said) else ""


class RequestBuilder(Struct, eq=False):
    """A conversation's requests, each built when its route is first taken.

    plainer: what lanes won't have, "format" or "system", and are asked without; whoever finds another adds it.
    """

    conversation: Conversation
    plainer: set[tuple[CallLane, str]]
    built: dict[ModelRoute, BuiltRequest] = field(default_factory=dict)

    def of(self, route: ModelRoute) -> BuiltRequest:
        """The route's request."""
        built = self.built.get(route)
        if built is None:
            built = self.built[route] = self._build(route)
        return built

    def ask_without(self, what: str, route: ModelRoute) -> bool:
        """From now on asks the route's lane without what it won't have; whether that is news."""
        self.built.pop(route, None)
        is_news = (route.lane, what) not in self.plainer
        self.plainer.add((route.lane, what))
        return is_news

    def bids(self, routes: tuple[ModelRoute, ...]) -> list[Bid]:
        """What the call would take from each route's lane, by the size of the first one's request."""
        size = self.of(routes[0]).size
        bids = []
        for route in routes:
            limiter = route.lane.limiter
            assert limiter is not None
            most = route.options.get("max_tokens")
            bids.append((route.lane, limiter.estimates.of(route.template, size, most)))
        return bids

    def worst(self, route: ModelRoute) -> Amount:
        """The most that the call may cost on this route."""
        assert route.bound is not None
        return route.bound.of(self.of(route).request.body, self.conversation.said)

    def _build(self, route: ModelRoute) -> BuiltRequest:
        output, said = self.conversation.answer.format, self.conversation.said
        if output is not None and (route.lane, "format") in self.plainer:
            output = replace(output, form="words")
        if (route.lane, "system") in self.plainer:
            said = without_system(said)
        call = Call(route.model, said, route.options, output)
        request = route.wire.build(call, route.endpoint)
        return BuiltRequest(request, output, size_of(request.body, said), said)


class Outcome(Struct, frozen=True):
    """What an attempt gave: a reply or why not, and what its headers say of the limits.

    connect, first_byte: what of its seconds went where, as in `Timing`.
    """

    result: Reply | CallError
    readings: tuple[LimitReading, ...] = ()
    status: int | None = None  # of a failure's HTTP answer, if there was one
    connect: float = 0.0
    first_byte: float = 0.0


def attempt_of(
    route: ModelRoute,
    started: float,
    seconds: float,
    result: Reply | Exception,
    lost: Amount,
    timing: Timing,
) -> Attempt:
    """How an attempt went, to be written down."""
    answered = result if isinstance(result, (Reply, CallError)) else None
    return Attempt(
        route.step_path,
        route.name,
        started,
        seconds,
        200 if isinstance(result, Reply) else getattr(result, "status", None),
        None if isinstance(result, Reply) else type(result).__name__,
        answered.usage if answered else NO_USAGE,
        answered.request_id if answered else "",
        route.prices,
        lost.cost / PER_DOLLAR,
        lost.tokens,
        timing,
    )


def size_of(body: bytes, said: tuple[Message, ...]) -> int:
    """A request's size as that of a text with as many tokens, about: a picture's bytes are no words."""
    size = len(body)
    for message in said:
        for part in message.parts:
            if type(part) is Media:
                size += MEDIA_SIZE - len(part.data)
    return size
