"""Which limit a refusal names, when it comes back, and what no wait mends."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from tests.wire import golden_cases as golden

from flowpool.wire.error_body import Fault
from flowpool.wire.named_limit import NamedLimit, named_in

ANSWERS = golden.answers("named_limit")


@pytest.mark.parametrize("case", ANSWERS, ids=golden.claim)
def test_a_refusal_means(case: golden.Case) -> None:
    golden.check_answer(case["wire"], case)


def named(message: str, **headers: str) -> NamedLimit:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return named_in(Fault(message), sent, refused=True)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 250ms.", 0.25),
        ("Retry after 26 seconds", 26.0),
        ("Please wait 40817 seconds before retrying.", 40817.0),
        ("Try again in 9 hours 5 minutes.", 32700.0),
        ("Your limit resets in ~1 day, 2 hours", 93600.0),
        ("Quota will be replenished in 02:13:01.", 7981.0),
        ("Please try again later.", None),
        ("Limit 200, used 200 s, requested 1.", None),
        ("It resets at 2026-12-01 00:00 UTC", None),  # the answer doesn't say what time it is
        ("Try again in 99999999 days.", None),
    ],
)
def test_words_say_when_to_come_back(words: str, seconds: float | None) -> None:
    assert named(words).wait == seconds


def test_a_moment_is_taken_against_the_answers_own_date() -> None:
    date = "Mon, 30 Nov 2026 23:00:00 GMT"
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    for words in ("resets at 2026-12-01 00:00:00 UTC", "regain access on 2026-12-01 at 00:00 UTC"):
        limit = named(words, date=date)
        assert (limit.wait, limit.at) == (3600.0, moment)
    assert named("resets at 2026-11-01 00:00:00 UTC", date=date).wait == 0.0
    assert named("resets at 2026-99-01 00:00:00 UTC", date=date).wait is None


@pytest.mark.parametrize(
    ("reset", "period"),
    [
        ("1795824000000", "long"),  # milliseconds of the era
        ("1795824000", "long"),
        ("25920", "long"),  # seconds from now
        ("3600", ""),
        ("1795798140", ""),  # a minute from now
        ("1795700000", ""),  # gone by
        ("9e99", ""),
        ("nan", ""),
        ("soon", ""),
    ],
)
def test_nothing_left_until_a_far_moment_is_a_long_limit(reset: str, period: str) -> None:
    date = "Fri, 27 Nov 2026 16:48:00 GMT"
    assert named("", date=date, x_ratelimit_reset=reset).period == period
    assert named("", date=date, x_ratelimit_reset=reset, x_ratelimit_remaining="1").period == ""
    assert not named_in(Fault(), {"date": date, "x-ratelimit-reset": reset}, refused=False).is_long


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20.0, "20 s"), (0.1, "1 s"), (61.0, "2 min"), (7200.0, "2 h"), (93_780.0, "1 d 2 h")],
)
def test_a_fix_says_when_in_peoples_words(seconds: float, words: str) -> None:
    fix = NamedLimit(period="day", wait=seconds).fix
    assert fix == (
        f"the quota of a day is used up: come back in {words}; retry() or resume goes on then, "
        "or raise it at the provider"
    )


@pytest.mark.parametrize(
    "part",
    ["try again in 1m", "again ", "1m", "requests per ", "https://", "in flight ", "_", "per d"],
)
def test_a_megabyte_of_the_worst_words_takes_no_time(part: str) -> None:
    worst = part * (1_000_000 // len(part))
    began = time.process_time()
    named(worst)
    assert time.process_time() - began < 1.0
