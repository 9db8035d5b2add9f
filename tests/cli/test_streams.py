"""What the command line shows of others' words, and what it does where nobody listens."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from typing import Any

import pytest

from flowpool import Pool

NASTY = "\x1b]0;owned\x07\x1b[31mred\u202e\x9b2J"
FILES = ("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--no-store")


def is_clean(text: str) -> bool:
    return not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


def shell(flowpool: Any, words: str) -> subprocess.CompletedProcess[bytes]:
    """A command as a shell runs it: with `>&-` and the like."""
    from tests.cli.conftest import COMMAND

    line = words.replace("flowpool", " ".join(COMMAND))
    return subprocess.run(
        ("bash", "-c", line), cwd=flowpool.folder, env=flowpool.env, capture_output=True, timeout=60
    )


def test_no_word_of_a_row_a_column_or_a_function_reaches_the_terminal_unspelt(
    flowpool: Any,
) -> None:
    flowpool.write_rows([NASTY])
    code, out, err = flowpool("run", "skill.yaml", "-i", "rows.jsonl", "--dry-run")
    assert (code, is_clean(out), "\\x1b[31mred\\u202e" in out) == (0, True, True), err
    flowpool.write("odd.jsonl", json.dumps({f"a{NASTY}": 1}) + "\n")
    code, out, err = flowpool("run", "skill.yaml", "-i", "odd.jsonl", "--dry-run")
    assert (code, is_clean(out + err), "\\x1b[31mred" in err) == (2, True, True)
    flowpool.write("steps.py", f"def fails(text: str) -> str:\n    raise ValueError({NASTY!r})\n")
    flowpool.write("fails.yaml", "steps:\n  - function: steps:fails\n")
    code, _, err = flowpool("run", "fails.yaml", "--trusted", *FILES[2:], "--on-error", "collect")
    assert (code, is_clean(err), "\\x1b[31mred" in err) == (1, True, True)


def test_nor_does_a_word_of_a_store(flowpool: Any) -> None:
    flowpool.write_rows(["[[sim: 400]]", "b"])
    flowpool(*FILES[:-1], "--store", "run.db")
    with closing(sqlite3.connect(flowpool.folder / "run.db")) as store:
        store.execute("update runs set name = ?, reason = ?", (NASTY, NASTY))
        store.execute("update results set message = ?, error = ?", (NASTY, NASTY))
        store.commit()
    for words in (("status", "run.db"), ("status", "run.db", "--run", "x"), ("export", "run.db")):
        _, out, err = flowpool(*words)
        assert is_clean(err), err
        assert "export" in words or is_clean(out), out


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&-", "0<&- 1>&- 2>&-", "2>/dev/full"])
def test_a_closed_stream_is_no_reason_to_lose_a_run(flowpool: Any, closed: str) -> None:
    flowpool.write_rows(["a", "b"])
    done = shell(flowpool, f"flowpool {' '.join(FILES[:-1])} --store run.db {closed}")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert len(flowpool.read()) == 2
    code, out, _ = flowpool("status", "run.db")
    assert (code, "2 done" in out) == (0, True)  # nobody wrote into the store by its number


def test_answers_that_have_nowhere_to_go_are_not_asked_for(flowpool: Any, sim: Any) -> None:
    flowpool.write_rows(["a"])
    done = shell(flowpool, "flowpool run skill.yaml -i rows.jsonl 1>&-")
    assert (done.returncode, sim.ledger()["requests"]) == (2, 0)
    assert b"standard output is closed: name a file" in done.stderr


def test_progress_never_gets_among_the_answers(flowpool: Any) -> None:
    flowpool.write_rows(["a", "b"])
    done = shell(flowpool, "flowpool run skill.yaml -i rows.jsonl 2>&-")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("words", ["status run.db", "run skill.yaml -i rows.jsonl --dry-run"])
def test_a_reader_that_leaves_ends_any_command_quietly(flowpool: Any, words: str) -> None:
    flowpool.write_rows(["a"] * 5)
    flowpool(*FILES[:-1], "--store", "run.db")
    reading, writing = os.pipe()
    os.close(reading)
    process = flowpool.start(*words.split(), stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


def test_a_process_that_may_open_few_files_goes_on_with_fewer_calls(
    flowpool: Any, sim: Any
) -> None:
    flowpool.write_rows([f"row {n}" for n in range(300)])
    words = f"flowpool {' '.join(FILES[:-1])} --store run.db --max-flows 1000 --retries 0"
    done = shell(flowpool, f"ulimit -n 64; {words}")
    assert (done.returncode, len(flowpool.read())) == (0, 300), done.stderr
    assert done.stderr.count(b"too many open files: the run goes on with fewer calls") == 1
    assert sim.ledger()["requests"] == 300


def test_rows_of_a_closed_standard_input_are_refused(flowpool: Any) -> None:
    done = shell(flowpool, "flowpool run skill.yaml -i - -o out.jsonl 0<&-")
    assert (done.returncode, b"standard input is closed: name a file" in done.stderr) == (2, True)
    assert b"Traceback" not in done.stderr


def test_a_pools_warning_of_a_failed_item_is_spelt_out_too() -> None:
    def fails(text: str) -> str:
        raise ValueError(NASTY)

    with pytest.warns(RuntimeWarning) as warned:
        Pool(fails, [{"text": "a"}], on_error="skip", progress=False).run()
    assert is_clean(str(warned[0].message))
