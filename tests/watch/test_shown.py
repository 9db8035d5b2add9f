"""What both views say of a run."""

from __future__ import annotations

import msgspec
import pytest
from tests.watch.stores import BOTTLENECK, HOSTILE, LANE, course, live, sample

from flowpool.run.sample import Bottleneck, LaneSample, TimeSpread
from flowpool.store.reading import FailedItem
from flowpool.watch.shown import LONGEST, shown
from flowpool.watch.view import FailureGroup, Happened, RunView, cell_size, thinned

AT = 1_800_000_000.0


def view(**changes: object) -> RunView:
    fields: dict[str, object] = {
        "name": "reviews",
        "state": "running",
        "words": "At work.",
        "at": AT,
        "now": sample(AT),
        "bottleneck": msgspec.structs.replace(BOTTLENECK, since=AT - 75),
    }
    return RunView(**fields | changes)  # type: ignore[arg-type]


def test_the_verdict_is_what_holds_the_run_back_with_the_fix_and_since_when() -> None:
    now = shown(view())
    assert now.verdict == "limited by tokens of openai/gpt-5-mini (200,000 a minute, told)"
    assert now.fix == "a second key would halve what is left"
    assert now.since.endswith("(1 min 15 s)")


def test_a_run_that_is_over_has_its_end_for_a_verdict() -> None:
    ended = shown(view(state="ended", words="The run has ended."))
    assert (ended.verdict, ended.since, ended.is_bad) == ("Ended: 3 failed", "", True)
    whole = view(state="ended", words="The run has ended.", now=sample(AT, failed=0))
    assert (shown(whole).verdict, shown(whole).is_bad) == ("The run has ended.", False)
    killed = shown(view(state="away", words="Nobody is at work on it."))
    assert (killed.verdict, killed.is_bad) == ("Nobody is at work on it.", True)


def test_a_provider_that_answers_nobody_is_bad() -> None:
    assert not shown(view()).is_bad
    assert shown(view(bottleneck=Bottleneck("outage", "nobody is answered"))).is_bad


def test_the_figures_tell_how_far_it_is_and_what_it_costs_at_the_end() -> None:
    now = shown(view())
    assert now.counts == "203 of 400"
    words = {figure.name: (figure.words, figure.note) for figure in now.figures}
    assert words["rate"][0] == "48.9/s"
    assert words["time left"][0] == "2:03"
    assert words["spent"] == ("$1.25", "about $2.46 in all")


def test_a_source_of_unknown_length_has_no_parts() -> None:
    now = shown(view(now=sample(AT, total=None, eta=None)))
    assert (now.counts, now.done, now.failed) == ("203 items", None, 0.0)


def test_the_limit_is_told_in_items_a_second_whatever_it_counts() -> None:
    lane = LaneSample(LANE, "tokens", 16, 64, 0, 0, 0.8, 200_000.0, 100_000.0)
    series = shown(view(samples=[sample(AT, rate=40.0, lanes=(lane,))])).series
    assert series.limit == [80.0]


def test_refusals_are_told_by_the_second() -> None:
    lanes = [LaneSample(LANE, "", 1, 1, 0, refused, 0.8, None, 0.0) for refused in (3, 3, 13)]
    samples = [sample(AT + 2 * n, elapsed=float(n), lanes=(lane,)) for n, lane in enumerate(lanes)]
    assert shown(view(samples=samples)).series.refused == [0.0, 0.0, 5.0]


def test_between_two_runs_of_the_same_work_the_course_has_a_gap() -> None:
    samples = [*course(AT, 3), *course(AT + 1000, 2)]
    series = shown(view(samples=samples)).series
    assert series.rate[3] is None
    assert len(series.at) == 6
    assert series.at == sorted(series.at)


def test_only_what_is_new_is_told() -> None:
    series = shown(view(samples=course(AT, 10)), after=AT + 8).series
    assert series.at == [AT + 9, AT + 10]


def test_a_long_course_is_thinned_and_keeps_its_last_moment() -> None:
    points = thinned(list(range(10_000)), 100)
    assert len(points) == 100
    assert points[-1] == 9999
    assert thinned([]) == []


@pytest.mark.parametrize("items", [1, 1200, 1201, 99_999, 1_000_000, 30_000_000])
def test_a_grid_of_any_size_fits(items: int) -> None:
    assert -(-items // cell_size(items)) <= 1200


def test_names_and_messages_of_others_are_words_of_one_line_and_no_end() -> None:
    now = shown(
        view(
            name=HOSTILE,
            bottleneck=msgspec.structs.replace(BOTTLENECK, words=HOSTILE, fix=HOSTILE),
            now=sample(AT, lanes=(LaneSample(HOSTILE, "", 1, 1, 0, 0, 1.0, None, 0.0),)),
            groups=[FailureGroup(HOSTILE, 2, "x\n" * 1000, HOSTILE)],
            failures=[FailedItem(7, 0.0, "BadRequest", HOSTILE)],
            changes=[Happened(AT, HOSTILE)],
            timings={HOSTILE: {"backoff": TimeSpread(1, 1.0, 1.0, 1.0, 1.0)}},
        )
    )
    text = msgspec.json.encode(now).decode()
    for sign in ("\\u001b", "\\u202e", "\x1b", "\u202e"):
        assert sign not in text.replace("\\\\u202e", "")
    assert max(len(one.words) for one in now.groups) < LONGEST + 20


def test_where_the_time_went_is_told_in_its_order_with_its_part_of_all() -> None:
    rows = shown(view(timings=live().timings)).times
    assert [(row.name, round(row.share, 2)) for row in rows] == [
        ("waiting for a limit", 0.47),
        ("until the first byte", 0.33),
        ("reading the answer", 0.2),
    ]
