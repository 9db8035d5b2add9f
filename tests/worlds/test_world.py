"""A world as a whole: in flight, two gates at once, and how it speaks."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from flowpool.worlds import Arrival, Served, TurnedAway, World
from flowpool.worlds.gates import BucketGate, Cap, Chance, ClockWindow, Gate, SlidingWindow
from flowpool.worlds.replies import FAR, ROUND_TRIP, Replies
from flowpool.worlds.servers import AnswerQueue

CALL = Arrival()


def world(*gates: Gate, **replies: Any) -> World:
    return World(gates, AnswerQueue(0.5, 0.0, Random(1)), Replies(Random(2), **replies))


def test_what_is_admitted_counts_as_in_flight_until_it_ended() -> None:
    here = world(Cap(1))
    assert isinstance(here.offer(0.0, CALL), Served)
    assert isinstance(here.offer(0.1, CALL), TurnedAway)
    assert here.in_flight == 1
    here.ended(0.5, CALL)
    assert here.in_flight == 0
    assert isinstance(here.offer(0.5, CALL), Served)


def test_a_call_that_one_gate_refuses_takes_nothing_from_another() -> None:
    bucket, cap = BucketGate(1.0, 10.0), Cap(1)
    here = world(bucket, cap)
    here.offer(0.0, CALL)
    here.offer(0.0, CALL)
    assert bucket.level == 9.0


def test_a_refused_call_counts_in_a_window_that_counts_all() -> None:
    window = SlidingWindow(5, 10.0, counts_refusals=True)
    here = world(window, Cap(1))
    for _ in range(3):
        here.offer(0.0, CALL)
    assert len(window.times) == 3


def test_refusals_come_at_once_or_after_some_work() -> None:
    for late in (0.0, 0.5):
        here = world(Chance(1.0, 529, Random(1)), late=late)
        refused = here.offer(0.0, CALL)
        assert isinstance(refused, TurnedAway)
        assert refused.status == 529
        assert refused.after == ROUND_TRIP + late


@pytest.mark.parametrize(
    ("retry", "style", "told"),
    [
        ("absent", "openai", None),
        ("right", "openai", 1.5),
        ("right", "anthropic", 2.0),
        ("1", "openai", 1.0),
        ("60", "openai", 60.0),
        ("far", "openai", FAR),
    ],
)
def test_retry_after_is_right_absent_constant_or_in_the_far_future(
    retry: str, style: str, told: float | None
) -> None:
    here = world(ClockWindow(1, 2.0, 0.0), retry=retry, style=style, headers="right")
    here.offer(0.0, CALL)
    refused = here.offer(0.5, CALL)
    assert isinstance(refused, TurnedAway)
    assert refused.wait == pytest.approx(1.5)
    assert refused.retry_after == told


def test_a_right_retry_after_is_absent_where_nobody_knows() -> None:
    for gate in (Cap(1), Chance(1.0, 429, Random(1))):
        replies = Replies(Random(1), retry="right")
        assert replies.retry_after(gate.wait(0.0, CALL) or math.inf) is None


def test_a_refusal_names_its_limit_where_it_does() -> None:
    for names, dimension in ((True, "concurrency"), (False, None)):
        here = world(Cap(1), names=names)
        here.offer(0.0, CALL)
        refused = here.offer(0.0, CALL)
        assert isinstance(refused, TurnedAway)
        assert refused.dimension == dimension


def left(offered: Served | TurnedAway) -> list[int]:
    return [state.remaining for state in offered.headers]


def test_headers_are_right_or_absent() -> None:
    assert left(world(BucketGate(1.0, 10.0)).offer(0.0, CALL)) == []
    here = world(BucketGate(1.0, 10.0), Cap(5), headers="right")
    assert [left(here.offer(0.0, CALL)) for _ in range(3)] == [[9], [8], [7]]


def test_stale_headers_say_for_seconds_what_was() -> None:
    here = world(BucketGate(0.001, 100.0), headers="stale")
    assert [left(here.offer(now, CALL)) for now in (0.0, 1.0, 4.9, 5.1)] == [[99], [99], [99], [96]]


def test_headers_may_be_zero_or_of_a_day_that_binds_nothing() -> None:
    zero = world(BucketGate(1.0, 10.0), headers="zero").offer(0.0, CALL).headers
    assert all(state.limit <= 0 for state in zero)
    day = world(BucketGate(1.0, 10.0), headers="day").offer(0.0, CALL).headers
    assert day[0].limit > 10_000
    assert day[0].reset > 3600


def test_jumping_headers_go_up_and_down_between_calls() -> None:
    here = world(BucketGate(1.0, 1000.0), headers="jumping")
    remaining = [left(here.offer(0.0, CALL))[0] for _ in range(20)]
    assert remaining != sorted(remaining)
    assert remaining != sorted(remaining, reverse=True)


def test_some_send_headers_on_refusals_only() -> None:
    here = world(BucketGate(1.0, 1.0), headers="refusals")
    assert here.offer(0.0, CALL).headers == ()
    (state,) = here.offer(0.0, CALL).headers
    assert (state.limit, state.remaining, state.reset) == (60, 0, 1.0)
