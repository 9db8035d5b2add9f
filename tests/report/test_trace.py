"""Traces of runs: they keep the rules of the format, and show what the store has of the run."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.report.trace_rules import broken_rules, read_trace

from flowpool import Pool
from flowpool.errors import FlowpoolError, InvalidInput, OutputExists
from flowpool.record import Record
from flowpool.report.trace import trace_of_records, trace_of_store
from flowpool.run.sample import Bottleneck, LaneSample, Sample
from flowpool.store.file import open_store
from flowpool.store.reading import Reader
from flowpool.store.rows import AttemptRow, Batch, EventRow, ItemRow
from flowpool.usage import Usage
from flowpool.values import Attempt, Status, Timing

BEGAN = 1_750_000_000.0
MODEL = "openai/gpt-5-mini"
HOSTILE = "</script>\x1b[31m\u202e"


def made_store(path: Path, rows: list[AttemptRow], events: list[EventRow] | None = None) -> Path:
    """A store with a run of these attempts, whose times are seconds since its beginning."""
    values = {"settings": b"{}", "steps": ""}
    with open_store(path) as store:
        run = store.begin_run("job", b"x" * 16, {**values, "settings": "{}"}, BEGAN)
        items = {store.new_item() for _ in {row.item for row in rows}}
        batch = Batch(BEGAN, items=[ItemRow(n, b"%016d" % n, b"{}") for n in sorted(items)])
        batch.attempts, batch.events = rows, events or []
        store.write(run.id, batch)
    return path


def traced(path: Path, target: Path | None = None) -> list[dict[str, Any]]:
    """The events of the trace of a store's run."""
    target = target or path.with_suffix(".json")
    with Reader(path) as reader:
        trace_of_store(reader, reader.runs()[0], target)
    events: list[dict[str, Any]] = read_trace(target)["traceEvents"]
    return events


def attempt(
    item: int, start: float, seconds: float, step: str = "1.output", **more: Any
) -> AttemptRow:
    return AttemptRow(item, Attempt(step, more.pop("model", MODEL), start, seconds, **more))


def sample(at: float, **more: Any) -> EventRow:
    lane = LaneSample(MODEL, "tokens", 3, 16, 40, 2, 1.0, 200_000.0, 150_000.0)
    figures: dict[str, Any] = {"cost": 0.25, "tokens": 1200, "cpu": 0.5, "lag": 0.01, **more}
    now = Sample(BEGAN + at, at, 100, 10, 1, 0, 3, 0, 2.5, 12.0, lanes=(lane,), **figures)
    return EventRow(BEGAN + at, "sample", msgspec.json.encode(now))


def spans(events: list[dict[str, Any]], name: str = "1.output") -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == "X" and event["name"] == name]


def test_a_process_is_a_lane_and_a_thread_a_slot(tmp_path: Path) -> None:
    rows = [attempt(1, 0, 2), attempt(2, 1, 2), attempt(3, 2, 1, model="anthropic/claude")]
    events = traced(made_store(tmp_path / "run.db", rows))
    assert broken_rules(events) == []
    named = {
        (event["name"], event["args"]["name"])
        for event in events
        if event["ph"] == "M" and "name" in event["args"]
    }
    assert named == {
        ("process_name", "run job"),
        ("process_name", MODEL),
        ("process_name", "anthropic/claude"),
        ("thread_name", "slot 1"),
        ("thread_name", "slot 2"),
    }
    first, second, _ = spans(events)
    assert (first["ts"], first["dur"], first["args"]["item"]) == (0, 2_000_000, 0)
    assert first["tid"] != second["tid"]


def test_a_call_is_parted_into_connecting_the_first_byte_and_reading(tmp_path: Path) -> None:
    rows = [attempt(1, 0, 2, timing=Timing(connect=0.25, first_byte=1.25))]
    events = traced(made_store(tmp_path / "run.db", rows))
    assert broken_rules(events) == []
    parts = [(one["name"], one["ts"], one["dur"]) for one in events if one["ph"] == "X"][1:]
    assert parts == [
        ("connecting", 0, 250_000),
        ("until the first byte", 250_000, 1_250_000),
        ("reading the answer", 1_500_000, 500_000),
    ]


def test_a_function_has_a_track_a_step(tmp_path: Path) -> None:
    rows = [attempt(1, 0, 1, "1.page", model="", timing=Timing()), attempt(1, 1, 2, "2.output")]
    events = traced(made_store(tmp_path / "run.db", rows))
    names = [event["args"].get("name") for event in events if event["name"] == "process_name"]
    assert names == ["run job", "step 1.page", MODEL]


def test_what_a_call_waited_for_stands_before_it(tmp_path: Path) -> None:
    timing = Timing(slot_wait=0.5, limit_wait=1.0, backoff=2.0, budget_wait=0.0001)
    events = traced(made_store(tmp_path / "run.db", [attempt(1, 10, 1, timing=timing)]))
    assert broken_rules(events) == []
    waits = [(one["name"], one["ts"] / 1e6) for one in events if one["ph"] in "be"]
    assert waits == [
        ("in backoff", 6.5),
        ("in backoff", 8.5),
        ("waiting for a limit", 8.5),
        ("waiting for a limit", 9.5),
        ("waiting for a slot", 9.5),
        ("waiting for a slot", 10.0),
    ]


def test_an_arrow_leads_from_step_to_step_and_from_try_to_try(tmp_path: Path) -> None:
    rows = [
        attempt(1, 0, 1, "1.a", status=429, error="RateLimited"),
        attempt(1, 2, 1, "1.a"),
        attempt(1, 3, 1, "2.b"),
        attempt(1, 3, 2, "2.c"),  # beside it
        attempt(1, 5, 1, "3.d"),
        attempt(2, 0, 1, "1.a"),
    ]
    events = traced(made_store(tmp_path / "run.db", rows))
    assert broken_rules(events) == []
    starts = [(one["name"], one["ts"]) for one in events if one["ph"] == "s"]
    assert starts == [
        ("tried again", 999_999),
        ("next step", 2_999_999),
        ("next step", 2_999_999),
        ("next step", 4_999_999),
    ]
    assert spans(events, "1.a: RateLimited")[0]["args"]["status"] == 429


def test_samples_are_counters_of_the_run_and_of_its_lanes(tmp_path: Path) -> None:
    rows = [attempt(1, 0, 1)]
    events = traced(
        made_store(tmp_path / "run.db", rows, [sample(1), sample(2, cost=None, tokens=9)])
    )
    assert broken_rules(events) == []
    counters = [(e["name"], *e["args"].values()) for e in events if e["ph"] == "C"]
    for seen in [
        ("in flight", 3),
        ("window", 16),
        ("limit", 200_000.0),
        ("refused", 2),
        ("items", 2.5),
        ("dollars", 0.25),
    ]:
        assert seen in counters
    assert [name for name, _ in counters].count("dollars") == 1


def test_what_held_it_back_and_who_changed_it_are_marks(tmp_path: Path) -> None:
    held = Bottleneck("tokens", f"limited by tokens of {MODEL}{HOSTILE}", since=BEGAN)
    marks: list[tuple[str, Any]] = [
        ("begin", {"total": 3}),
        ("bottleneck", held),
        ("lane", {"lane": MODEL, "state": "outage", "error": HOSTILE}),
        ("change", {"what": "max_flows", "from": 5, "to": 50}),
        ("end", {"reason": "the run was stopped"}),
    ]
    written = [
        EventRow(BEGAN + at, kind, msgspec.json.encode(data))
        for at, (kind, data) in enumerate(marks)
    ]
    events = traced(made_store(tmp_path / "run.db", [attempt(1, 0, 1)], written))
    assert broken_rules(events) == []
    names = [event["name"] for event in events if event["ph"] == "i"]
    assert names == [
        "begin",
        f"limited by tokens of {MODEL}</script>\\x1b[31m\\u202e",
        "outage",
        "max_flows: 5 to 50",
        "end: the run was stopped",
    ]


@pytest.mark.parametrize("seed", range(3))
def test_any_run_keeps_the_rules_of_the_format(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = []
    for item in range(1, 60):
        at = chance.uniform(0, 5)
        for number in range(chance.randint(1, 6)):
            timing = Timing(*(chance.choice([0, 1e-7, chance.expovariate(20)]) for _ in range(6)))
            at += timing.slot_wait + timing.limit_wait + timing.budget_wait + timing.backoff
            seconds = chance.choice([0.0, timing.connect, chance.expovariate(2)])
            model = chance.choice([MODEL, MODEL, "", HOSTILE])
            step = f"{1 + number // 2}.{chance.choice('ab')}"
            rows.append(attempt(item, at, seconds, step, model=model, timing=timing))
            at += chance.choice([0.0, seconds, seconds / 2])
    events = traced(made_store(tmp_path / "run.db", rows, [sample(n) for n in range(9)]))
    assert broken_rules(events) == []
    assert sum(e["ph"] == "X" and "item" in e["args"] for e in events) == len(rows)


def test_a_trace_is_packed_where_its_name_says_so(tmp_path: Path) -> None:
    path = made_store(tmp_path / "run.db", [attempt(1, 0, 1, usage=Usage(10, 5))])
    plain, packed = traced(path), traced(path, tmp_path / "run.trace.json.gz")
    assert plain == packed
    assert gzip.decompress((tmp_path / "run.trace.json.gz").read_bytes()).startswith(b'{"display')
    whole = read_trace(tmp_path / "run.json")
    assert whole["otherData"]["began"] == "2025-06-15T15:06:40+00:00"
    assert whole["displayTimeUnit"] == "ms"


def test_a_run_without_attempts_is_a_trace_too(tmp_path: Path) -> None:
    assert broken_rules(traced(made_store(tmp_path / "run.db", []))) == []


def test_a_trace_is_whole_or_not_there(tmp_path: Path) -> None:
    path = made_store(tmp_path / "run.db", [attempt(1, 0, 1)], [EventRow(BEGAN, "sample", b"{}")])
    with pytest.raises(FlowpoolError, match="is damaged"):
        traced(path)
    assert sorted(file.name for file in tmp_path.glob("*.json*")) == []


def test_a_file_that_is_there_is_kept_unless_it_may_go(tmp_path: Path) -> None:
    target = tmp_path / "t.json"
    target.write_text("mine")
    with pytest.raises(OutputExists):
        trace_of_records([], "job", target)
    assert target.read_text() == "mine"
    assert trace_of_records([], "job", target, overwrite=True) == 0
    assert read_trace(target)["traceEvents"]
    with pytest.raises(InvalidInput, match=r"ends in \.json\.gz or \.json"):
        trace_of_records([], "job", tmp_path / "trace.html")


def test_a_run_without_a_store_shows_its_items(tmp_path: Path) -> None:
    records = [
        Record(0, {}, Status.DONE, "secret", None, 5.0, 2.0, 1, model=MODEL),
        Record(1, {}, Status.FAILED, None, ValueError("secret"), 6.0, 2.0, 3),
        Record(2, {}, Status.PENDING),
    ]
    target = tmp_path / "t.json"
    assert trace_of_records(records, "job", target) == 2
    events = read_trace(target)["traceEvents"]
    assert broken_rules(events) == []
    assert [(e["name"], e["ts"], e["tid"]) for e in events if e["ph"] == "X"] == [
        ("done", 0, 1),
        ("ValueError", 1_000_000, 2),
    ]
    assert "secret" not in target.read_text()


def test_a_run_without_a_store_shows_how_it_stood(simulate: Any, tmp_path: Path) -> None:
    sim = simulate()
    pool = sim.pool(items=9, max_flows=3)
    sim.run(pool)
    pool.trace(tmp_path / "t.json")
    events = read_trace(tmp_path / "t.json")["traceEvents"]
    assert broken_rules(events) == []
    done = [(e["ts"], e["args"]["items"]) for e in events if e["ph"] == "C" and e["name"] == "done"]
    assert done[-1] == (3_000_000, 9)


@pytest.mark.parametrize("store", [None, "run.db"])
def test_a_pool_writes_its_own_trace(tmp_path: Path, store: str | None) -> None:
    kept = None if store is None else tmp_path / store
    pool = Pool(lambda n: f"canary {n}", [{"n": n} for n in range(5)], name="job", store=kept)
    pool.run()
    pool.trace(tmp_path / "t.json")
    text = (tmp_path / "t.json").read_text()
    assert broken_rules(read_trace(tmp_path / "t.json")["traceEvents"]) == []
    assert text.count('"ph":"X"') == 5
    assert "canary" not in text
