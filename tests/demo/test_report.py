"""What both demos end with."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.demo.command import KEYLESS, run_command

from flowpool.demo import jobs
from flowpool.demo.report import comparison
from flowpool.demo.screen import DemoScreen


def test_an_output_that_cant_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_command("--output", str(tmp_path / "file"), env=KEYLESS)
    assert done.returncode == 2
    assert done.stderr.startswith("flowpool: --output ")
    assert done.stderr.count("\n") == 1


def test_the_comparison_divides_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    timed = [
        jobs.Timed("job", 10, jobs.LOOP, 8.0),
        jobs.Timed("job", 10, jobs.TENS, 2.0),
        jobs.Timed("job", 10, jobs.POOL, 0.5),
    ]
    comparison(DemoScreen(), timed)
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "job, ten at a time 8.00 s 2.00 s 4.0 x",
        "job 8.00 s 0.50 s 16.0 x",
    ]
