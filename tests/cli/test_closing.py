"""What `flowpool run` says of a run."""

from __future__ import annotations

import io

from flowpool.cli.closing import PlainProgress, RunReport
from flowpool.errors import NotFinished, RateLimited
from flowpool.pool import Snapshot
from flowpool.record import ModelSpend
from flowpool.results import Record
from flowpool.values import Status


def done(index: int) -> Record:
    return Record(index, {}, Status.DONE, "x")


def test_all_done_is_one_short_line() -> None:
    progress = RunReport(2)
    progress.add(done(0))
    progress.add(done(1))
    assert progress.all_done
    assert progress.summary(0.5, "out.jsonl", Snapshot(2)) == "2 done in 0.50 s -> out.jsonl"


def test_the_line_counts_what_failed_was_cancelled_and_never_started() -> None:
    progress = RunReport(1_500)
    progress.add(done(0))
    progress.add(Record(1, {}, Status.CANCELLED, error=NotFinished("cut")))
    progress.add(Record(7, {}, Status.FAILED, error=RateLimited("later\nline")))
    progress.add(Record(3, {}, Status.FAILED, error=RateLimited("slow\n  down")))
    assert not progress.all_done
    spent = {"openai/gpt-4o-mini": ModelSpend(1, 31_000, 204)}
    now = Snapshot(1_500, done=1, failed=2, cancelled=1, spent=spent)
    assert progress.summary(12.34, "-", now) == (
        "1 done, 2 failed, 1 cancelled, 1,496 not started in 12.3 s, 31,204 tokens, about $0.0048 -> stdout; "
        "first failure: items[3]: RateLimited: slow down"
    )


def test_what_an_earlier_run_did_is_told_as_such_and_costs_nothing_now() -> None:
    progress = RunReport(3)
    progress.add(done(0))
    progress.add(done(1))
    progress.add(Record(2, {}, Status.FAILED, error=RateLimited("slow")))
    now = Snapshot(3, done=2, failed=1, recalled=3)
    assert progress.summary(0.5, "x", now) == (
        "2 done, 1 failed (3 of them earlier) in 0.50 s -> x; first failure: items[2]: RateLimited: slow"
    )


def test_a_very_long_error_is_cut() -> None:
    progress = RunReport(1)
    progress.add(Record(0, {}, Status.FAILED, error=RateLimited("long " * 500)))
    assert len(progress.summary(1, "x", Snapshot(1))) < 400


def test_an_unknown_number_of_rows_is_done_when_each_that_came_is() -> None:
    progress = RunReport(None)
    progress.add(done(0))
    assert progress.all_done


def test_plain_progress_is_a_line_every_ten_seconds() -> None:
    stream = io.StringIO()
    tell = PlainProgress(stream)
    for elapsed in (0.2, 9.9, 10.1, 10.3, 34.0, 34.2, 40.0):
        tell(Snapshot(1_000, 60, 340, 2, 0, elapsed, 34.0))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "10.1 s: 342 of 1,000 · 34.0/s · 0:19 left | 2 failed · 60 in progress"
    assert [line.partition(" ")[0] for line in lines] == ["10.1", "34.0", "40.0"]


def test_plain_progress_of_an_unknown_number() -> None:
    stream = io.StringIO()
    PlainProgress(stream)(Snapshot(None, 6, 34, 0, 0, 11.0))
    assert stream.getvalue() == "11.0 s: 34 items | 6 in progress\n"
