"""Runs tests again and again, each time in a child of one process that has loaded pytest already. Its own process.

It reads lines of standard input, each a JSON object: the test files and the most seconds that they may take.
For each it writes pytest's exit code, or -1 where they took longer. What the child writes goes nowhere. Started
in a copy of the repository, it tests the package that is there.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time

import pytest

# What the policies' tests import, and takes long: loaded once, before the first child.
PRELOADED = ("hypothesis", "msgspec.json", "asyncio", "genai_prices.data_snapshot", "rich")
_STEP = 0.01  # seconds between two looks whether a child has ended


def main() -> None:
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.dont_write_bytecode = True  # a mutant's would be taken for the next one's
    sys.path[:] = [os.path.abspath("src"), os.getcwd(), *sys.path[1:]]
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_child(asked["tests"])
        print(_wait(child, time.monotonic() + asked["seconds"]), flush=True)


def _be_child(tests: list[str]) -> None:
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
    finally:
        os._exit(code)


def _wait(child: int, until: float) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # its own children too
            os.waitpid(child, 0)
            return -1
        time.sleep(_STEP)


if __name__ == "__main__":
    main()
