"""What `--dry-run` and `--pilot` say."""

from __future__ import annotations

from typing import Any

ASK = ("map", "Repeat this:\n\n{text}", "-m", "gpt-5-mini")


def test_a_dry_run_shows_prompts_and_cost_without_a_key(flowpool: Any, sim: Any) -> None:
    del flowpool.env["OPENAI_API_KEY"]
    flowpool.write_rows([f"Row {i}." for i in range(50)])
    words = (*ASK, "-i", "rows.jsonl", "-O", "max_tokens=50", "--rpm", "100", "--dry-run")
    code, out, _ = flowpool(*words)
    assert code == 0
    assert "--- prompt 1\nRepeat this:\n\nRow 0.\n" in out
    assert "rows      50, from rows.jsonl" in out
    assert "answers of at most 50 tokens" in out
    assert " for the input, at most $0.00" in out
    assert "time      at least 30.0 s, by the limits that you set" in out
    assert sim.ledger()["requests"] == 0
    assert not list(flowpool.folder.glob("*.db"))


def test_a_pilot_forecasts_and_its_answers_are_not_paid_again(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {i}." for i in range(40)])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    code, _, err = flowpool(*words, "--pilot", "5")
    assert code == 0
    assert sim.ledger()["requests"] == 5
    assert "All 40 rows, by 5 of them" in err
    assert "  cost    about $" in err
    assert "say the same words with --yes" in err
    assert not (flowpool.folder / "out.jsonl").exists()
    assert flowpool(*words, "--pilot", "5", "--yes")[0] == 0
    assert sim.ledger()["requests"] == 40
    assert [row["output"] for row in flowpool.read()] == [f"Row {i}." for i in range(40)]
