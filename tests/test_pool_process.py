"""Runs in real processes: Ctrl-C once and twice, forks, and a quiet end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from tests.helpers import until

from flowpool import Pool
from flowpool.pool import DONE
from flowpool.simulator import Fixed, SimServer

START = """
    import os, signal, sys, threading, time
    from flowpool import Chain, Model, Pool, Skill
    from flowpool.pool import CANCELLED, DONE, FAILED, PENDING
"""


class Script:
    """A Python program under test, with what it printed."""

    def __init__(self, program: str, *args: str) -> None:
        source = textwrap.dedent(START) + textwrap.dedent(program)
        path = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def interrupt_twice(self) -> None:
        """The second time once the first was heard."""
        self.interrupt()
        assert self.process.stderr is not None
        self.process.stderr.readline()
        assert "Ctrl-C" in self.process.stderr.readline()
        self.interrupt()

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


CALLS = """
    skill = Skill(Model("m", base_url=sys.argv[1] + "/v1"), prompt="{text}")
    pool = Pool(skill, [{"text": str(n)} for n in range(200)], max_flows=8, progress=False)
"""


@pytest.fixture(scope="module")
def server() -> Any:
    with SimServer("free") as server:
        yield server


def test_ctrl_c_once_finishes_the_calls_in_flight_and_returns(server) -> None:
    server.reset(latency=Fixed(0.4))
    script = Script(
        CALLS
        + """
    results = pool.run()
    print(pool.interrupted, len(results), pool.status[DONE], pool.status[CANCELLED], pool.status[FAILED])
    print(results.failed[0].error)
    try:
        results.write(os.devnull)
    except Exception as error:
        print(type(error).__name__)
    """,
        server.url,
    )
    until(lambda: server.ledger()["requests"] >= 8)
    script.interrupt()
    code, out, err = script.end()
    books = server.ledger()
    done = books["answers"]
    assert code == 0, err
    assert out == f"True 200 {done} {200 - done} 0\nthe run was interrupted\nNotFinished\n"
    assert 8 <= done < 200
    assert books["abandoned"] == 0
    assert err == "\nCtrl-C: waiting for calls in flight; again to cancel them.\n"


def test_ctrl_c_with_every_call_in_flight_leaves_a_complete_run(server, tmp_path) -> None:
    server.reset(latency=Fixed(0.6))
    script = Script(
        CALLS.replace("range(200)", "range(6)")
        + """
    results = pool.run()
    results.write(sys.argv[2])
    print(pool.interrupted, len(results.raise_if_incomplete()), repr(results.stopped))
    """,
        server.url,
        str(tmp_path / "out.csv"),
    )
    until(lambda: server.ledger()["in_flight"] >= 6)
    script.interrupt()
    code, out, err = script.end()
    assert (code, out) == (0, "True 6 ''\n"), err
    assert err == "\nCtrl-C: waiting for calls in flight; again to cancel them.\n"


LOOPS = {
    "asyncio.run": "asyncio.run(main())",
    "uvloop": "import uvloop; asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())",
    "by hand": "asyncio.new_event_loop().run_until_complete(main())",
}
WAYS = {
    "arun": "results = await pool.arun()",
    "astream": "async for record in pool.astream(): pass",
    "two": "await asyncio.gather(pool.arun(), Pool(skill, [{'text': 'a'}], progress=False).arun())",
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_once_waits_in_async_code_too(server, loop, way) -> None:
    server.reset(latency=Fixed(0.4))
    script = Script(
        CALLS
        + f"""
    import asyncio
    async def main():
        before = signal.getsignal(signal.SIGINT)
        {WAYS[way]}
        print(signal.getsignal(signal.SIGINT) is before)
    {LOOPS[loop]}
    print(pool.interrupted, pool.status[DONE], pool.status[FAILED])
    """,
        server.url,
    )
    until(lambda: server.ledger()["requests"] >= 8)
    script.interrupt()
    code, out, err = script.end()
    books = server.ledger()
    assert code == 0, err
    done = books["answers"] - (way == "two")
    assert out == f"True\nTrue {done} 0\n"
    assert 7 <= done < 200
    assert books["abandoned"] == 0
    assert err == "\nCtrl-C: waiting for calls in flight; again to cancel them.\n"


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_twice_is_pythons_own_in_async_code(server, loop) -> None:
    server.reset(latency=Fixed(0.0))
    script = Script(
        CALLS.replace("str(n)", '"[[sim: latency=60]]" if n >= 20 else str(n)')
        + f"""
    import asyncio
    async def main():
        await pool.arun()
    try:
        {LOOPS[loop]}
    except KeyboardInterrupt:
        print("KeyboardInterrupt", pool.status[DONE], pool.interrupted)
    sys.stdout.flush()
    os._exit(0)
    """,
        server.url,
    )
    until(lambda: server.ledger()["requests"] >= 28)
    script.interrupt_twice()
    _, out, _ = script.end()
    assert out == "KeyboardInterrupt 20 True\n"


def test_a_handler_of_ones_own_hears_ctrl_c_in_async_code(server) -> None:
    server.reset(latency=Fixed(0.4))
    script = Script(
        CALLS
        + """
    import asyncio
    signal.signal(signal.SIGINT, lambda number, frame: pool.stop())
    asyncio.run(pool.arun())
    print(pool.interrupted, pool.results.stopped.endswith("the run was stopped"))
    """,
        server.url,
    )
    until(lambda: server.ledger()["requests"] >= 8)
    script.interrupt()
    assert script.end()[1:] == ("False True\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals to a thread")
def test_ctrl_c_is_heard_when_it_wakes_another_thread_than_the_one_that_waits(server) -> None:
    server.reset(latency=Fixed(0.0))
    script = Script(
        CALLS.replace("str(n)", '"[[sim: latency=60]]" if n >= 20 else str(n)')
        + """
    from flowpool.run.loop_thread import loop_thread
    at = loop_thread().thread.ident
    for seconds in (0.5, 2.0):
        threading.Timer(seconds, signal.pthread_kill, (at, signal.SIGINT)).start()
    try:
        pool.run()
    except KeyboardInterrupt:
        print(pool.interrupted, pool.status[CANCELLED])
    """,
        server.url,
    )
    code, out, _ = script.end()
    assert (code, out) == (0, "True 180\n")


@pytest.mark.parametrize("way", ["run", "stream"])
def test_ctrl_c_twice_cuts_the_calls_and_raises_with_results_kept(server, way) -> None:
    server.reset(latency=Fixed(0.0))
    script = Script(
        CALLS.replace("str(n)", '"[[sim: latency=60]]" if n >= 20 else str(n)')
        + """
    try:
        pool.run() if sys.argv[2] == "run" else [None for _ in pool.stream()]
    except KeyboardInterrupt:
        kept = pool.results if sys.argv[2] == "run" else [0] * pool.status[DONE]
        print(sum(output is not None for output in kept), pool.status[CANCELLED], pool.interrupted)
    """,
        server.url,
        way,
    )
    until(lambda: server.ledger()["requests"] >= 28)
    script.interrupt_twice()
    code, out, err = script.end()
    assert (code, err) == (0, "")
    assert out == "20 180 True\n"
    until(lambda: server.ledger()["in_flight"] == 0)
    assert server.ledger()["abandoned"] == 8


def test_retry_goes_on_after_ctrl_c(server) -> None:
    server.reset(latency=Fixed(0.03))
    script = Script(
        CALLS
        + """
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    first = pool.run()
    assert pool.interrupted and 0 < pool.status[DONE] < 200, pool.status
    second = pool.retry()
    print(second == [str(n) for n in range(200)], pool.interrupted)
    """,
        server.url,
    )
    code, out, err = script.end()
    assert (code, out) == (0, "True False\n"), err
    assert server.ledger()["answers"] == server.ledger()["prompts"] == 200


@pytest.mark.parametrize(
    "program",
    [
        "Pool(lambda text: text, [{'text': 1}]).run()",
        "next(Pool(lambda text: text, [{'text': 1}] * 3).stream())",
        "kept = Pool(lambda text: text, [{'text': 1}] * 3).stream(); next(kept)",
        "Chain([lambda text: text]).run({'text': 1})",
        "Pool(lambda text: time.sleep(60), [{'text': 1}] * 3, timeout=0.1).run()",
        "Pool(lambda text: time.sleep(60), [{'text': 1}] * 3, deadline=0.1).run()",
        "rows = ({'text': time.sleep(60 * n)} for n in range(3));"
        "Pool(lambda text: text, rows, deadline=0.2).run()",
    ],
    ids=["run", "stream", "open-stream", "single", "stuck", "deadline", "stuck-source"],
)
def test_the_process_ends_at_once_and_quietly(program) -> None:
    began = time.monotonic()
    assert Script(program).end() == (0, "", "")
    assert time.monotonic() - began < 15


def test_a_forked_child_runs_pools_of_its_own(server) -> None:
    server.reset(latency=Fixed(0.01))
    script = Script(
        """
    skill = Skill(Model("m", base_url=sys.argv[1] + "/v1"), prompt="{text}")
    items = [{"text": str(n)} for n in range(20)]
    expected = [item["text"] for item in items]
    assert Pool(skill, items).run() == expected
    child = os.fork()
    if not child:
        assert Pool(skill, items).run() == expected
        assert Pool(lambda text: text, items).run() == expected
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert Pool(skill, items).run() == expected
    """,
        server.url,
    )
    assert script.end() == (0, "", "")


def test_asyncio_run_with_a_pool_ends_quietly(server) -> None:
    server.reset(latency=Fixed(0.01))
    script = Script(
        """
    import asyncio
    skill = Skill(Model("m", base_url=sys.argv[1] + "/v1"), prompt="{text}")
    async def main():
        asyncio.get_running_loop().slow_callback_duration = 60  # how busy the machine is doesn't matter here
        async for record in Pool(skill, [{"text": "a"}] * 9).astream():
            break
        return await Pool(skill, [{"text": "a"}]).arun()
    assert asyncio.run(main(), debug=True) == ["a"]
    """,
        server.url,
    )
    assert script.end() == (0, "", "")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_run_that_is_ended_by_a_signal_goes_on_with_the_same_words(server, tmp_path, end) -> None:
    server.reset(latency=Fixed(0.05))
    kept = CALLS.replace("progress=False", "progress=False, store=sys.argv[2]")
    program = kept + "\n    print(pool.run() == [str(n) for n in range(200)])\n"
    store = str(tmp_path / "run.db")
    first = Script(program, server.url, store)
    until(lambda: server.ledger()["answers"] >= 40)
    first.process.send_signal(end)
    first.end()
    asked, kept_answers = server.ledger()["requests"], Pool.load(store).status[DONE]
    code, out, err = Script(program, server.url, store).end()
    assert (code, out) == (0, "True\n"), err
    # What the store has isn't paid again; what was in flight, or not yet in its last transaction, is.
    assert kept_answers > 0
    assert server.ledger()["requests"] == asked + 200 - kept_answers
