"""What the wires share in reading answers: from a body to what was said in it, and what that makes of the call.

A wire says where its answers stand (`AnswerParts`) and how its streams are put together; what each is worth is
judged here, for all of them. Knows no provider's names. Nothing here raises for what a provider sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from flowpool.errors import BadRequest, CallError, EmptyReply, InvalidReply, Refused, Verdict
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import HttpResponse, Reply
from flowpool.wire import tolerant
from flowpool.wire.classify import embedded, failure, known_failure
from flowpool.wire.endings import PAUSED, TOOL, Ending, ending_of
from flowpool.wire.error_body import is_page, one_line, read, request_id, tells_error, words_of
from flowpool.wire.tolerant import Tree, UnreadableBody

_DEEPEST_CONTENT = 20
# Names under which a piece of content keeps its words, and the types that promise some.
_KEPT_AS = ("text", "output_text", "content", "value", "parts")
_OF_TEXT = frozenset({"", "text", "output_text"})
# A piece whose type holds one of these is no part of what was said, whatever words it has.
_ASIDE = re.compile(r"think|thought|reason|summary|tool|function|refusal")
# Where an object has the word that was promised by itself: SGLang's `{"type": "length", "length": 128}`.
_NAMED = ("type", "reason", "name", "value")

E = TypeVar("E", bound=CallError)
_decode = msgspec.json.Decoder().decode


class AnswerParts(Struct):
    """What a wire found in an answer, as it stands there: any of it may be of any type.

    contents: where the answer's words may be; the first that has some has all of them. reasons: where it may say
    why it ended; the first that says something counts. more: the provider's words about that. error: what went
    wrong with this answer alone. calls_tool: whether it calls a tool. missing: what an answer of this API has and
    this one lacks, or nothing. ending: why it ended, where the reasons don't tell.
    """

    contents: tuple[Any, ...] = ()
    reasons: tuple[Any, ...] = ()
    refusal: Any = None
    more: Any = None
    error: Any = None
    usage: Usage = NO_USAGE
    model: Any = None
    id: Any = None
    calls_tool: bool = False
    missing: str = ""
    ending: Ending | None = None


class Reading(Struct, frozen=True):
    """How a wire's answers are read.

    find: what stands in a body. joined: a stream's objects as the body that they make, or None where the answer's
    end isn't among them; it learns whether the stream's own end came. otherwise: the status of an error inside a
    success, if it has none.
    """

    find: Callable[[Tree], AnswerParts]
    joined: Callable[[list[Tree], bool], Tree | None]
    otherwise: int = 502


def parsed(response: HttpResponse, reading: Reading) -> Reply | CallError:
    """How every wire's `parse` goes: an error status, a body that can't be read, an error inside a success."""
    if not 200 <= response.status < 300:
        return failure(response)
    try:
        body = _object_in(response.body, reading)
    except UnreadableBody as error:
        return _unreadable(response, str(error))
    found = AnswerParts()
    try:
        found = reading.find(body)
        text = next(filter(None, map(said, found.contents)), "")
    except UnreadableBody as error:
        return _alien(f"the answer can't be read: {error}", response, found.usage)
    for fault in (body.get("error"), body.get("base_resp"), found.error):
        if fault and tells_error(fault):
            return embedded(fault, response, found.usage, text, reading.otherwise)
    if found.missing and not text:
        return without_answer(found.missing, response, found.usage)
    return _judged(found, text, response)


def _object_in(body: bytes, reading: Reading) -> Tree:
    """The one object that a body is, or its stream makes. Raises `UnreadableBody`, also for a stream cut off."""
    try:
        value = _decode(body)
        if isinstance(value, dict):
            return value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    values = tolerant.read(body)
    objects = [value for value in values.values if isinstance(value, dict)]
    if not objects:
        raise UnreadableBody("no object in it")
    if not values.is_streamed:
        return objects[0]
    whole = reading.joined(objects, values.ended)
    fault = next((one for one in objects if tells_error(one.get("error"))), None)
    if fault is not None:
        return {**(whole or {}), "error": fault["error"]}
    if whole is None:
        raise UnreadableBody("its stream stopped before the answer's end")
    return whole


def _judged(found: AnswerParts, text: str, response: HttpResponse) -> Reply | CallError:
    """What an answer is worth, by why it ended and whether there are words."""
    usage, model = found.usage, name(found.model)
    if isinstance(found.refusal, str) and found.refusal.strip():
        why = f"the model declined: {clean(found.refusal)}"
        return failed(Refused, why, response, usage, text)
    reason = next(filter(None, map(word, found.reasons)), "")
    ending = found.ending or ending_of(reason)
    if ending.failure is not None:
        more = word(found.more)
        why = f"{ending.why}: {more}" if more else ending.why
        made = failed(ending.failure, why, response, usage, text, ending.fix)
        if not ending.is_known:
            made.retryable, made.of_setup = False, True  # asked again, it would end so again
        return made
    if ending is PAUSED or (not text and (ending is TOOL or found.calls_tool)):
        return failed(
            BadRequest,
            "the model stopped to have a tool called, and nothing here would call it",
            response,
            usage,
            text,
            "remove tools from the model's options",
        )
    if not text or text.isspace():
        return failed(EmptyReply, "the answer has no text", response, usage)
    return Reply(text, usage, model, request_id(response) or name(found.id))


def _unreadable(response: HttpResponse, why: str) -> CallError:
    """The failure of a success whose body can't be read: often another server's than an API's."""
    known = known_failure(response)
    if known is not None:
        return known
    shown = words_of(response.body)
    what = f"the answer isn't JSON: {shown}"
    if "stream" in why:
        what = f"the answer can't be read: {why}: {shown}"
    made = _alien(what, response, fix="check that base_url is the API's")
    if is_page(response.body):
        # A gateway's, or no API is there: nothing was said to this call.
        made.verdict = Verdict.OUTAGE
    return made


def failed(
    kind: type[E],
    why: str,
    response: HttpResponse,
    usage: Usage = NO_USAGE,
    partial: str = "",
    fix: str = "",
) -> E:
    """A failure that the provider answered with a success status."""
    return kind(
        one_line(why),
        fix=fix,
        status=response.status,
        request_id=request_id(response),
        usage=usage,
        partial=partial,
    )


def without_answer(missing: str, response: HttpResponse, usage: Usage = NO_USAGE) -> CallError:
    """The failure of a success that lacks what an answer stands in: some providers tell their errors there."""
    known = known_failure(response, usage)
    if known is not None:
        return known
    words = read(response.body).message
    why = f"the answer has no {missing}: {words}" if words else f"the answer has no {missing}"
    return _alien(why, response, usage)


def _alien(
    why: str, response: HttpResponse, usage: Usage = NO_USAGE, fix: str = ""
) -> InvalidReply:
    made = failed(InvalidReply, why, response, usage, fix=fix)
    made.of_setup = True
    return made


# From values to what was promised. Only `said` and `written` raise.


def item(value: Any) -> Tree:
    """An object, be it alone or the first one of a list; empty where there is none."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return next((one for one in value if isinstance(one, dict)), {})
    return {}


def items(value: Any) -> list[Tree]:
    """The objects of a list, or one that stands there without it."""
    if isinstance(value, list):
        return [one for one in value if isinstance(one, dict)]
    return [value] if isinstance(value, dict) else []


def count(*values: Any) -> int:
    """A number of tokens, the first that is no 0: providers keep the same count under several names."""
    return next((found for value in values if (found := _count(value))), 0)


def _count(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return 0
    return max(0, int(value))  # a `Usage` has its own most


def name(value: Any) -> str:
    """A name or an id: a text, or a whole number."""
    if isinstance(value, str):
        return clean(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def word(value: Any) -> str:
    """A word such as a finish reason; one that is no text, or holds none, says nothing."""
    if isinstance(value, list):
        value = next(iter(value), None)
    if isinstance(value, dict):
        value = next((value[key] for key in _NAMED if isinstance(value.get(key), str)), None)
    return clean(value).strip() if isinstance(value, str) else ""


def is_true(value: Any) -> bool:
    """Whether a flag is set, in any type."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false", "0", "no", "none", "null")
    return bool(value)


def said(content: Any) -> str:
    """The words of an answer's content: a text, a piece, or a list of both. Thoughts and calls are none.

    Raises `UnreadableBody` where a piece that promises words has none: the others aren't the whole answer.
    """
    return clean(content if isinstance(content, str) else _words(content, 0))


def _words(content: Any, depth: int) -> str:
    if isinstance(content, str):
        return content
    if depth > _DEEPEST_CONTENT:
        raise UnreadableBody("its text is nested too deep")
    if isinstance(content, list) and (content or depth == 0):
        return "".join([_words(piece, depth + 1) for piece in content])
    if isinstance(content, dict):
        return _words_of_piece(content, depth)
    if content is None and depth == 0:
        return ""
    raise UnreadableBody(f"its text is {_kind(content)}")


def _words_of_piece(piece: Tree, depth: int) -> str:
    kind = word(piece.get("type")).lower()
    if _ASIDE.search(kind):
        return ""
    for key in _KEPT_AS:
        if piece.get(key) is not None:
            return _words(piece[key], depth + 1)
    if kind in _OF_TEXT and (kind or not _ASIDE.search(" ".join(piece))):
        raise UnreadableBody("a piece of it has no text")
    return ""


def clean(text: str) -> str:
    """The text with halves of characters put together, and those alone replaced: it can be written anywhere."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return paired.encode("utf-8", "replace").decode()
    return text


def written(value: Any) -> str:
    """A value as JSON again, whatever of the standard it kept to. Raises `UnreadableBody`."""
    try:
        return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise UnreadableBody("it is nested too deep") from None


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {bool: "true or false", type(None): "null", list: "an empty list"}
    return kinds.get(type(value), "a number")
