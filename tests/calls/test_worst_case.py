"""The most that a call can use, before it is sent: bounds that hold, or a refusal."""

from __future__ import annotations

import pytest

from flowpool.calls.worst_case import is_free, most_input, most_output, unbounded
from flowpool.errors import (
    AddressRefused,
    AttemptTimeout,
    BodyCut,
    ConnectFailed,
    ConnectionReset,
    ConnectTimeout,
    InvalidInput,
    InvalidReply,
    RateLimited,
    ServerError,
)
from flowpool.values import Media, Message, Text


def said(*parts: Text | Media) -> tuple[Message, ...]:
    return (Message("user", parts),)


def test_text_is_at_most_a_token_a_byte_and_the_template() -> None:
    body = '{"content":"日本語"}'.encode()
    assert most_input(body, said(Text("日本語")), "openai", "m", None) == len(body) + 200


@pytest.mark.parametrize(
    "body",
    [b'{"tools":[]}', b'{"json_schema":{}}', b'{"response_format":{}}', b'{"form":"schema"}'],
)
def test_tools_and_a_form_of_the_answer_bring_instructions_of_the_providers(body) -> None:
    assert most_input(body, (), "anthropic", "m", None) == len(body) + 200 + 1500


@pytest.mark.parametrize(
    ("provider", "model", "most"),
    [
        ("anthropic", "claude-x", 5_500),
        ("openai", "gpt-5", 20_000),
        ("openai", "gpt-4o-mini", 50_000),
    ],
)
def test_a_picture_counts_by_its_pixels_at_most_not_by_its_bytes(provider, model, most) -> None:
    picture = Media("image/png", "A" * 1_000_000)
    body = b'{"data":"' + picture.data.encode() + b'"}'
    bound = most_input(body, said(Text("x"), picture), provider, model, None)
    assert bound == most + 200 + len(b'{"data":""}')


def test_a_document_is_at_most_what_the_model_can_read() -> None:
    document = Media("application/pdf", "A" * 1000)
    assert most_input(b"A" * 1000, said(document), "anthropic", "m", 200_000) == 200_200
    with pytest.raises(InvalidInput, match="nobody can say before the call what application/pdf"):
        most_input(b"A" * 1000, said(document), "custom", "m", None)


def test_a_text_file_is_its_bytes_which_are_in_the_request() -> None:
    file = Media("text/csv", "A" * 1000)
    assert most_input(b"A" * 1000, said(file), "anthropic", "m", None) == 1200
    at_an_address = Media("text/csv", url="https://files.test/a.csv")
    assert most_input(b"A" * 1000, said(at_an_address), "anthropic", "m", 200_000) == 201_200


@pytest.mark.parametrize("kind", ["audio/wav", "video/mp4"])
def test_sound_and_pictures_that_move_have_no_bound(kind) -> None:
    with pytest.raises(InvalidInput, match=kind):
        most_input(b"", said(Media(kind, "A")), "openai", "m", 100_000)


def test_every_part_of_every_message_counts() -> None:
    picture = Media("image/png", "A")
    messages = (*said(picture, Text("x"), picture), *said(picture))
    assert most_input(b"AAA", messages, "openai", "m", None) == 3 * 20_000 + 200


def test_the_output_is_bounded_by_the_options_under_whatever_name_and_for_every_choice() -> None:
    assert most_output({"max_tokens": 100}, "openai-chat") == 100
    assert most_output({"max_completion_tokens": 90, "max_tokens": 100}, "openai-chat") == 100
    assert most_output({"generationConfig": {"maxOutputTokens": 70}}, "gemini") == 70
    assert most_output({"max_tokens": 100, "n": 3}, "openai-chat") == 300
    assert most_output({"max_tokens": 100, "n": 1}, "openai-chat") == 100
    assert most_output({"max_tokens": 100, "best_of": 4, "n": 3}, "openai-chat") == 400
    config = {"maxOutputTokens": 70, "candidateCount": 2}
    assert most_output({"generationConfig": config, "max_tokens": 30}, "gemini") == 140
    assert most_output({"max_tokens": 1}, "openai-chat") == 1
    assert most_output({}, "anthropic") == 4096  # what its wire asks for
    assert most_output({"max_tokens": 5}, "anthropic") == 5
    assert most_output({"temperature": 0}, "openai-chat") is None


@pytest.mark.parametrize("value", [0, -5, True, "100", 100.0, None])
def test_what_is_no_number_of_tokens_bounds_nothing(value) -> None:
    assert most_output({"max_tokens": value}, "openai-chat") is None
    assert most_output({"max_tokens": 100, "n": value}, "openai-chat") == 100
    assert most_output({"generationConfig": value, "max_tokens": 100}, "gemini") == 100


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools that the provider runs"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools that the provider runs",
        ),
        ({"tools": [{"googleSearch": {}}]}, "tools that the provider runs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, ""),
        ({"tools": [{"name": "f", "input_schema": {}}]}, ""),
        ({"tools": [{"functionDeclarations": []}]}, ""),
        ({"tools": [{"type": "custom", "name": "f"}]}, ""),
        ({"tools": [{"name": "f"}, {"type": "web_search"}]}, "tools that the provider runs"),
        ({"tools": ["f"]}, ""),
        ({"tools": None}, ""),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"plugins": []}, ""),
        ({"serviceTier": "priority"}, "serviceTier='priority'"),
        ({"speed": "standard"}, ""),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"service_tier": "priority"}, "service_tier='priority'"),
        ({"service_tier": "flex"}, ""),
        ({"speed": "fast"}, "speed='fast'"),
        ({"max_tokens": 5, "temperature": 1.0}, ""),
    ],
)
def test_an_option_that_makes_the_price_unknown_is_named(options, why) -> None:
    assert unbounded(options, prices_known=False) == why


def test_with_told_prices_a_dearer_tier_is_the_tellers_business() -> None:
    assert unbounded({"service_tier": "priority", "speed": "fast"}, prices_known=True) == ""


@pytest.mark.parametrize(
    ("error", "status", "free"),
    [
        (ConnectFailed("x"), None, True),
        (ConnectTimeout("x"), None, True),
        (AddressRefused("x"), None, True),
        (ConnectionReset("x"), None, False),
        (AttemptTimeout("x"), None, False),
        (BodyCut("x"), None, False),
        (RateLimited("x"), 429, True),
        (ServerError("x"), 500, True),
        # A gateway gave up on an answer that may come.
        *((ServerError("x"), status, False) for status in (408, 499, 502, 504, 520, 524, 527)),
        *((ServerError("x"), status, True) for status in (409, 503, 519, 528)),
        (InvalidReply("x"), 200, False),
        (InvalidReply("x"), 299, False),
        (InvalidReply("x"), 300, True),
        (InvalidReply("x"), None, False),
    ],
)
def test_a_failed_call_is_free_only_where_nothing_can_have_been_made(error, status, free) -> None:
    assert is_free(error, status) is free
