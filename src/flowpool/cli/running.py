"""A pool's run under the command line: records written as they come, signals heeded, the end in a line."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import Protocol

from flowpool.cli.closing import RunReport
from flowpool.cli.signals import Interrupts
from flowpool.cli.streams import BROKEN_PIPE, STDOUT, give_up, say
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.pool import Pool
from flowpool.results import Record
from flowpool.views.words import end_notes

SOME_FAILED = 1


class RecordWriter(Protocol):
    """Where records go: a writer, or nowhere."""

    path: str
    rows: int

    def write(self, record: Record) -> None: ...

    def close(self) -> None: ...


class Nowhere:
    """What is kept in a store is written nowhere else."""

    path = ""
    rows = 0

    def write(self, record: Record) -> None:
        self.rows += 1

    def close(self) -> None:
        pass


def carry_out(
    pool: Pool, target: RecordWriter, report: RunReport, ordered: bool, retry_failed: bool
) -> int:
    """Runs the pool and says how it went; returns the exit code. Raises `InvalidInput` for what can't work."""
    started = time.monotonic()
    with Interrupts(pool.interrupt, pool.cancel) as interrupts:
        try:
            problem = _write_records(pool, target, report, ordered, retry_failed)
        except BrokenPipeError:
            give_up(STDOUT)
            return _end(BROKEN_PIPE)
    # A reader's thread may need a moment more after the last line: whether it waits says nothing of the run.
    report.is_whole = problem is None and report.all_done and not pool.snapshot.stopped
    if report.ended or problem is None:
        report.notes = end_notes(pool.snapshot)
        if problem is None and not interrupts.code:
            report.stopped = pool.snapshot.stopped
        say(report.summary(time.monotonic() - started, target.path, pool.snapshot))
    if interrupts.code:
        return _end(interrupts.code)
    if isinstance(problem, InvalidInput) and not report.ended:
        raise problem
    if problem is not None:
        say(f"flowpool: {problem}")
    return _end(0 if report.is_whole else SOME_FAILED)


def _write_records(
    pool: Pool, target: RecordWriter, report: RunReport, ordered: bool, retry_failed: bool
) -> Exception | None:
    """Writes records until the run ends. Returns what ended it before its time, if a line can say it."""
    records = pool.stream(ordered=ordered, retry_failed=retry_failed)
    try:
        for record in records:
            report.add(record)
            target.write(record)
        target.close()
    except BrokenPipeError:
        raise
    except InvalidInput as error:
        return error
    except OSError as error:
        return FlowpoolError(
            f"{target.path}: {error.strerror}: the run was cancelled, {target.rows:,} rows are written."
        )
    except FlowpoolError as error:
        # The failure that --on-error raise stands for has its record; a store's has none.
        return error if not report.has_failed else None
    finally:
        records.close()  # type: ignore[attr-defined]
    return None


def _waits() -> bool:
    """Whether a thread still waits for a line of standard input."""
    return any(thread.name.startswith("flowpool-items") for thread in threading.enumerate())


def _end(code: int) -> int:
    """The exit code; at once where a tidy end would fail at the lock of standard input."""
    if _waits():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # broken, or closed
                stream.flush()
        os._exit(code)
    return code
