"""Models that know no system message: how their servers say it, and where its words go."""

from __future__ import annotations

import pytest

from flowpool.errors import BadRequest, CallError
from flowpool.values import HttpResponse, Media, Message, Text
from flowpool.wire import WIRES
from flowpool.wire.system_message import refuses_system, without_system

SYSTEM = Message("system", (Text("Be brief."),))
USER = Message("user", (Text("Hi"),))
ANSWER = Message("assistant", (Text("Ho"),))
PICTURE = Media("image/png", "AAAA")
REFUSALS = [
    (400, "System role not supported"),
    (500, "Jinja Exception: System role not supported at row 1, column 52"),
    (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
    (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
]


@pytest.mark.parametrize(("status", "words"), REFUSALS)
def test_a_refused_system_message_is_known_by_its_words(status: int, words: str) -> None:
    body = b'{"error": {"message": "%s"}}' % words.encode()
    error = WIRES["openai-chat"].parse(HttpResponse(status, {}, body))
    assert isinstance(error, CallError)
    assert refuses_system(error, (SYSTEM, USER))
    assert not refuses_system(error, (USER,))
    assert not refuses_system(BadRequest("The prompt is too long."), (SYSTEM, USER))


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ((SYSTEM, USER), (Message("user", (Text("Be brief.\n\nHi"),)),)),
        ((USER, SYSTEM, ANSWER), (Message("user", (Text("Be brief.\n\nHi"),)), ANSWER)),
        (
            (SYSTEM, Message("user", (PICTURE, Text("What?")))),
            (Message("user", (Text("Be brief."), PICTURE, Text("What?"))),),
        ),
        ((SYSTEM,), (Message("user", (Text("Be brief."),)),)),
        ((SYSTEM, ANSWER), (Message("user", (Text("Be brief."),)), ANSWER)),
        ((USER, ANSWER), (USER, ANSWER)),
    ],
)
def test_its_words_go_in_front_of_the_users(said, instead) -> None:
    assert without_system(said) == instead
