"""What the wires share in asking for JSON: the words for providers that can't enforce it, and how a refusal looks.

The schemas that those take that can are made in `dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import json

from flowpool.errors import BadRequest, CallError
from flowpool.values import Call, OutputFormat, Text

PLAIN_JSON = "Answer with one JSON value and nothing else."

# One of these stands in the words of a server that refuses a format.
_FORMAT_WORDS = (
    *("response_format", "responseformat", "json_schema", "jsonschema", "json_object", "json mode"),
    *("output_config", "output_format", "responsemimetype", "response_mime_type", "text.format"),
    *("response format", "output format", "structured_output", "structured output", "schema"),
    *("guided", "grammar", "tool_choice"),
)


def schema_of(output: OutputFormat | None) -> Mapping[str, Any] | None:
    """The schema that the answer must fit, or None when any JSON, or no JSON, is asked for."""
    return output.schema if output is not None and output.kind == "json_schema" else None


def in_words(schema: Mapping[str, Any] | None) -> str:
    """The instruction for a model whose provider can't enforce the format."""
    if schema is None:
        return PLAIN_JSON
    return f"{PLAIN_JSON} It must fit this JSON Schema:\n{json.encode(schema).decode()}"


def refuses_format(error: CallError, output: OutputFormat | None) -> bool:
    """Whether a server won't have a call for the way in which it asks for its format."""
    if output is None or output.form == "words" or not isinstance(error, BadRequest):
        return False
    said = error.message.lower()
    return error.status in (400, 422) and any(word in said for word in _FORMAT_WORDS)


def say(messages: list[dict[str, Any]], words: str, part_type: str = "text") -> None:
    """Puts `words` where instructions stand: into the system's message, else into the first of the user's.

    A message of its own would be refused by servers whose template knows none.
    part_type: what the wire calls a part of a message that is text.
    """
    system = next((one for one in messages if one["role"] == "system"), None)
    said = system or next((one for one in messages if one["role"] == "user"), None)
    if said is None:
        messages.insert(0, {"role": "user", "content": words})
    elif isinstance(said["content"], str):
        parts = (said["content"], words) if system else (words, said["content"])
        said["content"] = "\n\n".join(parts)
    else:
        part = {"type": part_type, "text": words}
        said["content"] = [*said["content"], part] if system else [part, *said["content"]]


def says_json(call: Call) -> bool:
    """Whether a message speaks of JSON: OpenAI's plain JSON mode refuses calls where none does."""
    return any(
        isinstance(part, Text) and ("JSON" in part.text or "json" in part.text)
        for message in call.messages
        for part in message.parts
    )
