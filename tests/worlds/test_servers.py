"""How long answers take: slots, a batching server, a queue that gives up."""

from __future__ import annotations

import math
import statistics
from random import Random

import pytest

from flowpool.worlds.servers import AnswerQueue, Batching, SlotQueue
from flowpool.worlds.values import Arrival

CALL = Arrival()


def test_latency_is_fixed_or_lognormal_around_its_median() -> None:
    assert {AnswerQueue(0.2, 0.0, Random(1)).service(CALL) for _ in range(10)} == {0.2}
    server = AnswerQueue(0.2, 0.5, Random(1))
    drawn = [server.service(CALL) for _ in range(5_000)]
    assert statistics.median(drawn) == pytest.approx(0.2, rel=0.05)
    assert statistics.fmean(drawn) == pytest.approx(0.2 * math.exp(0.125), rel=0.05)


def test_each_token_of_output_takes_its_time() -> None:
    server = AnswerQueue(0.2, 0.0, Random(1), per_token=0.01)
    assert server.service(Arrival(output=50)) == pytest.approx(0.7)


def test_slots_serve_in_order_and_let_the_rest_wait() -> None:
    server = SlotQueue(2, 1.0, 0.0, Random(1))
    assert [server.begin(0.0, CALL, n) for n in range(5)] == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert server.begin(10.0, CALL, 0) == 1.0


def test_a_queue_with_patience_sends_away_what_would_wait_longer() -> None:
    server = SlotQueue(1, 1.0, 0.0, Random(1), patience=2.5)
    latencies = [server.begin(0.0, CALL, n) for n in range(5)]
    assert latencies == [1.0, 2.0, 3.0, math.inf, math.inf]
    assert server.gave_up_after() == 2.5


def test_half_of_the_slots_go_at_their_time_whoever_waits() -> None:
    server = SlotQueue(4, 1.0, 0.0, Random(1), halved_at=2.0)
    ends = sorted(server.begin(0.0, CALL, n) for n in range(16))
    assert [sum(second < end <= second + 1 for end in ends) for second in range(6)] == [
        4,
        4,
        2,
        2,
        2,
        2,
    ]


def test_a_batching_server_slows_smoothly_and_gives_at_most_its_knees_worth() -> None:
    server = Batching(32.0, 3.0, 0.5, 0.0, Random(1))
    latency = [server.begin(0.0, CALL, n - 1) for n in (1, 8, 32, 64, 512)]
    assert latency == sorted(latency)
    assert latency[0] == pytest.approx(0.5, rel=0.001)
    paces = [n / seconds for n, seconds in zip((1, 8, 32, 64, 512), latency, strict=True)]
    assert paces == sorted(paces)
    assert paces[-1] == pytest.approx(32 / 0.5, rel=0.01)
