"""`flowpool status`, `resume`, `retry` and `export` of real stores."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until

from flowpool.cli import main
from flowpool.store.file import open_store

SLOW = "[[sim: latency=30]]"
RUN = ("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db")


@pytest.fixture
def stored(flowpool: Any) -> Any:
    """A store with three items done and one failed."""
    flowpool.write_rows(["One.", "Two.", "Bad. [[sim: 400]]", "Three."])
    assert flowpool(*RUN)[0] == 1
    return flowpool


def test_status_says_what_is_done_what_failed_and_how_to_go_on(stored: Any) -> None:
    code, out, _ = stored("status", "run.db")
    assert code == 1
    assert out.startswith("run.db: 1 run, ")
    assert "what      gpt-5-mini 'Repeat this: {text}'" in out
    assert "3 done, 1 failed; all items of the run stand in the store" in out
    assert " 4 attempts" in out
    assert "failed    1 x BadRequest, the last: " in out
    assert "try again flowpool retry run.db\n" in out
    assert "flowpool resume" not in out
    assert "At work" not in out


def test_status_says_who_holds_the_store(stored: Any) -> None:
    with open_store(stored.folder / "run.db"):
        _, out, _ = stored("status", "run.db")
    assert "At work on it now: " in out
    assert "try again" not in out


def test_retry_tries_again_only_what_failed(stored: Any, sim: Any) -> None:
    code, _, err = stored("retry", "run.db")
    assert code == 1
    assert "3 done, 1 failed in " in err
    assert sim.ledger()["requests"] == 5
    assert stored("resume", "run.db")[0] == 1
    assert sim.ledger()["requests"] == 5


def test_a_killed_run_is_gone_on_with_from_its_file_with_the_same_selection(
    flowpool: Any, sim: Any
) -> None:
    bodies = [f"Row {i}." for i in range(30)]
    rows = "".join(
        json.dumps({"body": body, "n": i}) + "\n" for i, body in enumerate([*bodies, SLOW])
    )
    flowpool.write("rows.jsonl", rows)
    words = (*RUN, "--columns", "text=body", "--where", "n >= 10", "--max-flows", "2")
    process = flowpool.start(*words)
    until(lambda: sim.ledger()["requests"] >= 12, process=process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, out, _ = flowpool("status", "run.db")
    assert "the rest is still to be read from " in out
    assert "go on     flowpool resume run.db" in out
    flowpool.write("rows.jsonl", rows.replace(SLOW, "Row 30."))
    code, _, err = flowpool("resume", "run.db", "--max-flows", "8")
    assert code == 0, err
    assert sim.ledger()["requests"] <= 21 + 2 * 2
    code, _, _ = flowpool("export", "run.db", "all.jsonl")
    assert code == 0
    rows = flowpool.read("all.jsonl")
    done = [row for row in rows if row["output"]]
    assert [row["body"] for row in done] == [*bodies[10:], "Row 30."]
    assert list(done[0])[:2] == ["body", "n"]


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


@pytest.mark.parametrize("command", ["status", "resume", "retry", "export"])
def test_what_is_no_store_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.db"
    for content in (None, "words"):
        if content is not None:
            path.write_text(content)
        assert main([command, str(path)]) == 2
        assert capsys.readouterr().err.startswith(f"flowpool: {path}: ")


def test_sigterm_leaves_a_store_that_goes_on(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["One.", f"Two. {SLOW}"])
    process = flowpool.start(*RUN)
    until(lambda: sim.ledger()["in_flight"] and sim.ledger()["requests"] >= 2, process=process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert b"run.db keeps the run: say the same words to go on." in err
    _, out, _ = flowpool("status", "run.db")
    assert "1 done, 1 to do" in out
