"""When a lane stops sending, when it looks again, and what an outage costs a run."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from msgspec import Struct

from flowpool.calls.retry import RetryBudget, RetryPolicy
from flowpool.errors import CallError, ConnectFailed, ServerError
from flowpool.limits.breaker import Breaker

ILL = ServerError("the server is ill", status=500)


def fail(breaker: Breaker, times: int, start: float = 0.0, end: float = 2.0) -> None:
    for n in range(times):
        breaker.failed(ILL, start + (end - start) * n / max(1, times - 1))


def probes(breaker: Breaker, start: float, end: float) -> list[float]:
    """When probes go that all fail at once."""
    moments = []
    now = start
    while (turn := breaker.next_probe(now)) is not None and turn < end:
        now = turn
        if breaker.may_enter(now):
            moments.append(now)
            breaker.entered(now)
            breaker.failed(ILL, now)
    return moments


def test_twenty_outages_in_a_row_open_it() -> None:
    breaker = Breaker()
    fail(breaker, 19)
    assert breaker.may_enter(2.0)
    assert breaker.next_probe(2.0) is None
    breaker.failed(ILL, 2.0)
    assert breaker.is_open
    assert not breaker.may_enter(2.0)


def test_failures_that_come_before_the_first_answers_open_nothing() -> None:
    breaker = Breaker()
    for left in range(499, 399, -1):  # a fifth of 500 calls
        breaker.failed(ILL, 0.1, left)
    assert not breaker.is_open


def test_an_answer_between_them_starts_the_count_anew() -> None:
    breaker = Breaker()
    fail(breaker, 19)
    breaker.answered(0.0)
    fail(breaker, 19, 2.0, 4.0)
    assert not breaker.is_open


def test_connections_that_all_break_in_one_moment_cost_a_tenth_of_a_second() -> None:
    breaker = Breaker()
    fail(breaker, 500, 1.0, 1.0)
    assert breaker.next_probe(1.0) == pytest.approx(1.1)


def test_open_it_lets_one_call_go_at_growing_intervals() -> None:
    breaker = Breaker()
    fail(breaker, 20)
    moments = [2.0, *probes(breaker, 2.0, 140.0)]
    waits = [round(b - a, 6) for a, b in pairwise(moments)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_probe_that_never_ends_holds_up_no_other() -> None:
    breaker = Breaker()
    fail(breaker, 20)
    assert breaker.may_enter(3.0)
    breaker.entered(3.0)
    assert not breaker.may_enter(3.0)
    assert breaker.next_probe(3.0) == 3.2
    assert breaker.may_enter(3.2)


def test_failures_of_calls_that_went_before_it_opened_delay_no_probe() -> None:
    breaker = Breaker()
    fail(breaker, 20)
    fail(breaker, 200, 2.0, 2.05)
    assert breaker.next_probe(2.05) == 2.1


def test_an_answer_closes_it_and_the_next_outage_starts_from_short_intervals() -> None:
    breaker = Breaker()
    fail(breaker, 20)
    probes(breaker, 2.0, 60.0)
    breaker.answered(59.0)
    assert breaker.may_enter(60.0)
    assert breaker.next_probe(60.0) is None
    fail(breaker, 20, 100.0, 102.0)
    assert breaker.next_probe(102.0) == pytest.approx(102.1)


def test_without_an_answer_for_long_it_is_dead_and_says_what_to_do() -> None:
    breaker = Breaker(give_up=300.0)
    fail(breaker, 20)
    probes(breaker, 2.0, 1000.0)
    assert isinstance(breaker.dead, ServerError)
    assert breaker.dead is not ILL
    assert "not answered for 300 s" in str(breaker.dead)
    assert "retry() or resume goes on" in str(breaker.dead)
    assert not breaker.may_enter(1000.0)
    assert breaker.next_probe(1000.0) is None


@pytest.mark.parametrize("heard", ["an answer", "an error with a status"])
def test_a_provider_that_was_ever_heard_is_given_longer(heard: str) -> None:
    gone = ConnectFailed("refused", fix="is the server running?")
    stranger, known = Breaker(), Breaker()
    if heard == "an answer":
        known.answered(0.0)
    else:
        known.failed(ServerError("ill", status=502), 0.0)
    for breaker in (stranger, known):
        for _ in range(20):
            breaker.failed(gone, 0.0)
    assert (stranger.time_left(10.0), known.time_left(10.0)) == (50.0, 290.0)
    stranger.next_probe(60.0)
    known.next_probe(60.0)
    assert known.dead is None
    assert stranger.dead is not None
    assert str(stranger.dead) == (
        "refused (nobody has ever answered there, in 60 s: is the server running?; retry() or resume goes on)"
    )


def test_a_lane_without_room_looks_again_soon_and_hears_of_the_end() -> None:
    breaker = Breaker(give_up=300.0)
    fail(breaker, 20)
    now, asked = 2.0, 0
    while (turn := breaker.next_probe(now)) is not None and turn > now:
        now, asked = turn, asked + 1
    assert turn == now == pytest.approx(300.0, abs=0.2)
    assert asked < 3_100  # ten times a second
    assert breaker.dead is not None
    assert breaker.next_probe(now) is None


def test_it_is_dead_in_time_though_every_probe_hangs() -> None:
    breaker = Breaker(give_up=300.0)
    fail(breaker, 20)
    now, asked = 2.0, []
    while (turn := breaker.next_probe(now)) is not None:
        now = turn
        asked.append(now)
        if breaker.may_enter(now):
            breaker.entered(now)
    assert breaker.dead is not None
    assert asked[-1] == 300.0
    assert len(asked) < 20


def test_the_time_in_which_nobody_asked_counts_for_nothing() -> None:
    breaker = Breaker(give_up=300.0)
    fail(breaker, 20)
    assert breaker.may_enter(5000.0)
    breaker.entered(5000.0)
    breaker.answered(5000.0)
    assert breaker.may_enter(5000.0)
    assert breaker.dead is None


def test_a_failure_amid_many_is_not_the_calls_own() -> None:
    breaker = Breaker()
    fail(breaker, 9)
    assert breaker.blames(1)
    breaker.failed(ILL, 2.0)
    assert not breaker.blames(1)


def test_a_call_that_fails_alone_is_to_blame_however_often() -> None:
    breaker = Breaker()
    for own in range(1, 15):
        breaker.failed(ILL, float(own))
        assert breaker.blames(own)


def test_in_a_relapse_only_the_answer_to_a_probe_closes_it() -> None:
    breaker = Breaker()
    fail(breaker, 20)
    breaker.answered(1.0)  # it was sent before
    assert not breaker.is_open
    fail(breaker, 20, 2.0, 3.0)
    breaker.answered(1.0)
    assert breaker.is_open
    breaker.answered(3.1)
    assert not breaker.is_open


def test_retries_are_rationed_while_many_calls_fail_but_not_all() -> None:
    breaker = Breaker()
    seen = []
    for n in range(300):  # well, then every second one fails, then all do, then well again
        if (100 <= n < 200 and n % 2 == 0) or 200 <= n < 240:
            breaker.failed(ILL, float(n))
        else:
            breaker.answered(float(n))
        seen.append(breaker.rations_retries)
    assert not any(seen[:100])
    assert all(seen[150:200])
    assert not any(seen[220:240])
    for n in range(300, 400):
        breaker.answered(float(n))
    assert not breaker.rations_retries


# What an outage costs a run: items through breaker, budget and policy, in virtual time.


class Cost(Struct):
    """calls by the phase they were sent in; what became of the items; when the last ended."""

    calls: Counter[str]
    done: int
    errors: list[CallError]
    seconds: float


def run_items(
    items: int,
    flows: int,
    outcome: Callable[[float, Random], tuple[float, CallError | None, str]],
    seed: int = 0,
) -> Cost:
    """All items through one lane. `outcome(now, random)`: seconds, error and phase of a call sent now."""
    random, policy, budget, breaker = Random(seed), RetryPolicy(), RetryBudget(), Breaker()
    fresh, again = deque(range(items)), deque[int]()
    own, first, started = Counter[int](), dict[int, float](), Counter[int]()
    events: list[tuple[float, int, int, float, CallError | None]] = []  # the end of a call
    waits: list[tuple[float, int, bool]] = []  # the end of a backoff, or of a wait for the budget
    cost = Cost(Counter(), 0, [], 0.0)
    now, in_flight, serial = 0.0, 0, 0

    def failed(item: int, error: CallError) -> None:
        breaker.failed(error, now, in_flight)
        is_own = breaker.blames(own[item] + 1)
        own[item] += is_own
        wait = policy.wait(error, max(1, own[item]), now - first[item], random.random())
        if wait is None:
            cost.errors.append(error)
        else:
            ask(item, wait)

    def ask(item: int, backoff: float) -> None:
        may = not breaker.rations_retries or budget.take(now)
        heapq.heappush(waits, (now + (backoff if may else budget.ASK_AGAIN), item, may))

    while cost.done + len(cost.errors) < items:
        while in_flight < flows and (again or fresh) and breaker.may_enter(now):
            breaker.entered(now)
            item = again.popleft() if again else fresh.popleft()
            first.setdefault(item, now)
            seconds, error, phase = outcome(now, random)
            cost.calls[phase] += 1
            cost.calls[f"{phase}, again"] += started[item]
            started[item] = 1
            in_flight, serial = in_flight + 1, serial + 1
            heapq.heappush(events, (now + seconds, serial, item, now, error))
        turn = breaker.next_probe(now) if again or fresh else None
        if breaker.dead is not None:
            left = len(again) + len(fresh) + len(waits)
            cost.errors.extend([breaker.dead] * left)
            again.clear()
            fresh.clear()
            waits.clear()
            continue
        ends = [events[0][0] if events else math.inf, waits[0][0] if waits else math.inf]
        now = max(now, min(*ends, math.inf if turn is None else turn))
        assert now < math.inf
        while waits and waits[0][0] <= now:
            _, item, has_retry = heapq.heappop(waits)
            again.append(item) if has_retry else ask(item, 0.0)
        while events and events[0][0] <= now:
            _, _, item, sent, error = heapq.heappop(events)
            in_flight -= 1
            if error is not None:
                failed(item, error)
                continue
            breaker.answered(sent)
            budget.answered()
            cost.done += 1
        cost.seconds = now
    return cost


def ill_then_dead(kind: str) -> Callable[[float, Random], tuple[float, CallError | None, str]]:
    """20 % of calls are answered 500 for a minute, then nothing is answered for one."""

    def outcome(now: float, random: Random) -> tuple[float, CallError | None, str]:
        if 60.0 <= now < 120.0:
            error = ConnectFailed("refused") if kind == "refused" else ServerError("ill")
            return (0.002 if kind == "refused" else 0.1), error, "dead"
        if now < 60.0 and random.random() < 0.2:
            return 0.1, ILL, "other"
        return random.lognormvariate(0.0, 0.4), None, "other"

    return outcome


@pytest.mark.parametrize("kind", ["refused", "503"])
@pytest.mark.parametrize("flows", [4, 64, 500])
def test_through_a_minute_of_errors_and_a_dead_one_every_item_ends_done(
    kind: str, flows: int
) -> None:
    for seed in range(3):
        items = 130 * flows
        cost = run_items(items, flows, ill_then_dead(kind), seed)
        assert cost.done == items
        assert cost.calls["other"] <= 1.2 * items
        assert cost.calls["dead"] <= 30 * flows + 40
        assert cost.seconds < 400


def test_a_dead_provider_ends_the_run_in_stated_time_with_few_calls() -> None:
    def outcome(now: float, random: Random) -> tuple[float, CallError | None, str]:
        return 0.1, ServerError("ill", status=500), "dead"

    cost = run_items(10_000, 100, outcome)
    assert len(cost.errors) == 10_000
    assert 300 <= cost.seconds <= 301

    assert cost.calls["dead"] <= 1_500
    assert all("not answered for 300 s" in str(error) for error in cost.errors)


def test_while_half_of_all_calls_fail_retries_wait_for_their_budget_and_none_is_given_up() -> None:
    def outcome(now: float, random: Random) -> tuple[float, CallError | None, str]:
        if now < 120.0 and random.random() < 0.5:
            return 0.1, ILL, "ill"
        return random.uniform(0.5, 1.5), None, "well" if now >= 120.0 else "ill"

    cost = run_items(20_000, 100, outcome)
    assert cost.done == 20_000
    answered = cost.calls["ill"] / 2
    assert cost.calls["ill, again"] <= 0.3 * answered  # of as many that failed
    assert cost.seconds < 500


def test_failures_that_may_be_chance_use_up_no_retries() -> None:
    breaker = Breaker()
    for n in range(200):  # one in five fails
        if n % 5:
            breaker.answered(float(n))
        else:
            breaker.failed(ILL, float(n))
    assert [breaker.blames(own) for own in (1, 2, 3, 4)] == [False, False, True, True]


def test_where_nearly_all_is_well_a_calls_first_failure_is_its_own() -> None:
    breaker = Breaker()
    for _ in range(200):
        breaker.answered(0.0)
    breaker.failed(ILL, 0.0)
    assert breaker.blames(1)


def test_once_all_is_well_answers_tell_nothing_until_one_fails() -> None:
    """So nobody has to tell them: what a failure then means is the same."""
    told, spared = Breaker(), Breaker()
    for n in range(2000):
        told.answered(float(n))
        if not spared.is_calm:
            spared.answered(float(n))
    assert spared.is_calm
    for breaker in (told, spared):
        breaker.failed(ServerError("ill", status=500), 2000.0)
        assert not breaker.is_calm
    for own_failures in (1, 2, 3):
        assert told.blames(own_failures) == spared.blames(own_failures)
    assert told.rations_retries == spared.rations_retries


def test_it_is_not_calm_before_enough_calls_were_seen_or_soon_after_failures() -> None:
    breaker = Breaker()
    breaker.answered(0.0)
    assert not breaker.is_calm
    for _ in range(20):
        breaker.failed(ServerError("ill", status=500), 0.0)
    for n in range(100):
        breaker.answered(1.0 + n)
    assert not breaker.is_calm


def test_a_time_in_which_nobody_was_to_be_asked_is_no_silence_of_the_provider() -> None:
    breaker = Breaker()
    fail(breaker, 30)
    breaker.hold(50.0)
    assert probes(breaker, 1000.0, 1001.0)  # who asks all the same gives nothing up
    assert breaker.dead is None
    breaker.go(1050.0)
    assert breaker.time_left(1050.0) == 250.0
    assert len(probes(breaker, 1050.0, 1299.0)) > 5
    assert breaker.dead is None
    probes(breaker, 1299.0, 1400.0)
    assert breaker.dead is not None


def test_failures_that_began_while_it_was_held_count_from_when_it_goes_on() -> None:
    breaker = Breaker()
    breaker.go(1.0)  # which it did
    breaker.hold(10.0)
    fail(breaker, 30, 20.0, 60.0)
    breaker.go(100.0)
    assert breaker.time_left(100.0) == 300.0
