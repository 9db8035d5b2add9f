"""A run's traces and metrics over OTLP to a receiver on real sockets, by the environment alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flowpool.simulator import SimServer

KEY, PROMPT, ANSWER = "key-canary-7f3a", "prompt-canary", "answer-canary"

# A program as a user has it; only the environment asks for traces.
PROGRAM = f"""
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from flowpool import Pool, Skill

tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))

skill = Skill("gpt-5-mini", prompt="{{text}} [[sim: say={ANSWER}]]")
assert Pool(skill, [{{"text": "{PROMPT}"}}] * 20).run() == ["{ANSWER}"] * 20
assert skill.run({{"text": "{PROMPT}"}}) == "{ANSWER}"
try:
    skill.run({{"text": "{PROMPT} [[sim: 400]]"}})
except Exception:
    pass
tracers.shutdown()
metrics.get_meter_provider().shutdown()
"""


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to it, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, list[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.mark.parametrize("content", ["", "true"])
def test_the_environment_alone_sends_traces_and_content_only_when_it_says_so(
    receiver, content
) -> None:
    with SimServer("free") as sim:
        told = {
            "FLOWPOOL_TRACING": "1",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": content,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{sim.url}/v1",
        }
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=os.environ | told)
    spans = []
    for body in receiver.bodies["/v1/traces"]:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    called = [span for span in spans if span.name == "chat gpt-5-mini"]
    assert (len(called), len(spans)) == (22, 22 + 22 + 3)  # and an item each, and three runs
    measured = ExportMetricsServiceRequest.FromString(receiver.bodies["/v1/metrics"][-1])
    names = {m.name for r in measured.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= names
    everything = b"".join(body for bodies in receiver.bodies.values() for body in bodies)
    assert (PROMPT.encode() in everything) is bool(content)
    assert (ANSWER.encode() in everything) is bool(content)
    assert KEY.encode() not in everything
