"""Answers that aren't quite what an API promises: the text is read, or the failure is typed; half is no whole."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from tests.wire import bodies
from tests.wire.bodies import BY_WIRE, STREAMS, TEXT

from flowpool.errors import CallError, InvalidReply, Truncated
from flowpool.values import HttpResponse, Reply
from flowpool.wire import WIRES

# Of each kind for each wire; `python -m tests.wire.bodies` tries 20,000.
TRIES = 400
DONE = b"\n\ndata: [DONE]\n\n"


def parse(wire: str, body: bytes | dict[str, Any]) -> Reply | CallError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRES[wire].parse(HttpResponse(200, {}, data))


def whole(wire: str) -> dict[str, Any]:
    return deepcopy(BY_WIRE[wire][0].body)


@pytest.mark.parametrize("wire", WIRES)
def test_a_body_with_something_odd_is_read_or_a_typed_failure(wire) -> None:
    wrong = [wrong for seed in range(TRIES) if (wrong := bodies.attempt(wire, seed)[1])]
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_is_read_if_it_came_to_its_end(wire) -> None:
    wrong = [wrong for seed in range(TRIES) if (wrong := bodies.attempt_stream(wire, seed)[1])]
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("after", [DONE, b"\n" + DONE, b"\r\ndata: [DONE]\r\n"])
def test_an_answer_with_a_streams_end_behind_it_is_read(wire, after) -> None:
    reply = parse(wire, json.dumps(whole(wire)).encode() + after)
    assert isinstance(reply, Reply)
    assert reply.text == TEXT


@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire != "gemini"])
def test_a_stream_counts_its_tokens(wire) -> None:
    events = STREAMS[wire][0]([TEXT])
    reply = parse(wire, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
    assert isinstance(reply, Reply)
    assert reply.usage.input_tokens >= 5
    assert reply.usage.output_tokens == 7


def test_an_error_in_the_middle_of_a_stream_is_that_error_with_what_had_come() -> None:
    events: list[Any] = STREAMS["openai-chat"][0]([TEXT])[:2]
    events.append({"error": {"code": 429, "message": "Rate limit exceeded"}})
    error = parse("openai-chat", "".join(f"data: {json.dumps(e)}\n\n" for e in events).encode())
    assert type(error).__name__ == "RateLimited"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("odd", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_a_number_that_json_cant_hold_costs_no_answer(wire, odd) -> None:
    body = json.dumps({**whole(wire), "timings": {"x": "ODD"}}).encode().replace(b'"ODD"', odd)
    reply = parse(wire, body)
    assert isinstance(reply, Reply)
    assert reply.text == TEXT


@pytest.mark.parametrize("wire", WIRES)
def test_raw_control_characters_in_the_text_are_read(wire) -> None:
    body = json.dumps(whole(wire), ensure_ascii=False)
    reply = parse(wire, body.replace("\\t", "\t").replace("\\n", "\n").encode())
    assert isinstance(reply, Reply)
    assert reply.text == TEXT


@pytest.mark.parametrize(
    "harmless",
    [
        {"id": 7},
        {"id": None, "model": ["m"]},
        {"usage": ""},
        {"usage": []},
        {"usage": {"prompt_tokens": 5.5, "completion_tokens": "7", "total_tokens": -1}},
        {"created": "yesterday"},
        {"error": {}, "base_resp": {"status_code": 0, "status_msg": "success"}},
        {"error": {"code": 0, "message": "success"}},
        {"error": False},
    ],
)
def test_no_field_that_isnt_the_answer_costs_the_answer(harmless) -> None:
    reply = parse("openai-chat", whole("openai-chat") | harmless)
    assert isinstance(reply, Reply)
    assert reply.text == TEXT


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": 0},
        {"finish_reason": ""},
        {"finish_reason": {"type": "stop", "matched": 2}},
        {"message": {"content": "Hi", "refusal": False}},
        {"message": {"content": "Hi", "refusal": [], "tool_calls": []}},
        {"message": {"content": {"type": "text", "text": "Hi"}}},
        {"message": {"content": ["H", "i"]}},
        {"message": {"content": [{"type": "output_text", "text": "Hi"}]}},
        {"message": {"content": [{"text": {"value": "Hi", "annotations": []}}]}},
        {"message": [{"content": "Hi"}]},
        {"message": None, "text": "Hi"},
    ],
)
def test_an_answer_is_read_wherever_and_however_it_stands(choice) -> None:
    made = {"message": {"content": "Hi"}, "finish_reason": "stop"} | choice
    for choices in ([made], made):
        reply = parse("openai-chat", {"choices": choices})
        assert isinstance(reply, Reply), reply
        assert reply.text == "Hi"


@pytest.mark.parametrize("piece", [7, True, None, {}, {"type": "text", "text": 7}, {"a": "b"}, []])
def test_an_answer_of_which_a_piece_cant_be_read_is_none(piece) -> None:
    content = [{"type": "text", "text": "It is"}, piece]
    error = parse("openai-chat", {"choices": [{"message": {"content": content}}]})
    assert isinstance(error, InvalidReply)


def test_tokens_are_never_below_0_nor_more_than_a_store_takes() -> None:
    usage = {"prompt_tokens": -5, "completion_tokens": 2**70}
    reply = parse("openai-chat", {**whole("openai-chat"), "usage": usage})
    assert isinstance(reply, Reply)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 2**53)


@pytest.mark.parametrize("reason", [2, "2", "max_tokens"])
def test_geminis_reasons_are_read_as_numbers_too(reason) -> None:
    body = whole("gemini")
    body["candidates"][0]["finishReason"] = reason
    result = parse("gemini", body)
    assert isinstance(result, CallError)
    assert isinstance(result, Truncated) == (reason != "2")


def test_a_body_that_isnt_an_apis_says_so() -> None:
    for body in (b"<html>", b"hello", b"[1, 2]", b'{"hello": 1}', b"data: hello\n\n"):
        error = parse("openai-chat", body)
        assert isinstance(error, InvalidReply)
        assert error.of_setup


@pytest.mark.parametrize("wire", WIRES)
def test_a_long_stream_takes_a_time_that_grows_with_it(wire) -> None:
    # Anything quadratic would take minutes for this.
    pieces = ["a few words " * 8] * 10_000
    events = STREAMS[wire][0](pieces)
    reply = parse(wire, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
    assert isinstance(reply, Reply)
    assert reply.text == "".join(pieces)


def test_a_character_that_was_streamed_in_halves_is_one() -> None:
    events = STREAMS["openai-chat"][0](["a\ud83d", "\ude00b\ud83d"])
    reply = parse("openai-chat", "".join(f"data: {json.dumps(e)}\n\n" for e in events).encode())
    assert isinstance(reply, Reply)
    assert reply.text == "a😀b?"
