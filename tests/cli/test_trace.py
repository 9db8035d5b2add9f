"""`flowpool trace` of real stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.report.trace_rules import broken_rules, read_trace


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
