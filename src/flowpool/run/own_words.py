"""What of errors and events may be shown where no prompt and no answer may be: types, fixes, flowpool's own words.

What providers and functions say may repeat what was asked or answered, in quotation marks or without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowpool import errors
from flowpool.errors import CallError, message_of
from flowpool.printable import printable

LEFT_OUT = "…"
# Errors that flowpool words itself. All others are worded by a provider or a function, or are about an answer.
_OWN = frozenset(
    (
        *("ConnectFailed", "TooManyFiles", "CertificateRefused", "AddressRefused"),
        *("ConnectTimeout", "ReadTimeout", "AttemptTimeout", "ConnectionReset"),
        *("BodyCut", "BodyTooLarge", "StepTimeout", "WorkerDied", "WorkTooLarge"),
        *("NotFinished", "BudgetSpent", "StoreRefused", "StoreFailed"),
    )
)
# Characters of an error's message.
LONGEST = 500
_FIXES = {
    kind.fix
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CallError) and kind.fix
}
# What follows was said by the code that gave the items, or by a provider.
_SAID_BY_OTHERS = re.compile(
    r"(?P<own>reading the items failed: |(?: was given up| is probed).*?: ).*", re.DOTALL
)
# An apostrophe within a word is no quotation mark.
_OPENING = re.compile(r"(?<!\w)'|[\"`“«‘]")
_CLOSING = re.compile(r"'(?!\w)|[\"`”»’]")
_SINGLE_OPENING = re.compile(r"(?<!\w)'")
_SINGLE_CLOSING = re.compile(r"'(?!\w)")
_PAIRED = ('"', "`", "“”", "«»", "‘’")


def own_message(error: str, message: str) -> str:
    """What an error says, by its type's name: without what it quotes; nothing where others worded it.

    >>> own_message("ReadTimeout", "api.x.com sent nothing for 60 s")
    'api.x.com sent nothing for 60 s'
    >>> own_message("BadRequest", "Invalid prompt: a secret")
    '…'
    """
    if not message:
        return ""
    return own_words(message) if error in _OWN else LEFT_OUT


def own_words(words: str) -> str:
    """What flowpool says, without what it quotes, and without what it repeats of others but a fix of its own."""
    found = _SAID_BY_OTHERS.search(words)
    if found is None:
        return unquoted(words)
    said = next((f" ({fix})" for fix in _FIXES if fix in found[0]), "")
    return f"{unquoted(words[: found.end('own')])}{LEFT_OUT}{said}"


def error_fields(error: BaseException) -> dict[str, str]:
    """An error's type, what it says of its own, and what to do about it where it tells."""
    kind, fix = type(error).__name__, error.fix if isinstance(error, CallError) else ""
    said = error.message if isinstance(error, CallError) else message_of(error)
    is_own = getattr(errors, kind, None) is type(error)
    words = own_message(kind if is_own else "", " ".join(said[:LONGEST].split()))
    fields = {"error": kind, "message": printable(words)}
    return {**fields, "fix": printable(unquoted(fix[:LONGEST]))} if fix else fields


def event_fields(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What an event of a run says, without what its texts quote, and what a lane's error says."""
    fields = {
        name: own_words(value) if isinstance(value, str) else value for name, value in data.items()
    }
    if kind == "lane" and fields.get("error"):
        said = str(data["error"])
        fields["error"] = next((fix for fix in _FIXES if fix in said), LEFT_OUT)
    return fields


def unquoted(words: str) -> str:
    """The words without what they quote.

    >>> unquoted("can't read 'a secret', it's 'odd'")
    "can't read …"
    """
    first = _OPENING.search(words)
    if first is None:
        return words
    ends = [found.end() for found in _CLOSING.finditer(words, first.end())]
    end = ends[-1] if ends else len(words)
    rest = words[end:] if _is_closed(words[first.start() : end]) else ""
    return words[: first.start()] + LEFT_OUT + rest


def _is_closed(quoted: str) -> bool:
    """Whether every quotation mark in it has its other half: else what follows may be of a quoted text too."""
    counts = [[quoted.count(mark) for mark in pair] for pair in _PAIRED]
    apostrophes = len(_SINGLE_OPENING.findall(quoted)), len(_SINGLE_CLOSING.findall(quoted))
    return apostrophes[0] == apostrophes[1] and all(
        one[0] % 2 == 0 if len(one) == 1 else one[0] == one[1] for one in counts
    )
