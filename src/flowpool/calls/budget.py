"""What a run may still spend: a call's worst case is reserved before it is sent, then settled to what it used.

Knows no calls, no prices and no clock.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from msgspec import Struct

from flowpool.errors import BudgetSpent

PER_DOLLAR = 10**12  # money is counted in whole parts of a dollar, so that its sums are exact


class Amount(NamedTuple):
    """What a call costs, or may cost: parts of a dollar and tokens, input and output together."""

    cost: int
    tokens: int


NOTHING = Amount(0, 0)

_FIX = re.compile(r"\(raise (max_cost|max_tokens_total) and run it again\)")


def ceiling_in(reason: str) -> str:
    """The setting that has to be raised where a run ended for this reason; empty where it ended for another.

    >>> ceiling_in("the run's ceiling of $1 leaves no room ... (raise max_cost and run it again)")
    'max_cost'
    """
    found = _FIX.search(reason)
    return found[1] if found else ""


class Spend(Struct, frozen=True):
    """What a run has spent: dollars, and tokens of input and output together.

    cost, tokens: of the calls whose usage is known, dollars where the price is. unknown_cost, unknown_tokens: the
    most that those can have cost whose billing nobody knows, because they timed out, were cut off or were cancelled
    in flight; known under a ceiling alone.
    """

    cost: float = 0.0
    tokens: int = 0
    unknown_cost: float = 0.0
    unknown_tokens: int = 0

    def __str__(self) -> str:
        words = f"${self.cost:,.6g} and {self.tokens:,} tokens are spent"
        if not self.unknown_tokens:
            return words
        return (
            f"{words}; another ${self.unknown_cost:,.6g} and {self.unknown_tokens:,} tokens may be, by calls "
            "whose end nobody saw"
        )


class Reservation:
    """A call's worst case, set aside until it is settled, released or kept. waited: the seconds that it took."""

    __slots__ = ("is_open", "waited", "worst")

    def __init__(self, worst: Amount) -> None:
        self.worst = worst
        self.is_open = True
        self.waited = 0.0

    def __repr__(self) -> str:
        return f"<Reservation {self.worst}, {'open' if self.is_open else 'closed'}>"


class Budget:
    """Dollars and tokens that a run may spend at most, under any concurrency.

    max_cost: dollars. max_tokens: input and output together. spent: what earlier runs of the same work spent,
    which counts too.

    Every reservation must end in one of `settle`, `release` and `keep`. What is settled, kept and reserved
    never exceeds the ceiling, as long as no call uses more than was reserved for it. A ceiling that is lowered to
    less than that lets nothing more be reserved.

    >>> budget = Budget(max_tokens=100)
    >>> first = budget.reserve(Amount(0, 60))
    >>> budget.reserve(Amount(0, 60)) is None  # may fit once the first is settled
    True
    >>> budget.settle(first, Amount(0, 20))
    >>> budget.spent.tokens, budget.can_never_afford(Amount(0, 81))
    (20, True)
    """

    __slots__ = ("_cost", "_kept_cost", "_kept_tokens", "_tokens", "in_flight", "knows_prices", "max_cost",
                 "max_tokens", "reserved_cost", "reserved_tokens")  # fmt: skip

    def __init__(
        self,
        max_cost: float | None = None,
        max_tokens: int | None = None,
        spent: Spend = Spend(),  # noqa: B008
    ) -> None:
        self.limit(max_cost, max_tokens)
        self.knows_prices = (
            self.counts_money
        )  # so its dollars may have another ceiling later, or none
        self._cost, self._tokens = parts(spent.cost), spent.tokens
        self._kept_cost, self._kept_tokens = parts(spent.unknown_cost), spent.unknown_tokens
        self.reserved_cost = self.reserved_tokens = self.in_flight = 0

    def __repr__(self) -> str:
        return f"<Budget: {self.spent}; {self.in_flight} in flight>"

    def limit(self, max_cost: float | None, max_tokens: int | None) -> None:
        """Other ceilings from here on, None for none; what is spent and reserved stays."""
        self.max_cost = math.inf if max_cost is None else parts(max_cost)
        self.max_tokens = math.inf if max_tokens is None else max_tokens

    @property
    def ceilings(self) -> tuple[str, ...]:
        """Those that it has, as the settings are called."""
        ceilings = {"max_cost": self.max_cost, "max_tokens_total": self.max_tokens}
        return tuple(name for name, most in ceilings.items() if most < math.inf)

    @property
    def counts_money(self) -> bool:
        """Whether dollars have a ceiling."""
        return self.max_cost != math.inf

    @property
    def spent(self) -> Spend:
        """What is spent so far, without what is in flight."""
        return Spend(
            self._cost / PER_DOLLAR,
            self._tokens,
            self._kept_cost / PER_DOLLAR,
            self._kept_tokens,
        )

    def reserve(self, worst: Amount) -> Reservation | None:
        """Sets `worst` aside, or answers None when it doesn't fit beside what is spent and reserved."""
        cost = self._cost + self._kept_cost + self.reserved_cost + worst.cost
        tokens = self._tokens + self._kept_tokens + self.reserved_tokens + worst.tokens
        if cost > self.max_cost or tokens > self.max_tokens:
            return None
        self.reserved_cost += worst.cost
        self.reserved_tokens += worst.tokens
        self.in_flight += 1
        return Reservation(worst)

    def can_never_afford(self, worst: Amount) -> bool:
        """Whether `worst` wouldn't fit even if all that is in flight cost nothing."""
        return (
            self._cost + self._kept_cost + worst.cost > self.max_cost
            or self._tokens + self._kept_tokens + worst.tokens > self.max_tokens
        )

    def settle(self, reservation: Reservation, used: Amount) -> None:
        """The call is over and used this."""
        self._close(reservation)
        self._cost += used.cost
        self._tokens += used.tokens

    def release(self, reservation: Reservation) -> None:
        """The call cost nothing: it wasn't sent, or was refused."""
        self._close(reservation)

    def keep(self, reservation: Reservation) -> None:
        """Nobody knows what the call cost: its worst case counts as spent from here on."""
        self._close(reservation)
        self._kept_cost += reservation.worst.cost
        self._kept_tokens += reservation.worst.tokens

    def refusal(self, worst: Amount) -> BudgetSpent:
        """Why a call with this worst case isn't made, and what to do."""
        least: float = self._cost + self._kept_cost + worst.cost
        if least > self.max_cost:
            least /= PER_DOLLAR
            ceiling, price = (
                f"${self.max_cost / PER_DOLLAR:,.6g}",
                f"${worst.cost / PER_DOLLAR:,.6g}",
            )
            name = "max_cost"
        else:
            ceiling, price = f"{self.max_tokens:,} tokens", f"{worst.tokens:,} tokens"
            name = "max_tokens_total"
            least = self._tokens + self._kept_tokens + worst.tokens
        return BudgetSpent(
            f"the run's ceiling of {ceiling} leaves no room for a call of up to {price}: {self.spent} "
            f"(raise {name} and run it again)",
            name,
            least,
        )

    def _close(self, reservation: Reservation) -> None:
        assert reservation.is_open, "a reservation ends once"
        reservation.is_open = False
        self.reserved_cost -= reservation.worst.cost
        self.reserved_tokens -= reservation.worst.tokens
        self.in_flight -= 1


def parts(dollars: float) -> int:
    """Dollars in the parts that money is counted in."""
    return round(dollars * PER_DOLLAR)
