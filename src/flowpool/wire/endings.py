"""Why an answer ended, in any provider's spelling: whether it is whole, and else what happened to it.

A word that nobody knows never makes a whole answer.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flowpool.errors import (
    Blocked,
    CallError,
    EmptyReply,
    InvalidReply,
    Overloaded,
    Refused,
    ServerError,
    Truncated,
)


class Ending(Struct, frozen=True):
    """What a reason means. failure: what became of the answer, None where it is whole or a tool is called."""

    failure: type[CallError] | None = None
    why: str = ""
    fix: str = ""
    is_known: bool = True


WHOLE = Ending()
# Whole if there are words; else the model wants a tool called.
TOOL = Ending()
# The model would go on after a turn of the caller's: never whole.
PAUSED = Ending()
_TRUNCATED = Ending(Truncated, "the answer reached its token limit")
_CONTEXT = Ending(
    Truncated,
    "the answer reached the model's context length",
    "shorten the input, or use a model with a larger context",
)
_FILTERED = Ending(Blocked, "the provider's content filter stopped the answer")
_REFUSED = Ending(Refused, "the model declined to answer")
_GARBLED = Ending(InvalidReply, "the model called a tool that isn't there, or garbled the call")
_BROKEN_OFF = Ending(InvalidReply, "the provider failed mid-answer")
_OUT_OF_TIME = Ending(ServerError, "the provider ran out of time mid-answer")
_OUT_OF_CAPACITY = Ending(Overloaded, "the provider ran out of capacity mid-answer")
_UNSAID = Ending(EmptyReply, "the provider stopped the answer without saying why")

# Spellings that their parts don't tell, without what parts them.
_KNOWN = {
    **dict.fromkeys(("", "null", "none", "nil", "unspecified"), WHOLE),
    **dict.fromkeys(("stop", "endturn", "eos", "eostoken", "stopsequence", "stoptoken"), WHOLE),
    **dict.fromkeys(("maxtokens", "maxlength", "maxoutputtokens", "tokenlimit"), _TRUNCATED),
    **dict.fromkeys(("modellength", "contextlength", "errorlimit", "compaction"), _CONTEXT),
    **dict.fromkeys(("contentfilter", "contentfiltered", "safety", "language"), _FILTERED),
    **dict.fromkeys(("toolcalls", "tooluse", "functioncall"), TOOL),
    **dict.fromkeys(("pauseturn", "requiresaction"), PAUSED),
    **dict.fromkeys(("malformedfunctioncall", "missingthoughtsignature"), _GARBLED),
    **dict.fromkeys(("inprogress", "queued", "load", "unload"), _BROKEN_OFF),
    **dict.fromkeys(("other", "imageother", "noimage"), _UNSAID),
}
# Else the first row that shares a part with the reason decides: half an answer comes before a whole one.
_PARTS: tuple[tuple[frozenset[str], Ending], ...] = (
    (
        frozenset({"malformed", "unexpected", "garbled"}) | {"many"},
        _GARBLED,
    ),
    (
        frozenset({"filter", "filtered", "safety", "unsafe", "sensitive", "blocked", "blocklist"})
        | {"prohibited", "policy", "moderation", "moderated", "recitation", "spii", "pii", "toxic"}
        | {"guardrail", "guardrails", "harmful", "violation", "risk", "armor", "inspection"}
        | {"inappropriate", "flagged", "censored"},
        _FILTERED,
    ),
    (frozenset({"refusal", "refused", "refuse", "declined"}), _REFUSED),
    (frozenset({"timeout", "timed", "time", "deadline"}), _OUT_OF_TIME),
    (frozenset({"overloaded", "overload", "capacity", "resource", "resources"}), _OUT_OF_CAPACITY),
    (frozenset({"context"}), _CONTEXT),
    (
        frozenset({"length", "max", "maximum", "limit", "limits", "tokens", "truncated"})
        | {"truncation", "incomplete", "budget", "exhausted", "exceeded", "repetition", "cut"},
        _TRUNCATED,
    ),
    (
        frozenset({"error", "errored", "abort", "aborted", "cancel", "cancelled", "canceled"})
        | {"fail", "failed", "failure", "network", "disconnect", "disconnected", "interrupt"}
        | {
            "interrupted",
            "killed",
            "exception",
            "preempted",
            "partial",
            "unfinished",
            "expired",
            "not",
        },
        _BROKEN_OFF,
    ),
    (frozenset({"tool", "tools", "function", "functions"}), TOOL),
    (
        frozenset({"stop", "stopped", "eos", "eot", "end", "ended", "complete", "completed"})
        | {"done", "finish", "finished", "endoftext", "success", "succeeded"},
        WHOLE,
    ),
)
_INNER_CAPITAL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
_NO_LETTER = re.compile(r"[\W_]+")
_PREFIX = re.compile(r"\A(finish|stop|done)_reason_")


def ending_of(reason: str) -> Ending:
    """What a finish reason means.

    >>> ending_of("FINISH_REASON_MAX_TOKENS") == ending_of("length")
    True
    >>> ending_of("tired").why
    "the answer ended with 'tired', which says nothing of whether it is whole"
    """
    spelled = _NO_LETTER.sub("_", _INNER_CAPITAL.sub("_", reason)).strip("_").lower()
    spelled = _PREFIX.sub("", spelled)
    known = _KNOWN.get(spelled.replace("_", "")) if spelled or not reason.strip() else None
    if known is not None:
        return known
    parts = set(spelled.split("_"))
    meant = next((ending for words, ending in _PARTS if not words.isdisjoint(parts)), None)
    return meant or Ending(
        InvalidReply,
        f"the answer ended with {reason[:100]!r}, which says nothing of whether it is whole",
        "what arrived is in the error's partial",
        is_known=False,
    )
