"""System messages, and how servers say that a model knows none: its words then go into the user's message."""

from __future__ import annotations

from flowpool.errors import BadRequest, CallError
from flowpool.values import Message, Text

# One of these stands in the words of a server that takes no system message: of chat templates, and of APIs.
REFUSALS = (
    *("system role not supported", "system role is not supported", "does not support 'system'"),
    *("system messages are not supported", "system message is not supported"),
    *(
        "system prompt is not supported",
        "roles must alternate",
        "developer instruction is not enabled",
    ),
    *("system instruction is not enabled", "system instruction is not supported"),
    *("only user and assistant roles are supported", "does not support system"),
)


def refuses_system(error: CallError, said: tuple[Message, ...]) -> bool:
    """Whether a server won't have a call for its system message."""
    if not isinstance(error, BadRequest) or all(message.role != "system" for message in said):
        return False
    words = error.message.lower()
    return any(phrase in words for phrase in REFUSALS)


def without_system(said: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with the system's words in front of the first of the user's."""
    words = [
        part.text
        for message in said
        for part in message.parts
        if message.role == "system" and isinstance(part, Text)
    ]
    others = [message for message in said if message.role != "system"]
    at = next((at for at, message in enumerate(others) if message.role == "user"), 0)
    if not others or others[at].role != "user":
        others.insert(at, Message("user", ()))
    first, *rest = others[at].parts or (Text(""),)
    if isinstance(first, Text):
        words.append(first.text)
    else:
        rest.insert(0, first)
    text = Text("\n\n".join(filter(None, words)))
    others[at] = Message("user", (text, *rest))
    return tuple(others)
