"""Anthropic's messages."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.simulator.plan import ReplyPlan, ServedAnswer, SimRequest, SimTool, Thinking, ToolUse
from flowpool.simulator.wires.reading import (
    NotDone,
    Taken,
    Turn,
    as_object,
    as_texts,
    chosen_tools,
    conversation,
    named_event,
    need_messages,
    read_body,
)

_STOPS = {"length": "max_tokens", "filter": "refusal", "refusal": "refusal"}
_TOOL_USES: dict[str, ToolUse] = {
    "auto": "auto",
    "any": "required",
    "tool": "required",
    "none": "none",
}
_LEAST_THINKING = 1024


class _Block(Struct):
    type: str = "text"
    text: str | None = None
    name: str = ""
    content: str | list[_Block] | None = None


_Content = str | list[_Block] | None


class _Message(Struct):
    role: str = "user"
    content: _Content = None


class _Tool(Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class _Choice(Struct):
    type: str
    name: str = ""


class _Thinking(Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(Struct):
    format: dict[str, Any] | None = None


class _Body(Struct, forbid_unknown_fields=True):
    model: str
    max_tokens: int
    messages: list[_Message]
    system: _Content = None
    output_config: _OutputConfig | None = None
    output_format: dict[str, Any] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Taken = None
    top_p: Taken = None
    top_k: Taken = None
    metadata: Taken = None
    service_tier: Taken = None
    inference_geo: Taken = None
    cache_control: Taken = None
    speed: Taken = None


_decoder = msgspec.json.Decoder(_Body)


def parse(route: Any, body: bytes) -> SimRequest:
    """What a body asks for; raises `InvalidInput` for what the simulator doesn't do."""
    asked = read_body(_decoder, body)
    need_messages(asked.messages)
    turns = [Turn("system", words)] if (words := _words(asked.system)) else []
    for message in asked.messages:
        turns += _turns(message)
    config = asked.output_config or _OutputConfig()
    schema = (config.format or asked.output_format or {}).get("schema")
    tools = _tools(asked)
    return SimRequest(
        wire="messages",
        model=asked.model,
        **conversation(turns),
        **tools,
        max_tokens=asked.max_tokens,
        wants_json=schema is not None,
        schema=schema,
        thinking=_thinking(asked, tools["tool_use"]),
        stops=as_texts(asked.stop_sequences),
        stream=bool(asked.stream),
    )


def _turns(message: _Message) -> list[Turn]:
    """A message's turns: what tools gave comes in the user's message, before the user's words."""
    blocks = message.content if isinstance(message.content, list) else []
    if message.role == "assistant":
        calls = tuple(block.name for block in blocks if block.type == "tool_use")
        return [Turn("assistant", _words(message.content), calls)]
    given = [_words(block.content) for block in blocks if block.type == "tool_result"]
    words = _words(message.content)
    turns = [Turn("tool", "\n".join(given))] if given else []
    return [*turns, Turn(message.role, words)] if words or not given else turns


def _words(content: _Content) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(block.text for block in content if block.text)


def _tools(asked: _Body) -> dict[str, Any]:
    tools = []
    for tool in asked.tools or ():
        if tool.type not in (None, "custom") or tool.input_schema is None:
            raise NotDone(f"the tool {tool.type or tool.name}")
        tools.append(SimTool(tool.name, tool.description or "", tool.input_schema))
    choice = asked.tool_choice or _Choice("auto")
    if choice.type not in _TOOL_USES:
        raise NotDone(f"tool_choice {choice.type}")
    names = [choice.name] if choice.type == "tool" else []
    return chosen_tools(tuple(tools), _TOOL_USES[choice.type], names)


def _thinking(asked: _Body, use: ToolUse) -> Thinking | None:
    thinking = asked.thinking
    if thinking is None or thinking.type == "disabled":
        return None
    if thinking.type == "enabled":
        budget = thinking.budget_tokens or 0
        if not _LEAST_THINKING <= budget < asked.max_tokens:
            raise InvalidInput(
                f"thinking.budget_tokens is {budget}: use {_LEAST_THINKING} or more, and less than max_tokens."
            )
    elif thinking.type != "adaptive":
        raise NotDone(f"thinking {thinking.type}")
    if use == "required":
        raise InvalidInput("Thinking may not be enabled when tool_choice forces tool use.")
    return Thinking(shown=thinking.display != "omitted")


def body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """An answer as it stands when it isn't streamed."""
    stop = _STOPS.get(answer.finish, "end_turn")
    if answer.finish == "stop" and (answer.tool or answer.stop):
        stop = "tool_use" if answer.tool else "stop_sequence"
    return {
        "id": f"msg_{plan.ticket}",
        "type": "message",
        "role": "assistant",
        "model": plan.request.model,
        "content": [] if plan.shape == "empty" else _content(plan, answer),
        "stop_reason": stop,
        "stop_sequence": answer.stop or None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answer.output_tokens,
        },
    }


def _content(plan: ReplyPlan, answer: ServedAnswer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    thinking = plan.request.thinking
    if thinking is not None:
        thought = answer.thought if thinking.shown else ""
        signature = f"sim-{plan.digest}"
        blocks.append({"type": "thinking", "thinking": thought, "signature": signature})
    if not answer.tool:
        return [*blocks, {"type": "text", "text": answer.text}]
    # Arguments that were cut are no object, and left out.
    given = {} if answer.finish == "length" else as_object(answer.text)
    call = {"type": "tool_use", "id": f"toolu_{plan.ticket}", "name": answer.tool, "input": given}
    return [*blocks, call]


def events(request: SimRequest, body: dict[str, Any]) -> bytes:
    """The answer `body` as the shortest valid stream."""
    usage = body["usage"]
    opened = body | {"content": [], "stop_reason": None, "stop_sequence": None}
    opened["usage"] = usage | {"output_tokens": 1}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": opened}]
    for index, block in enumerate(body["content"]):
        empty, deltas = _BLOCKS[block["type"]](block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        for delta in deltas:
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    ending = {name: body[name] for name in ("stop_reason", "stop_sequence")}
    events.append({"type": "message_delta", "delta": ending, "usage": usage})
    return b"".join(map(named_event, [*events, {"type": "message_stop"}]))


_Opened = tuple[dict[str, Any], list[dict[str, Any]]]


def _text_events(block: dict[str, Any]) -> _Opened:
    return block | {"text": ""}, [{"type": "text_delta", "text": block["text"]}]


def _tool_events(block: dict[str, Any]) -> _Opened:
    words = msgspec.json.encode(block["input"]).decode()
    return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": words}]


def _thinking_events(block: dict[str, Any]) -> _Opened:
    deltas = [
        {"type": "thinking_delta", "thinking": block["thinking"]},
        {"type": "signature_delta", "signature": block["signature"]},
    ]
    return block | {"thinking": "", "signature": ""}, deltas


_BLOCKS = {"text": _text_events, "tool_use": _tool_events, "thinking": _thinking_events}
