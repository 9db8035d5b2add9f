"""A run's spans and metrics: the run, its items, their calls and steps. The only module that knows OpenTelemetry.

A run is a workflow of the conventions, a call by its model one client span whatever attempts it takes; failed
attempts are events on it. A provider's words stand in no span unless content was asked for: they may hold a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from flowpool import __version__, providers
from flowpool.errors import CallError
from flowpool.tracing import content, names
from flowpool.tracing.options import Tracing
from flowpool.usage import Usage
from flowpool.values import Endpoint, Message, Reply, Status

_PORTS = {"http": 80, "https": 443}


class SpanTarget:
    """A model at an endpoint as its spans name it. Made once, used by every call."""

    __slots__ = ("attributes", "metrics", "name")

    def __init__(
        self, provider: str, model: str, endpoint: Endpoint, options: Mapping[str, object]
    ) -> None:
        provider, model = providers.served_by(provider, model)
        self.name = f"{names.CHAT} {model}"
        self.metrics: dict[str, Any] = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: names.provider_name(provider),
            names.REQUEST_MODEL: model,
        }
        parts = urlsplit(endpoint.base_url)
        if parts.hostname:
            self.metrics[names.SERVER_ADDRESS] = parts.hostname
            self.metrics[names.SERVER_PORT] = parts.port or _PORTS.get(parts.scheme, 443)
        self.attributes = self.metrics | names.option_attributes(options)


class Tracer:
    """The spans and metrics of one run."""

    def __init__(self, tracing: Tracing, caller: Context) -> None:
        self.content = tracing.content
        self._tracer = trace.get_tracer(names.SCOPE, __version__, tracing.tracer_provider)
        meter = metrics.get_meter(names.SCOPE, __version__, tracing.meter_provider)
        self._tokens = meter.create_histogram(
            names.TOKENS,
            names.TOKENS_UNIT,
            names.TOKENS_TEXT,
            explicit_bucket_boundaries_advisory=names.TOKENS_BUCKETS,
        )
        self._duration = meter.create_histogram(
            names.DURATION,
            names.DURATION_UNIT,
            names.DURATION_TEXT,
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
        )
        self._within = caller.run(otel_context.get_current)

    @contextmanager
    def run(self, name: str, counts: Sequence[int]) -> Iterator[None]:
        """The span of the run. counts: its items by status, as they stand; a run before may have counted too."""
        before = tuple(counts)
        attributes = {names.OPERATION: names.INVOKE_WORKFLOW, names.WORKFLOW: name}
        span = self._tracer.start_span(
            f"{names.INVOKE_WORKFLOW} {name}", self._within, SpanKind.INTERNAL, attributes
        )
        self._within = trace.set_span_in_context(span, self._within)
        try:
            yield
        except BaseException as error:
            self._fail(span, error)
            raise
        finally:
            done, failed = (counts[one] - before[one] for one in (Status.DONE, Status.FAILED))
            span.set_attributes({names.ITEMS_DONE: done, names.ITEMS_FAILED: failed})
            if failed:
                span.set_status(StatusCode.ERROR, f"items failed: {failed}")
            span.end()

    @contextmanager
    def item(self, index: int) -> Iterator[Callable[[BaseException], None]]:
        """The span of one item, current meanwhile. Gives what to tell of the item's error."""
        span = self._tracer.start_span(
            names.ITEM, self._within, SpanKind.INTERNAL, {names.ITEM_INDEX: index}
        )
        with self._current(span):
            yield lambda error: self._fail(span, error)

    @contextmanager
    def step(self, name: str, *, is_function: bool) -> Iterator[Callable[[int, Usage], None]]:
        """The span of a function's or another framework's call. Gives what to tell of attempts and tokens."""
        operation = names.EXECUTE_TOOL if is_function else names.INVOKE_WORKFLOW
        named = {names.OPERATION: operation, names.TOOL if is_function else names.WORKFLOW: name}
        span = self._tracer.start_span(f"{operation} {name}", attributes=named)

        def ended(attempts: int, usage: Usage) -> None:
            span.set_attributes({names.ATTEMPTS: attempts, **names.usage_attributes(usage)})

        with self._current(span):
            yield ended

    def target(
        self, provider: str, model: str, endpoint: Endpoint, options: Mapping[str, object]
    ) -> SpanTarget:
        return SpanTarget(provider, model, endpoint, options)

    def call(
        self, target: SpanTarget, said: Sequence[Message], is_json: bool, now: float
    ) -> CallSpan:
        """The span of a call, which waits for its turn from `now` on."""
        attributes = target.attributes | {names.OUTPUT_TYPE: "json" if is_json else "text"}
        if self.content:
            attributes[names.INPUT_MESSAGES] = content.input_messages(said)
            if system := content.system_instructions(said):
                attributes[names.SYSTEM_INSTRUCTIONS] = system
        span = self._tracer.start_span(target.name, kind=SpanKind.CLIENT, attributes=attributes)
        return CallSpan(self, span, target, now)

    @contextmanager
    def _current(self, span: Span) -> Iterator[None]:
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            self._fail(span, error)
            raise
        finally:
            otel_context.detach(token)
            span.end()

    def _fail(self, span: Span, error: BaseException) -> None:
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
        span.set_status(StatusCode.ERROR, str(error) if self.content else None)

    def measure(self, target: SpanTarget, model: str, usage: Usage) -> None:
        attributes = target.metrics | ({names.RESPONSE_MODEL: model} if model else {})
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens:
                self._tokens.record(tokens, attributes | {names.TOKEN_TYPE: kind})

    def took(self, target: SpanTarget, seconds: float, error: BaseException | None) -> None:
        attributes = target.metrics
        if error is not None:
            attributes = attributes | {names.ERROR_TYPE: type(error).__name__}
        self._duration.record(seconds, attributes)


class CallSpan:
    """The span of one logical call, of each attempt of it and of how it ended."""

    __slots__ = ("_asked", "_attempts", "_sent", "_span", "_target", "_tracer")

    def __init__(self, tracer: Tracer, span: Span, target: SpanTarget, now: float) -> None:
        self._tracer = tracer
        self._span = span
        self._target = target
        self._asked = now
        self._sent: float | None = None
        self._attempts = 0

    def sent(self, target: SpanTarget, now: float) -> None:
        """An attempt goes out."""
        self._attempts += 1
        if self._sent is None:
            self._sent = now
        if target is not self._target:  # another of those that share the calls took it
            self._target = target
            self._span.update_name(target.name)
            self._span.set_attributes(target.attributes)

    def failed_attempt(self, error: CallError) -> None:
        attributes: dict[str, Any] = {names.ERROR_TYPE: type(error).__name__}
        if error.status is not None:
            attributes[names.STATUS_CODE] = error.status
        if error.retry_after is not None:
            attributes[names.RETRY_AFTER] = error.retry_after
        self._span.add_event(names.FAILED_ATTEMPT, attributes)
        self._tracer.measure(self._target, "", error.usage)

    def answered(self, reply: Reply, now: float) -> None:
        attributes: dict[str, Any] = names.usage_attributes(reply.usage)
        if reply.model:
            attributes[names.RESPONSE_MODEL] = reply.model
        if reply.request_id:
            attributes[names.RESPONSE_ID] = reply.request_id
        if self._tracer.content:
            attributes[names.OUTPUT_MESSAGES] = content.output_messages(reply.text)
        self._span.set_attributes(attributes)
        self._tracer.measure(self._target, reply.model, reply.usage)
        self._end(now, None)

    def failed(self, error: BaseException, now: float) -> None:
        if isinstance(error, CallError) and error.status is not None:
            self._span.set_attribute(names.STATUS_CODE, error.status)
        self._tracer._fail(self._span, error)
        self._end(now, error)

    def _end(self, now: float, error: BaseException | None) -> None:
        sent = now if self._sent is None else self._sent
        self._span.set_attributes(
            {names.ATTEMPTS: self._attempts, names.QUEUED: round(sent - self._asked, 6)}
        )
        self._span.end()
        self._tracer.took(self._target, now - sent, error)
