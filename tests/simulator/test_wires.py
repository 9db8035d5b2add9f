from __future__ import annotations

import json
from typing import Any

import pytest

from flowpool.errors import InvalidInput
from flowpool.simulator.wires import ServedPath, find_route, fingerprint, parse


def read(wire: Any, body: Any, **route: Any) -> Any:
    return parse(ServedPath(wire, **route), json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/chat/completions", ServedPath("chat")),
        ("/openai/v1/chat/completions?api-version=preview", ServedPath("chat")),
        ("/v1/responses", ServedPath("responses")),
        ("/v1/messages", ServedPath("messages")),
        ("/v1beta/models/gemini-sim:generateContent", ServedPath("gemini", "gemini-sim")),
        ("/v1beta/models/gemini-sim%3AgenerateContent", ServedPath("gemini", "gemini-sim")),
        ("/v1/models/m:streamGenerateContent?alt=sse", ServedPath("gemini", "m", stream=True)),
        ("/v1/models", None),
        ("/v1/embeddings", ServedPath("embeddings")),
        ("/v1beta/models/m:embedContent", ServedPath("gemini-embeddings", "m")),
        ("/v1beta/models/m:batchEmbedContents", ServedPath("gemini-embeddings", "m", many=True)),
        ("/v1beta/models/m:countTokens", None),
        ("/", None),
    ],
)
def test_paths_name_their_wire(path, route) -> None:
    assert find_route(path) == route


def test_chat_is_read_with_its_parts_and_system() -> None:
    request = read(
        "chat",
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "One"},
                {"role": "assistant", "content": None},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Two"},
                        {"type": "image_url", "image_url": {"url": "data:,"}},
                    ],
                },
            ],
            "max_completion_tokens": 7,
            "temperature": 0.5,
        },
    )
    assert (request.system, request.user) == ("Be brief.", "Two")
    assert request.text == "Be brief.\nOne\n\nTwo"
    assert request.max_tokens == 7


def test_every_wire_carries_the_same_question() -> None:
    schema = {"type": "object", "properties": {}}
    shape = {"type": "json_schema", "name": "a", "schema": schema}
    said = [{"role": "user", "content": "Hi"}]
    asked = [
        read(
            "chat",
            {
                "model": "m",
                "messages": [{"role": "system", "content": "Sys"}, *said],
                "max_tokens": 9,
                "response_format": {"type": "json_schema", "json_schema": shape},
            },
        ),
        read(
            "responses",
            {
                "model": "m",
                "input": said,
                "instructions": "Sys",
                "max_output_tokens": 9,
                "text": {"format": shape},
            },
        ),
        read(
            "messages",
            {
                "model": "m",
                "messages": said,
                "system": [{"type": "text", "text": "Sys"}],
                "max_tokens": 9,
                "output_config": {"format": {"type": "json_schema", "schema": schema}},
            },
        ),
        read(
            "gemini",
            {
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                "systemInstruction": {"parts": [{"text": "Sys"}]},
                "generationConfig": {
                    "maxOutputTokens": 9,
                    "responseMimeType": "application/json",
                    "responseJsonSchema": schema,
                },
            },
            model="m",
        ),
    ]
    for request in asked:
        assert (request.model, request.system, request.user) == ("m", "Sys", "Hi")
        assert (request.text, request.max_tokens) == ("Sys\nHi", 9)
        assert (request.schema, request.wants_json) == (schema, True)


def test_a_body_that_cannot_be_read_says_where() -> None:
    with pytest.raises(InvalidInput, match="messages"):
        parse(ServedPath("chat"), b'{"model": "m"}')
    with pytest.raises(InvalidInput, match="can't be read"):
        parse(ServedPath("messages"), b"not json")
    with pytest.raises(InvalidInput, match="no messages"):
        parse(ServedPath("chat"), b'{"model": "m", "messages": []}')


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("chat", {"model": "m", "messages": [{"content": "Hi"}]}),
        ("responses", {"model": "m", "input": "Hi"}),
        ("messages", {"model": "m", "max_tokens": 9, "messages": [{"content": "Hi"}]}),
        ("gemini", {"contents": [{"parts": [{"text": "Hi"}]}]}),
        ("embeddings", {"model": "m", "input": "Hi"}),
        ("gemini-embeddings", {"content": {"parts": [{"text": "Hi"}]}}),
    ],
)
def test_a_field_that_nothing_reads_is_refused_by_name_and_null_is_none(wire, body) -> None:
    assert read(wire, body | {"teleport": None}).text == "Hi"
    with pytest.raises(InvalidInput, match="The simulator doesn't do `teleport`"):
        read(wire, body | {"teleport": True})


def test_googles_names_are_read_in_both_ways_and_those_of_schemas_left() -> None:
    schema = {"type": "object", "properties": {"first_name": {"type": "string"}}}
    config = {"max_output_tokens": 7, "response_json_schema": schema}
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generation_config": config}
    request = read("gemini", body, model="m")
    assert (request.max_tokens, request.schema) == (7, schema)


def test_a_conversation_knows_which_tools_were_called_since_the_user_spoke() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "It rains."},
    ]
    request = read("chat", {"model": "m", "messages": messages})
    assert (request.user, request.called, request.results) == ("One", ("look",), "It rains.")
    assert (request.answers, request.worded) == (1, False)
    messages += [{"role": "assistant", "content": "Rain."}, {"role": "user", "content": "Two"}]
    request = read("chat", {"model": "m", "messages": messages})
    assert (request.user, request.called, request.results) == ("Two", (), "")
    assert (request.answers, request.worded) == (2, True)


def test_a_keys_fingerprint_is_the_same_in_every_header_and_hides_it() -> None:
    names = ("x-api-key", "api-key", "X-Goog-Api-Key")
    prints = {fingerprint([(name, "key-canary")]) for name in names}
    prints.add(fingerprint([("accept", "*/*"), ("Authorization", "Bearer key-canary")]))
    assert len(prints) == 1
    assert "canary" not in prints.pop()
    assert fingerprint([("accept", "*/*")]) == "none"
