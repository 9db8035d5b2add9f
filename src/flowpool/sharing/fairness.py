"""How runs divide one limit between them. Pure arithmetic: knows no files and no clock.

Everything is a fraction of the whole limit, so that runs whose calls cost differently still compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# A run that wants little gets a little more than it wants, so that it isn't slowed before it can say so.
HEADROOM = 1.1
# What runs that want nothing may hold, all of them together.
LEAST = 0.01
# The part of its fair share that a run takes at once, before the others are known to have made room.
AT_ONCE = 0.25


def fair_shares(demands: Sequence[float], limit: float) -> list[float]:
    """Max-min fair parts of `limit`, in the order of `demands`.

    Nobody gets more than it wants; what some leave is divided equally between those that want more. `limit` is
    finite, a demand may be infinite; the unit is the caller's.

        fair_shares([10, 100, 100], 90)  # [10, 40, 40]
    """
    shares = [0.0] * len(demands)
    left = limit
    waiting = len(demands)
    for index in sorted(range(len(demands)), key=demands.__getitem__):
        shares[index] = max(0.0, min(demands[index], left / waiting))
        left -= shares[index]
        waiting -= 1
    return shares


def divide(wanted: Sequence[float]) -> list[float]:
    """The whole limit divided between runs that want these fractions of it; the parts add up to 1.

    What nobody wants is divided too: it costs nothing, and whoever needs more later has it at hand.
    """
    count = len(wanted)
    asked = [min(1.0, fraction * HEADROOM + LEAST / count) for fraction in wanted]
    shares = fair_shares(asked, 1.0)
    spare = max(0.0, 1.0 - sum(shares)) / count
    return [share + spare for share in shares]


def grant(wanted: float, others: Iterable[tuple[float, float]]) -> float:
    """The fraction that one run may use now, above 0 and at most 1.

    `others` are pairs: the fraction another run wants, and the one it uses. A run takes what the others have
    left until they make room, so that two never use the same part; only a small piece is taken at once.
    """
    pairs = list(others)
    if not pairs:
        return 1.0
    target = divide([wanted, *(want for want, _ in pairs)])[0]
    free = 1.0 - sum(used for _, used in pairs)
    return min(target, max(free, AT_ONCE * target))
