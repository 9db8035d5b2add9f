"""Records that are written as they come: streams, pipes and disks."""

from __future__ import annotations

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


def test_a_bad_line_on_stdin_ends_the_input_and_keeps_what_came_before(flowpool: Any) -> None:
    code, _, err = flowpool(
        *RUN, "--input", "-", "--output", "out.jsonl", stdin=b'{"text": "A."}\nnot json\n'
    )
    assert code == 1  # 2 is for what is refused before anything is paid
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
