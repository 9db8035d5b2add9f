"""What a skill's call is made of: the route it takes, the question, the request that was sent, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from flowpool.calls.bounds import CostBound
from flowpool.calls.budget import PER_DOLLAR, Amount
from flowpool.calls.retry import RetryPolicy
from flowpool.errors import CallError, InvalidOutput
from flowpool.limits.lanes import CallLane
from flowpool.structured import Answer
from flowpool.values import (
    NO_USAGE,
    Attempt,
    Endpoint,
    HttpRequest,
    HttpResponse,
    LimitReading,
    Media,
    Message,
    OutputFormat,
    Prices,
    Reply,
    Text,
    Timeouts,
    Transport,
)
from flowpool.wire import Wire

SHORTEST_KEY = 8
MEDIA_SIZE = 4_000  # characters that a picture or document is taken for until answers tell


class ModelRoute(Struct):
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
    key: bytes
    name: str  # provider/model
    template: int  # which prompt: calls of one are alike in tokens
    place: str  # the step, as records call it
    prices: Prices | None  # as told, where the price list isn't to be asked
    bounds: CostBound | None = None  # where the run has a ceiling
    target: Any = None  # how spans name it, where the run is traced

    def __repr__(self) -> str:
        return f"Route({self.name})"  # the key stays out of sight


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


class Outcome(NamedTuple):
    """What an attempt gave: a reply or why not, and what its headers say of the limits."""

    result: Reply | CallError
    readings: tuple[LimitReading, ...] = ()
    status: int | None = None  # of a failure's HTTP answer, if there was one


def attempt_of(
    route: ModelRoute, started: float, ended: float, result: Reply | Exception, lost: Amount
) -> Attempt:
    """How an attempt went, to be written down."""
    answered = result if isinstance(result, (Reply, CallError)) else None
    return Attempt(
        route.place,
        route.name,
        started,
        ended - started,
        200 if isinstance(result, Reply) else getattr(result, "status", None),
        None if isinstance(result, Reply) else type(result).__name__,
        answered.usage if answered else NO_USAGE,
        answered.request_id if answered else "",
        route.prices,
        lost.cost / PER_DOLLAR,
        lost.tokens,
    )


def size_of(body: bytes, said: tuple[Message, ...]) -> int:
    """A request's size as that of a text with as many tokens, about: a picture's bytes are no words."""
    size = len(body)
    for message in said:
        for part in message.parts:
            if type(part) is Media:
                size += MEDIA_SIZE - len(part.data)
    return size


def without_key(response: HttpResponse, key: bytes) -> HttpResponse:
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
