"""Valid answers of every wire, and what may happen to them on the way: by seed, with what must come of it.

`python -m tests.wire.bodies --tries 20000` tries them at length.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

from msgspec import Struct

from flowpool.errors import CallError, Truncated
from flowpool.values import HttpResponse, Reply
from flowpool.wire import WIRES

Path = tuple[Any, ...]

TEXT = 'He said: "né 😀\tyes"\nand\u2028{left}\x85: [1, 2]. data: end\n\n'
NAN, INF = float("nan"), float("inf")
OTHERS: tuple[Any, ...] = (
    *(None, True, False, 0, 7, -3, 1.5, 2**70, NAN, INF, -INF, "", "x", " ", "7", "false"),
    *([], {}, [None], ["x"], [[]], {"a": 1}, {"code": 0}, [{"a": None}], "\ud83d", "a\tb\nc"),
)
ANY = object()  # an index, in a pattern of paths


class Specimen(Struct, frozen=True):
    """A valid answer. is_whole: it ended by itself, else at its token limit.

    answer: where its text is, as patterns of paths. reason: where it says why it ended. errors: where words of any
    kind mean that something went wrong. asides: text that is none of the answer, once it is known as such.
    """

    wire: str
    body: dict[str, Any]
    is_whole: bool
    answer: tuple[Path, ...]
    reason: tuple[Path, ...]
    errors: tuple[Path, ...] = (("error",), ("base_resp",))
    asides: tuple[Path, ...] = ()
    text: str = TEXT


def _chat(content: Any, reason: Any, is_whole: bool = True) -> Specimen:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m-1",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": content,
                    "refusal": None,
                    "annotations": [],
                    "reasoning_content": "Hm.",
                    "tool_calls": None,
                },
                "logprobs": {"content": [{"token": "a", "logprob": -0.1, "bytes": [97]}]},
                "finish_reason": reason,
                "stop_reason": None,
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
        "timings": {"predicted_ms": 1.5},
        "error": None,
        "base_resp": {"status_code": 0, "status_msg": ""},
    }
    choice = ("choices", ANY)
    return Specimen(
        "openai-chat",
        body,
        is_whole,
        answer=((*choice, "message", "content"),),
        reason=((*choice, "finish_reason"), (*choice, "native_finish_reason")),
        errors=(("error",), ("base_resp",), (*choice, "error"), (*choice, "message", "refusal")),
    )


def _responses(pieces: list[str], status: str, reason: str | None) -> Specimen:
    content = [{"type": "output_text", "text": piece, "annotations": []} for piece in pieces]
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1760000000,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": "m-1",
        "output": [
            {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "Hm"}],
            },
            {"id": "msg_1", "type": "message", "role": "assistant", "content": content},
        ],
        "usage": {
            "input_tokens": 5,
            "output_tokens": 7,
            "input_tokens_details": {"cached_tokens": 2},
        },
        "metadata": {},
        "temperature": 1.0,
    }
    return Specimen(
        "openai-responses",
        body,
        reason is None,
        answer=(("output", ANY, "content"), ("output", ANY, "type")),
        reason=(("status",), ("incomplete_details", "reason"), ("output", ANY, "status")),
        errors=(("error",), ("base_resp",), ("output", ANY, "content", ANY, "refusal")),
    )


def _anthropic(
    content: list[dict[str, Any]], reason: str, text: str = TEXT, asides: tuple[Path, ...] = ()
) -> Specimen:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": 2,
            "output_tokens": 7,
            "service_tier": "standard",
        },
    }
    return Specimen(
        "anthropic",
        body,
        reason != "max_tokens",
        answer=(("content",),),
        reason=(("stop_reason",),),
        asides=asides,
        text=text,
    )


def _gemini(pieces: list[str], reason: str) -> Specimen:
    parts: list[Any] = [{"text": piece} for piece in pieces]
    body = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "Hm.", "thought": True}, *parts]},
                "finishReason": reason,
                "index": 0,
                "avgLogprobs": -0.2,
                "safetyRatings": [{"category": "HARM", "probability": "NEGLIGIBLE"}],
            }
        ],
        "promptFeedback": None,
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 7,
            "thoughtsTokenCount": 2,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
        },
        "modelVersion": "m-1",
        "responseId": "g-1",
    }
    parts_at = ("candidates", ANY, "content", "parts")
    return Specimen(
        "gemini",
        body,
        reason == "STOP",
        answer=(parts_at,),
        reason=(("candidates", ANY, "finishReason"),),
        asides=((*parts_at, 0),),
    )


def _cohere(pieces: list[str], reason: str) -> Specimen:
    parts: list[Any] = [{"type": "text", "text": piece} for piece in pieces]
    body = {
        "id": "c-1",
        "finish_reason": reason,
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, *parts],
            "tool_plan": None,
            "citations": [],
        },
        "usage": {
            "billed_units": {"input_tokens": 5, "output_tokens": 7},
            "tokens": {"input_tokens": 71.0, "output_tokens": 7.0},
            "cached_tokens": 2,
        },
        "logprobs": None,
    }
    return Specimen(
        "cohere",
        body,
        reason == "COMPLETE",
        answer=(("message", "content"),),
        reason=(("finish_reason",),),
    )


HALVES = [TEXT[:9], TEXT[9:]]
_THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
_IN_CHUNKS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    *({"type": "text", "text": half} for half in HALVES),
]
SPECIMENS = (
    _chat(TEXT, "stop"),
    _chat(_IN_CHUNKS, "stop"),
    _chat(TEXT, "length", is_whole=False),
    _responses([TEXT], "completed", None),
    _responses(HALVES, "completed", None),
    _responses([TEXT], "incomplete", "max_output_tokens"),
    _anthropic([_THINKING, {"type": "text", "text": TEXT}], "end_turn"),
    _anthropic([{"type": "text", "text": half} for half in HALVES], "stop_sequence"),
    _anthropic([{"type": "text", "text": TEXT}], "max_tokens"),
    _anthropic(
        [{"type": "tool_use", "id": "t", "name": "give_answer", "input": {"a": 1}}],
        "tool_use",
        text='{"a":1}',
        asides=(("content", 0, "input"),),
    ),
    _gemini([TEXT], "STOP"),
    _gemini(HALVES, "STOP"),
    _gemini([TEXT], "MAX_TOKENS"),
    _cohere([TEXT], "COMPLETE"),
    _cohere(HALVES, "COMPLETE"),
    _cohere([TEXT], "MAX_TOKENS"),
)
BY_WIRE = {wire: [one for one in SPECIMENS if one.wire == wire] for wire in WIRES}
BY_WIRE["any-llm"] = BY_WIRE["openai-chat"]


# What happens to them.


class Twice(dict[str, Any]):
    """An object in which one name stands twice, each time with the same."""

    def __init__(self, given: dict[str, Any], name: str) -> None:
        super().__init__(given)
        self.name = name


class Change(Struct, frozen=True):
    """One thing that happened: where, what, and what stands there now."""

    path: Path
    how: str
    now: Any = None


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of everything in a value but of itself."""
    if not isinstance(value, (dict, list)):
        return
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*at, key)
        yield from paths(one, (*at, key))


def changed(body: Any, chance: random.Random) -> Change:
    """Changes one place of the body."""
    path = chance.choice([*paths(body)])
    *above, key = path
    holder = body
    for step in above:
        holder = holder[step]
    how = chance.choice(("other", "other", "missing", "doubled", "wrapped", "added", "as text"))
    now = deepcopy(chance.choice(OTHERS))
    if how in ("missing", "doubled"):
        now = None
    if how == "missing":
        del holder[key]
    elif how == "doubled" and isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]))
    elif how == "doubled" and len(above) == 0:
        how, holder["x" + key] = "added", deepcopy(holder[key])
    elif how == "doubled":
        outer = body
        for step in above[:-1]:
            outer = outer[step]
        outer[above[-1]] = Twice(holder, key)
    elif how == "added" and isinstance(holder, dict):
        holder["x-odd"] = now
    elif how == "wrapped":
        now = holder[key] = [holder[key]]
    elif how == "as text" and type(holder[key]) in (int, float):
        now = holder[key] = str(holder[key])
    else:
        how = "other"
        holder[key] = now
    return Change(path, how, now)


def written(value: Any, chance: random.Random) -> str:
    """The value as JSON, as some server may write it: raw control characters, NaN, a name twice."""
    raw = chance.random() < 0.5

    def write(value: Any) -> str:
        if isinstance(value, dict):
            pairs = [f"{json.dumps(str(k))}: {write(v)}" for k, v in value.items()]
            if isinstance(value, Twice) and value.name in value:
                pairs.append(f"{json.dumps(value.name)}: {write(value[value.name])}")
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        if raw and isinstance(value, str):
            text = json.dumps(value, ensure_ascii=False)
            return text.replace("\\n", "\n").replace("\\t", "\t")
        return json.dumps(value)

    return write(value)


def framed(text: str, chance: random.Random) -> bytes:
    """The body as it comes over: bare, behind blanks, with what streams end with, in another encoding."""
    data = text.encode("utf-8", "surrogatepass")
    how = chance.randrange(8)
    if how == 0:
        return b"\xef\xbb\xbf" + data
    if how == 1:
        return b"\n\n  " + data + b"\n"
    if how == 2:
        return data + b"\n\ndata: [DONE]\n\n"
    if how == 3:
        return b": waiting\n\n" * 3 + data
    if how == 4 and "\n" not in text:
        return b"data: " + data + b"\n\ndata: [DONE]\n\n"
    if how == 5:
        return text.encode("utf-16", "replace")
    return data


# What must come of it.


def meets(path: Path, pattern: Path) -> bool:
    """Whether one leads to, or through, the other."""
    return all(b is ANY or a == b for a, b in zip(path, pattern, strict=False))


def _has_words(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_words, value.values()))
    if isinstance(value, list):
        return any(map(_has_words, value))
    return isinstance(value, str)


def verdict(specimen: Specimen, changes: list[Change], result: Reply | CallError) -> str:
    """What is wrong with a result; nothing if all is right."""

    def touches(patterns: tuple[Path, ...]) -> list[Change]:
        return [
            one
            for one in changes
            if one.how != "added" and any(meets(one.path, pattern) for pattern in patterns)
        ]

    if not isinstance(result, (Reply, CallError)):
        return f"it is {result!r}"
    right = isinstance(result, Reply) and result.text == specimen.text
    cut = isinstance(result, Truncated) and result.partial == specimen.text
    expected = right if specimen.is_whole else cut
    if expected:
        return ""
    answers, reasons = touches(specimen.answer), touches(specimen.reason)
    errors = [one for one in touches(specimen.errors) if _has_words(one.now)]
    if isinstance(result, CallError):
        return "" if answers or reasons or errors else f"the answer is lost: {result!r}"
    if right:  # of half an answer, without the word that says so
        exactly = [
            one.now for one in reasons if any(len(one.path) == len(p) for p in specimen.reason)
        ]
        last = exactly[-1] if exactly else None if reasons else "length"
        told = isinstance(last, str) and last.strip()
        return "half an answer is taken for a whole one" if told else ""
    # Other words in the text's place, or a whole piece of it away or twice, are another valid answer.
    in_aside = [c for c in changes if any(meets(c.path, one) for one in specimen.asides)]
    free = in_aside or any(
        _has_words(one.now) or (one.how in ("missing", "doubled") and isinstance(one.path[-1], int))
        for one in answers
    )
    # Gemini's parts have no type: one without a text is of another kind.
    bare = specimen.wire == "gemini" and any(
        one.how == "missing" or isinstance(one.now, dict) for one in answers
    )
    return "" if free or bare else f"the text is another: {result.text!r}"


# Streams.


def _chat_stream(pieces: list[str]) -> list[dict[str, Any]]:
    def chunk(**choice: Any) -> dict[str, Any]:
        one = {"index": 0, "finish_reason": None, "logprobs": None, **choice}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [one]}

    return [
        chunk(delta={"role": "assistant", "content": ""}),
        *(chunk(delta={"content": piece}) for piece in pieces),
        chunk(delta={}, finish_reason="stop"),
        {"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}},
    ]


def _responses_stream(pieces: list[str]) -> list[dict[str, Any]]:
    whole = {**_responses(["".join(pieces)], "completed", None).body}
    deltas = [{"type": "response.output_text.delta", "delta": piece} for piece in pieces]
    begun = {"type": "response.created", "response": {**whole, "output": [], "status": "queued"}}
    return [begun, *deltas, {"type": "response.completed", "response": whole}]


def _anthropic_stream(pieces: list[str]) -> list[dict[str, Any]]:
    start = {"id": "msg_1", "type": "message", "content": [], "usage": {"input_tokens": 5}}
    return [
        {"type": "message_start", "message": {**start, "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": one},
            }
            for one in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


def _gemini_stream(pieces: list[str]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": one}]}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 5},
            "modelVersion": "m-1",
        }
        for one in pieces
    ]
    made[-1]["candidates"][0]["finishReason"] = "STOP"
    return made


def _cohere_stream(pieces: list[str]) -> list[dict[str, Any]]:
    def part(kind: str, text: str) -> dict[str, Any]:
        content = {"type": "text", "text": text}
        return {"type": kind, "index": 0, "delta": {"message": {"content": content}}}

    usage = {"billed_units": {"input_tokens": 5, "output_tokens": 7}}
    return [
        {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
        part("content-start", ""),
        *(part("content-delta", one) for one in pieces),
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    ]


# How a wire streams, and the names that its answers' texts and ends are found by.
STREAMS: dict[str, tuple[Callable[[list[str]], list[dict[str, Any]]], frozenset[str]]] = {
    "openai-chat": (_chat_stream, frozenset({"choices", "error"})),
    "openai-responses": (
        _responses_stream,
        frozenset({"type", "response", "delta", "output", "error"}),
    ),
    "anthropic": (
        _anthropic_stream,
        frozenset({"type", "index", "delta", "content_block", "content", "message", "error"}),
    ),
    "gemini": (_gemini_stream, frozenset({"candidates", "error"})),
    "cohere": (_cohere_stream, frozenset({"type", "index", "delta", "message", "error"})),
}
STREAMS["any-llm"] = STREAMS["openai-chat"]


def in_pieces(text: str, chance: random.Random) -> list[str]:
    cuts = sorted({0, len(text), *(chance.randrange(len(text)) for _ in range(3))})
    return [text[start:end] for start, end in pairwise(cuts)]


def sent_as_events(events: list[Any], chance: random.Random, by_line: bool) -> bytes:
    """A stream's bytes, as one of several servers frames it."""
    how = chance.randrange(5)
    if how == 0:  # Gemini's, where nobody asks for events; whole, or cut off
        return json.dumps(events).encode()
    if how == 1 and by_line:
        return "".join(f"{json.dumps(event)}\n" for event in events).encode()
    end = "\r\n" if how == 2 else "\n"
    lines = [": ping" + end]
    ascii = chance.random() < 0.5
    for at, event in enumerate(events):
        name = f"event: {event['type']}{end}" if isinstance(event, dict) and "type" in event else ""
        data = json.dumps(event, ensure_ascii=ascii)
        lines.append(f"{name}id: {at}{end}data: {data}{end}{end if how != 3 else ''}")
    return "".join(lines).encode("utf-8", "surrogatepass")


def attempt_stream(wire: str, seed: int) -> tuple[bytes, str]:
    """The stream that a seed makes, and what is wrong with its reading."""
    chance = random.Random(f"stream {wire} {seed}")
    make, names = STREAMS[wire]
    pieces = in_pieces(TEXT, chance)
    events = make(pieces)
    how = chance.choice(("whole", "cut", "torn", "changed", "changed", "changed"))
    change = None
    if how in ("cut", "torn"):
        # Before the last piece: no wire tells the end there.
        last = next(at for at, event in enumerate(events) if pieces[-1] in _texts(event))
        events = events[: chance.randrange(last + 1)]
    elif how == "changed":
        change = changed(events, chance)
    data = sent_as_events(events, chance, by_line=wire != "gemini")
    if how == "torn":
        data = data[: chance.randrange(len(data) + 1)]
    result = WIRES[wire].parse(HttpResponse(200, {}, data))
    if isinstance(result, Reply):
        others = how == "changed" and change and (names & {*change.path} or len(change.path) < 2)
        wrong = "" if result.text == TEXT or others else f"the text is another: {result.text!r}"
    elif not isinstance(result, CallError):
        wrong = f"it is {result!r}"
    else:
        harmless = how == "whole" or (
            change and not names & {*change.path} and len(change.path) > 1
        )
        wrong = f"the answer is lost: {result!r}" if harmless else ""
    return data, wrong and f"seed {seed}: {how} {change}: {wrong}"


def _texts(event: Any) -> list[str]:
    return [one for path in paths(event) if isinstance(one := _at(event, path), str)]


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def attempt(wire: str, seed: int) -> tuple[bytes, str]:
    """The body that a seed makes, and what is wrong with its reading."""
    chance = random.Random(f"{wire} {seed}")
    specimen = chance.choice(BY_WIRE[wire])
    body = deepcopy(specimen.body)
    changes = [changed(body, chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    data = framed(written(body, chance), chance)
    result = WIRES[wire].parse(HttpResponse(200, {}, data))
    wrong = verdict(specimen, changes, result)
    return data, wrong and f"seed {seed}: {changes}: {wrong}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    bad = 0
    for wire in WIRES:
        for seed in range(given.seed, given.seed + given.tries):
            data, wrong = (attempt if seed % 4 else attempt_stream)(wire, seed)
            if wrong:
                bad += 1
                print(f"{wire}, {wrong}\n  {data.decode('utf-8', 'replace')[:600]}")
                if bad >= 10:
                    return 1
        print(f"{wire}: {given.tries:,} bodies")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
