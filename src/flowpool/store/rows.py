"""What the store holds, as it is written and read. Plain data; rows hold no cycles, so nothing looks for any."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from flowpool.record import Record
from flowpool.values import Attempt


class ItemRow(Struct, frozen=True, gc=False):
    """An item: its number in the store, what tells it from others, and its variables as JSON."""

    id: int
    hash: bytes
    input: bytes | None  # None for what can only come from the script again


class HashRow(Struct, frozen=True, gc=False):
    """What tells an item from others, where that is written in another way than before."""

    item: int
    hash: bytes


class StepRow(Struct, frozen=True, gc=False):
    """A step's answer for an item; `call`: 16 bytes of the step's definition and inputs."""

    item: int
    step: str
    call: bytes
    output: bytes


class AttemptRow(Struct, frozen=True, gc=False):
    """One attempt of an item's call."""

    item: int
    attempt: Attempt


class EventRow(Struct, frozen=True, gc=False):
    """What happened in a run: when, in seconds since 1970; of which kind; and what it says, as JSON."""

    at: float
    kind: str
    data: bytes
    item: int = 0  # of none


class ResultRow(Struct, frozen=True, gc=False):
    """How an item ended; its output as JSON."""

    item: int
    record: Record
    output: bytes | None


class Batch(Struct):
    """What is written in one transaction. `epoch`: seconds since 1970 at the loop clock's 0."""

    epoch: float = 0.0
    items: list[ItemRow] = field(default_factory=list)
    hashes: list[HashRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    results: list[ResultRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)

    @property
    def size(self) -> int:
        of_items = len(self.items) + len(self.hashes) + len(self.results)
        return of_items + len(self.steps) + len(self.attempts) + len(self.events)


class RunInfo(Struct, frozen=True):
    """A run as the store knows it."""

    id: int
    name: str
    fingerprint: bytes
    definition: str | None
    obstacle: str | None
    source: dict[str, Any] | None
    settings: dict[str, Any]
    steps: tuple[str, ...]
    complete: bool
    reason: str
    created: float
    updated: float

    @property
    def outputs(self) -> list[Any]:
        """The files that it was written to, as the store names them."""
        outputs = self.settings.get("outputs")
        return outputs if isinstance(outputs, list) else []

    @property
    def is_named(self) -> bool:
        """Whether the pool was given its name; else it has its runner's, which may change."""
        return self.settings.get("named") is not False

    @property
    def definitions(self) -> dict[str, str]:
        """Its steps' definitions, each with what an earlier version wrote of it, where it was that one's."""
        return {new: before for new, _, before in (step.partition(":") for step in self.steps)}

    @property
    def same_definitions(self) -> list[tuple[bytes, bytes]]:
        """Those that an earlier version wrote in another way, as bytes: now, and then."""
        return [
            (bytes.fromhex(new), bytes.fromhex(old)) for new, old in self.definitions.items() if old
        ]
