"""What the wires share in reading answers: how each begins, JSON into typed records, how a finished one is judged.

Knows no provider's names. Nothing here raises for what a provider sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from flowpool.errors import BadRequest, CallError, EmptyReply, InvalidReply, Verdict
from flowpool.usage import NO_USAGE, Usage
from flowpool.values import HttpResponse, Reply
from flowpool.wire.classify import embedded, failure, known_failure
from flowpool.wire.error_body import is_page, one_line, read, request_id, words_of

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class AnswerBody(msgspec.Struct):
    """A success's body, of which a wire declares its own fields. `error` is what went wrong all the same."""

    error: Any = None

    def used(self) -> Usage:
        """The tokens that it counts."""
        raise NotImplementedError

    def partial(self) -> str:
        """What the model had said before an error."""
        return ""


B = TypeVar("B", bound=AnswerBody)
Finish = Callable[[B, Usage, HttpResponse], Reply | CallError]


def parsed(
    response: HttpResponse,
    decoder: msgspec.json.Decoder[B],
    finish: Finish[B],
    otherwise: int = 502,
) -> Reply | CallError:
    """How every wire's `parse` begins: an error status, a body that can't be read, an error inside a success.

    finish: judges the rest, from the body and its usage. otherwise: the status of an error that has none.
    """
    if not 200 <= response.status < 300:
        return failure(response)
    answer = decode(decoder, response)
    if isinstance(answer, CallError):
        return answer
    usage = answer.used()
    if answer.error:
        return embedded(answer.error, response, usage, answer.partial(), otherwise)
    return finish(answer, usage, response)


def decode(decoder: msgspec.json.Decoder[T], response: HttpResponse) -> T | CallError:
    """The body as the decoder's type, or the failure to report."""
    try:
        return decoder.decode(response.body)
    except _UNREADABLE as error:
        return _decode_mended(decoder, response, error)


def _decode_mended(
    decoder: msgspec.json.Decoder[T], response: HttpResponse, error: Exception
) -> T | CallError:
    """A paid answer isn't lost to half a character: invalid UTF-8 and lone surrogates are replaced."""
    try:
        data = json.loads(response.body.decode("utf-8-sig", "replace"))
        mended = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        return decoder.decode(mended)
    except msgspec.ValidationError:
        known = known_failure(response)
        if known is not None:
            return known
        what = f"the answer isn't what the API promises: {error}"
    except (ValueError, RecursionError, msgspec.DecodeError):
        what = f"the answer isn't JSON: {words_of(response.body)}"
    made = failed(InvalidReply, what, response, fix="check that base_url is the API's")
    if is_page(response.body):
        made.verdict = (
            Verdict.OUTAGE
        )  # a gateway's, or no API is there: nothing was said to this call
    return made


def failed(
    kind: type[CallError],
    why: str,
    response: HttpResponse,
    usage: Usage = NO_USAGE,
    partial: str = "",
    fix: str = "",
) -> CallError:
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
    return failed(InvalidReply, why, response, usage)


def asked_for_a_tool(response: HttpResponse, usage: Usage, partial: str) -> CallError:
    return failed(
        BadRequest,
        "the model stopped to have a tool called, and nothing here would call it",
        response,
        usage,
        partial,
        "remove tools from the model's options",
    )


def reply(
    text: str, usage: Usage, model: str | None, answer_id: str | None, response: HttpResponse
) -> Reply | CallError:
    """The finished answer, unless there is nothing in it."""
    if not text or text.isspace():
        return failed(EmptyReply, "the answer has no text", response, usage)
    return Reply(text, usage, model or "", request_id(response) or answer_id or "")
