"""Who may go: a lane's queue, its window, its quota and what breaks it. No loop runs here."""

from __future__ import annotations

from typing import Any

from flowpool.engine.bucket import Bucket, Cost, Quota, tightest
from flowpool.engine.lane import Lane
from flowpool.engine.window import FixedWindow
from flowpool.errors import AuthFailed, BadRequest, RateLimited, ServerError
from flowpool.values import Limits, Usage


def lane_of(width: int = 2, **limits: Any) -> Lane[str]:
    return Lane("lane", FixedWindow(width), Quota(Limits(**limits)) if limits else None)


def nobody(ticket: str) -> bool:
    return False


def test_calls_enter_up_to_the_window_and_the_rest_queue() -> None:
    lane = lane_of(2)
    assert [lane.try_enter(0.0) for _ in range(3)] == [True, True, False]
    lane.wait_for("c", 0.0)
    assert lane.admit(0.0, nobody) == []
    lane.answered()
    assert lane.admit(0.0, nobody) == ["c"]
    assert (lane.in_flight, lane.queued) == (2, 0)


def test_nobody_overtakes_the_queue() -> None:
    lane = lane_of(1)
    lane.try_enter(0.0)
    lane.wait_for("first", 0.0)
    lane.leave()
    assert not lane.try_enter(0.0)
    assert lane.admit(0.0, nobody) == ["first"]


def test_a_lower_rank_goes_first_and_the_same_in_order_of_arrival() -> None:
    lane = lane_of(10)
    for ticket, rank in (("a", 0.0), ("b", -1.0), ("c", -2.0), ("d", -1.0)):
        lane.wait_for(ticket, rank)
    assert lane.admit(0.0, nobody) == ["c", "b", "d", "a"]


def test_tickets_that_are_gone_are_dropped_and_take_nothing() -> None:
    lane = lane_of(1, rpm=60)
    for ticket in ("gone", "there"):
        lane.wait_for(ticket, 0.0)
    assert lane.admit(0.0, lambda ticket: ticket == "gone") == ["there"]
    assert lane.in_flight == 1


def test_a_pause_holds_everybody_until_its_end() -> None:
    lane = lane_of(2)
    lane.try_enter(0.0)
    lane.failed(RateLimited("slow", retry_after=5.0), 0.0, 1.0)
    assert not lane.try_enter(5.9)
    lane.wait_for("a", 0.0)
    assert lane.next_turn(1.0) == 6.0
    assert lane.admit(6.0, nobody) == ["a"]


def test_hopeless_failures_in_a_row_break_it_and_let_all_go_to_hear_of_it() -> None:
    lane = lane_of(3)
    for _ in range(3):
        lane.try_enter(0.0)
    for n in range(5):
        lane.wait_for(str(n), 0.0)
    for _ in range(2):
        lane.failed(AuthFailed("no"), 0.0, 1.0)
        assert lane.broken is None
    lane.failed(AuthFailed("no"), 0.0, 1.0)
    assert isinstance(lane.broken, AuthFailed)
    assert len(lane.admit(1.0, nobody)) == 5
    assert "broken" in repr(lane)


def test_an_answer_or_a_refused_call_starts_the_count_again() -> None:
    lane = lane_of(100)
    for end in ("answer", "refused"):
        for _ in range(2):
            lane.try_enter(0.0)
            lane.failed(AuthFailed("no"), 0.0, 1.0)
        lane.try_enter(0.0)
        lane.answered() if end == "answer" else lane.failed(BadRequest("no", status=400), 0.0, 1.0)
    for _ in range(2):
        lane.try_enter(0.0)
        lane.failed(AuthFailed("no"), 0.0, 1.0)
    assert lane.broken is None


def test_an_outage_teaches_no_limit() -> None:
    lane = lane_of(5)
    lane.try_enter(0.0)
    lane.failed(ServerError("ill", retry_after=60.0), 0.0, 1.0)
    assert lane.try_enter(1.0)


def test_requests_are_spaced_evenly_from_the_first() -> None:
    bucket = Bucket(60.0)
    assert bucket.wait(1.0, 0.0) == 0.0
    bucket.take(1.0)
    assert bucket.wait(1.0, 0.25) == 0.75
    assert bucket.wait(1.0, 1.0) == 0.0
    bucket.take(1.0)
    assert bucket.wait(1.0, 100.0) == 0.0
    bucket.take(1.0)
    assert bucket.wait(1.0, 100.0) == 1.0


def test_a_debt_is_paid_back_before_the_next() -> None:
    bucket = Bucket(60.0, 10.0)
    assert bucket.wait(25.0, 0.0) == 0.0
    bucket.take(25.0)
    assert bucket.wait(5.0, 0.0) == 20.0
    bucket.settle(-5.0)
    assert bucket.wait(5.0, 0.0) == 15.0


def test_estimates_are_learned_from_what_was_used() -> None:
    quota = Quota(Limits(tpm=60_000))
    for _ in range(100):
        quota.settle(Cost(), Usage(1000, 40), 2000)
    learned = quota.estimate(2000, None)
    assert 950 < learned.input < 1050
    assert 39 < learned.output < 41
    assert quota.estimate(2000, 10).output == 10


def test_the_tightest_of_two_limits_is_told_for_each() -> None:
    one, other = Limits(rpm=10, concurrent=5), Limits(rpm=20, tpm=7)
    assert tightest(one, other) == Limits(rpm=10, tpm=7, concurrent=5)
