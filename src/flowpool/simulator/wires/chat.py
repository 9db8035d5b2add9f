"""OpenAI's chat completions, and the servers that speak it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from flowpool.simulator.plan import (
    ReplyPlan,
    ServedAnswer,
    SimRequest,
    SimTool,
    Thinking,
    tokens_of,
)
from flowpool.simulator.wires.reading import (
    MOST_CHOICES,
    MOST_LOGPROBS,
    NotDone,
    Taken,
    Turn,
    as_texts,
    chosen_tools,
    conversation,
    counted,
    encoded,
    is_json,
    named_use,
    need_messages,
    openai_logprobs,
    read_body,
)

_FINISHES = {"length": "length", "filter": "content_filter"}


class _Part(Struct):
    text: str | None = None


class _Function(Struct):
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    type: str = "function"
    function: _Function | None = None


class _Message(Struct):
    role: str = "user"
    content: str | list[_Part] | None = None
    tool_calls: list[_Tool] | None = None


class _Choice(Struct):
    """A `tool_choice` that is an object."""

    type: str
    function: _Function | None = None
    allowed_tools: _Allowed | None = None


class _Allowed(Struct):
    mode: str = "auto"
    tools: list[_Tool] = []


class _StreamOptions(Struct):
    include_usage: bool = False


class _Body(Struct, forbid_unknown_fields=True):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    reasoning_effort: str | None = None
    # Other servers': OpenRouter's, DeepSeek's and its kin's, Qwen's. Their answers hold the thought.
    reasoning: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    enable_thinking: bool | None = None
    modalities: list[str] | None = None
    # Never more than one call at a time is made.
    parallel_tool_calls: Taken = None
    temperature: Taken = None
    top_p: Taken = None
    top_k: Taken = None
    top_a: Taken = None
    min_p: Taken = None
    min_tokens: Taken = None
    seed: Taken = None
    random_seed: Taken = None
    frequency_penalty: Taken = None
    presence_penalty: Taken = None
    repetition_penalty: Taken = None
    user: Taken = None
    metadata: Taken = None
    store: Taken = None
    service_tier: Taken = None
    safety_identifier: Taken = None
    prompt_cache_key: Taken = None
    prompt_cache_options: Taken = None
    prompt_cache_retention: Taken = None
    prediction: Taken = None
    verbosity: Taken = None
    safe_prompt: Taken = None
    cache_prompt: Taken = None
    keep_alive: Taken = None
    provider: Taken = None
    usage: Taken = None


_decoder = msgspec.json.Decoder(_Body)


def parse(route: Any, body: bytes) -> SimRequest:
    """What a body asks for; raises `InvalidInput` for what the simulator doesn't do."""
    asked = read_body(_decoder, body)
    need_messages(asked.messages)
    if asked.modalities not in (None, ["text"]):
        raise NotDone("modalities")
    shape = asked.response_format or {}
    wants_json = is_json("response_format", shape)
    if asked.top_logprobs and not asked.logprobs:
        raise NotDone("top_logprobs without logprobs")
    near = counted("top_logprobs", asked.top_logprobs, MOST_LOGPROBS, 0)
    return SimRequest(
        wire="chat",
        model=asked.model,
        **conversation(_turn(message) for message in asked.messages),
        **_tools(asked),
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        wants_json=wants_json,
        schema=(shape.get("json_schema") or {}).get("schema"),
        thinking=_thinking(asked),
        stops=as_texts(asked.stop),
        choices=counted("n", asked.n, MOST_CHOICES) or 1,
        logprobs=near or 0 if asked.logprobs else None,
        stream=bool(asked.stream),
        stream_usage=asked.stream_options is not None and asked.stream_options.include_usage,
    )


def _turn(message: _Message) -> Turn:
    said = message.content
    if isinstance(said, list):
        said = "\n".join(part.text for part in said if part.text)
    calls = tuple(call.function.name for call in message.tool_calls or () if call.function)
    return Turn(message.role, said or "", calls)


def _tools(asked: _Body) -> dict[str, Any]:
    tools = []
    for tool in asked.tools or ():
        if tool.function is None:
            raise NotDone(f"a tool of type {tool.type}")
        about = tool.function.description or ""
        tools.append(SimTool(tool.function.name, about, tool.function.parameters or {}))
    choice = asked.tool_choice
    if choice is None or isinstance(choice, str):
        return chosen_tools(tuple(tools), named_use(choice))
    if choice.function is not None:
        return chosen_tools(tuple(tools), "required", [choice.function.name])
    if choice.allowed_tools is None:
        raise NotDone(f"tool_choice {choice.type}")
    names = [tool.function.name for tool in choice.allowed_tools.tools if tool.function]
    must = choice.allowed_tools.mode == "required"
    return chosen_tools(tuple(tools), "required" if must else "auto", names)


def _thinking(asked: _Body) -> Thinking | None:
    shown = asked.enable_thinking or any(
        said and said.get("type") != "disabled" and said.get("enabled") is not False
        for said in (asked.thinking, asked.reasoning)
    )
    effort = asked.reasoning_effort not in (None, "none")
    return Thinking(bool(shown)) if shown or effort else None


def body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """An answer as it stands when it isn't streamed."""
    return {
        "id": f"chatcmpl-{plan.ticket}",
        "object": "chat.completion",
        "created": created,
        "model": plan.request.model,
        "choices": [_choice(plan, answer, index) for index in range(plan.request.choices)],
        "usage": {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": tokens_of(answer.thought) * plan.request.choices
            },
        },
    }


def _choice(plan: ReplyPlan, answer: ServedAnswer, index: int) -> dict[str, Any]:
    empty = plan.shape == "empty"
    refused = answer.finish == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else "" if empty else answer.text,
        "refusal": answer.text if refused else None,
    }
    finish = _FINISHES.get(answer.finish, "stop")
    if answer.tool and not empty:
        function = {"name": answer.tool, "arguments": answer.text}
        call = {"id": f"call_{plan.ticket}_{index}", "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
        finish = "tool_calls" if finish == "stop" else finish
    shown = plan.request.thinking is not None and plan.request.thinking.shown
    if shown and not empty:
        message["reasoning_content"] = answer.thought
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(plan, "" if answer.tool or empty else answer.text),
        "finish_reason": finish,
    }


def _logprobs(plan: ReplyPlan, text: str) -> dict[str, Any] | None:
    near = plan.request.logprobs
    if near is None:
        return None
    return {"content": openai_logprobs(text, near), "refusal": None}


def events(request: SimRequest, body: dict[str, Any]) -> bytes:
    """The answer `body` as a short stream."""
    base = {key: body[key] for key in ("id", "created", "model")}
    base["object"] = "chat.completion.chunk"
    chunks = []
    for choice in body["choices"]:
        message = {key: value for key, value in choice["message"].items() if value is not None}
        if "tool_calls" in message:
            calls = enumerate(message["tool_calls"])
            message["tool_calls"] = [{"index": index, **call} for index, call in calls]
        # The role comes alone, as OpenAI sends it: its client takes what the first chunk holds twice.
        role = {"role": message.pop("role")}
        first = {"index": choice["index"], "delta": role, "finish_reason": None}
        said = first | {"delta": message}
        if choice["logprobs"] is not None:
            said["logprobs"] = choice["logprobs"]
        ended = first | {"delta": {}, "finish_reason": choice["finish_reason"]}
        chunks += [base | {"choices": [one]} for one in (first, said, ended)]
    if request.stream_usage:
        chunks.append(base | {"choices": [], "usage": body["usage"]})
    return b"".join(map(encoded, chunks)) + b"data: [DONE]\n\n"
