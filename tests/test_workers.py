"""Worker processes: what they compute, and what happens when something dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.helpers import until_async

from flowpool.errors import InvalidInput, StepTimeout, WorkerDied, WorkTooLarge
from flowpool.values import Caps
from flowpool.workers import Workers, shared

HERE = "tests_of_workers"
BODIES = """
import os, sys, time

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}-{b}")

def pid():
    return os.getpid()

def add(a, b):
    return a + b

def noisy(text):
    print(text)
    os.write(1, b"raw bytes on stdout\\n")
    sys.stdout.flush()
    return "heard"

def ask():
    return sys.stdin.read()

def fail(text):
    raise ValueError(text)

def fail_oddly():
    raise Odd(1, 2)

def unpicklable():
    return lambda: 1

def leave(code):
    os._exit(code)

def mark_and_sleep(path, seconds):
    open(path, "w").write(str(os.getpid()))
    time.sleep(seconds)
    return "woke"

def grow(size):
    return len(bytearray(size))

def repeat(text, times):
    return text * times

def spin():
    while True:
        pass
"""


@pytest.fixture(autouse=True)
def bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that only this test's import path knows."""
    (tmp_path / f"{HERE}.py").write_text(BODIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(main: Any, loop: Any = asyncio.run) -> Any:
    return loop(main())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("threaded", [False, True], ids=["main thread", "another thread"])
def test_a_function_is_found_by_its_name_and_computed_elsewhere(loop: Any, threaded: bool) -> None:
    async def main() -> Any:
        workers = shared()
        return await workers.run(f"{HERE}:add", {"a": 1, "b": 2}), await workers.run(
            f"{HERE}:pid", {}
        )

    answers: list[Any] = []
    if threaded:
        thread = threading.Thread(target=lambda: answers.append(run(main, loop)))
        thread.start()
        thread.join()
    else:
        answers.append(run(main, loop))
    assert answers[0][0] == 3
    assert answers[0][1] != os.getpid()
    assert not is_alive(answers[0][1])  # the loop's end closed it, and left no zombie


def test_workers_start_as_calls_need_them_and_never_more_than_the_size() -> None:
    async def main() -> None:
        async with Workers(2) as workers:
            assert repr(workers) == "Workers(size=2, busy=0, idle=0)"
            one = [await workers.run(f"{HERE}:pid", {}) for _ in range(5)]
            assert len(set(one)) == 1
            many = await asyncio.gather(*(workers.run(f"{HERE}:pid", {}) for _ in range(20)))
            assert len(set(many)) <= 2
            assert repr(workers) == "Workers(size=2, busy=0, idle=2)"

    run(main)


def test_an_exception_arrives_as_itself_with_the_workers_traceback() -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            with pytest.raises(ValueError, match="broken") as caught:
                await workers.run(f"{HERE}:fail", {"text": "broken"})
            assert "raise ValueError(text)" in caught.value.__notes__[0]
            with pytest.raises(RuntimeError, match="Odd: 1-2"):
                await workers.run(f"{HERE}:fail_oddly", {})
            assert await workers.run(f"{HERE}:add", {"a": 1, "b": 1}) == 2

    run(main)


def test_output_and_input_of_the_function_never_touch_the_frames(capfd: Any) -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            assert await workers.run(f"{HERE}:noisy", {"text": "to the screen"}) == "heard"
            assert await workers.run(f"{HERE}:ask", {}) == ""

    run(main)
    out, err = capfd.readouterr()
    assert out == ""
    assert "to the screen" in err
    assert "raw bytes" in err


def test_large_arguments_and_results_travel_whole() -> None:
    async def main() -> None:
        text = "x" * 5_000_000
        async with Workers(1) as workers:
            assert await workers.run(f"{HERE}:add", {"a": text, "b": "y"}) == text + "y"

    run(main)


def test_what_can_not_travel_is_named() -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            with pytest.raises(InvalidInput, match=r"add: its arguments can't go to a worker"):
                await workers.run(f"{HERE}:add", {"a": threading.Lock(), "b": 1})
            with pytest.raises(TypeError, match=r"unpicklable: its result can't leave"):
                await workers.run(f"{HERE}:unpicklable", {})

    run(main)


def test_a_worker_that_dies_fails_only_its_own_call_and_is_replaced() -> None:
    async def main() -> None:
        async with Workers(2) as workers:
            outcomes = await asyncio.gather(
                *(workers.run(f"{HERE}:leave", {"code": 7}) for _ in range(3)),
                *(workers.run(f"{HERE}:add", {"a": i, "b": 0}) for i in range(10)),
                return_exceptions=True,
            )
            assert all(isinstance(o, WorkerDied) and "exit code 7" in str(o) for o in outcomes[:3])
            assert outcomes[3:] == list(range(10))

    run(main)


def test_a_worker_killed_from_outside_says_by_what(bodies: Path) -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            mark = bodies / "mark"
            call = asyncio.create_task(
                workers.run(f"{HERE}:mark_and_sleep", {"path": str(mark), "seconds": 60})
            )
            await until_async(lambda: mark.exists() and mark.read_text())
            os.kill(int(mark.read_text()), signal.SIGKILL)
            with pytest.raises(WorkerDied, match="killed by signal 9"):
                await call

    run(main)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_cancelled_call_stops_computing(bodies: Path, loop: Any) -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            mark = bodies / "mark"
            call = asyncio.create_task(
                workers.run(f"{HERE}:mark_and_sleep", {"path": str(mark), "seconds": 60})
            )
            await until_async(lambda: mark.exists() and mark.read_text())
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not is_alive(int(mark.read_text()))
            assert await workers.run(f"{HERE}:add", {"a": 1, "b": 1}) == 2

    run(main, loop)


def test_closed_workers_start_no_more() -> None:
    async def main() -> None:
        workers = Workers(1)
        await workers.run(f"{HERE}:pid", {})
        await workers.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await workers.run(f"{HERE}:pid", {})

    run(main)


def test_ctrl_c_is_left_to_the_parent(bodies: Path) -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            mark = bodies / "mark"
            call = asyncio.create_task(
                workers.run(f"{HERE}:mark_and_sleep", {"path": str(mark), "seconds": 0.1})
            )
            await until_async(lambda: mark.exists() and mark.read_text())
            os.kill(int(mark.read_text()), signal.SIGINT)
            assert await call == "woke"

    run(main)


SCRIPT = """
import asyncio, sys
from flowpool.workers import shared

print("imported", flush=True)

async def main():
    pid = await shared().run("os:getpid", {})
    print(pid, flush=True)
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
"""


def test_a_script_without_a_main_guard_works_and_is_never_imported_again(bodies: Path) -> None:
    script = bodies / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("imported") == 1
    assert done.stderr == ""


def test_a_killed_parent_leaves_no_worker_behind(bodies: Path) -> None:
    script = bodies / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), "60"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        worker = int(parent.stdout.readline())
        assert is_alive(worker)
        parent.kill()
    for _ in range(500):
        if not is_running(worker):
            return
        time.sleep(0.01)
    raise AssertionError("the worker outlived its parent")


def is_running(pid: int) -> bool:
    """Alive and no zombie that waits for whoever adopted it."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return is_alive(pid) and not Path("/proc").is_dir()


@pytest.mark.parametrize(
    ("name", "kwargs", "caps", "kind", "words"),
    [
        (
            "spin",
            {},
            Caps(seconds=0.1),
            StepTimeout,
            r"no result within 0\.1 s of work .*spin\.caps",
        ),
        (
            "grow",
            {"size": 1 << 30},
            Caps(memory=500_000_000),
            WorkTooLarge,
            "more than 500 MB of memory",
        ),
        (
            "repeat",
            {"text": "x", "times": 2_000_000},
            Caps(output=1_000_000),
            WorkTooLarge,
            "longer than 1 MB",
        ),
    ],
)
def test_what_goes_over_a_cap_fails_by_its_name_and_the_others_go_on(
    name: str, kwargs: dict[str, Any], caps: Caps, kind: type[Exception], words: str
) -> None:
    async def main() -> None:
        async with Workers(2) as workers:
            hostile = [workers.run(f"{HERE}:{name}", kwargs, caps) for _ in range(3)]
            honest = [workers.run(f"{HERE}:add", {"a": n, "b": 1}) for n in range(3)]
            outcomes = await asyncio.gather(*hostile, *honest, return_exceptions=True)
            assert outcomes[3:] == [1, 2, 3]
            for outcome in outcomes[:3]:
                assert type(outcome) is kind
                with pytest.raises(kind, match=words):
                    raise outcome

    run(main)


def test_a_cap_of_memory_ends_with_its_call() -> None:
    async def main() -> None:
        async with Workers(1) as workers:
            caps = Caps(memory=500_000_000)
            assert await workers.run(f"{HERE}:grow", {"size": 1 << 20}, caps) == 1 << 20
            assert await workers.run(f"{HERE}:grow", {"size": 1 << 30}) == 1 << 30

    run(main)
