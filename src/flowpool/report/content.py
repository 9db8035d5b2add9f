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
# From the first quotation mark to the last, whatever stands between: an apostrophe within a word is none.
_QUOTED = re.compile(r"(?:(?<!\w)'|[\"`“”«‘]).*(?:[\"`“”»’]|'(?!\w))", re.DOTALL)
_OPEN = re.compile(r"(?:(?<!\w)'|[\"`“«‘]).*", re.DOTALL)
# What these say was written by somebody's code or is of the answer itself, quoted or not.
_SAY_CONTENT = ("StepFailed", "InvalidOutput", "InvalidItem", "Refused", "Blocked", "Truncated")


def without_content(run: RunData) -> RunData:
    """The run as it may be shown to anybody."""
    return replace(
        run,
        runner=_QUOTED.sub(LEFT_OUT, run.runner),
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
    return _OPEN.sub(LEFT_OUT, _QUOTED.sub(LEFT_OUT, words))


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
