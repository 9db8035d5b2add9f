"""What the simulator's wires share: bodies read strictly, conversations, tools, and an answer's tokens.

A field that nothing here reads is refused rather than ignored: who tests against the simulator would take its
answer for what the field asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.simulator.plan import SimTool, ToolUse

B = TypeVar("B", bound=Struct)
# A sampling knob, a label or a hint: it is taken, and changes nothing in an answer that is always the same.
Taken = Any
MOST_CHOICES = 128
MOST_LOGPROBS = 20
_USES: dict[str | None, ToolUse] = {
    None: "auto",
    "auto": "auto",
    "required": "required",
    "any": "required",
    "none": "none",
}
# What else a token might have been.
_OTHERS = (" the", " a", " of", " and", " to", " in", " is", " it", " for", " on", " as", " by", " at",
           " or", " an", " be", " we", " no", " so", " up")  # fmt: skip


class Turn(Struct):
    """One message: `calls` are the tools that the model calls in it."""

    role: str
    text: str
    calls: tuple[str, ...] = ()


def read_body(decoder: msgspec.json.Decoder[B], body: bytes) -> B:
    """A request's body. Raises `InvalidInput` that names the fields that the simulator knows nothing of."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        given = msgspec.json.decode(body)
        if not isinstance(given, dict):
            raise
        asked = {name: value for name, value in given.items() if value is not None}
        unknown = asked.keys() - {f.encode_name for f in msgspec.structs.fields(decoder.type)}
        if unknown:
            raise NotDone(*sorted(unknown)) from None
        return msgspec.convert(asked, decoder.type)


class NotDone(InvalidInput):
    """A request asks for what the simulator doesn't do. `what`: in the request's own names."""

    def __init__(self, *what: str) -> None:
        names = ", ".join(f"`{one}`" for one in what)
        super().__init__(
            f"The simulator doesn't do {names}: leave it out, or ask the provider itself."
        )
        self.what = what


def is_json(name: str, shape: Mapping[str, Any]) -> bool:
    """Whether an answer in this format is JSON. name: the field's that asks for it; raises `NotDone` for others."""
    kind: str = shape.get("type", "text")
    if kind not in ("text", "json_object", "json_schema"):
        raise NotDone(f"{name} {kind}")
    return kind != "text"


def conversation(turns: Iterable[Turn]) -> dict[str, Any]:
    """What a request says: the system's words, the user's first and last message, what tools gave, all in order."""
    texts: list[str] = []
    rules: list[str] = []
    users: list[str] = []
    called: list[str] = []
    results: list[str] = []
    answers, worded = 0, False
    for turn in turns:
        texts.append(turn.text)
        if turn.role in ("system", "developer"):
            rules.append(turn.text)
        elif turn.role == "user":
            users.append(turn.text)
            called, results = [], []
        elif turn.role == "tool":
            results.append(turn.text)
        else:
            answers += 1
            called += turn.calls
            worded = not turn.calls
    return {
        "system": "\n".join(rules),
        "user": users[-1] if users else "",
        "first": users[0] if users else "",
        "answers": answers,
        "called": tuple(called),
        "worded": worded,
        "results": "\n".join(results),
        "text": "\n".join(texts),
    }


def need_messages(messages: Sequence[Any]) -> None:
    if not messages:
        raise InvalidInput("The request has no messages.")


def named_use(choice: str | None) -> ToolUse:
    """What OpenAI's `tool_choice` says as a word; Mistral's `any` is `required`."""
    if choice not in _USES:
        raise NotDone(f"tool_choice {choice}")
    return _USES[choice]


def chosen_tools(
    tools: tuple[SimTool, ...], use: ToolUse, names: Iterable[str] = ()
) -> dict[str, Any]:
    """Which tools may be called, all or those of `names`, and whether one must be."""
    wanted = tuple(names)
    known = {tool.name for tool in tools}
    for name in wanted:
        if name not in known:
            raise InvalidInput(f"tool_choice: there is no tool {name!r} in the request's tools.")
    if use == "required" and not tools:
        raise InvalidInput("tool_choice: a tool must be called, and the request has no tools.")
    if wanted:
        tools = tuple(tool for tool in tools if tool.name in wanted)
    return {"tools": tools, "tool_use": use}


def counted(name: str, value: int | None, most: int, least: int = 1) -> int | None:
    """A number that is asked for; raises `InvalidInput` where there is no such many."""
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"`{name}` is {value}: use {least} to {most}.")
    return value


def as_texts(value: str | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def as_object(text: str) -> dict[str, Any]:
    """A tool's arguments for wires that have them as an object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"answer": value}


def likely_tokens(text: str, others: int) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """Each token of a text with its log probability, and so many likely ones: itself, then others."""
    found = []
    for at in range(0, len(text), 4):
        token = text[at : at + 4]
        drawn = blake2b(f"{at} {token}".encode("utf-8", "replace"), digest_size=2).digest()
        mine = -int.from_bytes(drawn) / 2**17
        beside = [other for other in _OTHERS if other != token][: others - 1]
        near = [(token, mine), *((o, mine - 2 - n) for n, o in enumerate(beside))]
        found.append((token, mine, near[:others]))
    return found


def openai_logprobs(text: str, others: int) -> list[dict[str, Any]]:
    """The tokens of a text as both of OpenAI's APIs have them."""
    return [
        _openai_token(token, mine) | {"top_logprobs": [_openai_token(*one) for one in near]}
        for token, mine, near in likely_tokens(text, others)
    ]


def _openai_token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def encoded(event: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def named_event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + encoded(event)
