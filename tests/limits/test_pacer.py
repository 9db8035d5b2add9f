"""A rate is measured from one dry spell to the next, whatever refuses. Plain calls, no loop."""

from __future__ import annotations

import itertools
from collections import deque
from random import Random

import pytest

from flowpool.limits.pacer import Pacer


class Bucket:
    """A provider's bucket, and a client that sends whenever the pacer lets it."""

    def __init__(self, rate: float, depth: float) -> None:
        self.rate = rate
        self.depth = depth
        self.level = max(1.0, rate * depth)
        self.at = 0.0
        self.sent = self.refused = 0
        self.pacer: Pacer | None = None

    def takes(self, now: float) -> bool:
        full = max(1.0, self.rate * self.depth)
        self.level = min(full, self.level + self.rate * (now - self.at))
        self.at = now
        if self.level < 1.0 - 1e-9:
            return False
        self.level -= 1.0
        return True

    def start(self, speed: float) -> float:
        """Sends at `speed` until the first refusal; a pacer goes on from there."""
        now = 0.0
        while self.takes(now):
            self.sent += 1
            now += 1.0 / speed
        opening = (float(self.sent), now)
        self.sent += 1
        self.refused += 1
        self.pacer = Pacer.at_first_429(1.0, self.sent, now, now, opening)
        return now

    def run(self, now: float, until: float) -> float:
        pacer = self.pacer
        assert pacer is not None
        while now < until:
            wait = pacer.wait(1.0, now)
            if wait > 1e-9:
                now += wait
                continue
            pacer.sent(1.0, self.sent, now)
            self.sent += 1
            if not self.takes(now):
                self.refused += 1
                pacer.refused(1.0, now, self.sent, now)
        return now


class Window(Bucket):
    """At most so many calls in each so many seconds of the clock."""

    def __init__(self, most: int, seconds: float) -> None:
        super().__init__(0.0, 0.0)
        self.most, self.seconds = most, seconds
        self.number, self.taken = -1, 0

    def takes(self, now: float) -> bool:
        number = int(now / self.seconds)
        if number != self.number:
            self.number, self.taken = number, 0
        self.taken += 1
        return self.taken <= self.most


class Sliding(Bucket):
    """At most so many calls in any so many seconds. `before`: when others were, which somebody else sent."""

    def __init__(self, most: int, seconds: float, before: tuple[float, ...]) -> None:
        super().__init__(0.0, 0.0)
        self.most, self.seconds = most, seconds
        self.times = deque(before)

    def takes(self, now: float) -> bool:
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        if len(self.times) >= self.most:
            return False
        self.times.append(now)
        return True


class Chance(Bucket):
    """Refuses a share of all calls, whatever the rate."""

    def __init__(self, share: float) -> None:
        super().__init__(0.0, 0.0)
        self.share, self.random = share, Random(3)

    def takes(self, now: float) -> bool:
        return self.random.random() >= self.share


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("depth", [1.0, 10.0, 60.0])
def test_the_rate_is_found_whatever_the_bucket_holds(rate: float, depth: float) -> None:
    bucket = Bucket(rate, depth)
    now = bucket.start(4.0 * rate + 8.0)
    bucket.run(now, now + max(60.0, 120.0 / rate))
    assert bucket.pacer is not None
    # Of a call a second there are few to tell by; a rate that is held too low gives no refusals away.
    assert bucket.pacer.rate == pytest.approx(rate, rel=0.2 if rate < 2.0 else 0.05)
    assert not bucket.pacer.is_searching


def test_a_window_of_the_clock_is_measured_as_well_as_a_bucket() -> None:
    window = Window(100, 10.0)
    now = window.start(100.0)
    window.run(now, 60.0)
    assert window.pacer is not None
    assert window.pacer.rate == pytest.approx(10.0, rel=0.1)


def test_a_call_let_in_by_luck_does_not_cut_the_rate_to_what_comes_after_it() -> None:
    """28 of 30 go at once; of two earlier ones the places are free again soon, the others' after 6 s."""
    window = Sliding(30, 6.0, (-5.2, -5.1))
    now = window.start(280.0)
    window.run(now, 12.0)
    assert window.pacer is not None
    assert window.pacer.rate == pytest.approx(5.0, rel=0.25)


@pytest.mark.parametrize("depth", [1.0, 10.0])
def test_a_limit_that_fell_is_kept_to_and_one_that_rose_is_found_again(depth: float) -> None:
    bucket = Bucket(20.0, depth)
    now = bucket.run(bucket.start(60.0), 60.0)
    for rate, within in ((10.0, 20.0), (20.0, 60.0)):
        bucket.rate = rate
        now = bucket.run(now, now + within)
        sent, refused = bucket.sent, bucket.refused
        now = bucket.run(now, now + 60.0)
        admitted = bucket.sent - sent - (bucket.refused - refused)
        assert admitted >= 0.95 * rate * 60.0


def test_a_rate_that_is_sure_is_held_and_refusals_are_rare() -> None:
    bucket = Bucket(10.0, 1.0)
    now = bucket.run(bucket.start(48.0), 120.0)
    sent, refused = bucket.sent, bucket.refused
    bucket.run(now, 720.0)
    assert bucket.refused - refused <= 0.005 * (bucket.sent - sent)


def test_cuts_that_dont_pay_are_taken_back() -> None:
    """Where refusals are chance, a rate that was held is cut at most three times for them."""
    world = Chance(0.1)
    world.sent, world.refused = 50, 1
    world.pacer = Pacer.known(20.0, 1.0, 51.0, 0.0, 0.0, surely=False)
    now = 0.0
    while not world.pacer.noise:
        now = world.run(now, now + 1.0)
    assert now < 60.0
    assert world.pacer.noise == pytest.approx(0.1, abs=0.09)
    assert world.pacer.rate >= 10.0


def test_while_refused_it_asks_with_one_call_at_a_time() -> None:
    pacer = Pacer.at_first_429(1.0, 10.0, 0.98, 1.0, (10.0, 1.0))
    now = 1.0
    probes: list[float] = []
    while now < 10.0:
        wait = pacer.wait(1.0, now)
        if wait > 1e-9:
            now += wait
            continue
        pacer.sent(1.0, 10.0 + len(probes), now)
        probes.append(now)
        pacer.refused(1.0, now, 11.0 + len(probes), now + 0.02)
    assert len(probes) <= 12
    assert all(late - soon >= 0.02 for soon, late in itertools.pairwise(probes))


def test_a_retry_after_that_proves_right_is_kept_to_and_one_that_is_wrong_is_not() -> None:
    for told, trusted in ((2.0, True), (60.0, False)):
        pacer = Pacer.known(10.0, 1.0, 0.0, 0.0, 0.0, surely=False)
        now, total, free_from = 1.0, 0.0, 0.0
        for _ in range(400):
            wait = pacer.wait(1.0, now)
            if wait > 1e-9:
                now += wait
                continue
            pacer.sent(1.0, total, now)
            total += 1.0
            if total % 40 == 0:
                free_from = now + 2.0  # so long nothing is let in
            if now < free_from:
                pacer.refused(1.0, now, total, now + 0.01, told if told > 2.0 else free_from - now)
        assert (pacer.trust > 0) is trusted


def test_calls_sent_before_a_refusal_was_known_say_nothing_new() -> None:
    pacer = Pacer(8.0, 1.0, 10.0, 0.0, 0.5)
    pacer.refused(1.0, 0.2, 12.0, 0.6)
    assert pacer.rate == 8.0


def test_a_told_rate_is_followed_and_left_from_where_it_stood() -> None:
    pacer = Pacer(8.0, 1.0, 10.0, 0.0, 0.0)
    pacer.follow(20.0)
    assert (pacer.pace, pacer.follows) == (20.0, True)
    pacer.lead(50.0, 5.0)
    assert not pacer.follows
    assert pacer.pace == pytest.approx(20.0, rel=0.02)


def test_another_share_changes_the_pace_and_not_what_was_measured() -> None:
    whole, half = (Bucket(20.0, 10.0) for _ in range(2))
    for bucket in (whole, half):
        bucket.run(bucket.start(60.0), 60.0)
    assert whole.pacer is not None
    assert half.pacer is not None
    half.pacer.rescale(0.5, half.sent)
    assert half.pacer.pace == pytest.approx(0.5 * whole.pacer.pace)


def test_another_runs_refusal_ends_the_tooth_too() -> None:
    bucket = Bucket(20.0, 10.0)
    now = bucket.run(bucket.start(60.0), 120.0)
    pacer = bucket.pacer
    assert pacer is not None
    before = pacer.rate
    pacer.heard(now, now + 0.2)
    assert pacer.rate == pytest.approx(before, rel=0.1)
    assert pacer.wait(1.0, now + 0.2) > 1.0 / before  # it rests
