"""Threads for what blocks."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowpool.threads import DaemonThreads


def test_each_call_starts_at_once_and_idle_threads_are_used_again() -> None:
    threads = DaemonThreads("test")
    over = threading.Barrier(5)
    jobs = [
        threads.submit(lambda: over.wait(5) is not None and threading.get_ident()) for _ in range(4)
    ]
    over.wait(5)
    used = {job.result(5) for job in jobs}
    assert len(used) == 4
    for _ in range(20):
        assert threads.submit(lambda: threading.current_thread().daemon).result(5)
    threads.shutdown()


def test_one_thread_does_everything_where_one_is_the_most() -> None:
    threads = DaemonThreads("test", 1)
    jobs = [threads.submit(threading.get_ident) for _ in range(50)]
    assert len({job.result(5) for job in jobs}) == 1
    threads.shutdown()


def test_an_exception_of_any_kind_is_the_futures() -> None:
    def leave() -> Any:
        raise SystemExit(3)

    threads = DaemonThreads("test")
    with pytest.raises(SystemExit):
        threads.submit(leave).result(5)
    assert threads.submit(lambda: 1).result(5) == 1
    threads.shutdown()


def test_shutdown_lets_threads_end_and_takes_no_more_calls() -> None:
    threads = DaemonThreads("flowpool-test-end")
    threads.submit(int).result(5)
    threads.shutdown()
    for thread in threading.enumerate():
        if thread.name == "flowpool-test-end":
            thread.join(5)
            assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(int)
