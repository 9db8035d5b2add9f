"""`flowpool export` of real stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl.gz"])
def test_export_writes_inputs_beside_answers(stored: Any, name: str) -> None:
    assert stored("export", "run.db", name, "--meta")[0] == 0
    import flowpool as fp

    rows = list(fp.read(stored.folder / name))
    assert [row["text"] for row in rows][:2] == ["One.", "Two."]
    assert [row["output"] for row in rows][:2] == ["One.", "Two."]
    assert [row["_status"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[2]["_error"].startswith("BadRequest: ")


def test_export_can_take_part_of_it_and_the_attempts(stored: Any) -> None:
    _, out, _ = stored("export", "run.db", "--only", "failed")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["Bad. [[sim: 400]]"]
    _, out, _ = stored("export", "run.db", "--attempts")
    attempts = [json.loads(line) for line in out.splitlines()]
    assert [attempt["item"] for attempt in attempts] == [0, 1, 2, 3]
    assert [attempt["status"] for attempt in attempts] == [200, 200, 400, 200]
    assert {"started", "seconds", "cost", "request_id", "input_tokens"} <= attempts[0].keys()
    assert all(attempt["request_id"] for attempt in attempts)


def test_an_export_doesnt_overwrite_unless_forced(stored: Any) -> None:
    Path(stored.folder / "have.csv").write_text("paid\n")
    code, _, err = stored("export", "run.db", "have.csv")
    assert code == 2
    assert "say --force" in err
    assert stored("export", "run.db", "have.csv", "--force")[0] == 0


def test_an_export_of_an_unfinished_run_says_what_is_missing(stored: Any) -> None:
    code, _, err = stored("export", "run.db", "all.csv")
    assert code == 0
    assert "The run isn't done: 3 done, 1 failed. Rows that aren't done have no answer." in err
    assert "isn't done" not in stored("export", "run.db", "done.csv", "--only", "done")[2]
