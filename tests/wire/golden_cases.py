"""The golden files `golden/<module>.json`: a wire's calls and their requests, its answers and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from flowpool.providers import resolve
from flowpool.values import Call, HttpResponse, Reply, Usage
from flowpool.wire import WIRES

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]


def requests(wire: str) -> list[Case]:
    return _cases(wire)["requests"]


def answers(wire: str) -> list[Case]:
    return _cases(wire)["answers"]


def claim(case: Case) -> str:
    return str(case["claim"])


def check_request(case: Case) -> None:
    """The call in a case becomes exactly the request in it."""
    endpoint = resolve(case["provider"], case.get("base_url"), "key-canary", {})
    request = WIRES[endpoint.wire].build(msgspec.convert(case["call"], Call), endpoint)
    assert request.method == "POST"
    assert msgspec.json.decode(request.body) == case["body"]
    assert request.url == case.get("url", request.url)
    assert dict(request.headers) == case.get("headers", dict(request.headers))


def check_answer(wire: str, case: Case) -> None:
    """The answer in a case means exactly what it expects."""
    body = case["raw"].encode() if "raw" in case else msgspec.json.encode(case["body"])
    response = HttpResponse(case.get("status", 200), case.get("headers", {}), body)
    result = WIRES[wire].parse(response)
    expected = dict(case["expect"])
    assert type(result).__name__ == expected.pop("type"), result
    if "usage" in expected:
        assert result.usage == Usage(*expected.pop("usage"))
    if "verdict" in expected:
        assert not isinstance(result, Reply)
        assert result.verdict.value == expected.pop("verdict")
    assert {name: getattr(result, name) for name in expected} == expected


def _cases(wire: str) -> dict[str, list[Case]]:
    path = GOLDEN / f"{wire.replace('-', '_')}.json"
    cases: dict[str, list[Case]] = msgspec.json.decode(path.read_bytes())
    return cases
