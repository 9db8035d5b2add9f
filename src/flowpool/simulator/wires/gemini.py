"""Google's generateContent. Names may be written in both of its ways: `systemInstruction`, `system_instruction`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from flowpool.simulator.plan import (
    ReplyPlan,
    ServedAnswer,
    SimRequest,
    SimTool,
    Thinking,
    ToolUse,
    tokens_of,
)
from flowpool.simulator.wires.reading import (
    MOST_LOGPROBS,
    NotDone,
    Taken,
    Turn,
    as_object,
    as_texts,
    chosen_tools,
    conversation,
    counted,
    encoded,
    likely_tokens,
    need_messages,
    read_body,
)

_FINISHES = {"length": "MAX_TOKENS", "filter": "SAFETY", "refusal": "PROHIBITED_CONTENT"}
_TOOL_USES: dict[str, ToolUse] = {
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "required",
    "NONE": "none",
}
_MOST_CANDIDATES = 8
# What holds names that are the caller's own.
_FREE_FORM = frozenset(("parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema",
                        "args", "response", "labels"))  # fmt: skip


class _FunctionCall(Struct):
    name: str


class _FunctionResponse(Struct):
    response: Any = None


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: _FunctionCall | None = None
    function_response: _FunctionResponse | None = None


class _Turn(Struct):
    role: str | None = None
    parts: list[_Part] = []


class _Function(Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Tool(Struct, rename="camel", forbid_unknown_fields=True):
    function_declarations: list[_Function] = []


class _CallingConfig(Struct, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(Struct, rename="camel"):
    function_calling_config: _CallingConfig = field(default_factory=_CallingConfig)


class _ThinkingConfig(Struct, rename="camel"):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _GenerationConfig(Struct, rename="camel", forbid_unknown_fields=True):
    max_output_tokens: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
    candidate_count: int | None = None
    stop_sequences: list[str] | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: _ThinkingConfig | None = None
    response_modalities: list[str] | None = None
    temperature: Taken = None
    top_p: Taken = None
    top_k: Taken = None
    seed: Taken = None
    presence_penalty: Taken = None
    frequency_penalty: Taken = None
    media_resolution: Taken = None


class _Body(Struct, rename="camel", forbid_unknown_fields=True):
    contents: list[_Turn]
    system_instruction: _Turn | None = None
    generation_config: _GenerationConfig = field(default_factory=_GenerationConfig)
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig = field(default_factory=_ToolConfig)
    model: Taken = None
    safety_settings: Taken = None
    labels: Taken = None
    store: Taken = None
    service_tier: Taken = None


_decoder = msgspec.json.Decoder(_Body)


def parse(route: Any, body: bytes) -> SimRequest:
    """What a body asks for; raises `InvalidInput` for what the simulator doesn't do."""
    asked = read_body(_decoder, in_camel_case(body))
    need_messages(asked.contents)
    config = asked.generation_config
    if config.response_mime_type not in (None, "text/plain", "application/json"):
        raise NotDone(f"responseMimeType {config.response_mime_type}")
    if config.response_modalities not in (None, ["TEXT"]):
        raise NotDone("responseModalities")
    if config.logprobs and not config.response_logprobs:
        raise NotDone("logprobs without responseLogprobs")
    turns = [turn for content in asked.contents for turn in _turns(content)]
    if asked.system_instruction:
        rules = "\n".join(part.text for part in asked.system_instruction.parts if part.text)
        turns = [Turn("system", rules), *turns] if rules else turns
    near = counted("logprobs", config.logprobs, MOST_LOGPROBS, 0)
    return SimRequest(
        wire="gemini",
        model=route.model,
        **conversation(turns),
        **_tools(asked),
        max_tokens=config.max_output_tokens,
        wants_json=config.response_mime_type == "application/json",
        schema=config.response_json_schema or config.response_schema,
        thinking=_thinking(config.thinking_config),
        stops=as_texts(config.stop_sequences),
        choices=counted("candidateCount", config.candidate_count, _MOST_CANDIDATES) or 1,
        logprobs=near or 0 if config.response_logprobs else None,
        stream=route.stream,
    )


def in_camel_case(body: bytes) -> bytes:
    """A body with its fields' names as the documentation has them."""
    if b"_" not in body:
        return body
    return msgspec.json.encode(_camel(msgspec.json.decode(body)))


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    renamed = {}
    for written, one in value.items():
        first, *rest = written.split("_")
        name = first + "".join(word.capitalize() for word in rest)
        renamed[name] = one if name in _FREE_FORM else _camel(one)
    return renamed


def _turns(content: _Turn) -> list[Turn]:
    """What tools gave comes in the user's turn, before the user's words."""
    words = "\n".join(part.text for part in content.parts if part.text and not part.thought)
    calls = tuple(part.function_call.name for part in content.parts if part.function_call)
    if content.role == "model":
        return [Turn("assistant", words, calls)]
    given = [part.function_response.response for part in content.parts if part.function_response]
    texts = "\n".join(_given_as_text(response) for response in given)
    turns = [Turn("tool", texts)] if given else []
    return [*turns, Turn("user", words)] if words or not given else turns


def _given_as_text(response: Any) -> str:
    """What a tool gave: the one text of its object, or all of it."""
    if isinstance(response, dict) and len(response) == 1:
        (only,) = response.values()
        if isinstance(only, str):
            return only
    return msgspec.json.encode(response).decode()


def _tools(asked: _Body) -> dict[str, Any]:
    tools = tuple(
        SimTool(one.name, one.description or "", one.parameters_json_schema or one.parameters or {})
        for tool in asked.tools or ()
        for one in tool.function_declarations
    )
    config = asked.tool_config.function_calling_config
    if config.mode not in _TOOL_USES:
        raise NotDone(f"functionCallingConfig.mode {config.mode}")
    return chosen_tools(tools, _TOOL_USES[config.mode], config.allowed_function_names)


def _thinking(config: _ThinkingConfig | None) -> Thinking | None:
    if config is None or config.thinking_budget == 0:
        return None
    return Thinking(shown=config.include_thoughts)


def body(plan: ReplyPlan, answer: ServedAnswer, created: int) -> dict[str, Any]:
    """An answer as it stands; a stream has it as its only event."""
    count = plan.request.choices
    thought = tokens_of(answer.thought) * count
    usage = {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": answer.output_tokens - thought,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
    }
    body: dict[str, Any] = {
        "candidates": [_candidate(plan, answer, index) for index in range(count)],
        "usageMetadata": usage | ({"thoughtsTokenCount": thought} if thought else {}),
        "modelVersion": plan.request.model,
        "responseId": f"resp_{plan.ticket}",
    }
    if answer.finish == "filter":
        del body["candidates"]
        body["promptFeedback"] = {"blockReason": "SAFETY"}
    elif plan.shape == "empty":
        body["candidates"] = []
    return body


def _candidate(plan: ReplyPlan, answer: ServedAnswer, index: int) -> dict[str, Any]:
    request = plan.request
    parts: list[dict[str, Any]] = []
    if request.thinking is not None and request.thinking.shown:
        parts.append({"text": answer.thought, "thought": True})
    if answer.tool:
        given = {} if answer.finish == "length" else as_object(answer.text)
        call = {"id": f"call_{plan.ticket}_{index}", "name": answer.tool, "args": given}
        parts.append({"functionCall": call})
    else:
        parts.append({"text": answer.text})
    candidate = {
        "content": {"role": "model", "parts": parts},
        "finishReason": _FINISHES.get(answer.finish, "STOP"),
        "index": index,
    }
    if request.logprobs is not None and not answer.tool:
        candidate |= _logprobs(answer.text, request.logprobs)
    return candidate


def _logprobs(text: str, others: int) -> dict[str, Any]:
    tokens = likely_tokens(text, others)
    mean = sum(mine for _, mine, _ in tokens) / max(1, len(tokens))
    result: dict[str, Any] = {
        "chosenCandidates": [_token(token, mine) for token, mine, _ in tokens]
    }
    if others:
        near = [{"candidates": [_token(*one) for one in beside]} for _, _, beside in tokens]
        result["topCandidates"] = near
    return {"avgLogprobs": mean, "logprobsResult": result}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logProbability": logprob}


def events(request: SimRequest, body: dict[str, Any]) -> bytes:
    return encoded(body)
