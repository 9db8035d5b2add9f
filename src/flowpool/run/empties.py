"""Items that have nothing for a variable of a prompt: how many, and whether they are asked about. Knows no loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flowpool.errors import InvalidItem
from flowpool.settings import OnEmpty
from flowpool.skill import Skill
from flowpool.template import is_empty


class Empties:
    """What became of them. shared: all items' variables; what is empty there is so by intent."""

    def __init__(self, on_empty: OnEmpty, shared: Mapping[str, Any]) -> None:
        self._on_empty = on_empty
        self._intended = frozenset(name for name, value in shared.items() if is_empty(value))
        self._found: Counter[tuple[int, str]] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """How many items had nothing for a variable, by its name."""
        most: dict[str, int] = {}
        for (_, name), count in list(self._found.items()):
            most[name] = max(count, most.get(name, 0))
        return most

    def skips(self, skill: Skill, variables: Mapping[str, Any]) -> bool:
        """Whether no call is to be made with these variables; raises `InvalidItem` where that is a failure."""
        empty = [name for name in skill.empty(variables) if name not in self._intended]
        if (
            empty and self._on_empty == "ask"
        ):  # an item without its picture isn't asked about: it fails
            files = skill.attachments
            empty = [name for name in empty if not any(f.needs(name, variables) for f in files)]
        for name in empty:
            self._found[id(skill), name] += 1
        if empty and self._on_empty == "fail":
            raise InvalidItem(f'there is nothing in {empty[0]!r}, and on_empty="fail"')
        return bool(empty) and self._on_empty == "skip"
