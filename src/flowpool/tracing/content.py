"""Prompts and answers in the form that the conventions give them. Used only where content was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import json

from flowpool.values import Media, Message, Part, Text


def system_instructions(messages: Iterable[Message]) -> str | None:
    parts = [
        _part(part) for message in messages if message.role == "system" for part in message.parts
    ]
    return json.encode(parts).decode() if parts else None


def input_messages(messages: Iterable[Message]) -> str:
    said = [
        {"role": message.role, "parts": [_part(part) for part in message.parts]}
        for message in messages
        if message.role != "system"
    ]
    return json.encode(said).decode()


def output_messages(text: str) -> str:
    parts = [{"type": "text", "content": text}]
    return json.encode([{"role": "assistant", "parts": parts, "finish_reason": "stop"}]).decode()


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "content": part.text}
    assert isinstance(part, Media)
    modality = part.media_type.partition("/")[0] or "file"
    if part.url:
        return {"type": "uri", "modality": modality, "uri": part.url}
    # A document's bytes would burst a span.
    return {"type": "blob", "modality": modality, "mime_type": part.media_type, "content": ""}
