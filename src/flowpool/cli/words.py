"""Figures as people say them: seconds and dollars."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in words: 0.42 s, 12.3 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def dollars(amount: float) -> str:
    """An amount in dollars: to the cent, or with two digits that say something."""
    if 0 < amount < 0.0001:
        return "less than $0.0001"
    return f"${amount:,.2f}" if amount >= 0.1 or not amount else f"${amount:.2g}"
