"""What an answer's headers say of the provider's limits. Pure: header names are data, the time is the answer's own.

A limit of 0 or less stands for an absent one. Nothing here judges what a limit means: that is the gauge's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf

from flowpool.values import LimitReading

# Our dimension and the provider's name for it.
_OPENAI = (("requests", "requests"), ("tokens", "tokens"))
_ANTHROPIC = (("requests", "requests"), ("input", "input-tokens"), ("output", "output-tokens"))
_MISTRAL = (("requests", "req"), ("tokens", "tokens"))

_OPENAI_NAMES = tuple(
    (dimension, *(f"x-ratelimit-{part}-{name}" for part in ("limit", "remaining", "reset")))
    for dimension, name in _OPENAI
)
_ANTHROPIC_NAMES = tuple(
    (dimension, *(f"anthropic-ratelimit-{name}-{part}" for part in ("limit", "remaining", "reset")))
    for dimension, name in _ANTHROPIC
)
_MISTRAL_NAMES = tuple(
    (dimension, *(f"x-ratelimit-{part}-{name}-minute" for part in ("limit", "remaining")))
    for dimension, name in _MISTRAL
)
_SECONDS = {
    "ms": 0.001,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}


def read_limits(headers: Mapping[str, str]) -> tuple[LimitReading, ...]:
    """A reading for each limit that the headers tell of; none for a provider that doesn't.

    headers: names in lower case.
    """
    if "x-ratelimit-limit-requests" in headers or "x-ratelimit-limit-tokens" in headers:
        return _openai(headers)
    if "anthropic-ratelimit-requests-limit" in headers:
        return _anthropic(headers)
    if "x-ratelimit-limit-req-minute" in headers or "x-ratelimit-limit-tokens-minute" in headers:
        return _mistral(headers)
    return ()


def _openai(headers: Mapping[str, str]) -> tuple[LimitReading, ...]:
    readings = []
    for dimension, limit, remaining, reset in _OPENAI_NAMES:
        try:
            most, left = float(headers[limit]), float(headers[remaining])
        except (KeyError, ValueError):
            continue
        if 0.0 < most < inf and left >= 0.0:
            readings.append(
                LimitReading(dimension, most, left, _go_duration(headers.get(reset, "")))
            )
    return tuple(readings)


def _anthropic(headers: Mapping[str, str]) -> tuple[LimitReading, ...]:
    readings = []
    now = _date(headers.get("date", ""))
    for dimension, limit, remaining, reset in _ANTHROPIC_NAMES:
        try:
            most, left = float(headers[limit]), float(headers[remaining])
        except (KeyError, ValueError):
            continue
        if 0.0 < most < inf and left >= 0.0:
            until = _instant(headers.get(reset, ""))
            wait = max(0.0, until - now) if now is not None and until is not None else None
            readings.append(LimitReading(dimension, most, left, wait, True))
    return tuple(readings)


def _mistral(headers: Mapping[str, str]) -> tuple[LimitReading, ...]:
    readings = []
    for dimension, limit, remaining in _MISTRAL_NAMES:
        try:
            most, left = float(headers[limit]), float(headers[remaining])
        except (KeyError, ValueError):
            continue
        if 0.0 < most < inf and left >= 0.0:
            readings.append(LimitReading(dimension, most, left))
    return tuple(readings)


def _go_duration(text: str) -> float | None:
    """Seconds of a duration as Go prints it: `12ms`, `1.5s`, `6m0s`; plain seconds too."""
    if text.endswith("ms"):  # by far the most usual
        try:
            return float(text[:-2]) * 0.001
        except ValueError:
            return _long_duration(text)
    try:
        return float(text)
    except ValueError:
        return _long_duration(text)


def _long_duration(text: str) -> float | None:
    total, number, i = 0.0, "", 0
    while i < len(text):
        if text[i].isdigit() or text[i] == ".":
            number += text[i]
            i += 1
            continue
        unit = text[i : i + 2] if text[i : i + 2] in _SECONDS else text[i]
        if unit not in _SECONDS or not number:
            return None
        try:
            total += float(number) * _SECONDS[unit]
        except ValueError:
            return None
        number = ""
        i += len(unit)
    return total if text and not number else None


def _instant(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None
