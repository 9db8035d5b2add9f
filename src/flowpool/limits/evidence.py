"""How probable it is that refusals are chance. Plain arithmetic."""

from __future__ import annotations

import math

# Up to so many calls the sum is exact; beyond, the normal curve is near enough and takes no time.
EXACT = 200


def chance_of(refused: int, calls: int, share: float) -> float:
    """How probable it is that so many or more of the calls are refused, if each is with probability `share`."""
    if refused <= 0:
        return 1.0
    if share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    if calls > EXACT:
        spread = math.sqrt(calls * share * (1.0 - share))
        return 0.5 * math.erfc((refused - 0.5 - calls * share) / (spread * math.sqrt(2.0)))
    term, fewer = (1.0 - share) ** calls, 0.0
    for n in range(refused):
        fewer += term
        term *= (calls - n) / (n + 1) * share / (1.0 - share)
    return max(0.0, 1.0 - fewer)
