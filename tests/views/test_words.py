"""What a run's snapshot says in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flowpool.errors import BadRequest
from flowpool.limits.lane_view import BOUNDS
from flowpool.pool import LaneView, Snapshot
from flowpool.record import ModelSpend
from flowpool.results import Record
from flowpool.run.sample import Bottleneck, LaneSample
from flowpool.values import Limits, Status
from flowpool.views.words import (
    about,
    clock,
    dollars,
    duration,
    end_text,
    lane_words,
    progress_text,
    sample_words,
)


def lane(bound: Any, **changes: Any) -> LaneView:
    fields = {
        "name": "openai/gpt-5-mini",
        "bound": bound,
        "limits": {"requests": 3000.0},
        "used": {"requests": 2910.0},
        "configured": None,
        "utilisation": 0.97,
        "in_flight": 16,
        "window": 64,
        "queued": 40,
        "throttled": 0,
        "error": "",
    }
    return LaneView(**fields | changes)


FAILED = Record(17, {}, Status.FAILED, error=BadRequest("too\n long"))
SPENT = {"openai/gpt-4o-mini": ModelSpend(4000, 4_000_000, 400_000)}
GOING = Snapshot(10_000, 64, 4000, 3, 0, 82.0, 48.9, (lane("requests"),), SPENT, FAILED)


def test_a_run_in_words() -> None:
    text = progress_text("summarise", GOING, GOING.lanes)
    assert text.counts == "4,003 of 10,000 · 48.9/s · 2:03 left"
    assert text.lines == [
        ("3 failed · 64 in progress · 4.4M tokens · $0.84 so far, about $2.10 in all", False),
        ("openai/gpt-5-mini  3,000 requests/min, 97% used · 16 in flight", False),
        ("last failure: items[17]: BadRequest: too long", True),
    ]
    assert (text.done, text.failed) == (0.4, 0.0003)


def test_a_run_of_unknown_length_that_just_began() -> None:
    text = progress_text("x", Snapshot(None, 3), ())
    assert (text.counts, text.lines) == ("0 items", [("3 in progress", False)])
    assert text.done is None


def test_a_run_that_is_over_in_words() -> None:
    end = Snapshot(10_000, 0, 9_990, 3, 7, 204.0, 48.9, (lane("items"),), SPENT, FAILED)
    text = end_text("summarise", end)
    assert text.counts == (
        "9,990 done, 3 failed, 7 cancelled in 3 min 24 s · 49.0/s · 4.4M tokens · about $0.84"
    )
    assert text.lines == [("last failure: items[17]: BadRequest: too long", True)]


def test_of_many_lanes_the_busiest_are_shown() -> None:
    lanes = tuple(lane("requests", name=f"m{n}", queued=n) for n in range(7))
    lines = [words for words, _ in progress_text("x", Snapshot(9, lanes=lanes), lanes).lines[1:]]
    assert [words.split()[0] for words in lines] == ["m3", "m4", "m5", "m6", "and"]
    assert lines[-1] == "and 3 more"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (lane("requests", utilisation=1.2), "3,000 requests/min, 100% used · 16 in flight"),
        (
            lane("output_tokens", limits={"output_tokens": 8000.0}, throttled=2),
            "8,000 output tokens/min, 97% used · 16 in flight · 2 refused (429 or 503)",
        ),
        (lane("max_flows", in_flight=64), "64 at once (max_flows)"),
        (lane("max_flows"), "max_flows reached"),
        (lane("limits", configured=Limits(rpm=1)), "the limits that you set, 97% used · 16 in flight"),
        (lane("limits", in_flight=64, configured=Limits(concurrent=64)), "64 at once, as you set · 64 in flight"),
        (lane("slots"), "64 at once fill the server's slots"),
        (lane("latency"), "64 at once; more would slow each other"),
        (lane("learning"), "finding the limit, 2,910 requests/min so far · 16 in flight"),
        (lane("paused", throttled=1, in_flight=0), "paused by a refusal · 1 refused (429 or 503)"),
        (lane("held", in_flight=3), "paused by you: `flowpool go` or pool.go() goes on · 3 in flight"),
        (lane("outage", error="X: no", in_flight=1), "no answers, probing: X: no · 1 in flight"),
        (lane("paused", asked=7190.0, in_flight=0), "a refusal asks to wait 1:59:50; tried now and then"),
        (
            lane("items", in_flight=0, rations_retries=True),
            "nothing waits · so many calls fail that retries are rationed",
        ),
        (lane("outage", error="X: no", gives_up=61.0, in_flight=0), "no answers, probing, gives up in 1:01: X: no"),
        (lane("broken", error="AuthFailed: no key"), "given up: AuthFailed: no key"),
        (lane("items", in_flight=0), "nothing waits"),
        (lane("reader", in_flight=0), "waits for the reader of the stream"),
    ],
)  # fmt: skip
def test_what_holds_a_lane_back_in_words(seen: LaneView, words: str) -> None:
    assert lane_words(seen) == words


@pytest.mark.parametrize("bound", list(BOUNDS))
def test_every_bound_can_be_told(bound: Any) -> None:
    assert lane_words(lane(bound))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.4, "0:59"), (61, "1:01"), (3599.6, "1:00:00"), (36061, "10:01:01")],
)
def test_time_left_is_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.123, "0.12 s"), (12.34, "12.3 s"), (250, "4 min 10 s"), (7_500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0.00"),
        (0.00001, "less than $0.0001"),
        (0.00056, "$0.00056"),
        (0.0234, "$0.023"),
        (0.21, "$0.21"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars_in_words(amount: float, words: str) -> None:
    assert dollars(amount) == words


@pytest.mark.parametrize(
    ("dollars", "words"),
    [(0.00003, "less than $0.0001"), (0.00042, "about $0.00042"), (12.5, "about $12.50")],
)
def test_a_cost_is_about_what_it_is_or_less_than_the_least(dollars: float, words: str) -> None:
    assert about(dollars) == words


def test_a_cost_says_whose_price_it_leaves_out() -> None:
    spent = {**SPENT, "custom/qwen3": ModelSpend(10, 1000, 100)}
    end = Snapshot(10, done=10, elapsed=5.0, spent=spent)
    assert end_text("x", end).counts.endswith("about $0.84 without custom/qwen3, of unknown price")
    going = Snapshot(20, done=10, elapsed=5.0, rate=1.0, spent=spent)
    figures = progress_text("x", going, ()).lines[0][0]
    assert figures.endswith("about $1.68 in all without custom/qwen3, of unknown price")


def test_what_holds_the_run_back_is_the_second_line() -> None:
    found = Bottleneck(
        "requests", "limited by requests of m (600 a minute)", "a second key", since=1e9
    )
    text = progress_text("x", msgspec.structs.replace(GOING, bottleneck=found), ())
    words, is_bad = text.lines[1]
    assert words.startswith("limited by requests of m (600 a minute), since ")
    assert words.endswith(": a second key")
    assert not is_bad


def test_a_provider_that_answers_nobody_is_a_bad_line() -> None:
    found = Bottleneck("outage", "m answers nobody")
    text = progress_text("x", msgspec.structs.replace(GOING, bottleneck=found), ())
    assert text.lines[1] == ("m answers nobody", True)


def test_a_paused_run_says_so_in_place_of_the_time_left() -> None:
    paused = Snapshot(10_000, 4, 4000, elapsed=82.0, rate=48.9, paused=True)
    assert progress_text("x", paused, ()).counts == "4,000 of 10,000 · 48.9/s · paused"


@pytest.mark.parametrize(
    ("bound", "limit", "words"),
    [
        ("requests", 3000.0, "3,000 requests/min, 97% used · 16 in flight"),
        ("max_flows", None, "64 at once (max_flows)"),
        ("outage", None, "no answers, probing: nobody gets an answer · 64 in flight"),
    ],
)
def test_a_lane_of_another_process_in_words(bound: Any, limit: float | None, words: str) -> None:
    in_flight = 16 if limit else 64
    assert sample_words(LaneSample("m", bound, in_flight, 64, 9, 0, 1.0, limit, 2910.0)) == words
