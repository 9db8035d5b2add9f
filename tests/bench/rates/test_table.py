"""A row holds when its bars do, and every seed is held against the plain loop's."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from bench.rates.baselines import Plain
from bench.rates.figure import draw
from bench.rates.play import Figures, Run, contender, play_row
from bench.rates.rows import Bar, Row, rows
from bench.rates.table import beside_plain, holds, out_of_reach, summary


def row(bar: Bar, **changes: Any) -> Row:
    return Row(group="a group", name="a row", specs=("cap most=4",), bar=bar, **changes)


def run(seed: int = 0, granted: int = 0, **times: tuple[float, int]) -> Run:
    """A run of 100 items whose oracle needs 10 s, by each name's seconds and refusals."""
    figures = {
        name: Figures(time, time / 10.0, refused, 100 + refused, 0, 10, 1.0, 0.2, granted)
        for name, (time, refused) in times.items()
    }
    return Run(seed, "cap most=4", "words", 100, 10.0, 0.2, False, figures)


def test_the_median_and_the_worst_seed_are_held_against_the_bar() -> None:
    runs = [run(n, us=(time, 0)) for n, time in enumerate((10.0, 11.0, 14.0))]
    assert holds(row(Bar(1.1, 1.4)), runs, "us") == (True, True)
    assert holds(row(Bar(1.05, 1.4)), runs, "us") == (False, True)
    assert holds(row(Bar(1.1, 1.3)), runs, "us") == (False, True)
    told = summary(runs, "us")
    assert (told.median, told.worst, told.seed) == (1.1, 1.4, 2)


def test_refusals_are_a_share_of_the_items_and_some_calls_beside_what_chance_brings() -> None:
    for refused, granted, few in ((32, 0, True), (33, 0, False), (42, 10, True)):
        assert (
            holds(row(Bar(2, 2, 0.02, 30)), [run(us=(10.0, refused), granted=granted)], "us")[1]
            is few
        )


def test_a_bar_in_seconds_is_for_the_worst() -> None:
    runs = [run(n, us=(time, 0)) for n, time in enumerate((8.0, 9.5))]
    assert holds(row(Bar(1, 1, seconds=9.5)), runs, "us")[0]
    assert not holds(row(Bar(1, 1, seconds=9.0)), runs, "us")[0]


def test_a_bar_of_the_plain_loops_time_is_for_the_median() -> None:
    runs = [run(us=(12.0, 0), plain=(10.0, 0))]
    assert holds(row(Bar(1.3, 1.3, plain=1.2)), runs, "us")[0]
    assert not holds(row(Bar(1.3, 1.3, plain=1.1)), runs, "us")[0]


def test_no_seed_may_be_much_slower_than_the_plain_loop_nor_be_refused_more() -> None:
    assert beside_plain(run(us=(12.0, 11), plain=(10.0, 10)), "us") == (True, True)
    assert beside_plain(run(us=(12.1, 12), plain=(10.0, 10)), "us") == (False, False)


def test_a_run_that_never_ended_holds_nothing() -> None:
    runs = [run(us=(math.inf, 0), plain=(10.0, 0))]
    assert holds(row(Bar(5, 5)), runs, "us") == (False, True)
    assert beside_plain(runs[0], "us") == (False, True)


def test_where_the_plain_loop_takes_from_others_the_oracle_may_be_later() -> None:
    pushed = run(plain=(8.0, 900))
    assert not out_of_reach(pushed)
    assert out_of_reach(msgspec.structs.replace(pushed, pushy=True))


def test_a_memory_may_cost_a_second() -> None:
    after = row(Bar(1, 1), measure="after")
    for time, fresh, well in ((2.9, 2.0, True), (3.1, 2.0, False)):
        figures = {"us": Figures(time, time / fresh, 0, 100, 0, 10, 1.0, 0.2)}
        runs = [Run(0, "", "", 100, 10.0, 0.2, False, figures)]
        assert holds(after, runs, "us")[0] is well


@pytest.mark.parametrize("measure", ["items", "share", "after"])
def test_rows_of_each_measure_can_be_played_and_drawn(measure: str) -> None:
    chosen = next(r for r in rows("tune") if r.measure == measure)
    runs = play_row(chosen, range(2), ["plain", "aimd"])
    assert [one.seed for one in runs] == [0, 1]
    assert all(figures.ratio > 0.9 for one in runs for figures in one.figures.values())
    picture = draw([(chosen, runs)], ["plain", "aimd"])
    assert picture.startswith("<svg")
    assert chosen.name in picture


def test_the_same_seed_plays_the_same_run() -> None:
    chosen = rows("tune")[8]
    assert play_row(chosen, range(2), ["plain"]) == play_row(chosen, range(2), ["plain"])


def test_a_contender_without_an_adapter_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        contender("nobody")


def test_a_row_with_flows_is_told_to_who_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Plain):
        def fixed(self, flows: int) -> Told:
            told.append(flows)
            return self

    told: list[int] = []
    monkeypatch.setattr("bench.rates.play.contender", lambda name: Told())
    for chosen in (r for r in rows("tune") if r.flows is not None and "chance" in r.group):
        play_row(chosen, range(1), ["told"])
    assert told == [100, 100, 100]
