"""`flowpool demo` on the embedded provider."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.demo.command import KEYLESS

from flowpool.demo import demo, jobs
from flowpool.demo.corpus import pages
from flowpool.http.proxies import proxy_for
from flowpool.http.request import Origin

SCALE = 200  # ten times faster than people see it


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What one whole demo printed, and where its results are."""
    output = tmp_path_factory.mktemp("demo") / "results"
    code = (
        "import sys; from pathlib import Path; from flowpool.demo.demo import run_demo;"
        f"sys.exit(run_demo(Path(sys.argv[1]), 24, 0, {SCALE}))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=KEYLESS, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, output


def test_it_says_the_scale_and_who_answers(shown: tuple[str, Path]) -> None:
    text = " ".join(shown[0].split())
    assert "A call takes 0.01 s and a page 0.0025 s: 1/200 of a typical 2 s and 0.5 s" in text
    assert "It is no LLM, and needs no key." in text
    assert "They are by flowpool-sim" in text


def test_every_job_is_measured_both_ways(shown: tuple[str, Path]) -> None:
    text = shown[0].partition("Measured in this run")[0]
    rows = re.findall(r"^(\d+ \w+): .*?(one by one|ten at a time|pooled) +[\d.]+ s", text, re.M)
    assert rows == [
        *(("5 texts", way) for way in ("one by one", "pooled")),
        *(("50 texts", way) for way in ("one by one", "ten at a time", "pooled")),
        *(("24 pages", way) for way in ("one by one", "pooled")),
    ]


def test_the_provider_saw_no_more_calls_at_once_than_were_allowed(shown: tuple[str, Path]) -> None:
    at_once = re.findall(r"^50 texts: .* (\d+)$", shown[0], re.M)
    assert at_once[:2] == ["1", "10"]
    assert 1 < int(at_once[2]) <= 50


def test_three_items_fail_and_are_mended_by_a_retry(shown: tuple[str, Path]) -> None:
    lines = shown[0].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("pool.run() "))
    assert "DONE: 17, FAILED: 3" in lines[first]
    kinds = {line.split()[1] for line in lines[first + 1 : first + 4]}
    assert kinds == {"ServerError", "BadRequest"}
    assert lines[first + 4].endswith("done, at attempt 2")
    assert "DONE: 20, FAILED: 0" in lines[first + 5]
    assert lines[first + 6].startswith("  3 calls made")


def test_nothing_was_answered_twice_by_the_providers_books(shown: tuple[str, Path]) -> None:
    # 5 + 5, 3 x 50, 2 x 24 and 20 answers; six failures of four prompts.
    text = " ".join(shown[0].split())
    assert "234 calls, 228 answered, 0 answered twice within a job; 48 pages served" in text


def test_the_results_are_summaries_of_the_pages(shown: tuple[str, Path]) -> None:
    lines = (shown[1] / "results.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["title"] for row in rows] == [page.title for page in pages()[:24]]
    assert all(row["url"].startswith("http://127.0.0.1:") for row in rows)
    # The embedded model extracts: its words are the page's, not those of the site around it.
    for row, page in zip(rows, pages(), strict=False):
        words = set(re.findall(r"\w{5,}", row["summary"].lower()))
        assert words
        assert words <= set(re.findall(r"\w{5,}", page.text.lower())), row


def test_the_lines_fit_a_terminal(shown: tuple[str, Path]) -> None:
    assert [line for line in shown[0].splitlines() if len(line) > 79] == []


def test_the_same_seed_plants_the_same_failures() -> None:
    assert len(demo.PLANTED) == 4
    assert demo.failing_items(7) == demo.failing_items(7)
    assert demo.failing_items(7) != demo.failing_items(8)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine() -> None:
    environ = {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intern"}
    jobs.bypass_proxies(environ)
    assert proxy_for(Origin("http", "127.0.0.1", 8000), environ) is None
    assert proxy_for(Origin("http", "intern", 80), environ) is None
    assert proxy_for(Origin("http", "example.com", 80), environ) is not None
