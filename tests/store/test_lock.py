"""A store belongs to one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flowpool.errors import StoreRefused
from flowpool.store.file import open_store

HOLDER = """
import sys, time
from flowpool.store.file import open_store
with open_store(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def holder(store: Path):
    """Another process that has the store open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_store_that_another_process_has_is_refused_with_who_has_it(store, holder) -> None:
    with (
        pytest.raises(StoreRefused, match=rf"in use by -c \(process {holder.pid}, since 20"),
        open_store(store),
    ):
        pass


@pytest.mark.skipif(os.name != "posix", reason="another lock there")
def test_who_looks_for_the_holder_just_then_keeps_nobody_from_taking_the_store(store) -> None:
    import fcntl

    with store.with_name("run.db.lock").open("ab+") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_EX)
        end = threading.Timer(0.005, fcntl.flock, (looked_at, fcntl.LOCK_UN))
        end.start()
        with open_store(store):
            assert end.finished.is_set()
        end.join()


def test_a_killed_process_leaves_the_store_free(store, holder) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with open_store(store):
        pass


def test_runs_of_one_process_share_an_open_store(store) -> None:
    with open_store(store) as one, open_store(str(store)) as other:
        assert one is other
    assert not store.with_name("run.db.lock").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_keep_the_store_from_others(store) -> None:
    reader, writer = os.pipe()
    with open_store(store):
        child = os.fork()
        if not child:
            os.read(reader, 1)  # outlives its parent's use of the store
            os._exit(0)
    try:
        with open_store(store):
            pass
    finally:
        os.write(writer, b"x")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
