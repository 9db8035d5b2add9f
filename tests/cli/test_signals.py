"""Ctrl-C and SIGTERM, sent to a real `flowpool run`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any

import pytest
from tests.helpers import until

# A pause long enough for a signal to come into, also on a busy machine.
SLOW = "[[sim: latency=3]]"
ENDLESS = "[[sim: latency=60]]"


def start(flowpool: Any, sim: Any, texts: list[str], in_flight: int) -> Any:
    """A run of `texts`, once so many calls are in flight and a record was written."""
    flowpool.write_rows(texts)
    process = flowpool.start(
        *(
            "run",
            "skill.yaml",
            "--input",
            "rows.jsonl",
            "--output",
            "-",
            "--max-flows",
            "4",
            "--meta",
        )
    )
    assert json.loads(process.stdout.readline())["output"] == "Quick."
    until(lambda: sim.ledger()["in_flight"] >= in_flight, process=process)
    return process


def ended(process: Any) -> tuple[Counter[str], str]:
    out, err = process.communicate(timeout=30)
    return Counter(json.loads(line)["_status"] for line in out.splitlines()), err.decode()


def test_ctrl_c_once_waits_for_the_calls_in_flight(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, ["Quick.", *(f"{i} {SLOW}" for i in range(40))], 4)
    process.send_signal(signal.SIGINT)
    statuses, err = ended(process)
    assert process.returncode == 130
    assert statuses == {"done": 4}
    assert "press it again to cancel them" in err
    assert "5 done, 36 not started in " in err
    assert sim.ledger()["abandoned"] == 0
    assert "Traceback" not in err


def test_ctrl_c_twice_cancels_them_and_keeps_what_is_done(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, ["Quick.", *(f"{i} {ENDLESS}" for i in range(40))], 4)
    process.send_signal(signal.SIGINT)
    said = b""
    while b"press it again" not in said:
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    statuses, err = ended(process)
    assert process.returncode == 130
    assert statuses == {"cancelled": 4}
    assert "1 done, 4 cancelled, 36 not started in " in err
    assert sim.ledger()["abandoned"] == 4
    assert "Traceback" not in err


def test_sigterm_cancels_at_once(flowpool: Any, sim: Any) -> None:
    process = start(flowpool, sim, ["Quick.", *(f"{i} {ENDLESS}" for i in range(40))], 4)
    process.send_signal(signal.SIGTERM)
    statuses, err = ended(process)
    assert process.returncode == 143
    assert statuses == {"cancelled": 4}
    assert "1 done, 4 cancelled, 36 not started in " in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_waits_for_stdin_ends_too(flowpool: Any, number: int, code: int) -> None:
    process = flowpool.start("run", "skill.yaml", "--input", "-", "--output", "-")
    process.stdin.write(b'{"text": "Quick."}\n')
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(number)
    assert process.wait(30) == code
    assert b"1 done in " in process.stderr.read()


def test_ctrl_c_with_every_row_in_flight_leaves_nothing_to_go_on_with(
    flowpool: Any, sim: Any
) -> None:
    flowpool.write_rows([f"{i} {SLOW}" for i in range(6)])
    process = flowpool.start(
        *("run", "skill.yaml", "--input", "rows.jsonl", "--output", "out.jsonl", "--max-flows", "9")
    )
    until(lambda: sim.ledger()["in_flight"] >= 6, process=process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130  # for what would come after it
    assert b"6 done in " in err
    assert b"go on" not in err
    assert len(flowpool.read()) == 6
    assert not list(flowpool.folder.glob("*.flowpool*"))
