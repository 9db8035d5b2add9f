"""A run without what it was about: no prompts, variables or answers, and nothing that errors quote of them."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from flowpool import errors
from flowpool.report.data import ErrorGroup, ItemData, RunData
from flowpool.settings import Settings
from flowpool.store.reading import Event

LEFT_OUT = "…"
# An apostrophe within a word is no quotation mark.
_OPENING = re.compile(r"(?<!\w)'|[\"`“«‘]")
_CLOSING = re.compile(r"'(?!\w)|[\"`”»’]")
_SINGLE_OPENING = re.compile(r"(?<!\w)'")
_SINGLE_CLOSING = re.compile(r"'(?!\w)")
_PAIRED = ('"', "`", "“”", "«»", "‘’")
# What these say was written by somebody's code or is of the answer itself, quoted or not.
_SAY_CONTENT = ("StepFailed", "InvalidOutput", "InvalidItem", "Refused", "Blocked", "Truncated")


def without_content(run: RunData) -> RunData:
    """The run as it may be shown to anybody."""
    return replace(
        run,
        runner=unquoted(run.runner),
        reason=unquoted(run.reason),
        settings={name: value for name, value in run.settings.items() if name in _SETTINGS},
        items=[_item(item) for item in run.items],
        errors=[_group(group) for group in run.errors],
        bottlenecks=[
            replace(one, words=unquoted(one.words), fix=unquoted(one.fix))
            for one in run.bottlenecks
        ],
        events=[_event(event) for event in run.events],
    )


_SETTINGS = frozenset(Settings.__struct_fields__)


def unquoted(words: str, error: str = "") -> str:
    """What an error says, without what it quotes; nothing of one whose words are content themselves.

    >>> unquoted("can't read 'a secret', it's 'odd'"), unquoted("boom", "StepFailed")
    ("can't read …", '…')
    """
    if error in _SAY_CONTENT:
        return LEFT_OUT
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


def _message(error: str, message: str) -> str:
    is_own = hasattr(errors, error)
    return unquoted(message, error if is_own else "StepFailed") if message else ""


def _item(item: ItemData) -> ItemData:
    return replace(
        item, variables=None, output=None, steps={}, message=_message(item.error, item.message)
    )


def _group(group: ErrorGroup) -> ErrorGroup:
    return replace(group, message=_message(group.error, group.message))


def _event(event: Event) -> Event:
    data: dict[str, Any] = {
        name: unquoted(value) if isinstance(value, str) else value
        for name, value in event.data.items()
    }
    return replace(event, data=data)
