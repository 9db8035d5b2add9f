"""Headers are believed until what is let in, or refused, says otherwise."""

from __future__ import annotations

from flowpool.limits.header_trust import HeaderTrust


def test_two_calls_let_in_against_their_word_end_it_and_one_refused_between_starts_anew() -> None:
    trust = HeaderTrust()
    trust.let_in()
    trust.kept_out()
    trust.let_in()
    assert not trust.is_lost
    trust.let_in()
    assert trust.is_lost


def test_each_call_that_is_kept_out_doubles_the_patience() -> None:
    trust = HeaderTrust()
    first = trust.look_in(0.0, 0.1, 0.0)
    trust.kept_out()
    assert trust.look_in(0.0, 0.1, 0.0) == 2.0 * first
    assert trust.look_in(0.0, 3.0, 0.0) == 2.0 * HeaderTrust.LONGEST  # however slow the limit
    assert trust.look_in(0.0, 9e4, 0.0) == 2.0 * HeaderTrust.LONGEST


def test_headers_that_let_go_what_is_refused_lose_it() -> None:
    trust = HeaderTrust()
    trust.header_came(0.0, 0.0)
    for n in range(100):
        if n % 4 == 0:
            trust.refused(1.0, n + 1.0)
    assert trust.is_lost


def test_refusals_of_calls_sent_before_the_first_header_say_nothing_of_it() -> None:
    trust = HeaderTrust()
    trust.header_came(0.0, 5.0)
    for n in range(20):
        trust.refused(4.0, n + 1.0)
    assert not trust.is_lost


def test_refusals_long_past_are_forgotten() -> None:
    trust = HeaderTrust()
    trust.header_came(50.0, 0.0)
    for n in range(5):
        trust.refused(1.0, 60.0 + n)
    trust.refused(1.0, 5000.0)
    assert not trust.is_lost
