"""`flowpool run` as a process, against the simulator's server."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

RUN = ("run", "skill.yaml")
FILES = ("--input", "rows.jsonl", "--output", "out.jsonl", "--meta", "--no-store")
TEXTS = ["A river runs.", "A sea rests.", "A hill stands."]


def asked(sim: Any) -> int:
    requests: int = sim.ledger()["requests"]
    return requests


def test_every_row_has_its_answer_beside_it(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    code, out, err = flowpool(*RUN, *FILES)
    assert (code, out) == (0, "")
    rows = flowpool.read()
    assert [row["text"] for row in rows] == [row["output"] for row in rows] == TEXTS
    first = rows[0]
    assert list(first) == [
        *("text", "output", "_status", "_error", "_attempts", "_seconds", "_input_tokens"),
        *("_output_tokens", "_cost"),
    ]
    assert first["_status"] == "done"
    assert first["_attempts"] == 1
    assert first["_input_tokens"] > 0
    assert err.startswith("3 done in ")
    assert " tokens, about $" in err or "less than $" in err
    assert err.endswith(" -> out.jsonl\n")
    assert err.count("\n") == 1


def test_a_failed_row_keeps_its_error_and_the_exit_code_is_1(flowpool: Any) -> None:
    flowpool.write_rows([TEXTS[0], "Bad. [[sim: 400]]", TEXTS[1]])
    code, _, err = flowpool(*RUN, *FILES)
    assert code == 1
    assert [row["_status"] for row in flowpool.read()] == ["done", "failed", "done"]
    failed = flowpool.read()[1:2]
    assert failed[0]["_error"].startswith("BadRequest: ")
    assert failed[0]["output"] is None
    assert err.startswith("2 done, 1 failed in ")
    assert "first failure: items[1]: BadRequest: " in err


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz"])
def test_the_input_may_be_csv_tsv_or_gzipped(flowpool: Any, name: str) -> None:
    mark = "\t" if ".tsv" in name else ","
    content = f"id{mark}text\n1{mark}A river runs.\n".encode()
    path = flowpool.folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert flowpool(*RUN, "--input", name, "--output", "out.jsonl")[0] == 0
    row = flowpool.read()[0]
    assert (row["id"], row["text"], row["output"]) == ("1", "A river runs.", "A river runs.")


def test_a_dash_reads_stdin_and_writes_stdout(flowpool: Any) -> None:
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    code, out, err = flowpool(
        *RUN, "--input", "-", "--output", "-", "--ordered", stdin=rows.encode()
    )
    assert code == 0
    assert [json.loads(line)["output"] for line in out.splitlines()] == TEXTS
    assert err.endswith(" -> stdout\n")


def test_a_file_is_in_the_order_of_the_rows_unless_unordered(flowpool: Any) -> None:
    flowpool.write_rows(["Slow. [[sim: latency=0.4]]", "Quick.", "Quick too."])
    assert flowpool(*RUN, *FILES)[0] == 0
    assert [row["output"] for row in flowpool.read()] == ["Slow.", "Quick.", "Quick too."]
    assert flowpool(*RUN, *FILES, "--force", "--unordered")[0] == 0
    assert flowpool.read()[-1]["output"] == "Slow."


@pytest.mark.parametrize(("limit", "indices"), [("2", [0, 1]), ("2-3", [1, 2]), ("3-9", [2])])
def test_limit_takes_some_rows(flowpool: Any, limit: str, indices: list[int]) -> None:
    flowpool.write_rows(TEXTS)
    assert flowpool(*RUN, *FILES, "--limit", limit)[0] == 0
    assert [row["output"] for row in flowpool.read()] == [TEXTS[i] for i in indices]


def test_max_flows_caps_the_calls_at_once(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {i}." for i in range(12)])
    assert flowpool(*RUN, *FILES, "--max-flows", "3")[0] == 0
    assert sim.ledger()["peak_in_flight"] == 3


def test_on_error_stop_starts_no_more_rows(flowpool: Any) -> None:
    flowpool.write_rows(["Bad. [[sim: 400]]", *TEXTS])
    code, _, err = flowpool(*RUN, *FILES, "--max-flows", "1", "--on-error", "stop")
    assert code == 1
    assert [row["_status"] for row in flowpool.read()] == ["failed"]
    assert "1 failed, 3 not started in " in err


def test_on_error_raise_cancels_the_rest(flowpool: Any) -> None:
    flowpool.write_rows(["Bad. [[sim: 400]]", "Slow. [[sim: latency=30]]"])
    code, _, err = flowpool(*RUN, *FILES, "--on-error", "raise")
    assert code == 1
    assert {row["_status"] for row in flowpool.read()} == {"failed", "cancelled"}
    assert "Traceback" not in err


def test_a_deadline_ends_the_run_with_what_it_has(flowpool: Any) -> None:
    flowpool.write_rows([*TEXTS, "Slow. [[sim: latency=30]]"])
    code, _, err = flowpool(*RUN, *FILES, "--deadline", "1")
    assert code == 1
    assert err.startswith("3 done, 1 cancelled in ")
    assert err.splitlines()[0].endswith("; stopped at 3 of 4: the run's deadline of 1 s passed")


def test_retries_and_limits_are_the_pools(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["Ill. [[sim: 500]]"])
    code, _, _ = flowpool(*RUN, *FILES, "--retries", "0", "--rpm", "600", "--tpm", "100000")
    assert code == 1
    assert asked(sim) == 1


def test_a_function_in_the_file_runs_only_when_trusted(flowpool: Any) -> None:
    flowpool.write("mine.py", "def louder(text):\n    return text.upper()\n")
    flowpool.write("chain.yaml", "steps:\n  - function: mine:louder\n")
    flowpool.write_rows(["quiet"])
    code, _, err = flowpool("run", "chain.yaml", *FILES)
    assert code == 2
    assert "--trusted" in err
    assert flowpool("run", "chain.yaml", *FILES, "--trusted")[0] == 0
    assert flowpool.read()[0]["result"] == "QUIET"


def test_paths_of_every_command_may_begin_with_the_home(flowpool: Any) -> None:
    """As after `--store=`, where many shells leave the tilde as it stands."""
    home = flowpool.folder / "home"
    home.mkdir()
    flowpool.env |= {"HOME": str(home), "USERPROFILE": str(home)}
    for name in ("skill.yaml", flowpool.write_rows(["A river runs."])):
        (flowpool.folder / name).rename(home / name)
    (home / "prompt.txt").write_text("Repeat: {text}", encoding="utf-8")
    (home / "answer.json").write_text('{"type": "object", "properties": {"a": {}}}')
    words = ("-m", "gpt-5-mini", "-i", "~/rows.jsonl", "--schema", "~/answer.json", "--dry-run")
    run = ("run", "~/skill.yaml", "--input=~/rows.jsonl", "--output=~/out.csv", "--store=~/run.db")
    for arguments in (
        ("map", "@~/prompt.txt", *words),
        run,
        ("status", "~/run.db"),
        ("resume", "~/run.db"),
        ("export", "~/run.db", "~/taken.csv"),
        ("init", "~/pipeline.yaml"),
    ):
        code, _, err = flowpool(*arguments)
        assert code == 0, err
    found = {path.name for path in home.iterdir()} - {"run.db-lock", ".cache"}
    assert {"out.csv", "run.db", "taken.csv", "pipeline.yaml"} <= found
    assert [path.name for path in flowpool.folder.iterdir()] == ["home"]


def test_a_version_in_a_pipelines_file_asks_everything_anew(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(TEXTS)
    for version, asked_so_far in ((1, 3), (1, 3), (2, 6)):
        skill = "{model: gpt-5-mini, prompt: 'Repeat: {text}'}"
        flowpool.write("pipeline.yaml", f"skill: {skill}\nrun: {{version: {version}}}\n")
        words = ("-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db", "--force")
        code, _, err = flowpool("run", "pipeline.yaml", *words)
        assert code == 0, err
        assert asked(sim) == asked_so_far
