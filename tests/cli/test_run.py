"""`flowpool run` as a process, against the simulator's server."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
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


def test_retries_and_limits_are_the_pools(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["Ill. [[sim: 500]]"])
    code, _, _ = flowpool(*RUN, *FILES, "--retries", "0", "--rpm", "600", "--tpm", "100000")
    assert code == 1
    assert asked(sim) == 1


# What is refused before a call is paid


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('{"text": "A."}\nnot json\n', "rows.jsonl, line 2: not JSON"),
        ('{"text": "A."}\n{"other": "B."}\n', "items[1] has no 'text'"),
        ('{"text": "A."}\n[1]\n', "rows.jsonl, line 2: list, not an object"),
        ("", "rows.jsonl: the file is empty"),
        ("\n", "rows.jsonl: no rows"),
    ],
)
def test_a_bad_row_anywhere_in_a_file_costs_nothing(
    flowpool: Any, sim: Any, rows: str, words: str
) -> None:
    flowpool.write("rows.jsonl", rows)
    code, out, err = flowpool(*RUN, *FILES)
    assert (code, out) == (2, "")
    assert err.startswith("flowpool: ")
    assert words in err
    assert err.count("\n") == 1
    assert asked(sim) == 0
    assert not (flowpool.folder / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "none.yaml", *FILES), "none.yaml: no such file"),
        (("run", "rows.jsonl", *FILES), "rows.jsonl, line 2: not YAML"),
        ((*RUN, "--input", "none.csv", "--output", "o.jsonl"), "none.csv: no such file"),
        (
            (*RUN, "--input", "rows.jsonl", "--output", "no/o.jsonl"),
            "no/o.jsonl: there is no folder no",
        ),
        ((*RUN, "--input", "rows.jsonl", "--output", "."), ". is a folder: name a file"),
        ((*RUN, *FILES, "--max-flows", "0"), "max_flows=0: use 1 or more"),
        ((*RUN, *FILES, "--max-flows", "many"), "--max-flows many: use 1 or more"),
        ((*RUN, *FILES, "--limit", "9-1"), "limit 9-1: write 10"),
        ((*RUN, *FILES, "--limit", "10-20"), "rows.jsonl: no rows are left by the selection"),
        ((*RUN, *FILES, "--rpm", "0"), "--rpm 0: use a rate above 0"),
        ((*RUN, *FILES, "--timeout", "-1"), "timeout=-1.0: use seconds above 0"),
        ((*RUN, *FILES, "--on-error", "cry"), "cry"),
        ((*RUN, *FILES, "--sample", "some"), "--sample some: write 100"),
        ((*RUN, *FILES, "--columns", "text"), "--columns text: write NAME=VALUE"),
        ((*RUN, *FILES, "--where", "stars >= 4"), "there is no column 'stars'"),
        ((*RUN, *FILES, "--retry-errors"), "--retry-errors: no store is kept"),
        ((*RUN, *FILES, "--store", "a.db"), "--store and --no-store: say one of them"),
        ((*RUN, *FILES, "--input-format", "xml"), "format: "),
    ],
)
def test_what_cant_work_is_refused_in_one_line(
    flowpool: Any, sim: Any, arguments: tuple[str, ...], words: str
) -> None:
    flowpool.write_rows(TEXTS)
    code, out, err = flowpool(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("flowpool: ")
    assert words in err
    assert err.count("\n") == 1
    assert asked(sim) == 0


def test_an_existing_output_is_kept_unless_forced(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(TEXTS)
    flowpool.write("out.jsonl", "paid for\n")
    code, _, err = flowpool(*RUN, *FILES)
    assert code == 2
    assert err == (
        "flowpool: out.jsonl exists: name another file, overwrite it with --force, or --append.\n"
    )
    assert (flowpool.folder / "out.jsonl").read_text() == "paid for\n"
    assert asked(sim) == 0
    assert flowpool(*RUN, *FILES, "--force")[0] == 0
    assert len(flowpool.read()) == 3


def test_a_forced_run_that_cant_start_leaves_the_old_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    flowpool.write("out.jsonl", "paid for\n")
    del flowpool.env["OPENAI_API_KEY"], flowpool.env["OPENAI_BASE_URL"]
    code, _, err = flowpool(*RUN, *FILES, "--force")
    assert code == 2
    assert "OPENAI_API_KEY" in err
    assert (flowpool.folder / "out.jsonl").read_text() == "paid for\n"


def test_a_run_that_cant_start_leaves_no_empty_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    del flowpool.env["OPENAI_API_KEY"], flowpool.env["OPENAI_BASE_URL"]
    assert flowpool(*RUN, *FILES)[0] == 2
    assert not (flowpool.folder / "out.jsonl").exists()


def test_the_input_is_never_the_output(flowpool: Any) -> None:
    flowpool.write_rows(TEXTS)
    before = (flowpool.folder / "rows.jsonl").read_bytes()
    code, _, err = flowpool(*RUN, "--input", "rows.jsonl", "-o", "./rows.jsonl", "--force")
    assert code == 2
    assert "rows.jsonl is the input" in err
    assert (flowpool.folder / "rows.jsonl").read_bytes() == before


def test_a_function_in_the_file_runs_only_when_trusted(flowpool: Any) -> None:
    flowpool.write("mine.py", "def louder(text):\n    return text.upper()\n")
    flowpool.write("chain.yaml", "steps:\n  - function: mine:louder\n")
    flowpool.write_rows(["quiet"])
    code, _, err = flowpool("run", "chain.yaml", *FILES)
    assert code == 2
    assert "--trusted" in err
    assert flowpool("run", "chain.yaml", *FILES, "--trusted")[0] == 0
    assert flowpool.read()[0]["result"] == "QUIET"


# Streams


def test_a_bad_line_on_stdin_ends_the_input_and_keeps_what_came_before(flowpool: Any) -> None:
    code, _, err = flowpool(
        *RUN, "--input", "-", "--output", "out.jsonl", stdin=b'{"text": "A."}\nnot json\n'
    )
    assert code == 2
    assert [row["output"] for row in flowpool.read()] == ["A."]
    lines = err.splitlines()
    assert lines[0].startswith("1 done in ")
    assert lines[1].startswith("flowpool: stdin, line 2: not JSON")


def test_records_come_out_while_stdin_is_still_open(flowpool: Any) -> None:
    process = flowpool.start(*RUN, "--input", "-", "--output", "-")
    for text in TEXTS:
        process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["output"] == text
    process.stdin.close()
    assert process.wait(30) == 0


def test_a_reader_that_leaves_early_ends_the_run_quietly(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows([f"Row {i}." for i in range(2_000)])
    process = flowpool.start(*RUN, "--input", "rows.jsonl", "--output", "-", "--max-flows", "8")
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    assert asked(sim) < 2_000


def test_a_full_disk_is_said_in_a_line_and_ends_the_run(flowpool: Any, sim: Any) -> None:
    if not Path("/dev/full").exists():
        return
    flowpool.write_rows([f"Row {i}." for i in range(500)])
    code, _, err = flowpool(
        *RUN, "--input", "rows.jsonl", "--output", "/dev/full", "--max-flows", "4"
    )
    assert code == 1
    assert "flowpool: /dev/full: No space left on device" in err
    assert "Traceback" not in err
    assert asked(sim) < 500


@pytest.mark.parametrize(
    ("options", "text", "words"),
    [
        (("--deadline", "0.5"), "A river runs.", b"1 done in "),
        (("--on-error", "stop"), "Bad. [[sim: 400]]", b"0 done, 1 failed in "),
    ],
)
def test_a_run_that_ends_doesnt_wait_for_more_of_stdin(
    flowpool: Any, options: tuple[str, ...], text: str, words: bytes
) -> None:
    process = flowpool.start(*RUN, "--input", "-", "--output", "-", *options)
    process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
    process.stdin.flush()
    assert process.wait(30) == 1
    assert process.stderr.read().startswith(words)
