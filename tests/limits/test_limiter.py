"""When a call may go, by what the provider told and refused. Plain calls, no loop."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from flowpool.limits.demand import Demand
from flowpool.limits.limiter import Admission, Learned, Limiter
from flowpool.values import LimitReading, Limits

CALL = Demand(100.0, 20.0)


def send(limiter: Limiter, now: float, cost: Demand = CALL) -> Admission:
    assert limiter.wait(cost, now) == 0.0
    return limiter.sent(cost, now)


def send_until(limiter: Limiter, now: float, in_flight: int, end: float) -> list[Admission]:
    """What goes from now to the end, while nothing is answered."""
    sent: list[Admission] = []
    while now < end:
        wait = limiter.wait(CALL, now, in_flight + len(sent))
        if wait:
            now += wait
        else:
            sent.append(limiter.sent(CALL, now, in_flight + len(sent)))
    return sent


def test_sixteen_calls_go_within_a_tenth_of_a_second() -> None:
    limiter = Limiter()
    sent = send_until(limiter, 0.0, 0, 0.15)
    assert len(sent) == 16
    assert sent[-1].at <= 0.1


def test_calls_that_are_not_refused_make_it_wider_up_to_64_and_answers_beyond() -> None:
    limiter = Limiter()
    sent = send_until(limiter, 0.0, 0, 1.0)
    assert len(sent) == 64
    assert limiter.wait(CALL, 60.0, 64) == inf  # the clock makes it no wider
    in_flight = 64
    for n, call in enumerate(sent):
        now = 60.0 + 0.1 * n
        limiter.answered(call, now, (), Demand(100.0, 20.0))
        in_flight += len(send_until(limiter, now, in_flight - 1, now + 0.1)) - 1
    assert in_flight > 100


def test_a_refusal_ends_what_the_clock_makes_wider() -> None:
    limiter = Limiter()
    sent = send_until(limiter, 0.0, 0, 0.15)
    limiter.throttled(sent[-1], 0.15, None, ())
    assert len(send_until(limiter, 0.15, 15, 10.0)) == 1


def test_fifty_calls_go_at_once_where_somebody_says_how_many_flows() -> None:
    limiter = Limiter(eager=True)
    for _ in range(50):
        send(limiter, 0.0)
    limiter.sent(CALL, 0.0)
    assert limiter.wait(CALL, 0.0) > 0.0


def test_one_429_holds_the_lane_for_a_moment_whatever_it_asks() -> None:
    """A Retry-After of a refusal that may be chance is not the lane's."""
    limiter = Limiter()
    limiter.throttled(send(limiter, 0.0), 0.02, 60.0, ())
    assert limiter.wait(CALL, 0.02) <= 0.2
    assert limiter.throttles == 1


def test_a_429_that_headers_explain_pauses_the_lane_for_as_long_as_it_says() -> None:
    limiter = Limiter()
    limiter.answered(send(limiter, 0.0), 0.1, (LimitReading("requests", 60, 9, 0.9),), Demand())
    empty = (LimitReading("requests", 60, 0, 1.0),)
    limiter.throttled(limiter.sent(CALL, 0.2), 0.22, 2.0, empty)
    assert 2.0 <= limiter.wait(CALL, 0.22, 1) <= 2.1


def test_headers_that_come_with_refusals_alone_are_no_fact() -> None:
    limiter = Limiter()
    calls = [limiter.sent(CALL, 0.01 * n, n) for n in range(16)]
    limiter.throttled(calls[3], 0.2, None, (LimitReading("requests", 60, 0, 1.0),))
    for call in calls[:3] + calls[4:]:
        limiter.answered(call, 0.3, (), Demand(100.0, 20.0))
    assert limiter.limits() == {}
    assert limiter.wait(CALL, 0.5, 16) == 0.0


def test_outages_teach_no_rate() -> None:
    limiter = Limiter()
    for n in range(20):
        limiter.failed(send(limiter, float(n)), n + 0.5)
    assert limiter.limits() == {}
    assert not limiter.pacers


def test_a_ceiling_that_was_told_is_kept_in_every_minute() -> None:
    limiter = Limiter(limits=Limits(rpm=60))
    now, times = 0.0, []
    while now < 180.0:
        wait = limiter.wait(CALL, now)
        if wait:
            now += max(wait, 1e-3)
            continue
        assert limiter.claim(CALL, now)
        limiter.sent(CALL, now)
        times.append(now)
    assert all(sum(start <= t < start + 60.0 for t in times) <= 60 for start in range(120))


def test_headers_explain_a_429_and_no_pacer_is_needed() -> None:
    limiter = Limiter()
    limiter.answered(send(limiter, 0.0), 0.1, (LimitReading("requests", 50, 9, 1.0),), Demand())
    empty = (LimitReading("requests", 50, 0, 1.0),)
    for n in range(3):
        limiter.throttled(limiter.sent(CALL, n + 1.0), n + 1.02, 0.02, empty)
    assert not limiter.pacers


def test_chance_429s_are_no_limit_and_call_after_call_refused_is_one() -> None:
    limiter, random = Limiter(), Random(2)
    for n in range(400):
        call = limiter.sent(CALL, 0.01 * n, 10)
        if random.random() < 0.05:
            limiter.throttled(call, 0.01 * n + 0.005, None, ())
        else:
            limiter.answered(call, 0.01 * n + 0.009, (), Demand(100.0, 20.0))
    assert not limiter.pacers
    for n in range(400, 440):
        limiter.throttled(limiter.sent(CALL, 0.05 * n, 2), 0.05 * n + 0.02, None, ())
    assert "requests" in limiter.pacers


def test_headers_that_block_what_would_be_let_in_fall() -> None:
    limiter, now, answers = Limiter(), 0.0, 0
    nothing_left = (LimitReading("requests", 60, 0, 60.0),)
    while now < 60.0:
        wait = limiter.wait(CALL, now)
        if wait:
            now += min(wait, 60.0)
            continue
        limiter.answered(limiter.sent(CALL, now), now + 0.1, nothing_left, Demand(100.0, 20.0))
        now += 0.1
        answers += 1
    assert answers > 100


def test_refused_calls_that_are_large_say_that_tokens_are_limited() -> None:
    """Where neither headers nor the 429 tell the dimension."""
    for is_by_size, dimension in ((True, "tokens"), (False, "requests")):
        random, limiter = Random(1), Limiter()
        for n in range(400):
            tokens = 10.0 * 10 ** (2.0 * random.random())
            cost = Demand(tokens, 10.0)
            sent = limiter.sent(cost, float(n))
            if n == 0:
                limiter.follow(1.0, 0.0)  # a rate is limited, that is known
            if tokens > 700.0 if is_by_size else n % 20 == 5:
                limiter.throttled(sent, n + 0.02, None, ())
            else:
                limiter.answered(sent, n + 0.3, (), Demand(tokens, 10.0))
        assert list(limiter.pacers) == [dimension]


def test_what_headers_told_is_remembered_as_a_fact_and_what_refusals_taught_is_not() -> None:
    limiter = Limiter()
    for n in range(10):
        told = (LimitReading("requests", 600, 600 - n, 0.1 * n),)
        limiter.answered(limiter.sent(CALL, 0.01 * n), 0.3, told, Demand(100.0, 20.0))
    assert limiter.snapshot()["requests"].by_headers
    fresh = Limiter()
    fresh.resume({"requests": Learned(0.01, tested=3)}, 60.0, 0.0)
    assert fresh.limits() == {}
    assert not fresh.pacers


def test_a_rate_that_runs_before_found_is_where_the_search_begins() -> None:
    limiter = Limiter()
    limiter.resume({"requests": Learned(10.0, tested=3)}, 60.0, 0.0)
    for n in range(60):
        call = limiter.sent(CALL, 0.01 * n, n)
        limiter.throttled(call, 0.01 * n + 0.005, None, ())
    assert limiter.pacers["requests"].pace == pytest.approx(10.0, rel=0.1)


def test_a_follower_sends_its_share_of_the_pace_that_another_run_found() -> None:
    limiter = Limiter()
    limiter.share = 0.25
    limiter.follow(40.0, 0.0)
    assert limiter.pacers["requests"].pace == pytest.approx(10.0)
    assert limiter.found_pace == pytest.approx(40.0)
    limiter.follow(None, 1.0)
    assert limiter.found_pace == pytest.approx(40.0, rel=0.02)


def test_who_learns_of_others_while_it_looks_for_a_cap_believes_in_none() -> None:
    """It would keep to a few calls in flight, and leave the others nothing of a rate."""
    limiter = Limiter()
    calls = [limiter.sent(CALL, 0.001 * n, n) for n in range(16)]
    for call in calls:
        limiter.throttled(call, 0.03, None, ())
    modes = [limiter.refusals.mode]
    limiter.share = 0.25
    modes.append(limiter.refusals.mode)
    assert modes == ["probing", "open"]


def test_a_retry_after_of_a_minute_is_put_to_the_test_and_shortened_where_less_was_enough() -> None:
    limiter = Limiter()
    limiter.answered(send(limiter, 0.0), 0.1, (LimitReading("requests", 600, 9, 0.9),), Demand())
    empty = (LimitReading("requests", 600, 0, 1.0),)
    limiter.throttled(limiter.sent(CALL, 0.2), 0.22, 60.0, empty)
    assert limiter.wait(CALL, 0.22, 1) > 55.0
    now = 0.22 + limiter.wait(CALL, 0.22)
    assert now < 6.0
    limiter.answered(send(limiter, now), now + 0.1, (), Demand(100.0, 20.0))
    assert limiter.wait(CALL, now + 2.0) == 0.0
    limiter.throttled(limiter.sent(CALL, now + 2.0), now + 2.02, 60.0, empty)
    assert limiter.wait(CALL, now + 2.02, 1) < 6.0
