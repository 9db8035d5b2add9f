"""What the logger "flowpool" is told, and what never."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from flowpool.simulator import PROFILES, Fixed

KEY, PROMPT = "key-canary-7f3a", "prompt-canary"


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.DEBUG, logger="flowpool")
    return caplog


def test_a_lane_where_no_call_can_succeed_is_a_warning_once(simulate, told) -> None:
    simulation = simulate()
    items = [{"text": f"{PROMPT} [[sim: 401]]"}] * 20
    skill = simulation.skill(model=simulation.model(api_key=KEY))
    simulation.run(simulation.pool(skill, items, max_flows=2))
    warnings = [r.getMessage() for r in told.records if r.levelno == logging.WARNING]
    assert warnings == [
        "custom/m: no call can succeed, the others fail at once (AuthFailed, HTTP 401)"
    ]
    assert "skill: 0 done, 20 failed" in told.text
    assert PROMPT not in told.text
    assert KEY not in told.text


def test_a_provider_that_answers_nobody_is_a_warning(simulate, told) -> None:
    simulation = simulate(faults={"503": 1.0})
    simulation.run(simulation.pool(items=50, deadline=30.0, max_flows=20))
    assert (
        told.text.count("it answers nobody, and is probed until it does (Overloaded, HTTP 503)")
        == 1
    )


def test_what_was_given_up_learned_and_done_is_told_at_the_level_info(simulate, told) -> None:
    simulation = simulate(PROFILES["openai"], latency=Fixed(0.2))
    items = [{"text": f"{n}. {PROMPT}."} for n in range(40)] + [{"text": "[[sim: 500]] A. B."}]
    simulation.run(simulation.pool(items=items, retries=1))
    said = [r.getMessage() for r in told.records if r.levelno == logging.INFO]
    assert "given up after 2 failures: ServerError, HTTP 500" in said
    assert [line for line in said if line.startswith("custom/m: learned of its limits: ")]
    assert said[-1].startswith("skill: 40 done, 1 failed, 0 cancelled in ")
    assert PROMPT not in told.text


def test_nothing_is_shown_unless_the_program_configures_logging() -> None:
    code = (
        "from flowpool.logs import log\n"
        "log.warning('unseen')\n"
        "import logging; logging.basicConfig(); log.warning('seen')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING:flowpool:seen\n"
