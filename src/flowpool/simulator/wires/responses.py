"""OpenAI's responses."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from flowpool.errors import InvalidInput
from flowpool.simulator.plan import (
    ReplyPlan,
    ServedAnswer,
    SimRequest,
    SimTool,
    Thinking,
    tokens_of,
)
from flowpool.simulator.wires.reading import (
    MOST_LOGPROBS,
    NotDone,
    Taken,
    Turn,
    chosen_tools,
    conversation,
    counted,
    is_json,
    named_event,
    named_use,
    need_messages,
    openai_logprobs,
    read_body,
)

_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")


class _Part(Struct):
    text: str | None = None


class _Item(Struct):
    """A message, a call of a tool, or what it gave."""

    type: str = "message"
    role: str = ""
    content: str | list[_Part] | None = None
    name: str = ""
    output: str | list[_Part] | None = None


class _Tool(Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Choice(Struct):
    """A `tool_choice` that is an object."""

    type: str
    name: str = ""
    mode: str = "auto"
    tools: list[_Tool] = []


class _Reasoning(Struct):
    effort: str | None = None
    summary: str | None = None


class _Body(Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    text: dict[str, Any] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    reasoning: _Reasoning | None = None
    stream: bool | None = None
    background: bool | None = None
    # Never more than one call at a time is made.
    parallel_tool_calls: Taken = None
    max_tool_calls: Taken = None
    stream_options: Taken = None
    temperature: Taken = None
    top_p: Taken = None
    user: Taken = None
    metadata: Taken = None
    store: Taken = None
    service_tier: Taken = None
    safety_identifier: Taken = None
    prompt_cache_key: Taken = None
    prompt_cache_options: Taken = None
    prompt_cache_retention: Taken = None
    truncation: Taken = None


_decoder = msgspec.json.Decoder(_Body)


def parse(route: Any, body: bytes) -> SimRequest:
    """What a body asks for; raises `InvalidInput` for what the simulator doesn't do."""
    asked = read_body(_decoder, body)
    need_messages(asked.input)
    if asked.background:
        raise NotDone("background")
    for name in asked.include or ():
        if name not in _INCLUDED:
            raise NotDone(f"include {name}")
    shape = (asked.text or {}).get("format") or {}
    wants_json = is_json("text.format", shape)
    near = counted("top_logprobs", asked.top_logprobs, MOST_LOGPROBS, 0)
    wants_logprobs = near or _LOGPROBS in (asked.include or ())
    return SimRequest(
        wire="responses",
        model=asked.model,
        **conversation(_turns(asked)),
        **_tools(asked),
        max_tokens=asked.max_output_tokens,
        wants_json=wants_json,
        schema=shape.get("schema"),
        thinking=_thinking(asked.reasoning),
        logprobs=near or 0 if wants_logprobs else None,
        stream=bool(asked.stream),
    )


def _turns(asked: _Body) -> list[Turn]:
    turns = [Turn("system", asked.instructions)] if asked.instructions else []
    if isinstance(asked.input, str):
        return [*turns, Turn("user", asked.input)]
    for item in asked.input:
        if item.type == "message":
            turns.append(Turn(item.role or "user", _words(item.content)))
        elif item.type == "function_call":
            turns.append(Turn("assistant", "", (item.name,)))
        elif item.type == "function_call_output":
            turns.append(Turn("tool", _words(item.output)))
        elif item.type != "reasoning":
            raise NotDone(f"input of type {item.type}")
    return turns


def _words(content: str | list[_Part] | None) -> str:
    if isinstance(content, list):
        return "\n".join(part.text for part in content if part.text)
    return content or ""


def _tools(asked: _Body) -> dict[str, Any]:
    for tool in asked.tools or ():
        if tool.type != "function":
            raise NotDone(f"the tool {tool.type}")
    tools = tuple(
        SimTool(tool.name, tool.description or "", tool.parameters or {})
        for tool in asked.tools or ()
    )
    choice = asked.tool_choice
    if choice is None or isinstance(choice, str):
        return chosen_tools(tools, named_use(choice))
    if choice.type == "allowed_tools":
        must = choice.mode == "required"
        names = [tool.name for tool in choice.tools]
        return chosen_tools(tools, "required" if must else "auto", names)
    if choice.type != "function":
        raise InvalidInput(f"tool_choice: the simulator has no tool of type {choice.type!r}.")
    return chosen_tools(tools, "required", [choice.name])


def _thinking(reasoning: _Reasoning | None) -> Thinking | None:
    if reasoning is None or (reasoning.effort in (None, "none") and not reasoning.summary):
        return None
    return Thinking(shown=reasoning.summary is not None)


def body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """An answer as it stands when it isn't streamed."""
    whole = answer.finish in ("stop", "refusal")
    reason = "max_output_tokens" if answer.finish == "length" else "content_filter"
    status = "completed" if whole else "incomplete"
    return {
        "id": f"resp_{plan.ticket}",
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": None if whole else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": plan.request.model,
        "output": [] if plan.shape == "empty" else _output(plan, answer, status),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": tokens_of(answer.thought)},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def _output(plan: ReplyPlan, answer: ServedAnswer, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    thinking = plan.request.thinking
    if thinking is not None:
        summary = [{"type": "summary_text", "text": answer.thought}] if thinking.shown else []
        items.append({"type": "reasoning", "id": f"rs_{plan.ticket}", "summary": summary})
    if answer.tool:
        call = {
            "type": "function_call",
            "id": f"fc_{plan.ticket}",
            "call_id": f"call_{plan.ticket}",
        }
        return [*items, call | {"name": answer.tool, "arguments": answer.text, "status": status}]
    part: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": []}
    if answer.finish == "refusal":
        part = {"type": "refusal", "refusal": answer.text}
    elif plan.request.logprobs is not None:
        part["logprobs"] = openai_logprobs(answer.text, plan.request.logprobs)
    message = {"type": "message", "id": f"msg_{plan.ticket}", "status": status}
    return [*items, message | {"role": "assistant", "content": [part]}]


def events(request: SimRequest, body: dict[str, Any]) -> bytes:
    """The answer `body` as the shortest valid stream."""
    running = body | {"status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
    ]
    for index, item in enumerate(body["output"]):
        # An item opens empty, and what comes between fills it.
        opened, between = _ITEMS[item["type"]](item)
        of_item = [
            {"type": "response.output_item.added", "item": opened},
            *(event | {"item_id": item["id"]} for event in between),
            {"type": "response.output_item.done", "item": item},
        ]
        events += [event | {"output_index": index} for event in of_item]
    events.append({"type": f"response.{body['status']}", "response": body})
    return b"".join(
        named_event(event | {"sequence_number": number}) for number, event in enumerate(events)
    )


_Opened = tuple[dict[str, Any], list[dict[str, Any]]]


def _message_events(item: dict[str, Any]) -> _Opened:
    part = item["content"][0]
    name = "refusal" if part["type"] == "refusal" else "text"
    kind = "refusal" if name == "refusal" else "output_text"
    extra = {"logprobs": part.get("logprobs", [])} if name == "text" else {}
    between: list[dict[str, Any]] = [
        {"type": "response.content_part.added", "part": part | {name: ""}},
        {"type": f"response.{kind}.delta", **extra, "delta": part[name]},
        {"type": f"response.{kind}.done", **extra, name: part[name]},
        {"type": "response.content_part.done", "part": part},
    ]
    opened = item | {"status": "in_progress", "content": []}
    return opened, [event | {"content_index": 0} for event in between]


def _call_events(item: dict[str, Any]) -> _Opened:
    kind, arguments = "response.function_call_arguments", item["arguments"]
    between = [
        {"type": f"{kind}.delta", "delta": arguments},
        {"type": f"{kind}.done", "name": item["name"], "arguments": arguments},
    ]
    return item | {"status": "in_progress", "arguments": ""}, between


def _reasoning_events(item: dict[str, Any]) -> _Opened:
    kind = "response.reasoning_summary"
    between: list[dict[str, Any]] = []
    for index, part in enumerate(item["summary"]):
        parts: list[dict[str, Any]] = [
            {"type": f"{kind}_part.added", "part": part | {"text": ""}},
            {"type": f"{kind}_text.delta", "delta": part["text"]},
            {"type": f"{kind}_text.done", "text": part["text"]},
            {"type": f"{kind}_part.done", "part": part},
        ]
        between += [event | {"summary_index": index} for event in parts]
    return item | {"summary": []}, between


_ITEMS = {
    "message": _message_events,
    "function_call": _call_events,
    "reasoning": _reasoning_events,
}
