"""`flowpool resume` and `retry` of real stores."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from tests.helpers import until

SLOW = "[[sim: latency=30]]"
RUN = ("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db")


def test_retry_tries_again_only_what_failed(stored: Any, sim: Any) -> None:
    code, _, err = stored("retry", "run.db")
    assert code == 1
    assert "3 done, 1 failed (3 of them earlier) in " in err
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


def test_sigterm_leaves_a_store_that_goes_on(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["One.", f"Two. {SLOW}"])
    process = flowpool.start(*RUN)
    # Answered by the server isn't read by the run yet.
    until(lambda: "1 done" in flowpool("status", "run.db")[1], process=process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert b"run.db keeps the run: say the same words to go on." in err
    _, out, _ = flowpool("status", "run.db")
    assert "1 done, 1 to do" in out


@pytest.mark.parametrize("option", [("--max-cost", "0.00001"), ("--max-tokens-total", "10")])
def test_a_run_that_met_its_ceiling_goes_on_with_the_command_that_is_named(
    flowpool: Any, option: tuple[str, str]
) -> None:
    flowpool.write("skill.yaml", "model: gpt-5-mini\nprompt: '{text}'\noptions: {max_tokens: 20}\n")
    flowpool.write_rows(["One.", "Two."])
    code, _, err = flowpool(*RUN, *option)
    assert code == 1
    assert f"run.db keeps the run. To go on: flowpool {' '.join(RUN)} {option[0]} " in err
    code, _, err = flowpool("resume", "run.db")
    while code == 1:
        _, _, command = err.partition("To go on: flowpool ")
        command = command.splitlines()[0]
        assert command.startswith(f"resume run.db {option[0]} ")
        code, _, err = flowpool(*command.split())
    assert code == 0
