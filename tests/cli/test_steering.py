"""`flowpool set`, `pause`, `go`, `stop` and `status` on real runs in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import until

from flowpool.cli import main
from flowpool.store.file import open_store
from flowpool.store.reading import Reader

ENDLESS = "[[sim: latency=60]]"


def start(flowpool: Any, sim: Any, texts: list[str], *more: str, in_flight: int = 2) -> Any:
    """A run of `texts` kept in run.db, once so many calls are in flight."""
    flowpool.write_rows(texts)
    process = flowpool.start(
        *("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "--store", "run.db", "-q"),
        *("--max-flows", "2", *more),
    )
    until(lambda: sim.ledger()["in_flight"] >= in_flight, process=process)
    return process


def ended(process: Any) -> str:
    _, err = process.communicate(timeout=30)
    assert b"Traceback" not in err
    said: str = err.decode()
    return said


def changes(flowpool: Any) -> list[dict[str, Any]]:
    with Reader(flowpool.folder / "run.db") as reader:
        return [event.data for event in reader.events(1, "change")]


def test_a_run_is_widened_paused_and_stopped_from_another_shell(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, [f"{n} {ENDLESS}" for n in range(40)])
    assert flowpool("set", "run.db", "--max-flows", "5") == (
        0,
        "run.db: max_flows from 2 to 5\n",
        "",
    )
    until(lambda: sim.ledger()["in_flight"] == 5, process=process)
    assert flowpool("pause", "run.db") == (0, "run.db: paused: 5 calls in flight end\n", "")
    assert flowpool("set", "run.db", "--max-flows", "auto")[1] == (
        "run.db: max_flows from 5 to auto\n"
    )
    code, out, _ = flowpool("status", "run.db")
    assert code == 1
    assert "  now       5 in progress\n" in out
    assert "  paused    paused by you: `flowpool go` or pool.go() goes on\n" in out
    assert flowpool("go", "run.db") == (0, "run.db: it goes on\n", "")
    until(lambda: sim.ledger()["in_flight"] > 5, process=process)
    code, out, _ = flowpool("stop", "run.db", "--now")
    assert code == 0
    assert "are cut, what is done is kept" in out
    assert "the run was cancelled" in ended(process)
    assert process.returncode == 1
    assert [(one["what"], one["from"], one["to"], one["by"]) for one in changes(flowpool)] == [
        ("max_flows", 2, 5, "shell"),
        ("state", "at work", "paused", "shell"),
        ("max_flows", 5, "auto", "shell"),
        ("state", "paused", "at work", "shell"),
        ("state", "at work", "cancelled", "shell"),
    ]
    assert not flowpool.has("run.db.control")


def test_stop_lets_what_is_in_progress_end_and_resume_goes_on(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, [f"{n} [[sim: latency=1.5]]" for n in range(4)])
    code, out, _ = flowpool("stop", "run.db")
    assert (code, out) == (
        0,
        "run.db: stopped: no more items begin, 2 in progress go on to their end\n",
    )
    assert "the run was stopped" in ended(process)
    assert sim.ledger()["abandoned"] == 0
    code, _, _ = flowpool("resume", "run.db", "-q", "--max-flows", "6")
    assert code == 0
    assert sim.ledger()["answers"] == 4


def test_a_ceiling_is_raised_from_another_shell(flowpool: Any, sim: Any) -> None:
    flowpool.write(
        "skill.yaml",
        "model: {name: gpt-5-mini, options: {max_tokens: 100}}\nprompt: 'Repeat this: {text}'\n",
    )
    ceiling = ("--max-tokens-total", "700")
    process = start(
        flowpool, sim, [f"{n} [[sim: latency=3]]" for n in range(6)], *ceiling, in_flight=1
    )
    assert flowpool("set", "run.db", "--max-flows", "6")[0] == 0
    assert sim.ledger()["in_flight"] == 1
    _, out, _ = flowpool("set", "run.db", "--max-tokens-total", "100000")
    assert out == "run.db: max_tokens_total from 700 to 100,000\n"
    until(lambda: sim.ledger()["in_flight"] == 6, process=process)
    ended(process)
    assert process.returncode == 0


def test_what_a_run_refuses_is_said_in_the_shells_words(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, [f"{n} {ENDLESS}" for n in range(4)])
    code, _, err = flowpool("set", "run.db", "--max-cost", "20")
    assert code == 2
    assert err.startswith("flowpool: --max-cost 20.0: the run at work began without one")
    assert "`flowpool resume`" in err
    code, _, err = flowpool("set", "run.db", "--max-flows", "0")
    assert (code, err) == (
        2,
        'flowpool: --max-flows 0: use 1 or more, or "auto" to adapt to the provider.\n',
    )
    code, _, err = flowpool("set", "run.db", "--max-flows", "5", "--run", "nobody")
    assert code == 2
    assert "no run 'nobody' is at work: at work are 1 (skill)" in err
    process.kill()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--max-cost", "nan", "--max-cost nan: use dollars above 0"),
        ("--max-cost", "inf", "--max-cost inf: use dollars above 0"),
        ("--max-tokens-total", "-5", "--max-tokens-total -5: use 1 or more"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_before_anybody_is_asked(
    option: str, value: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["set", str(tmp_path / "run.db"), option, value]) == 2
    assert says in capsys.readouterr().err


def test_set_without_a_change_says_what_can_be_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["set", str(tmp_path / "run.db")]) == 2
    assert "say what to change: --max-flows, --max-cost or --max-tokens-total" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("set", "--max-flows", "5", "--max-cost", "2.5"), "flowpool resume {} --max-flows 5 --max-cost 2.5 "),
        (("pause",), "flowpool status {} says how it stands"),
        (("go",), "flowpool resume {} goes on"),
        (("stop",), "flowpool status {} says how it stands"),
        (("stop", "--now"), "flowpool status {} says how it stands"),
    ],
)  # fmt: skip
def test_where_nobody_is_at_work_the_fix_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], fix: str
) -> None:
    path = tmp_path / "run.db"
    with open_store(path):
        pass
    assert main([words[0], str(path), *words[1:]]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"flowpool: {path}: nobody is at work on it: ")
    assert fix.format(path) in err


@pytest.mark.parametrize("command", ["pause", "go", "stop"])
def test_a_store_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, str(tmp_path / "no.db")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_the_file_of_a_killed_run_is_stale_and_the_next_run_replaces_it(
    flowpool: Any, sim: Any
) -> None:
    process = start(flowpool, sim, [f"{n} {ENDLESS}" for n in range(4)])
    file = flowpool.folder / "run.db.control"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    process.send_signal(signal.SIGKILL)
    process.wait()
    stale = json.loads(file.read_text())
    assert stale["pid"] == process.pid
    code, _, err = flowpool("pause", "run.db")
    assert code == 1
    assert "nobody is at work on it" in err
    _, out, err = flowpool("status", "run.db")
    assert "now " not in out
    assert err == ""
    until(lambda: sim.ledger()["in_flight"] == 0)
    process = flowpool.start("resume", "run.db", "-q")
    until(lambda: sim.ledger()["in_flight"] >= 2, process=process)
    assert json.loads(file.read_text())["token"] != stale["token"]
    assert flowpool("stop", "run.db", "--now")[0] == 0
    ended(process)
    assert not file.exists()


def test_the_store_beside_an_output_goes_with_its_control_file(flowpool: Any, sim: Any) -> None:
    """Also where a run that was killed left one."""
    flowpool.write_rows(["One.", "Two."])
    words = ("run", "skill.yaml", "-i", "rows.jsonl", "-o", "out.jsonl", "-q")
    (flowpool.folder / "out.jsonl.flowpool.db.control").write_text("{}")
    assert flowpool(*words)[0] == 0
    assert not [path.name for path in flowpool.folder.glob("*.control")]


def test_status_tells_of_a_live_run_its_rate_and_what_holds_it_back(
    flowpool: Any, sim: Any
) -> None:
    process = start(flowpool, sim, [f"{n} [[sim: latency=0.5]]" for n in range(400)])
    until(lambda: sim.ledger()["answers"] >= 4, process=process)
    _, out, _ = flowpool("status", "run.db")
    assert "At work on it now: " in out
    [now] = [line for line in out.splitlines() if line.startswith("  now ")]
    # Two calls at once; an item is in progress until its row is written, which a slow disk takes its time for.
    assert re.search(r"/s items, \d in progress, \d", now)
    assert now.endswith(" left")
    assert "  lane      openai/gpt-5-mini: 2 at once (max_flows)\n" in out
    process.kill()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process here")
def test_status_of_a_run_that_gives_no_answer_says_so_after_a_second(
    flowpool: Any, sim: Any
) -> None:
    process = start(flowpool, sim, [f"{n} {ENDLESS}" for n in range(4)])
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    code, out, _ = flowpool("status", "run.db")
    assert time.monotonic() - began < 15.0
    assert code == 1
    assert f"(process {process.pid}) gives no answer within 1 s: it is too busy, or stopped" in out
    assert "  items     0 done" in out
    code, _, err = flowpool("pause", "run.db")
    assert code == 1
    assert "gives no answer within 5 s" in err
    process.kill()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process here")
def test_an_order_to_a_run_that_gives_no_answer_is_not_carried_out_later(
    flowpool: Any, sim: Any
) -> None:
    process = start(flowpool, sim, [f"{n} {ENDLESS}" for n in range(4)])
    process.send_signal(signal.SIGSTOP)
    code, _, err = flowpool("pause", "run.db")
    assert code == 1
    assert "gives no answer within 5 s" in err
    assert "the order is dropped: give it again" in err
    process.send_signal(signal.SIGCONT)
    assert "paused" not in flowpool("status", "run.db")[1]
    assert flowpool("pause", "run.db")[:2] == (0, "run.db: paused: 2 calls in flight end\n")
    process.kill()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_does_not_answer_for_its_parent(flowpool: Any, sim: Any) -> None:
    """A child that lives longer than the run would keep its port, and nobody would answer there."""
    flowpool.write(
        "script.py",
        """
import os, signal, sys, time
from flowpool import Pool

def work(text):
    if text == "0":
        if os.fork() == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print("forked", flush=True)
    time.sleep(60)

Pool(work, [{"text": str(n)} for n in range(2)], store="run.db", progress=False).run()
""",
    )
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=flowpool.folder,
        env=flowpool.env,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"forked\n"
        assert flowpool("set", "run.db", "--max-flows", "5")[0] == 0
        process.kill()
        process.wait()
        code, _, err = flowpool("pause", "run.db")
        assert code == 1
        assert "nobody is at work on it" in err
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
