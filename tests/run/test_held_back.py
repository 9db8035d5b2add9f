"""For how long each bottleneck held a run back, and what the end of a run says of it."""

from __future__ import annotations

from flowpool.run.bottleneck import shares
from flowpool.run.sample import Bottleneck
from flowpool.views.words import end_notes, end_text


def test_what_held_a_run_back_is_summed_up_by_what_it_was() -> None:
    slots = Bottleneck("slots", "8 slots are full", "", "m", since=10.0)
    changes = [
        slots,
        Bottleneck("source", "the source is slow", since=12.0),
        Bottleneck("slots", "9 slots are full", "", "m", since=20.0),
        Bottleneck("slots", "another's are full", "", "n", since=29.0),
    ]
    assert [(one.words, seconds) for one, seconds in shares(changes, 30.0)] == [
        ("9 slots are full", 11.0),
        ("the source is slow", 8.0),
        ("another's are full", 1.0),
    ]
    assert shares([], 30.0) == ()


def test_the_end_of_a_run_says_what_held_it_back_the_longest(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=60, max_flows=2)
    results = sim.run(pool)
    (longest, seconds), *_ = pool.snapshot.held
    assert longest.kind == "max_flows"
    assert 20.0 < seconds <= 30.0
    assert sum(seconds for _, seconds in pool.snapshot.held) <= 30.0
    [note] = end_notes(pool.snapshot)
    assert note.startswith("held back: limited by max_flows: 2")
    assert (note, False) in end_text("x", pool.snapshot).lines
    assert "what would change it: raise max_flows" in str(results.summary()).replace("\n", " ")


def test_a_short_run_says_nothing_of_it(simulate) -> None:
    sim = simulate()
    pool = sim.pool(items=10, max_flows=2)
    sim.run(pool)
    assert end_notes(pool.snapshot) == []
