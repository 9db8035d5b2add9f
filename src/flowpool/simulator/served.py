"""What the model answers to a request that is served, and what that costs. Pure.

Directives, tools, a thought, stop sequences and the limit of tokens come together here; the words are `model`'s.
"""

from __future__ import annotations

import re

from flowpool.errors import InvalidInput
from flowpool.sim_model import model
from flowpool.sim_model.spoiled import spoiled
from flowpool.simulator.directives import Directive
from flowpool.simulator.directives import without_directives as _plain
from flowpool.simulator.plan import Finish, ServedAnswer, SimRequest, SimTool, tokens_of

_FINISHES: dict[str, Finish] = {"truncate": "length", "refuse": "refusal", "filter": "filter"}
# Words of tools' names that say nothing of what they are for.
_ANY_TOOLS = frozenset(("get", "set", "run", "use", "call", "make", "tool", "the", "and", "for"))


def serve(
    request: SimRequest, directive: Directive, fault: str, fixed: int | None = None
) -> ServedAnswer:
    """The answer to `request`. fixed: of so many characters, which costs no work.

    Raises `InvalidInput` for what it can't answer.
    """
    input_tokens = tokens_of(request.text)
    if request.vectors is not None:
        return ServedAnswer("", "stop", input_tokens, 0)
    finish: Finish = _FINISHES.get(fault, "stop")
    tool, text = _say(request, directive, finish, fixed)
    text, stop = (text, "") if tool else _stopped(text, request.stops)
    thought = _thought(request)
    if fault == "truncate":
        text = text[: max(1, len(text) // 2)]
    elif request.max_tokens is not None:
        thought = thought[: request.max_tokens * 4]
        room = request.max_tokens - tokens_of(thought)
        if tokens_of(text) > room:
            text, stop, finish = text[: room * 4], "", "length"
    output_tokens = tokens_of(thought) + tokens_of(text)
    return ServedAnswer(
        text, finish, input_tokens, output_tokens * request.choices, tool, thought, stop
    )


def _say(
    request: SimRequest, directive: Directive, finish: Finish, fixed: int | None
) -> tuple[str, str]:
    """The tool that is called, if one is, and the text or the tool's arguments."""
    plays = directive.plays(request.model, request.answers)
    said = directive.say if plays else None
    if finish in ("refusal", "filter"):
        return "", "I can't help with that." if said is None else said
    spoken = said is not None and request.tool_use == "auto" and directive.call is None
    tool = None if spoken else choose_tool(request, directive)
    name = tool.name if tool is not None else ""
    if said is not None:
        return name, said
    if tool is None and fixed is not None:
        return "", model.fixed(fixed)
    text = _words(request) if tool is None else _arguments(request, tool)
    return name, spoiled(text, directive.bad) if directive.bad and plays else text


def _arguments(request: SimRequest, tool: SimTool) -> str:
    return model.arguments(_question(request), _plain(request.results), tool.schema)


def _words(request: SimRequest) -> str:
    user = _question(request)
    if request.results:
        user = f"{user}\n\n{_plain(request.results)}"
    return model.answer(user, request.system, request.schema, wants_json=request.wants_json)


def _question(request: SimRequest) -> str:
    """The message that is answered: when its words were wrong, the model answers the first again."""
    in_words = "JSON Schema" in f"{request.system}\n{request.first}"
    wants_form = request.wants_json or request.tool_use == "required" or in_words
    return _plain(request.first if request.worded and wants_form else request.user)


def choose_tool(request: SimRequest, directive: Directive) -> SimTool | None:
    """The tool that is called now, each once after the user spoke; None when there is nothing to call.

    One that need not be called is when the user says a word of its name. One that must be is the first
    that wasn't yet; when all were, the last one again: its caller wasn't content.
    """
    if not request.tools or request.tool_use == "none":
        return None
    fresh = [tool for tool in request.tools if tool.name not in request.called]
    if directive.call is not None and directive.model in (None, request.model):
        named = [tool for tool in request.tools if tool.name == directive.call]
        if not named:
            known = ", ".join(tool.name for tool in request.tools)
            raise InvalidInput(f"[[sim: call={directive.call}]]: the request's tools are {known}.")
        if named[0] in fresh:
            return named[0]
    said = set(_parts(_plain(request.user)))
    shared = [len(said & set(_parts(tool.name)) - _ANY_TOOLS) for tool in fresh]
    if any(shared):
        return fresh[shared.index(max(shared))]
    if request.tool_use == "auto":
        return None
    last = [tool for tool in request.tools if tool.name in request.called[-1:]]
    return [*fresh, *last, *request.tools][0]


def _parts(text: str) -> list[str]:
    """The words of a text, and those that a name is made of, in the singular."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return [word.rstrip("s") for word in re.findall(r"[^\W_]{3,}", spaced.lower())]


def _thought(request: SimRequest) -> str:
    if request.thinking is None:
        return ""
    asked = _plain(request.user).partition("\n")[0][:80]
    return f"I am asked: {asked!r}. I look for what the text says of it."


def _stopped(text: str, stops: tuple[str, ...]) -> tuple[str, str]:
    """The text up to the first stop sequence in it, and that."""
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, ""
    at, stop = min(found)
    return text[:at], stop
