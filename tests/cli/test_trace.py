"""`flowpool trace` of real stores."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.report.trace_rules import broken_rules, read_trace

from flowpool.report.trace import _of_event, _Tracks
from flowpool.store.reading import Event


def test_a_trace_has_every_attempt_and_no_word_of_them(stored: Any) -> None:
    code, out, err = stored("trace", "run.db")
    assert (code, out) == (0, "")
    assert "4 attempts -> run.trace.json.gz: open it at https://ui.perfetto.dev" in err
    path = Path(stored.folder / "run.trace.json.gz")
    trace = read_trace(path)
    assert broken_rules(trace["traceEvents"]) == []
    spans = [one for one in trace["traceEvents"] if one["ph"] == "X" and "item" in one["args"]]
    assert [one["args"]["status"] for one in spans].count(400) == 1
    assert "One." not in str(trace)


def test_a_trace_doesnt_overwrite_unless_forced(stored: Any) -> None:
    stored.write("t.json", "mine")
    code, _, err = stored("trace", "run.db", "-o", "t.json")
    assert code == 2
    assert "t.json exists: name another file, or say --force." in err
    assert stored("trace", "run.db", "-o", "t.json", "--force")[0] == 0


def test_what_cant_be_a_trace_is_refused(stored: Any) -> None:
    code, _, err = stored("trace", "run.db", "-o", "t.html")
    assert code == 2
    assert "ends in .json.gz or .json" in err
    code, _, err = stored("trace", "run.db", "--run", "nobody")
    assert code == 2
    assert "no run 'nobody'" in err


def test_a_trace_never_overwrites_a_store_or_what_the_run_reads(stored: Any) -> None:
    shutil.copy(stored.folder / "run.db", stored.folder / "two.json")
    os.link(stored.folder / "rows.jsonl", stored.folder / "rows.json")
    os.link(stored.folder / "run.db", stored.folder / "run.json")
    for name, words in (
        ("two.json", "is a store or another database: name another file"),
        ("rows.json", "is the run's store, input, output or log: name another file"),
        ("run.json", "is the run's store, input, output or log: name another file"),
    ):
        before = (stored.folder / name).read_bytes()
        code, _, err = stored("trace", "run.db", "-o", name, "--force")
        assert code == 2
        assert words in err
        assert (stored.folder / name).read_bytes() == before


def test_a_stores_name_that_leaves_no_room_for_an_ending_is_said(stored: Any) -> None:
    long = "x" * 245 + ".db"
    shutil.copy(stored.folder / "run.db", stored.folder / long)
    code, _, err = stored("trace", long)
    assert code == 2
    assert "the name is too long: name another file" in err
    assert "Traceback" not in err
    assert stored("trace", long, "-o", "short.json")[0] == 0


def test_a_trace_has_no_word_of_a_lanes_error() -> None:
    tracks = _Tracks(0.0)
    said = {"lane": "a/b", "state": "outage", "error": "Invalid prompt: Patient Smith"}
    words = "a/b answers nobody and is probed: Invalid prompt: Patient Smith"
    events = [Event(1.0, "lane", said), Event(1.0, "bottleneck", {"words": words})]
    tracks.process("")
    written = [one for event in events for one in _of_event(tracks, event)]
    assert "Smith" not in str(written)
