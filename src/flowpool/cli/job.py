"""What `flowpool run` does: looks at everything that can be wrong, runs the pool, writes, and sums up."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from flowpool import definition
from flowpool.chain import as_runner
from flowpool.cli.output import STDOUT, Output, give_up_stdout, record_line
from flowpool.cli.report import PlainProgress, Tally
from flowpool.cli.rows import FileRows, Rows, StdinRows, parse_limit
from flowpool.cli.run import Request
from flowpool.cli.signals import Interrupts
from flowpool.engine.plan import ItemCheck, Plan
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.pool import Pool, Snapshot
from flowpool.values import Limits, Status

STDIN = "-"
SOME_FAILED = 1
BROKEN_PIPE = 141


class Job(Struct):
    """What was asked for, once it is known to work."""

    pool: Pool
    rows: Rows
    output: Output
    tally: Tally
    ordered: bool
    offset: int


def run_job(asked: Request) -> int:
    """Does what was asked for; returns the exit code. Raises `InvalidInput` when nothing was paid."""
    job = _prepare(asked)
    try:
        code = _carry_out(job)
    finally:
        with suppress(OSError):  # what can't be flushed was already said to have failed
            job.output.close()
    if job.rows.is_waiting:
        # A tidy end of the interpreter would fail at the lock of standard input.
        os._exit(code)
    return code


def _prepare(asked: Request) -> Job:
    """Looks at everything that can be wrong before a call is made; raises `InvalidInput`."""
    flow_limit = _max_flows(asked.max_flows)
    limits = _limits(asked.rpm, asked.tpm)
    span = parse_limit(asked.limit)
    if asked.trusted:
        sys.path.insert(0, str(Path(asked.runner).absolute().parent))
    loaded = as_runner(definition.read(Path(asked.runner), trusted=asked.trusted))
    plan = Plan(loaded)
    rows: Rows
    if asked.input_path == STDIN:
        rows = StdinRows(span)
    else:
        rows = FileRows(asked.input_path, span, ItemCheck(plan, plan.variables).check)
    pool = Pool(
        loaded,
        rows,
        flow_limit,
        asked.on_error,
        timeout=asked.timeout,
        retries=asked.retries,
        limits=limits,
        deadline=asked.deadline,
        progress=_progress(asked.quiet, asked.output_path),
    )
    output = Output(asked.output_path, force=asked.force, input_path=asked.input_path)
    total = len(rows) if isinstance(rows, FileRows) else None
    return Job(pool, rows, output, Tally(total, span.start), asked.ordered, span.start)


def _carry_out(job: Job) -> int:
    """Runs the job and tells how it went; returns the exit code."""
    started = time.monotonic()

    def stop() -> None:
        job.rows.stop()
        job.pool.stop()

    with Interrupts(stop, job.pool.cancel) as interrupts:
        try:
            problem = _write_records(job)
        except BrokenPipeError:
            give_up_stdout()
            return BROKEN_PIPE
    problem = problem or job.rows.error
    if job.tally.ended or problem is None:
        print(
            job.tally.summary(time.monotonic() - started, job.output.path),
            file=sys.stderr,
            flush=True,
        )
    if interrupts.code:
        return interrupts.code
    if isinstance(problem, InvalidInput):
        raise problem
    if problem is not None:
        print(f"flowpool: {problem}", file=sys.stderr)
        return SOME_FAILED
    return 0 if job.tally.all_done and not job.rows.is_waiting else SOME_FAILED


def _write_records(job: Job) -> Exception | None:
    """Writes records until the run ends. Returns what ended it before its time, if that can be told in a line."""
    records = job.pool.stream(ordered=job.ordered)
    try:
        for record in records:
            job.tally.add(record)
            job.output.write(record_line(record, job.offset))
            if record.status is Status.FAILED and job.pool.on_error == "stop":
                job.rows.stop()  # the pool would wait for the next line, only not to run it
    except BrokenPipeError:
        raise
    except InvalidInput as error:
        return error
    except OSError as error:
        return FlowpoolError(
            f"{job.output.path}: {error.strerror}: the run was cancelled, "
            f"{job.output.lines:,} rows are written."
        )
    except FlowpoolError:
        return None  # the failure that --on-error raise stands for; its record is written
    finally:
        records.close()  # type: ignore[attr-defined]
    return None


def _max_flows(text: str | None) -> int | Literal["auto"]:
    if text is None or text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f'--max-flows {text}: use 1 or more, or "auto".') from None


def _limits(rpm: float | None, tpm: float | None) -> Limits | None:
    for name, value in (("rpm", rpm), ("tpm", tpm)):
        if value is not None and not value > 0:
            raise InvalidInput(f"--{name} {value:g}: use a rate above 0.")
    return None if rpm is None and tpm is None else Limits(rpm=rpm, tpm=tpm)


def _progress(quiet: bool, output_path: str) -> bool | Callable[[Snapshot], None] | None:
    if quiet:
        return False
    mixed = output_path == STDOUT and sys.stdout.isatty()
    return None if sys.stderr.isatty() and not mixed else PlainProgress()
