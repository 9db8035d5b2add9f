from __future__ import annotations

import json
from typing import Any

import pytest

from flowpool.simulator import Profile, SimRequest, SimulatedProvider
from flowpool.simulator.answers import go_duration, limit_headers, render, render_elsewhere
from flowpool.simulator.limits import LimitState

EPOCH = 1_767_225_600.0  # 2026-01-01
LIMITS = (LimitState("requests", 100, 99, 0.6), LimitState("input-tokens", 50_000, 48_731, 1.5))
WIRES = ("chat", "responses", "messages", "gemini")


def answer(wire: Any, text: str = "Hello there", profile: Any = None, **fields: Any) -> Any:
    provider = SimulatedProvider(profile or Profile())
    plan = provider.receive(0.0, SimRequest(wire, "m", text=text, user=text, **fields))
    rendered = render(plan, provider.profile.headers, 0.0, EPOCH)
    return rendered, dict(rendered.headers)


def body(wire: Any, text: str = "Hello there", **fields: Any) -> Any:
    return json.loads(answer(wire, text, **fields)[0].body)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.012, "12ms"),
        (0.9999, "1s"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (86_400, "24h0m0s"),
        (61.25, "1m1.25s"),
    ],
)
def test_durations_are_written_as_go_does(seconds, text) -> None:
    assert go_duration(seconds) == text


def test_openais_limit_headers() -> None:
    assert dict(limit_headers("openai", LIMITS[:1], EPOCH)) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "600ms",
    }


def test_anthropics_limit_headers_round_to_seconds_and_thousands() -> None:
    headers = dict(limit_headers("anthropic", LIMITS, EPOCH))
    assert headers["anthropic-ratelimit-requests-remaining"] == "99"
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-01-01T00:00:01Z"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "49000"
    assert headers["anthropic-ratelimit-input-tokens-reset"] == "2026-01-01T00:00:02Z"


def test_mistrals_limit_headers_name_the_minute() -> None:
    assert dict(limit_headers("mistral", LIMITS[:1], EPOCH)) == {
        "x-ratelimit-limit-req-minute": "100",
        "x-ratelimit-remaining-req-minute": "99",
    }


@pytest.mark.parametrize("flavour", ["gemini", "none"])
def test_the_others_send_no_limit_headers(flavour) -> None:
    assert limit_headers(flavour, LIMITS, EPOCH) == []


def test_each_wire_has_its_words_for_a_429() -> None:
    text = "[[sim: 429 retry-after=0.25]]"
    openai = Profile(headers="openai")
    rendered, headers = answer("chat", text, openai)
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("0.25", "250")
    assert json.loads(rendered.body)["error"]["code"] == "rate_limit_exceeded"
    rendered, headers = answer("messages", text)
    assert headers["retry-after"] == "0.25"
    assert json.loads(rendered.body)["request_id"] == headers["request-id"]
    rendered, headers = answer("gemini", text, Profile(headers="gemini"))
    assert "retry-after" not in headers
    quota, retry = json.loads(rendered.body)["error"]["details"]
    assert "PerMinute" in quota["violations"][0]["quotaId"]
    assert retry["retryDelay"] == "0.25s"


def test_each_wire_has_its_words_for_a_used_up_quota() -> None:
    text = "[[sim: quota]]"
    assert body("chat", text)["error"]["code"] == "insufficient_quota"
    assert answer("messages", text)[0].status == 402
    assert body("messages", text)["error"]["type"] == "billing_error"
    assert "PerDay" in json.dumps(body("gemini", text))


def test_each_wire_has_its_words_for_a_finish() -> None:
    assert body("chat", "[[sim: truncate]] ab")["choices"][0]["finish_reason"] == "length"
    assert body("chat", "[[sim: filter]]")["choices"][0]["finish_reason"] == "content_filter"
    refused = body("chat", "[[sim: refuse]]")["choices"][0]["message"]
    assert refused["content"] is None
    assert refused["refusal"]
    assert body("responses", "[[sim: filter]]")["incomplete_details"]["reason"] == "content_filter"
    assert body("responses", "[[sim: refuse]]")["output"][0]["content"][0]["type"] == "refusal"
    assert body("messages", "[[sim: truncate]] ab")["stop_reason"] == "max_tokens"
    assert body("messages", "[[sim: refuse]]")["stop_reason"] == "refusal"
    assert body("gemini", "[[sim: truncate]] ab")["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert "candidates" not in body("gemini", "[[sim: filter]]")


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        ("responses", "output"),
        ("messages", "content"),
        ("gemini", "candidates"),
    ],
)
def test_an_empty_answer_has_nothing_in_it(wire, field) -> None:
    assert body(wire, "[[sim: empty]]")[field] == []


def test_an_empty_chat_completion_has_a_choice_without_words() -> None:
    (choice,) = body("chat", "[[sim: empty]]")["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("wire", WIRES)
def test_an_error_in_a_200_and_a_body_that_is_no_json(wire) -> None:
    rendered, _ = answer(wire, "[[sim: error-in-200]]")
    assert rendered.status == 200
    assert "error" in json.loads(rendered.body)
    rendered, headers = answer(wire, "[[sim: not-json]]")
    assert (rendered.status, headers["content-type"]) == (200, "text/html")


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_is_made_of_events_that_are_json(wire) -> None:
    rendered, headers = answer(wire, stream=True)
    assert headers["content-type"] == "text/event-stream"
    events = rendered.body.decode().strip().split("\n\n")
    for event in events:
        data = event.split("data: ", 1)[1]
        assert data == "[DONE]" or json.loads(data)


def test_models_are_listed_for_each_client() -> None:
    def listed(path: str) -> Any:
        return json.loads(render_elsewhere("GET", path).body)

    assert listed("/v1/models?limit=20")["data"][0]["id"] == "flowpool-sim"
    assert listed("/v1beta/models")["models"][0]["name"] == "models/flowpool-sim"
    assert listed("/v1/models/gpt-sim")["id"] == "gpt-sim"
    assert listed("/v1beta/models/gemini-sim")["name"] == "models/gemini-sim"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/files"),
        ("POST", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1beta/models/gemini-sim:countTokens"),
        ("GET", "/favicon.ico"),
    ],
)
def test_where_nothing_is_the_404_speaks_of_the_path_and_no_model(method, path) -> None:
    rendered = render_elsewhere(method, path)
    assert rendered.status == 404
    error = json.loads(rendered.body)["error"]
    assert error["message"] == f"There is nothing to {method} at {path}"
    assert "model_not_found" not in json.dumps(error)
