"""Who may go: a lane's queue, its window, its rates and what breaks it. No loop runs here."""

from __future__ import annotations

from typing import Any

from flowpool.errors import (
    AuthFailed,
    BadRequest,
    CallError,
    Overloaded,
    RateLimited,
    ServerError,
    TooManyFiles,
    Verdict,
)
from flowpool.limits.breaker import Breaker
from flowpool.limits.lane import FREE, Admitted, Lane, enter_any
from flowpool.limits.limiter import Limiter
from flowpool.limits.window import FixedWindow
from flowpool.values import Limits


def lane_of(width: int = 2, **limits: Any) -> Lane[str]:
    """A lane of a fixed width, whose limiter knows no more than it is told."""
    return Lane("lane", FixedWindow(width), Limiter(eager=True, limits=Limits(**limits)), Breaker())


def nobody(ticket: str) -> bool:
    return False


def enter(lane: Lane[str], now: float = 0.0) -> Admitted:
    entered = lane.try_enter(now)
    assert entered is not None
    return entered


def admitted(lane: Lane[str], now: float = 0.0) -> list[str]:
    """Everybody who is let in now."""
    tickets = []
    while (turn := lane.admit(now, nobody)) is not None:
        tickets.append(turn[0])
    return tickets


def test_calls_enter_up_to_the_window_and_the_rest_queue() -> None:
    lane = lane_of(2)
    first, _ = enter(lane), enter(lane)
    assert lane.try_enter(0.0) is None
    lane.wait_for("c", 0.0)
    assert admitted(lane) == []
    lane.answered(first, 1.0)
    assert admitted(lane, 1.0) == ["c"]
    assert (lane.in_flight, lane.queued) == (2, 0)


def test_nobody_overtakes_the_queue() -> None:
    lane = lane_of(1)
    entered = enter(lane)
    lane.wait_for("first", 0.0)
    lane.leave(entered, 0.0)
    assert lane.try_enter(0.0) is None
    assert admitted(lane) == ["first"]


def test_a_lower_rank_goes_first_and_the_same_in_order_of_arrival() -> None:
    lane = lane_of(10)
    for ticket, rank in (("a", 0.0), ("b", -1.0), ("c", -2.0), ("d", -1.0)):
        lane.wait_for(ticket, rank)
    assert admitted(lane) == ["c", "b", "d", "a"]


def test_tickets_that_are_gone_are_dropped_and_take_nothing() -> None:
    lane = lane_of(1, rpm=60)
    for ticket in ("gone", "there"):
        lane.wait_for(ticket, 0.0)
    turn = lane.admit(0.0, lambda ticket: ticket == "gone")
    assert turn is not None
    assert turn[0] == "there"
    assert lane.in_flight == 1


def test_a_refused_call_waits_alone_and_the_lane_goes_on() -> None:
    lane = lane_of(20)
    error = RateLimited("slow", retry_after=60.0, status=429)
    lane.failed(enter(lane), error, 0.02)
    assert lane.try_enter(0.1) is not None
    assert lane.retry_wait(error, 1, 0.9) == 0.0
    assert 0.0 < lane.retry_wait(error, 3, 0.9) <= 0.5


def test_503s_between_answers_are_refusals_and_ten_in_a_row_an_outage() -> None:
    lane = lane_of(100)
    lane.answered(enter(lane), 0.1)
    errors = [Overloaded("busy", status=503) for _ in range(12)]
    calls = [enter(lane, 1.0) for _ in errors]
    for call, error in zip(calls, errors, strict=True):
        lane.failed(call, error, 1.02)
    assert [error.verdict for error in errors] == [Verdict.THROTTLE] * 10 + [Verdict.OUTAGE] * 2


def test_hopeless_failures_in_a_row_break_it_and_let_all_go_to_hear_of_it() -> None:
    lane = lane_of(3)
    calls = [enter(lane) for _ in range(3)]
    for n in range(5):
        lane.wait_for(str(n), 0.0)
    for call in calls[:2]:
        lane.failed(call, AuthFailed("no"), 1.0)
        assert lane.broken is None
    lane.failed(calls[2], AuthFailed("no"), 1.0)
    assert isinstance(lane.broken, AuthFailed)
    assert len(admitted(lane, 1.0)) == 5
    assert "broken" in repr(lane)


def test_an_answer_or_a_refused_call_starts_the_count_again() -> None:
    lane = lane_of(100)
    for answers in (True, False):
        for _ in range(2):
            lane.failed(enter(lane), AuthFailed("no"), 1.0)
        if answers:
            lane.answered(enter(lane), 1.0)
        else:
            lane.failed(enter(lane), BadRequest("no", status=400), 1.0)
    for _ in range(2):
        lane.failed(enter(lane), AuthFailed("no"), 1.0)
    assert lane.broken is None


def test_an_outage_teaches_no_limit() -> None:
    lane = lane_of(5)
    lane.failed(enter(lane), ServerError("ill", retry_after=60.0), 1.0)
    assert lane.try_enter(1.0) is not None


def test_a_dead_provider_is_probed_and_then_given_up() -> None:
    lane = lane_of(50)
    for _ in range(20):
        lane.failed(enter(lane), ServerError("ill"), 1.0)
    lane.wait_for("a", 0.0)
    assert admitted(lane, 1.0) == []
    now, probes = 1.0, 0
    while lane.broken is None:
        now = lane.next_turn(now) or now
        turn = lane.admit(now, nobody)
        if turn is not None and lane.broken is None:
            lane.failed(turn[1], ServerError("ill"), now)
            lane.wait_for("a", 0.0)
            probes += 1
    assert 300 <= now <= 340
    assert probes < 25
    assert "not answered" in str(lane.broken)


def test_sockets_that_the_process_may_not_open_narrow_the_lane_and_teach_nothing() -> None:
    lane = lane_of(40)
    calls = [enter(lane) for _ in range(40)]
    for call in calls[10:]:
        lane.failed(call, TooManyFiles("full"), 0.1)
    lane.wait_for("a", 0.0)
    assert (lane.width, lane.in_flight, lane.throttles, lane.is_well) == (10, 10, 0, True)
    assert admitted(lane, 0.1) == []
    assert lane.look(0.1, "items").bound == "files"
    assert lane.limiter is not None
    assert lane.limiter.refusals.mode == "open"
    for call in calls[:10]:
        lane.answered(call, 1.0)
    assert 10 <= lane.width <= 11  # one more a round trip


class Woken:
    """Notes what a lane tells of those that wait."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def turn_may_come(self, lane: Lane[Any]) -> None:
        self.heard.append("turn")

    def fell_ill(self, lane: Lane[Any], error: CallError) -> None:
        self.heard.append(lane.illness)


def test_who_waits_is_told_of_each_end_and_nobody_when_nobody_does() -> None:
    woken = Woken()
    lane: Lane[str] = Lane("lane", FixedWindow(3), Limiter(eager=True), Breaker(), wakes=woken)
    calls = [enter(lane) for _ in range(3)]
    lane.leave(calls[0], 0.1)
    assert woken.heard == []
    lane.wait_for("a", 0.0)
    lane.answered(calls[1], 0.2)
    lane.failed(calls[2], ServerError("ill", status=500), 0.3)
    lane.leave(enter_next(lane), 0.4)
    assert woken.heard == ["turn", "turn"]


def enter_next(lane: Lane[str]) -> Admitted:
    turn = lane.admit(0.35, nobody)
    assert turn is not None
    return turn[1]


def test_a_lane_tells_once_that_it_fell_ill() -> None:
    woken = Woken()
    lane: Lane[str] = Lane("lane", FixedWindow(9), Limiter(eager=True), Breaker(), wakes=woken)
    for call in [enter(lane) for _ in range(5)]:
        lane.failed(call, AuthFailed("no"), 1.0)
    assert woken.heard == ["no call can succeed, the others fail at once"]


def test_of_several_lanes_with_room_the_one_is_entered_that_answers_soonest() -> None:
    slow, quick, full = lane_of(5), lane_of(5), lane_of(1)
    for lane, seconds in ((slow, 2.0), (quick, 0.5), (full, 0.1)):
        lane.answered(enter(lane), seconds)
    enter(full, 5.0)
    bids = [(lane, FREE) for lane in (slow, full, quick)]
    admitted_to = enter_any(bids, 5.0)
    assert admitted_to is not None
    assert admitted_to.lane is quick


def test_a_held_lane_lets_nobody_in_until_it_goes_on() -> None:
    lane = lane_of(4)
    in_flight = enter(lane)
    lane.hold(1.0)
    assert lane.try_enter(1.0) is None
    assert not lane.is_free(1.0)
    lane.wait_for("a", 0.0)
    assert admitted(lane, 1.0) == []
    assert lane.next_turn(1.0) is None
    assert lane.look(1.0, "items").bound == "held"
    lane.answered(in_flight, 2.0)
    assert (lane.in_flight, admitted(lane, 2.0)) == (0, [])
    lane.go(9.0)
    assert admitted(lane, 9.0) == ["a"]
    assert lane.look(9.0, "items").bound == "items"


def test_a_lane_that_is_broken_says_so_also_while_it_is_held() -> None:
    lane = lane_of(4)
    calls = [enter(lane) for _ in range(3)]
    lane.hold(0.0)
    lane.wait_for("a", 0.0)
    for call in calls:
        lane.failed(call, AuthFailed("no"), 1.0)
    assert lane.look(1.0, "items").bound == "broken"
    assert admitted(lane, 1.0) == ["a"]  # turned away, unsent
