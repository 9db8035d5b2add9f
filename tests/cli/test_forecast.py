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


def test_rows_with_nothing_in_them_are_told_of_before_and_after(flowpool: Any, sim: Any) -> None:
    flowpool.write("rows.csv", "id,text\n1,Hello\n2,\n3, \n")
    ask = ("map", "Look at {text}", "-m", "gpt-5-mini", "-i", "rows.csv")
    code, out, err = flowpool(*ask, "--dry-run")
    assert code == 0, err
    assert "empty     2 of 3 that were looked at have nothing in 'text' (--on-empty)\n" in out
    code, out, err = flowpool(*ask)
    assert code == 0, err
    assert ", 2 had no 'text' -> stdout" in err
    assert sim.ledger()["requests"] == 3
    code, out, err = flowpool(*ask, "--on-empty", "skip")
    assert (code, out.count("\n")) == (0, 3)
    assert sim.ledger()["requests"] == 4
    code, out, err = flowpool(*ask, "--on-empty", "fail")
    assert code == 1
    assert "there is nothing in 'text'" in err
    assert sim.ledger()["requests"] == 5


def test_a_dry_run_counts_what_is_still_to_be_asked(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([*(f"Row {i}." for i in range(9)), "Bad. [[sim: 400]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool(*words)[0] == 1
    out = flowpool(*words, "--dry-run")[1]
    assert "kept      10 of them have ended in out.jsonl.flowpool.db" in out
    assert "calls     0 to openai/gpt-5-mini" in out
    assert "calls     1 to openai/gpt-5-mini" in flowpool(*words, "--dry-run", "--retry-errors")[1]
    assert "calls     10 to openai/gpt-5-mini" in flowpool(*words, "--dry-run", "--no-cache")[1]
    assert sim.ledger()["requests"] == 10


def test_a_resumed_command_closes_with_what_it_did_itself(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["One.", "Two.", "Bad. [[sim: 400 times=1]]"])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl")
    assert flowpool(*words)[0] == 1
    code, _, err = flowpool(*words)
    assert (code, sim.ledger()["requests"]) == (1, 3)
    assert "2 done, 1 failed (3 of them earlier) in " in err
    assert "tokens" not in err
    assert "$" not in err
    assert "3 done (2 of them earlier) in " in flowpool(*words, "--retry-errors")[2]


def test_a_pilot_tells_the_time_at_its_own_pace(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {i}." for i in range(40)])
    words = (*ASK, "-i", "rows.jsonl", "-o", "out.jsonl", "--pilot", "5")
    assert "at the pilot's pace, less where more at once is taken" in flowpool(*words)[2]
    assert "  time    about " in flowpool(*words, "--no-cache", "--max-flows", "2")[2]
    assert "  time " not in flowpool(*words)[2], "all was kept, nothing was measured"
