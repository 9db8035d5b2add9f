"""What became of a run: a few lines that a terminal of 80 columns holds, and a table in a notebook."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest
from tests.views.test_tables import ALLOWED, HOSTILE, Page

from flowpool import Limits, Pool
from flowpool.errors import AuthFailed, BadRequest, NotFinished
from flowpool.pool import Snapshot
from flowpool.record import Record
from flowpool.results import Results
from flowpool.run.sample import Bottleneck, TimeSpread
from flowpool.usage import Usage
from flowpool.values import Status
from flowpool.views.summary import summary_of, time_words


def done(index: int, seconds: float = 1.0, **more: Any) -> Record:
    return Record(index, {}, Status.DONE, "x", None, 5.0, seconds, more.pop("attempts", 1), **more)


def failed(index: int, error: Exception) -> Record:
    return Record(index, {}, Status.FAILED, None, error, 5.0, 1.0, 1)


def labelled(summary: Any) -> dict[str, str]:
    return {line.label: line.words for line in summary.lines}


def test_a_run_in_a_few_lines(simulate) -> None:
    sim = simulate()
    items = [{"text": f"item {n}"} for n in range(20)] + [{"text": "[[sim: 400]] x"}]
    results = sim.run(sim.pool(sim.skill(model=sim.model("gpt-5-mini")), items, max_flows=4))
    lines = str(results.summary()).splitlines()
    assert lines[0] == "20 done, 1 failed in 5.0 s"
    assert lines[1:5] == [
        "  pace      4.2/s",
        "  an item   half within 1.0 s, 95% within 1.0 s, the longest 1.0 s",
        "  tokens    40 tokens in, 40 out",
        "  cost      less than $0.0001",
    ]
    assert "1 x BadRequest: HTTP 400" in str(results.summary())
    assert repr(results.summary()) == str(results.summary())


def test_failures_are_grouped_by_what_they_say_with_an_example_and_what_to_do() -> None:
    records = [
        failed(3, BadRequest("prompt 17 has 9000 tokens")),
        failed(4, BadRequest("prompt 18 has 9500 tokens")),
        failed(5, AuthFailed("no such key")),
        *(failed(10 + n, ValueError("abcdefgh"[n] * 3)) for n in range(5)),
    ]
    summary = Results(records).summary()
    words = [line.words for line in summary.lines if line.is_bad]
    assert words[0] == "2 x BadRequest: prompt 17 has 9000 tokens (as items[3])"
    assert words[-1] == "2 more, in 2 other ways"
    assert "what to do: check the API key and what it may use" in str(summary)


def test_where_the_time_went_and_what_held_it_back_are_said() -> None:
    held = (
        (Bottleneck("", "nothing holds it back"), 30.0),
        (Bottleneck("tokens", "limited by tokens of m", "a second key", "m"), 20.0),
        (Bottleneck("slots", "the server's slots are full", "", "m"), 9.0),
        (Bottleneck("source", "the source gives 4 rows a second"), 1.0),
    )
    now = Snapshot(60, done=60, elapsed=60.0, held=held)
    lines = [(line.label, line.words) for line in summary_of(Results([done(0)]), now).lines]
    assert ("held back", "limited by tokens of m, for 20.0 s of 1 min 0 s") in lines
    assert ("", "what would change it: a second key") in lines
    assert [label for label, _ in lines].count("held back") == 2


def test_the_parts_of_the_time_are_of_all_lanes_together() -> None:
    timings = {
        "a": {
            "limit_wait": TimeSpread(9, 60.0, 0, 0, 0),
            "first_byte": TimeSpread(9, 30.0, 0, 0, 0),
        },
        "b": {"first_byte": TimeSpread(9, 10.0, 0, 0, 0), "connect": TimeSpread(9, 0.1, 0, 0, 0)},
    }
    assert time_words(timings) == ["waiting for a limit 60%, until the first byte 40%"]
    assert time_words({}) == []


def test_a_run_that_was_stopped_says_so_first() -> None:
    records = [done(0), Record(1, {}, Status.CANCELLED, error=NotFinished("stopped"))]
    summary = Results(records, stopped="stopped at 1 of 2: the run was stopped").summary()
    assert summary.counts == "1 done, 1 cancelled"
    assert summary.lines[0].words == "stopped at 1 of 2: the run was stopped"
    assert summary.lines[0].is_bad


def test_the_slowest_items_and_repeated_attempts_are_named() -> None:
    records = [done(n, 1.0 + n, attempts=1 + n % 2) for n in range(6)]
    lines = labelled(Results(records).summary())
    assert (
        lines["slowest"]
        == "items[5] 6.0 s (2 attempts), items[4] 5.0 s, items[3] 4.0 s (2 attempts)"
    )
    assert lines["attempts"] == "9 for 6 items, 1.5 each"


def test_tokens_and_prices_are_what_the_results_say() -> None:
    used = Usage(1_000_000, 100_000, cached_input_tokens=400_000)
    lines = labelled(Results([done(0, usage=used, model="openai/gpt-4o-mini")]).summary())
    assert lines["tokens"] == "1,000,000 tokens in (400,000 cached), 100,000 out"
    assert lines["cost"].startswith("about $0.")
    lines = labelled(Results([done(0, usage=used, model="custom/m")]).summary())
    assert lines["cost"] == "of unknown price"


def test_nothing_at_all_is_a_summary_too() -> None:
    assert str(Results([]).summary()) == "0 done"
    assert str(Pool(lambda n: n, [{"n": 1}]).results.summary()) == "0 done, 1 to do"


@pytest.mark.parametrize("error", [ValueError(HOSTILE), BadRequest(HOSTILE, fix=HOSTILE)])
def test_hostile_words_are_words(error: Exception) -> None:
    now = Snapshot(1, elapsed=10.0, held=((Bottleneck("x", HOSTILE, HOSTILE, HOSTILE), 10.0),))
    summary = summary_of(Results([failed(0, error)], stopped=HOSTILE), now)
    html = summary._repr_html_()
    seen = Page(html)
    assert set(seen.tags) <= ALLOWED
    assert seen.attributes <= {"style"}
    for text in (html, str(summary)):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_every_line_fits_a_terminal_whatever_it_says() -> None:
    error = ValueError("word " * 5000 + "x" * 5000)
    summary = Results([failed(n, error) for n in range(9)], stopped="y" * 500).summary()
    assert max(map(len, str(summary).splitlines())) <= 80
    assert len(str(summary)) < 3000


def test_a_hundred_thousand_results_are_summed_up_at_once() -> None:
    results = Results([done(n, n / 1000, usage=Usage(10, 5), model="m/m") for n in range(100_000)])
    began = time.process_time()
    assert "100,000 done" in str(results.summary())
    assert time.process_time() - began < 5.0


def test_a_summary_survives_pickling(simulate) -> None:
    sim = simulate()
    results = sim.run(sim.pool(items=3, limits=Limits(rpm=60)))
    again = pickle.loads(pickle.dumps(results))
    assert str(again.summary()) == str(results.summary())
