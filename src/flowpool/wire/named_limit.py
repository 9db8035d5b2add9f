"""Which limit a refusal names: of what, over how long a time, and when it comes back.

Providers say it in words, in codes, in the names of quotas or in headers; `_DIMENSIONS` and `_PERIODS` are the
words. What a text names first is meant: what follows it is advice, or praise of a dearer plan. Knows no clock:
moments are taken against the answer's own `date`. Nothing here raises for what a provider sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil, isfinite
from typing import Literal, cast

from msgspec import Struct

from flowpool.wire.error_body import MESSAGE_CAP, Fault, http_date, retry_after

Period = Literal["", "short", "day", "week", "month", "long"]

# The time that a limit is counted over, in all the ways that it is written.
_SHORT_TIME = r"(?:min|sec|hour|[msh]\b|\d+ ?s\b)"
_RATE = r"[ -]?(?:per[ -]?|/ ?|an? )(?:(?:min|sec|hour|day|week|month|model|base|project)|[msdh]\b)"

# A limit's dimension: what is met first decides, and of what begins at the same place the upper one. A bare
# "requests" is no sign: "Your requests have exceeded the token rate limit", "Too many requests".
_DIMENSIONS = (
    # LiteLLM doesn't know which of them it was.
    ("several", r"tpm ?/ ?rpm|rpm ?/ ?tpm"),
    # "Number of concurrent connections", "max organization concurrency: 1", "maximum pending requests exceeded".
    (
        "concurrent",
        r"concurren|parallel[ -]request|in[ -]flight|simultaneous|pending requests|queue is full",
    ),
    # "50,000 input tokens per minute", "GenerateContentInputTokensPerModelPerMinute".
    ("input", r"(?:input|prompt)[ -]?token"),
    ("output", r"(?:output|completion)[ -]?token"),
    # "tokens per min (TPM)", "exceeded token rate limit", "Number of request tokens", "Too many tokens".
    (
        "tokens",
        rf"tokens?{_RATE}|tokens? (?:rate )?(?:limit|quota)|\btp[msdh]\b|request tokens|number of tokens"
        r"|too many tokens|limit (?:of|on|for|type:) tokens",
    ),
    # "requests per day (RPD)", "exceeded call rate limit", "20 API calls / minute", "free-models-per-day".
    (
        "requests",
        rf"(?:requests?|calls?|quer(?:y|ies)){_RATE}|(?:requests?|call) (?:rate )?(?:limit|quota)"
        r"|\brp[msdh]\b|\bqp[sm]\b|number of requests|free-models-per|limit (?:of|on|for|type:) requests",
    ),
)  # fmt: skip
# The time that it is counted over, by the same rule. An hour is waited for.
_PERIODS = (
    ("day", r"(?:per|by|/|\ba)[ -]?day|per 86400|\b[rt]pd\b|\bdaily\b|\btomorrow\b|24[ -]?h(?:ou)?rs?\b"),
    ("week", r"(?:per|by|/)[ -]?week|\bweekly\b"),
    ("month", r"(?:per|by|/)[ -]?month|/ month|\bmonthly\b"),
    ("short", rf"(?:per|by)[ -]?{_SHORT_TIME}|/ ?{_SHORT_TIME}|\b[rt]p[msh]\b|\bqp[sm]\b|\bhourly\b"),
)  # fmt: skip
# A time is one of a limit only where the text speaks of one.
_OF_LIMITS = ("limit", "quota", "exceed", "exhaust", "used up", "reached", "too many", "throttl")
# What Google calls a quota says of what it is in the end, where no time is named: `..._free_tier_requests`.
_QUOTA_ENDS = (("input", "input token count"), ("requests", "requests"), ("tokens", "tokens"))
# OpenAI's `type` and Together's and Cerebras' codes.
_CODES = {
    "requests": "requests",
    "request_limit": "requests",
    "request_quota_exceeded": "requests",
    "tokens": "tokens",
    "token_limit": "tokens",
    "token_quota_exceeded": "tokens",
}


def _first_of(table: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{words})" for name, words in table), re.ASCII)


_DIMENSION, _PERIOD = _first_of(_DIMENSIONS), _first_of(_PERIODS)
_ADDRESS = re.compile(r"https?://\S+")

# When it comes back, in words.
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)(?![a-z])"
_RETURN = r"(?:again|retry|wait|resets?|replenished|available|back|regain access|until)\D{0,24}?"
# "Please try again in 7m12.5s", "Please wait 43200 seconds", "will reset after 2 hours 5 minutes".
_AFTER = re.compile(rf"{_RETURN}((?:\d{{1,9}}(?:\.\d{{1,9}})? ?{_UNIT}[ ,]{{0,2}})+)", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?) ?(ms|milli|[smhd])", re.ASCII)
# "Quota will be replenished in 2.02:13:01."
_CLOCK = re.compile(rf"{_RETURN}(?:(\d{{1,3}})\.)?(\d\d):(\d\d):(\d\d)", re.ASCII)
# "You will regain access on 2026-12-01 at 00:00 UTC."
_AT = re.compile(
    rf"{_RETURN}(\d{{4}}-\d\d-\d\d)(?:t| at | )(\d\d:\d\d(?::\d\d)?)(?:\.\d{{1,9}})? ?(?:utc|gmt|z|\+00:?00)",
    re.ASCII,
)
# Limits of a minute or an hour are back within an hour.
_FAR = 3600.0
# Google asks to wait for seconds where the day is used up: shorter than this nothing is said of the day.
_OF_A_DAY = 60.0
# A time beyond this is a mistake.
_NEVER = 400 * 86_400.0
# Cerebras' headers, in seconds.
_DAY_RESETS = ("x-ratelimit-reset-requests-day", "x-ratelimit-reset-tokens-day")


class NamedLimit(Struct, frozen=True):
    """A limit as a refusal names it.

    dimension: in the limiter's names, None where it doesn't say. period: "short" for up to an hour, "long" for one
    beyond that nobody names, "" where nothing is said. wait: seconds until it comes back, where that is known. at:
    the moment, where the answer says what time it is.
    """

    dimension: str | None = None
    period: Period = ""
    wait: float | None = None
    at: datetime | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is the quota of a day or longer, which no run waits for."""
        return self.period not in ("", "short")

    @property
    def fix(self) -> str:
        """What to do about a quota that is used up."""
        of = "the quota" if self.period in ("", "long") else f"the quota of a {self.period}"
        if self.wait is None:
            when = "" if self.period in ("", "long") else f": it comes back within a {self.period}"
            return f"{of} is used up{when}; retry() or resume goes on then, or raise it at the provider"
        moment = f", at {self.at:%Y-%m-%d %H:%M} UTC" if self.at is not None else ""
        return (
            f"{of} is used up: come back in {_in_words(self.wait)}{moment}; retry() or resume goes on then, "
            "or raise it at the provider"
        )


def named_in(fault: Fault, headers: Mapping[str, str], *, refused: bool) -> NamedLimit:
    """The limit that an answer names. refused: whether its status says that one was reached (429)."""
    headers = {**fault.headers, **headers}
    now = http_date(headers.get("date", ""))
    message = _ADDRESS.sub(" ", fault.message[: 2 * MESSAGE_CAP]).lower()[:MESSAGE_CAP]
    message = message.replace("_", " ")
    quota = _longest(fault.quotas)
    said = _sane(_in_message(message, now))
    asked = said if said is not None else retry_after(headers, fault.retry_delay)
    far_reset = _far_reset(headers, now)
    period = cast(Period, _first(_PERIOD, quota)) or _period(message, asked)
    if not period and refused and (far_reset or (said or 0.0) > _FAR):
        period = "long"
    wait = said
    if period not in ("", "short"):
        wait = _longer_than_a_minute(said, far_reset, _day_reset(headers), _sane(asked))
    at = now + timedelta(seconds=wait) if now is not None and wait is not None else None
    dimension = _of_quota(quota) or _dimension(message) or _of_codes(fault.codes)
    return NamedLimit(dimension, period, wait, at)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return (found.lastgroup or "") if found is not None else ""


def _longest(quotas: tuple[str, ...]) -> str:
    """Of the quotas that refused, the one that takes longest to come back."""
    names = [name.lower().replace("_", " ") for name in quotas]
    long = (name for name in names if _first(_PERIOD, name) not in ("", "short"))
    return next(long, names[0] if names else "")


def _dimension(text: str) -> str | None:
    found = _first(_DIMENSION, text)
    return found if found != "several" and found else None


def _of_quota(name: str) -> str | None:
    found = _dimension(name)
    return found or next((of for of, end in _QUOTA_ENDS if name.endswith(end)), None)


def _of_codes(codes: tuple[str, ...]) -> str | None:
    return next((_CODES[code.lower()] for code in codes if code.lower() in _CODES), None)


def _period(message: str, asked: float | None) -> Period:
    """The time that a message names. Where it names a short and a long one, the wait it asks for tells which."""
    if not any(word in message for word in _OF_LIMITS):
        return ""
    named = [cast(Period, match.lastgroup) for match in _PERIOD.finditer(message)]
    longs = [period for period in named if period != "short"]
    if longs and "short" in named and asked is not None:
        return longs[0] if asked > _FAR else "short"
    return named[0] if named else ""


# When it comes back.


def _in_message(message: str, now: datetime | None) -> float | None:
    moment = _AT.search(message)
    if moment is not None and now is not None:
        try:
            at = datetime.fromisoformat(f"{moment[1]}T{moment[2]}").replace(tzinfo=UTC)
        except ValueError:
            return None
        return max(0.0, (at - now).total_seconds())
    clock = _CLOCK.search(message)
    if clock is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((24 * days + hours) * 60 + minutes) * 60 + seconds)
    after = _AFTER.search(message)
    if after is None:
        return None
    parts = _PART.findall(after[1])
    return sum(
        float(number) * _SECONDS["ms" if unit == "milli" else unit] for number, unit in parts
    )


def _reset(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """Seconds until the moment in `x-ratelimit-reset`: milliseconds or seconds of the era, or seconds from now."""
    value = _number(headers.get("x-ratelimit-reset", ""))
    if value is None or value < 1e9:
        return value
    seconds = value / 1000.0 if value > 1e11 else value
    return max(0.0, seconds - now.timestamp()) if now is not None else None


def _far_reset(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """The same where nothing is left until then, and that is beyond any limit of a minute or an hour."""
    reset = _sane(_reset(headers, now))
    return reset if reset is not None and reset > _FAR and _nothing_left(headers) else None


def _longer_than_a_minute(*waits: float | None) -> float | None:
    """The first that says something of a day."""
    return next((one for one in waits if one is not None and one >= _OF_A_DAY), None)


def _nothing_left(headers: Mapping[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining", "0").strip() in ("0", "0.0")


def _day_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until the day's limits are back."""
    return max(filter(None, (_number(headers.get(name, "")) for name in _DAY_RESETS)), default=None)


def _sane(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0.0 <= seconds < _NEVER else None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0.0 else None


def _in_words(seconds: float) -> str:
    """A wait as people say it: `40 s`, `12 min`, `7 h 12 min`, `3 d 4 h`."""
    if seconds < 60.0:
        return f"{max(1, ceil(seconds))} s"
    minutes = ceil(seconds / 60.0)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (0 if days else minutes, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
