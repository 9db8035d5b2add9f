"""Prompts and answers as spans hold them."""

from __future__ import annotations

import msgspec

from flowpool.tracing import content
from flowpool.values import Media, Message, Text

MESSAGES = (
    Message("system", (Text("Be brief."),)),
    Message(
        "user",
        (Text("Who?"), Media("image/png", data="AAAA"), Media("image/png", url="https://h/a")),
    ),
)


def test_system_messages_stand_apart() -> None:
    said = content.system_instructions(MESSAGES)
    assert said is not None
    assert msgspec.json.decode(said) == [{"type": "text", "content": "Be brief."}]
    assert content.system_instructions(MESSAGES[1:]) is None


def test_pictures_are_named_and_their_bytes_left_out() -> None:
    (message,) = msgspec.json.decode(content.input_messages(MESSAGES))
    assert message["role"] == "user"
    assert message["parts"] == [
        {"type": "text", "content": "Who?"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        {"type": "uri", "modality": "image", "uri": "https://h/a"},
    ]


def test_an_answer_is_one_message() -> None:
    (message,) = msgspec.json.decode(content.output_messages("Ada."))
    assert message["parts"] == [{"type": "text", "content": "Ada."}]
