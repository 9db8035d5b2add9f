"""What a run will take, told before it: from prompts alone, and from some of its items."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpool import Chain, Limits, Model, Pool, Prices, Skill, read
from flowpool.errors import InvalidInput
from flowpool.estimate import forecast, spread
from flowpool.limits.lane_view import LaneView, least_seconds, units_of
from flowpool.pool import Snapshot
from flowpool.record import CallCost, ModelSpend, Record
from flowpool.values import Status, Usage

PRICED = Model("qwen3", base_url="http://127.0.0.1:9/v1", prices=Prices(input=10, output=100))


def record(seconds: float, tokens: int) -> Record:
    usage = Usage(tokens, 0)
    bill = CallCost("vllm/qwen3", usage, Prices(input=1_000_000, output=0))
    return Record(0, {}, Status.DONE, duration=seconds, usage=usage, bills=(bill,))


def test_it_tells_prompts_tokens_and_what_the_longest_answers_cost() -> None:
    skill = Skill(PRICED, prompt="Is it spam? {text}", options={"max_tokens": 100})
    told = Pool(skill, [{"text": "x" * 24}] * 1000, limits=Limits(rpm=100)).estimate()
    assert told.items == told.calls == 1000
    assert told.prompts[0] == "Is it spam? " + "x" * 24
    assert told.input_tokens == 13_000
    assert told.cost == pytest.approx(0.13)
    assert told.most_cost == pytest.approx(0.13 + 10.0)
    assert told.seconds == 600.0


def test_what_isnt_known_is_not_told() -> None:
    two = Chain([(Skill(PRICED, prompt="{text}"), "a"), (Skill(PRICED, prompt="Say {a}"), "b")])
    told = Pool(two, [{"text": "hello"}]).estimate()
    assert [step.is_whole for step in told.steps] == [True, False]
    assert told.most_cost is None
    assert told.seconds is None
    with pytest.raises(InvalidInput, match="before the run"):
        Pool(two, iter([{"text": "hello"}])).estimate()


def test_the_interval_covers_the_mean_nine_times_in_ten() -> None:
    import random

    chance, held = random.Random(1), 0
    for seed in range(200):
        span = spread([chance.expovariate(1.0) for _ in range(20)], 1.0, seed)
        held += span.low <= 1.0 <= span.high
    assert 160 <= held <= 196


def test_a_forecast_scales_cost_and_time_and_keeps_to_the_limits() -> None:
    now = Snapshot(2, done=2, elapsed=2.0)
    seen = forecast([record(2.0, 10), record(2.0, 10)], 100, now, at_once=4)
    assert seen.cost is not None
    assert seen.seconds is not None
    assert seen.cost.expected == pytest.approx(1000.0)
    assert (seen.seconds.low, seen.seconds.expected) == (50.0, 50.0)
    assert (seen.pace, seen.least) == (1.0, 0.0)
    lane = LaneView("m", "limits", {}, {}, Limits(rpm=60), 1.0, 0, 64, 0, 0, "")
    limited = Snapshot(2, done=2, elapsed=2.0, lanes=(lane,), spent={"m": ModelSpend(2, 20)})
    slowed = forecast([record(2.0, 10)] * 2, 100, limited, at_once=4)
    assert slowed.seconds is not None
    assert slowed.seconds.low == slowed.least == 100.0


def test_what_headers_leave_to_go_at_once_takes_no_time() -> None:
    units = units_of(100, Usage(5000, 0))
    assert least_seconds(units, {"requests": 100, "tokens": 500}) == 600.0
    assert least_seconds(units, {"requests": 100}, {"requests": 60}) == 24.0
    assert least_seconds(units, {"requests": 100}, {"requests": 600}) == 0.0


def test_rows_of_a_file_are_read_again_by_their_description(tmp_path: Path) -> None:
    from flowpool.data.rows import read_again

    path = tmp_path / "rows.csv"
    path.write_text("id,body\n" + "".join(f"{i},text {i}\n" for i in range(20)))
    rows = read(
        path, columns={"text": "body"}, where="id >= 5", limit=slice(2, 6), sample=10, seed=3
    )
    assert rows.description is not None
    assert list(read_again(rows.description, None)) == list(rows)
    assert read([{"a": 1}]).description is None
    assert read(path, where=lambda row: True).description is None


def test_a_sample_of_rows_is_told_as_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"n": {i}}}\n' for i in range(50)))
    rows = read(path)
    rows.look_through(lambda row, index: None)
    some = rows.sampled(7)
    assert rows.length == 50
    assert some.length == len(list(some)) == 7
    assert some.description == rows.description
