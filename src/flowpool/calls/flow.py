"""One item's way through the runner, and the calls that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

from msgspec import Struct

from flowpool.calls.decide import Attempts, Next
from flowpool.chain import Step
from flowpool.errors import InvalidOutput
from flowpool.record import ItemSpend, Record
from flowpool.values import Attempt, Timing

# Attempts whose times are still to be summed up. Of each: its seconds, and then the fields of its `Timing`, so that
# no object is made where nobody keeps it.
Pending = list[float]


class Log(Protocol):
    """Where a flow's steps and attempts are written down, and what it has of them from before.

    origins: notes of which values typed answers are made.
    """

    origins: Any

    def recall(self, step: str, calls: Sequence[bytes]) -> Any:
        """The output that this call had before, or `MISSING`. calls: all that may stand for it."""

    def remember(self, step: str, call: bytes, output: bytes) -> None:
        """The step was answered; its output as JSON."""

    def attempted(self, attempt: Attempt) -> None:
        """A request ended, one way or the other."""

    def ended(self, record: Record) -> None:
        """The item ended."""


MISSING: Any = object()


class Witness:
    """Who hears of an item's attempts that failed, as they happen. This one heeds nothing."""

    __slots__ = ()

    def failed(
        self,
        route: Any,
        began: float,
        now: float,
        error: Exception,
        follows: Next[Any],
        attempts: Attempts[Any] | None,
    ) -> None:
        """An attempt on `route` failed, which began at that moment. attempts: its call's so far."""

    def unfit(self, route: Any, error: InvalidOutput, left: int) -> None:
        """An answer doesn't fit, and is asked for again as often as is `left`."""


NOBODY = Witness()


class Times(Protocol):
    """Where the time of attempts is summed up."""

    def open(self, lane: str, rest: str) -> Pending:
        """Where the loop's thread adds attempts of the lane; once that is `MOST_PENDING` long it has to `sum_up`.

        rest: of which of `TIME_KINDS` is what is left of an attempt's seconds.
        """

    def sum_up(self) -> None:
        """Takes what was added."""


MOST_PENDING = 256 * (1 + len(Timing.__struct_fields__))


class Flow(ItemSpend, eq=False):
    """What one item's way through the runner has cost so far, and the slot that it holds.

    branches: those of its steps that don't wait for a retry. is_cut: the run has cancelled it: no more of its steps
    begin, also where one swallows its cancellation. is_over: its item has its record. witness: where somebody wants
    to know of its failures.
    """

    log: Log | None = None
    history: list[dict[str, Any]] | None = None
    branches: int = 1
    holds_slot: bool = True
    is_cut: bool = False
    is_over: bool = False
    attempts: int = 0
    witness: Witness = NOBODY


class Rank:
    """What goes first where calls queue: the lower. A chain's later steps have ranks below 0."""

    NEW = 0.0
    BEGUN = -1e9  # a call of which an attempt was made: what was begun is finished first


class StepCall(Struct, eq=False):
    """One step of one item, on its way: what is called, with what, for which flow, and how urgently.

    made: the variables that came out of a step.
    """

    step: Step
    variables: Mapping[str, Any]
    flow: Flow
    rank: float = Rank.NEW
    made: Set[str] = frozenset()
