from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from typing import Any

import pytest

from flowpool import Pool
from flowpool.pool import Snapshot
from flowpool.views import progress
from flowpool.views.progress import showing


def work(n: int) -> int:
    if n == 3:
        raise ValueError("odd")
    return n


ITEMS = [{"n": n} for n in range(6)]


def test_a_callable_gets_snapshots_and_at_last_that_of_the_end() -> None:
    seen: list[Snapshot] = []
    Pool(work, ITEMS, progress=seen.append).run()
    last = seen[-1]
    assert (last.total, last.running, last.done, last.failed, last.cancelled) == (6, 0, 5, 1, 0)
    assert last.elapsed >= 0


def test_a_callable_is_called_during_the_run_from_another_thread() -> None:
    seen, threads = threading.Event(), set()
    running: list[int] = []

    def tell(snapshot: Snapshot) -> None:
        threads.add(threading.current_thread().name)
        running.append(snapshot.running)
        if snapshot.running:
            seen.set()

    Pool(lambda n: seen.wait(10), [{"n": 1}], progress=tell).run()
    assert running[0] == 1
    assert threads == {"flowpool-progress"}


def test_the_total_of_a_lazy_source_is_unknown() -> None:
    seen: list[Snapshot] = []
    Pool(work, iter(ITEMS), progress=seen.append).run()
    assert (seen[-1].total, seen[-1].done) == (None, 5)


def test_a_failing_callable_costs_no_results() -> None:
    def tell(snapshot: Snapshot) -> None:
        raise KeyError("mine")

    pool = Pool(work, ITEMS, progress=tell)
    with pytest.warns(RuntimeWarning, match=r"the progress callable failed: KeyError\('mine'\)"):
        assert pool.run() == [0, 1, 2, None, 4, 5]


def test_the_rate_of_each_second_is_kept_lately() -> None:
    rates = progress._Rates()
    for elapsed in range(0, 1300, 2):  # five looks a second
        kept = rates.with_that(Snapshot(1, elapsed=elapsed / 10, rate=float(elapsed // 10)))
    assert kept == tuple(float(second) for second in range(10, 130))


@pytest.mark.parametrize("given", [None, False])
def test_nothing_is_printed_when_nobody_watches(
    given: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", 0.0)
    Pool(work, ITEMS, progress=given).run()
    assert capsys.readouterr() == ("", "")


def test_a_program_without_a_standard_error_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert Pool(work, ITEMS[:2]).run() == [0, 1]


def test_asked_for_the_end_is_shown_without_a_terminal_and_without_escapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("COLUMNS", "100")
    Pool(work, ITEMS, name="jobs", progress=True).run()
    assert "\x1b" not in out.getvalue()
    assert re.search(r"jobs .*5 done, 1 failed", out.getvalue())


def test_no_thread_outlives_the_block() -> None:
    pool = Pool(work, ITEMS, progress=False)
    with pytest.raises(ZeroDivisionError), showing(pool, lambda snapshot: None):
        raise ZeroDivisionError
    assert not [t for t in threading.enumerate() if t.name == "flowpool-progress"]


PROGRAM = """
import sys, threading, time
from flowpool import Pool

def work(n):
    time.sleep(0.1)
    if n in (2, 5):
        print("item", n)
    if n == 3:
        raise ValueError("odd")
    return n

results = Pool(work, [{"n": n} for n in range(8)], max_flows=2, name="jobs", progress=__SHOW__).run()
print("outputs", results)
"""


def in_terminal(show: str, program: str = PROGRAM) -> tuple[str, str]:
    """What a program writes to a terminal's standard error, and to its standard output, a pipe."""
    ours, theirs = pty.openpty()
    environ = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "100",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", program.replace("__SHOW__", show)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environ,
        text=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other side has closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    return seen.decode(), output


def screen_of(text: str) -> list[str]:
    """The lines that stay on a terminal: a small one, which knows what a bar uses."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\??([0-9;]*)([A-Za-z])|([^\x1b])", text):
        count, command, char = token
        if command == "A":
            row = max(0, row - int(count or 1))
        elif command == "K":
            lines[row] = "" if count == "2" else lines[row][:column]
        elif char == "\r":
            column = 0
        elif char == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif char:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_in_a_terminal_one_bar_stays_with_its_counts() -> None:
    seen, output = in_terminal("True")
    line, failure = screen_of(seen)
    assert line.startswith("jobs ")
    assert "7 done, 1 failed in " in line
    assert failure.startswith("  last failure: items[3]: StepFailed: ")
    assert "in progress" in seen
    assert "2 at once (max_flows)" in seen
    # What the program prints goes where it was sent, not to the terminal.
    assert output == "item 2\nitem 5\noutputs [0, 1, 2, None, 4, 5, 6, 7]\n"


def test_a_run_of_less_than_a_second_shows_nothing_unasked() -> None:
    seen, output = in_terminal("None")
    assert seen == ""
    assert output.endswith("outputs [0, 1, 2, None, 4, 5, 6, 7]\n")


def test_pools_that_run_side_by_side_share_the_foot_of_the_terminal() -> None:
    two = """
import asyncio
from flowpool import Pool

async def nap(n):
    await asyncio.sleep(0.3)

async def main():
    pools = [Pool(nap, [{"n": n} for n in range(size)], max_flows=1, name=f"pool {size}", progress=True)
             for size in (3, 6)]
    await asyncio.gather(*(pool.arun() for pool in pools))

asyncio.run(main())
"""
    seen, _ = in_terminal("True", two)
    first, second = screen_of(seen)
    assert "pool 3" in first
    assert "3 done in " in first
    assert "pool 6" in second
    assert "6 done in " in second
