"""What a traced run tells OpenTelemetry, with the SDK's own exporters."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind

from flowpool import Chain, Spread
from flowpool.errors import InvalidInput
from flowpool.tracing import Tracing, names, open_tracer

KEY, PROMPT, ANSWER = "key-canary-7f3a", "prompt-canary", "answer-canary"


@dataclass
class Telemetry:
    """What the SDK was told."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracers: TracerProvider
    meters: MeterProvider

    def tracing(self, *, content: bool = False) -> Tracing:
        return Tracing(content=content, tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(start)]

    @property
    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        return {m.name: list(m.data.data_points) for scope in scopes for m in scope.metrics}

    def everything(self) -> str:
        data = self.reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data else "")


@pytest.fixture
def told() -> Iterator[Telemetry]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield Telemetry(exporter, reader, tracers, meters)
    tracers.shutdown()
    meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_a_run_has_a_span_its_items_within_it_their_calls_and_steps_within_them(
    told, simulate
) -> None:
    simulation = simulate()
    chain = Chain([(lambda text: text, "t"), (simulation.skill(), "said")], name="nightly")
    simulation.run(simulation.pool(chain, 3, tracing=told.tracing()))
    (run,) = told.named("invoke_workflow")
    assert run.name == "invoke_workflow nightly"
    assert (attributes(run)["flowpool.items.done"], parent(run)) == (3, None)
    items = told.named("flowpool.item")
    assert {attributes(item)["flowpool.item.index"] for item in items} == {0, 1, 2}
    assert {parent(item) for item in items} == {run.context.span_id}
    ids = {item.context.span_id for item in items}
    for inner in ("chat m", "execute_tool function"):
        assert {parent(span) for span in told.named(inner)} == ids
    assert len(told.spans) == 1 + 3 + 3 + 3


def test_a_call_is_one_client_span_with_the_conventions_names(told, simulate) -> None:
    simulation = simulate()
    options = {"max_tokens": 50, "temperature": 0.5, "stop": ["x"], "seed": 7}
    model = simulation.model("gpt-5-mini", options=options)
    results = simulation.run(
        simulation.pool(simulation.skill(model=model), 1, tracing=told.tracing())
    )
    (call,) = told.named("chat")
    known = attributes(call)
    assert (call.name, call.kind) == ("chat gpt-5-mini", SpanKind.CLIENT)
    assert known["gen_ai.operation.name"] == "chat"
    assert known["gen_ai.provider.name"] == "openai"
    assert known["gen_ai.request.model"] == known["gen_ai.response.model"] == "gpt-5-mini"
    assert (known["server.address"], known["server.port"]) == ("sim.test", 80)
    assert known["gen_ai.request.max_tokens"] == 50
    assert known["gen_ai.request.stop_sequences"] == ("x",)
    assert known["gen_ai.usage.input_tokens"] == results.usage.input_tokens > 0
    assert known["gen_ai.usage.output_tokens"] == results.usage.output_tokens > 0
    assert known["gen_ai.response.id"]
    assert known["flowpool.attempts"] == 1
    assert call.status.is_unset


def test_every_name_is_one_of_the_conventions_or_ours() -> None:
    theirs = {v for v in vars(gen_ai_attributes).values() if isinstance(v, str)}
    theirs |= {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"}
    ours = [value for value in vars(names).values() if isinstance(value, str)]
    ours += [*names._OPTIONS.values()]
    for name in (name for name in ours if name.startswith("gen_ai.")):
        assert name in theirs
    providers = {one.value for one in gen_ai_attributes.GenAiProviderNameValues}
    assert set(names._PROVIDERS.values()) - {"moonshot_ai"} <= providers


def test_failed_attempts_are_events_on_the_one_span(told, simulate) -> None:
    simulation = simulate()
    items = [{"text": "[[sim: 429 retry-after=3 times=1]] [[sim: 503 times=2]] A. B."}]
    simulation.run(simulation.pool(items=items, tracing=told.tracing()))
    (call,) = told.named("chat")
    assert attributes(call)["flowpool.attempts"] == len(call.events) + 1 >= 2
    kinds = {dict(event.attributes or {})["error.type"] for event in call.events}
    assert kinds <= {"RateLimited", "Overloaded"}
    assert kinds
    assert call.status.is_unset


def test_a_failure_stands_on_its_call_and_item_without_the_providers_words(told, simulate) -> None:
    simulation = simulate()
    items = [{"text": "[[sim: 400]]"}, {"text": "A. B."}]
    simulation.run(simulation.pool(items=items, tracing=told.tracing()))
    failed = [span for span in told.spans if not span.status.is_ok and not span.status.is_unset]
    (run,) = told.named("invoke_workflow")
    assert {span.name for span in failed} == {"chat m", "flowpool.item", run.name}
    assert run.status.description == "items failed: 1"
    for span in failed:
        if span.name == run.name:
            continue
        assert attributes(span)["error.type"] == "BadRequest"
        assert span.status.description is None
        assert [event.name for event in span.events if event.name == "exception"] == []
    assert attributes(run)["flowpool.items.failed"] == 1


def test_a_spread_call_is_named_by_the_model_that_took_it(told, simulate) -> None:
    simulation = simulate()
    spread = Spread([simulation.model("one"), simulation.model("two")])
    items = [{"text": "[[sim: 503 model=one]] A. B."}]
    simulation.run(simulation.pool(simulation.skill(model=spread), items, tracing=told.tracing()))
    (call,) = told.named("chat")
    assert (call.name, attributes(call)["gen_ai.request.model"]) == ("chat two", "two")


def test_time_in_the_queue_is_told_apart_from_the_calls_own(told, simulate) -> None:
    simulation = simulate()
    simulation.run(simulation.pool(items=5, max_flows=1, tracing=told.tracing()))
    (duration,) = told.points["gen_ai.client.operation.duration"]
    assert (duration.count, duration.sum) == (5, pytest.approx(5.0, abs=0.01))


def test_metrics_count_tokens_and_seconds_by_model_and_error(told, simulate) -> None:
    simulation = simulate()
    items = [{"text": "A. B."}, {"text": "C. D."}, {"text": "[[sim: 400]]"}]
    results = simulation.run(simulation.pool(items=items, tracing=told.tracing()))
    tokens = {point.attributes["gen_ai.token.type"]: point for point in told.points[names.TOKENS]}
    assert tokens["input"].sum == results.usage.input_tokens
    assert tokens["output"].sum == results.usage.output_tokens
    assert list(tokens["input"].explicit_bounds) == names.TOKENS_BUCKETS
    counts = {p.attributes.get("error.type"): p.count for p in told.points[names.DURATION]}
    assert counts == {None: 2, "BadRequest": 1}


@pytest.mark.parametrize("content", [False, True])
def test_prompts_and_answers_stand_in_it_only_when_asked_for(told, simulate, content) -> None:
    simulation = simulate()
    skill = simulation.skill(
        model=simulation.model(api_key=KEY),
        input={
            "messages": [
                {"role": "system", "parts": [f"Be brief. {PROMPT}"]},
                {"role": "user", "parts": [f"{{text}} [[sim: say={ANSWER}]]"]},
            ]
        },
        prompt=None,
    )
    chain = Chain([(lambda text: text, "text"), (skill, "said")])
    items = [{"text": PROMPT}, {"text": f"{PROMPT} [[sim: 400]]"}]
    pool = simulation.pool(chain, items, tracing=told.tracing(content=content))
    assert simulation.run(pool)[0] == ANSWER
    everything = told.everything()
    assert (PROMPT in everything) is content
    assert (ANSWER in everything) is content
    assert KEY not in everything
    if content:
        call = next(span for span in told.named("chat") if span.status.is_unset)
        said = json.loads(str(attributes(call)["gen_ai.input.messages"]))
        assert said[0]["role"] == "user"
        assert said[0]["parts"][0]["content"].startswith(PROMPT)
        answered = json.loads(str(attributes(call)["gen_ai.output.messages"]))
        assert answered[0]["parts"] == [{"type": "text", "content": ANSWER}]
        assert PROMPT in str(attributes(call)["gen_ai.system_instructions"])


def test_spans_begun_inside_a_step_belong_to_it_in_threads_too(told, simulate) -> None:
    def fetch(text: str) -> str:
        with told.tracers.get_tracer("mine").start_as_current_span("inside"):
            return text

    simulation = simulate()
    simulation.run(simulation.pool(fetch, 2, tracing=told.tracing()))
    steps = {span.context.span_id for span in told.named("execute_tool fetch")}
    assert {parent(span) for span in told.named("inside")} == steps


def test_a_run_belongs_to_the_span_of_whoever_starts_it(told) -> None:
    from flowpool import Pool

    with told.tracers.get_tracer("mine").start_as_current_span("job"):
        Pool(lambda text: text, [{"text": "x"}], tracing=told.tracing(), progress=False).run()
    (job,) = told.named("job")
    assert [parent(span) for span in told.named("invoke_workflow")] == [job.context.span_id]
    assert trace.get_current_span().get_span_context().span_id == 0


def test_a_cancelled_run_ends_its_spans(told, simulate) -> None:
    simulation = simulate()
    pool = simulation.pool(items=4, max_flows=2, deadline=1.5, tracing=told.tracing())
    simulation.run(pool)
    errors = [attributes(span).get("error.type") for span in told.named("flowpool.item")]
    assert errors.count("CancelledError") == 2
    assert len(told.named("invoke_workflow")) == 1


def test_what_is_no_way_of_tracing_is_refused(simulate) -> None:
    simulation = simulate()
    with pytest.raises(InvalidInput, match="tracing='yes': use True, False or Tracing"):
        simulation.run(simulation.pool(tracing="yes"))


def test_without_opentelemetry_the_error_says_how_to_get_it(monkeypatch) -> None:
    from contextvars import copy_context

    monkeypatch.delitem(sys.modules, "flowpool.tracing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(InvalidInput, match=re.escape("pip install 'flowpool[otel]'")):
        open_tracer(True, {}, copy_context())
    assert open_tracer(None, {}, copy_context()) is None
    assert open_tracer(False, {"FLOWPOOL_TRACING": "1"}, copy_context()) is None


def test_a_run_that_nobody_traces_imports_nothing_of_it() -> None:
    code = (
        "import sys; from flowpool import Pool\n"
        "assert Pool(lambda text: text, [{'text': 'x'}]).run() == ['x']\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "assert 'flowpool.tracing.spans' not in sys.modules\n"
    )
    environ = {name: value for name, value in os.environ.items() if "TRACING" not in name}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ)
