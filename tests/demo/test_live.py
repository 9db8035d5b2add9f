"""The demo on a model, which the simulator plays."""

from __future__ import annotations

import re
from pathlib import Path

from tests.demo.command import KEYLESS, run_command

from flowpool.simulator import Fixed, SimServer


def test_a_model_without_a_key_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run_command("--model", "gpt-5-mini", "--output", str(tmp_path / "x"), env=KEYLESS)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("flowpool: ")
    assert "OPENAI_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_model_runs_the_small_job_and_says_its_costs_before_and_after(tmp_path: Path) -> None:
    with SimServer(latency=Fixed(0.01)) as sim:
        env = KEYLESS | {"OPENAI_BASE_URL": f"{sim.url}/v1", "OPENAI_API_KEY": "key-canary"}
        arguments = ("--model", "gpt-5-mini", "--pages", "6", "--output", str(tmp_path))
        done = run_command(*arguments, env=env)
        answers = sim.ledger()["answers"]
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert answers == 2 * 5 + 3 * 20 + 2 * 6
    assert f"This makes {answers} calls with about " in text
    assert re.search(r"tokens to read: about \$[\d.]+, by estimate", text)
    assert re.search(r"tokens were read and [\d,]+ written, which cost about \$[\d.]+\.", text)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 6
    assert "key-canary" not in done.stdout


def test_a_model_that_never_answers_ends_the_demo_at_the_first_job(tmp_path: Path) -> None:
    with SimServer(faults={"401": 1.0}) as sim:
        env = KEYLESS | {"OPENAI_BASE_URL": f"{sim.url}/v1", "OPENAI_API_KEY": "key-canary"}
        done = run_command("--model", "gpt-5-mini", "--output", str(tmp_path), env=env)
        assert sim.ledger()["requests"] <= 5
    assert done.returncode == 1
    assert "No call was answered; the first: AuthFailed: " in " ".join(done.stdout.split())
