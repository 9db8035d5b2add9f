"""Every wire against recorded-looking material: calls and their exact requests, answers and what they mean."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from flowpool.providers import resolve
from flowpool.values import Call, HttpResponse, Reply, Usage
from flowpool.wire import WIRES

GOLDEN = Path(__file__).parent / "golden"
REQUESTS = msgspec.json.decode((GOLDEN / "requests.json").read_bytes())
ANSWERS = msgspec.json.decode((GOLDEN / "answers.json").read_bytes())


def claim(case) -> str:
    return str(case["claim"])


@pytest.mark.parametrize("case", REQUESTS, ids=claim)
def test_a_call_becomes_exactly_this_request(case) -> None:
    endpoint = resolve(case["provider"], case.get("base_url"), "key-canary", {})
    request = WIRES[endpoint.wire].build(msgspec.convert(case["call"], Call), endpoint)
    assert request.method == "POST"
    assert msgspec.json.decode(request.body) == case["body"]
    assert request.url == case.get("url", request.url)
    assert dict(request.headers) == case.get("headers", dict(request.headers))


@pytest.mark.parametrize("case", ANSWERS, ids=claim)
def test_an_answer_means_exactly_this(case) -> None:
    body = case["raw"].encode() if "raw" in case else msgspec.json.encode(case["body"])
    response = HttpResponse(case.get("status", 200), case.get("headers", {}), body)
    result = WIRES[case["wire"]].parse(response)
    expected = dict(case["expect"])
    assert type(result).__name__ == expected.pop("type"), result
    if "usage" in expected:
        assert result.usage == Usage(*expected.pop("usage"))
    if "verdict" in expected:
        assert not isinstance(result, Reply)
        assert result.verdict.value == expected.pop("verdict")
    assert {name: getattr(result, name) for name in expected} == expected


def test_no_two_cases_claim_the_same() -> None:
    claims = [claim(case) for case in REQUESTS + ANSWERS]
    assert len(claims) == len(set(claims))
