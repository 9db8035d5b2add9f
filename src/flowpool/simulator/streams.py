"""Server-sent events for clients that ask to stream: a whole answer as the shortest valid stream.

Pure functions of an answer's body as it stands when it isn't streamed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowpool.simulator.provider import SimRequest

_encode = msgspec.json.encode
Body = dict[str, Any]


def stream(request: SimRequest, body: Body) -> bytes:
    """The answer `body` as the events of the request's wire."""
    if request.wire == "chat":
        return _chat(body, with_usage=request.stream_usage)
    if request.wire == "responses":
        return b"".join(_named(event) for event in _responses(body))
    if request.wire == "messages":
        return b"".join(_named(event) for event in _messages(body))
    return _data(body)


def _data(event: Body) -> bytes:
    return b"data: " + _encode(event) + b"\n\n"


def _named(event: Body) -> bytes:
    return f"event: {event['type']}\n".encode() + _data(event)


def _chat(body: Body, *, with_usage: bool) -> bytes:
    base = {key: body[key] for key in ("id", "created", "model")}
    base["object"] = "chat.completion.chunk"
    chunks = []
    for choice in body["choices"]:
        message = {key: value for key, value in choice["message"].items() if value is not None}
        begun = {"index": 0, "delta": message, "finish_reason": None}
        ended = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks += [base | {"choices": [begun]}, base | {"choices": [ended]}]
    if with_usage:
        chunks.append(base | {"choices": [], "usage": body["usage"]})
    return b"".join(map(_data, chunks)) + b"data: [DONE]\n\n"


def _responses(body: Body) -> list[Body]:
    running = body | {"status": "in_progress", "output": [], "usage": None}
    events: list[Body] = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
    ]
    for item in body["output"]:
        events += _responses_item(item)
    events.append({"type": f"response.{body['status']}", "response": body})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def _responses_item(item: Body) -> list[Body]:
    part = item["content"][0]
    name = "refusal" if part["type"] == "refusal" else "text"
    kind = "refusal" if name == "refusal" else "output_text"
    text = part[name]
    at: Body = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    extra: Body = {"logprobs": []} if name == "text" else {}
    opened = item | {"status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.content_part.added", **at, "part": part | {name: ""}},
        {"type": f"response.{kind}.delta", **at, **extra, "delta": text},
        {"type": f"response.{kind}.done", **at, **extra, name: text},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def _messages(body: Body) -> list[Body]:
    usage = body["usage"]
    opened = body | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    events: list[Body] = [{"type": "message_start", "message": opened}]
    for index, block in enumerate(body["content"]):
        if block["type"] == "tool_use":
            empty = block | {"input": {}}
            words = _encode(block["input"]).decode()
            delta = {"type": "input_json_delta", "partial_json": words}
        else:
            empty = block | {"text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        events += [
            {"type": "content_block_start", "index": index, "content_block": empty},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    ending = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": usage})
    return [*events, {"type": "message_stop"}]
