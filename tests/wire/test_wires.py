"""The table of wires: what every row of it must have."""

from __future__ import annotations

import pytest
from tests.wire import golden_cases as golden

from flowpool.http.transport import HttpTransport
from flowpool.providers import PROVIDERS
from flowpool.values import Endpoint, Secret
from flowpool.wire import WIRES

OVER_HTTP = [wire for wire in WIRES if wire != "any-llm"]


def test_every_wire_is_some_providers() -> None:
    assert {row.wire for row in PROVIDERS.values()} == WIRES.keys()


@pytest.mark.parametrize("wire", OVER_HTTP)
def test_every_wire_has_cases_of_requests_answers_and_failures(wire) -> None:
    assert golden.requests(wire)
    statuses = {case.get("status", 200) for case in golden.answers(wire)}
    assert 200 in statuses
    assert any(status >= 400 for status in statuses)


def test_no_two_cases_claim_the_same() -> None:
    cases = [case for wire in OVER_HTTP for case in golden.requests(wire) + golden.answers(wire)]
    claims = [golden.claim(case) for case in cases]
    assert len(claims) == len(set(claims))


@pytest.mark.parametrize("wire", OVER_HTTP)
def test_what_goes_over_http_goes_by_the_runs_own_transport(wire) -> None:
    endpoint = Endpoint("custom", wire, "http://127.0.0.1:9/v1", Secret("key-canary"))
    transport = HttpTransport()
    assert WIRES[wire].transport(transport, endpoint, "m") is transport
