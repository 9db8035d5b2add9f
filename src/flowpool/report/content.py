"""A run without what it was about: no prompts, variables or answers, and nothing that errors may repeat of them."""

from __future__ import annotations

from msgspec.structs import replace

from flowpool.report.data import ErrorGroup, ItemData, RunData
from flowpool.run.own_words import event_fields, own_message, own_words, unquoted
from flowpool.settings import Settings
from flowpool.store.reading import Event

_SETTINGS = frozenset(Settings.__struct_fields__)


def without_content(run: RunData) -> RunData:
    """The run as it may be shown to anybody."""
    return replace(
        run,
        runner=unquoted(run.runner),
        reason=own_words(run.reason),
        settings={name: value for name, value in run.settings.items() if name in _SETTINGS},
        items=[_item(item) for item in run.items],
        errors=[_group(group) for group in run.errors],
        bottlenecks=[
            replace(one, words=own_words(one.words), fix=unquoted(one.fix))
            for one in run.bottlenecks
        ],
        events=[_event(event) for event in run.events],
    )


def _item(item: ItemData) -> ItemData:
    message = own_message(item.error, item.message)
    return replace(item, variables=None, output=None, steps={}, message=message)


def _group(group: ErrorGroup) -> ErrorGroup:
    return replace(group, message=own_message(group.error, group.message))


def _event(event: Event) -> Event:
    return replace(event, data=event_fields(event.kind, event.data))
