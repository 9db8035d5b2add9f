"""When a call may go, by what the provider told and refused. Plain calls, no loop."""

from __future__ import annotations

from random import Random

import pytest

from flowpool.limits.demand import Demand
from flowpool.limits.limiter import Admission, Limiter
from flowpool.values import LimitReading, Limits

CALL = Demand(100.0, 20.0)


def send(limiter: Limiter, now: float, cost: Demand = CALL) -> Admission:
    assert limiter.wait(cost, now) == 0.0
    return limiter.sent(cost, now)


def test_while_nothing_is_known_calls_ramp_up() -> None:
    limiter = Limiter()
    send(limiter, 0.0)
    assert 0.05 < limiter.wait(CALL, 0.0) <= 1 / 8


def test_fifty_calls_go_at_once_where_somebody_says_how_many_flows() -> None:
    limiter = Limiter(eager=True)
    for _ in range(50):
        send(limiter, 0.0)
    limiter.sent(CALL, 0.0)
    assert limiter.wait(CALL, 0.0) > 0.0


def test_a_429_pauses_for_as_long_as_it_says_and_a_little_more() -> None:
    limiter = Limiter()
    sent = send(limiter, 0.0)
    limiter.throttled(sent, 0.1, 2.0, ())
    assert 2.0 <= limiter.wait(CALL, 0.1) <= 2.1
    assert limiter.throttles == 1


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
    empty = (LimitReading("requests", 50, 0, 1.0),)
    for n in range(3):
        limiter.throttled(limiter.sent(CALL, float(n)), n + 0.02, 0.02, empty)
    assert not limiter.pacers


def test_one_429_after_many_calls_is_an_event_and_a_second_soon_after_a_limit() -> None:
    limiter = Limiter()
    for n in range(200):
        limiter.answered(limiter.sent(CALL, 0.1 * n), 0.1 * n + 0.05, (), Demand(100.0, 20.0))
    limiter.throttled(limiter.sent(CALL, 21.0), 21.02, None, ())
    assert not limiter.pacers
    limiter.throttled(limiter.sent(CALL, 22.0), 22.02, None, ())
    assert "requests" in limiter.pacers


def test_refused_calls_that_are_large_say_that_tokens_are_limited() -> None:
    """Where neither headers nor the 429 tell the dimension."""
    for is_by_size, dimension in ((True, "tokens"), (False, "requests")):
        random, limiter = Random(1), Limiter()
        for n in range(400):
            tokens = 10.0 * 10 ** (2.0 * random.random())
            cost = Demand(tokens, 10.0)
            sent = limiter.sent(cost, float(n))
            if tokens > 700.0 if is_by_size else n % 20 == 5:
                limiter.throttled(sent, n + 0.02, None, ())
            else:
                limiter.answered(sent, n + 0.3, (), Demand(tokens, 10.0))
        assert list(limiter.pacers) == [dimension]


def test_what_was_learned_is_resumed_and_fades() -> None:
    limiter = Limiter()
    now = 0.0
    for refusal in range(3):
        for _ in range(100):
            now += 0.1
            sent = limiter.sent(CALL, now)
        limiter.throttled(sent, now + 0.02, None, ())
        now += 0.1 * refusal
    learned = limiter.snapshot()
    assert learned["requests"].rate == pytest.approx(10.0, rel=0.1)
    fresh, old = Limiter(), Limiter()
    fresh.resume(learned, 60.0, 0.0)
    old.resume(learned, 86_400.0, 0.0)
    assert fresh.limits()["requests"] == pytest.approx(600.0, rel=0.1)
    assert old.limits() == {}


def test_a_follower_sends_its_share_of_the_pace_that_another_run_found() -> None:
    limiter = Limiter()
    limiter.share = 0.25
    limiter.follow(40.0, 0.0)
    assert limiter.pacers["requests"].pace == pytest.approx(10.0)
    assert limiter.found_pace == pytest.approx(40.0)
    limiter.follow(None, 1.0)
    assert limiter.found_pace == pytest.approx(40.0, rel=0.02)
