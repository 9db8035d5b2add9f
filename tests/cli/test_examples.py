"""The examples run as they stand, against the simulator."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowpool.demo.corpus import pages
from flowpool.demo.jobs import write_pages
from flowpool.simulator import SimServer

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = EXAMPLES / "rows.csv"


def test_summarise_runs_over_the_example_rows(flowpool: Any) -> None:
    runner, rows = str(EXAMPLES / "summarise.yaml"), str(ROWS)
    code, out, _ = flowpool("run", runner, "--input", rows, "--output", "-", "--meta")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == 6
    assert all(record["summary"] and record["_attempts"] == 2 for record in records)


def test_per_url_fetches_converts_and_summarises(flowpool: Any, tmp_path: Path) -> None:
    write_pages(tmp_path)
    # The example fetches public pages only; the test's own are on this machine.
    text = (EXAMPLES / "per_url.yaml").read_text(encoding="utf-8")
    private = text.replace("{url: source}", "{url: source}\n    options: {allow_private: true}")
    runner = flowpool.write("local.yaml", private)
    with SimServer(pages_dir=tmp_path) as site:
        rows = "".join(f"{site.url}/pages/{page.name}\n" for page in pages()[:3])
        flowpool.write("urls.csv", f"source\n{rows}")
        code, out, err = flowpool(
            "run", runner, "--input", "urls.csv", "--output", "-", "--meta", "--trusted"
        )
    assert code == 0, err
    outputs = [json.loads(line)["summary"] for line in out.splitlines()]
    assert len(set(outputs)) == 3
    assert all(len(output) > 30 for output in outputs)


def test_per_url_refuses_private_addresses_as_it_stands(flowpool: Any) -> None:
    flowpool.write("urls.csv", "source\nhttp://127.0.0.1:1/\n")
    runner = str(EXAMPLES / "per_url.yaml")
    code, out, _ = flowpool(
        "run", runner, "--input", "urls.csv", "--output", "-", "--meta", "--trusted"
    )
    assert code == 1
    assert json.loads(out)["_error"].startswith("AddressRefused: ")


def test_classify_adds_a_column(flowpool: Any) -> None:
    command = [sys.executable, str(EXAMPLES / "classify.py"), str(ROWS)]
    done = subprocess.run(command, capture_output=True, text=True, env=flowpool.env, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert list(rows[0]) == ["id", "text", "kind"]
    assert len(rows) == 6
    assert {row["kind"] for row in rows} <= {"payment", "bug", "praise", "question"}


def test_classify_says_what_failed(flowpool: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text\n1,fine\n2,bad [[sim: 400]]\n")
    command = [sys.executable, str(EXAMPLES / "classify.py"), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, env=flowpool.env, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("1 failed: HTTP 400")
    assert done.stdout.splitlines()[2].endswith(",?")


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 25
