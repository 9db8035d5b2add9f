"""The most that a call can use, before it is sent: bounds that hold, or a refusal."""

from __future__ import annotations

import pytest

from flowpool.calls.worst_case import is_free, most_input, most_output, unbounded
from flowpool.errors import (
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


def test_tools_and_a_form_of_the_answer_bring_instructions_of_the_providers() -> None:
    assert most_input(b'{"tools":[]}', (), "anthropic", "m", None) > 1500


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


def test_sound_has_no_bound() -> None:
    with pytest.raises(InvalidInput, match="audio/wav"):
        most_input(b"", said(Media("audio/wav", "A")), "openai", "m", 100_000)


def test_the_output_is_bounded_by_the_options_under_whatever_name_and_for_every_choice() -> None:
    assert most_output({"max_tokens": 100}, "openai-chat") == 100
    assert most_output({"max_completion_tokens": 90, "max_tokens": 100}, "openai-chat") == 100
    assert most_output({"generationConfig": {"maxOutputTokens": 70}}, "gemini") == 70
    assert most_output({"max_tokens": 100, "n": 3}, "openai-chat") == 300
    assert most_output({}, "anthropic") == 4096  # what its wire asks for
    assert most_output({"temperature": 0}, "openai-chat") is None


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
    assert unbounded({"service_tier": "priority"}, prices_known=True) == ""


@pytest.mark.parametrize(
    ("error", "status", "free"),
    [
        (ConnectFailed("x"), None, True),
        (ConnectTimeout("x"), None, True),
        (ConnectionReset("x"), None, False),
        (AttemptTimeout("x"), None, False),
        (BodyCut("x"), None, False),
        (RateLimited("x"), 429, True),
        (ServerError("x"), 500, True),
        (ServerError("x"), 504, False),  # a gateway gave up on an answer that may come
        (InvalidReply("x"), 200, False),
    ],
)
def test_a_failed_call_is_free_only_where_nothing_can_have_been_made(error, status, free) -> None:
    assert is_free(error, status) is free
