"""`--log` of the commands that run, and `log` of a pipeline's `run`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def kinds(flowpool: Any, name: str = "run.log") -> list[str]:
    return without_time(event["event"] for event in flowpool.read(name))


def without_time(kinds: Iterable[str]) -> list[str]:
    """The events but for those that a slow machine has more of."""
    return [kind for kind in kinds if kind not in ("bottleneck", "lane")]


def test_map_run_and_resume_add_to_a_log(flowpool: Any) -> None:
    flowpool.write_rows(["One. canary", "Two. canary"])
    words = ("-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db")
    assert flowpool("map", "Repeat: {text}", *words, "--log", "run.log")[0] == 0
    assert kinds(flowpool) == ["begin", "item", "item", "end"]
    assert flowpool("resume", "run.db", "--log", "run.log")[0] == 0
    assert kinds(flowpool)[4:] == ["begin", "end"]
    text = (flowpool.folder / "run.log").read_text()
    assert "canary" not in text


def test_a_pipelines_file_may_name_its_log_within_its_folder(flowpool: Any) -> None:
    flowpool.write_rows(["One.", "Bad. [[sim: 400]]"])
    flowpool.write(
        "p.yaml", "skill: {model: gpt-5-mini, prompt: 'Say: {text}'}\nrun: {log: a.log}\n"
    )
    assert flowpool("run", "p.yaml", "-i", "rows.jsonl", "-o", "out.jsonl")[0] == 1
    [attempt] = [one for one in flowpool.read("a.log") if one["event"] == "attempt"]
    assert (attempt["item"], attempt["status"], attempt["next"]) == (1, 400, "none")
    flowpool.write(
        "q.yaml", "skill: {model: gpt-5-mini, prompt: 'Say: {text}'}\nrun: {log: ../a}\n"
    )
    code, _, err = flowpool("run", "q.yaml", "-i", "rows.jsonl", "-o", "out2.jsonl")
    assert code == 2
    assert "--trusted" in err


def test_a_log_that_is_the_output_is_refused(flowpool: Any) -> None:
    flowpool.write_rows(["One."])
    words = ("map", "Repeat: {text}", "-m", "gpt-5-mini", "-i", "rows.jsonl", "-o", "out.jsonl")
    code, _, err = flowpool(*words, "--log", "out.jsonl")
    assert code == 2
    assert "--log 'out.jsonl' is the run's store, input or output: name another file." in err


def test_a_dash_puts_it_on_standard_error(flowpool: Any) -> None:
    flowpool.write_rows(["One."])
    words = ("map", "Repeat: {text}", "-m", "gpt-5-mini", "-i", "rows.jsonl", "--log", "-", "-q")
    code, out, err = flowpool(*words)
    assert code == 0
    *lines, last = err.splitlines()
    assert without_time(json.loads(line)["event"] for line in lines) == ["begin", "item", "end"]
    assert last.startswith("1 done")
    assert json.loads(out)["text"] == "One."
