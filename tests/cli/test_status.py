"""`flowpool status` of real stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowpool.cli import main
from flowpool.store.file import open_store


def test_status_says_what_is_done_what_failed_and_how_to_go_on(stored: Any) -> None:
    code, out, _ = stored("status", "run.db")
    assert code == 1
    assert out.startswith("run.db: 1 run, ")
    assert "what      gpt-5-mini 'Repeat this: {text}'" in out
    assert "3 done, 1 failed; all items of the run stand in the store" in out
    assert " 4 attempts" in out
    assert "failed    1 x BadRequest: " in out
    assert "try again flowpool retry run.db\n" in out
    assert "flowpool resume" not in out
    assert "At work" not in out


@pytest.mark.parametrize("texts", [["some words " * 9] * 60, ["a"] * 200])
def test_status_of_a_run_that_ended_at_its_ceiling_says_why_and_goes_on_with_a_higher_one(
    texts: list[str], flowpool: Any
) -> None:
    flowpool.write_rows(texts)
    words = ("-i", "rows.jsonl", "-O", "max_tokens=50", "--model", "openai/gpt-5-mini")
    ceiling = ("--max-cost", "0.0005", "--store", "run.db", "-o", "out.jsonl")
    assert flowpool("map", "Repeat: {text}", *words, *ceiling)[0] == 1
    _, out, _ = flowpool("status", "run.db")
    assert "ended     before its end: the run's ceiling of $0.0005 leaves no room" in out
    [line] = [line for line in out.splitlines() if "go on" in line]
    assert line.split() == ["go", "on", "flowpool", "resume", "run.db", "--max-cost", "0.001"]
    done = out.split(" done")[0].split()[-1]
    flowpool(*line.split()[3:])
    _, out, _ = flowpool("status", "run.db")
    assert int(out.split(" done")[0].split()[-1]) > int(done)
    flowpool("resume", "run.db", "--max-cost", "1")
    code, out, _ = flowpool("status", "run.db")
    assert (code, f"{len(texts)} done; all items of the run stand in the store" in out) == (0, True)
    assert "before its end" not in out


def test_status_says_who_holds_the_store(stored: Any) -> None:
    with open_store(stored.folder / "run.db"):
        _, out, _ = stored("status", "run.db")
    assert "At work on it now: " in out
    assert "try again" not in out


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
