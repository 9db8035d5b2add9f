"""`flowpool run`: a runner from a YAML file over the rows of a file, records out as they end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import click
from msgspec import Struct

from flowpool import definition
from flowpool.chain import as_runner
from flowpool.cli.output import STDOUT, Output, give_up_stdout, record_line
from flowpool.cli.report import PlainProgress, Tally
from flowpool.cli.rows import FileRows, Rows, StdinRows, parse_limit
from flowpool.cli.signals import Interrupts
from flowpool.engine.plan import ItemCheck, Plan
from flowpool.errors import FlowpoolError, InvalidInput
from flowpool.pool import OnError, Pool, Snapshot
from flowpool.values import Limits

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


@click.command()
@click.argument("runner", metavar="RUNNER.yaml")
@click.option(
    "--input",
    "input_path",
    metavar="FILE",
    required=True,
    help="Rows to run over: .jsonl, .csv or .tsv, each also as .gz, or - for JSON lines on stdin.",
)
@click.option(
    "--output",
    "output_path",
    metavar="FILE",
    required=True,
    help="Where each row's record goes as it ends, as a line of JSON; - for stdout.",
)
@click.option("--max-flows", metavar="N", help="Most items in progress at once. [auto]")
@click.option(
    "--limit", metavar="N|A-B", help="Only the first N rows, or rows A to B from 1 on. [all]"
)
@click.option("--timeout", type=float, metavar="S", help="Seconds an attempt may take. [600]")
@click.option(
    "--retries",
    type=int,
    metavar="N",
    help="Further attempts after one that failed and may work the next time. [5]",
)
@click.option(
    "--deadline", type=float, metavar="S", help="Seconds after which the run ends. [none]"
)
@click.option(
    "--rpm", type=float, metavar="N", help="Most requests a minute. [what the provider takes]"
)
@click.option(
    "--tpm", type=float, metavar="N", help="Most tokens a minute. [what the provider takes]"
)
@click.option(
    "--on-error",
    type=click.Choice(["collect", "stop", "raise"]),
    default="collect",
    help="After a failed row: go on (collect), start no more (stop) or cancel all (raise). [collect]",
)
@click.option("--ordered", is_flag=True, help="Write the records in the order of the rows.")
@click.option("--trusted", is_flag=True, help="Let the runner's file name Python functions to run.")
@click.option("--quiet", is_flag=True, help="Show no progress, only the closing line.")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
def run(**options: Any) -> int:
    """Run a skill or chain over the rows of a file.

    Each row's columns are the variables of the prompt. Exit code: 0 all done, 1 some failed, 2 something in the
    files or options can't work (nothing was paid), 130 after Ctrl-C: once waits for the calls in flight, twice
    cancels them; what is done is in the output.

    \b
    Example:
      flowpool run summarise.yaml --input articles.csv --output summaries.jsonl --limit 10
    """
    job = _prepare(**options)
    try:
        return _carry_out(job)
    finally:
        with suppress(OSError):  # what can't be flushed was already said to have failed
            job.output.close()


def _prepare(
    runner: str,
    input_path: str,
    output_path: str,
    max_flows: str | None,
    limit: str | None,
    timeout: float | None,
    retries: int | None,
    deadline: float | None,
    rpm: float | None,
    tpm: float | None,
    on_error: OnError,
    ordered: bool,
    trusted: bool,
    quiet: bool,
    force: bool,
) -> Job:
    """Looks at everything that can be wrong before a call is made; raises `InvalidInput`."""
    flow_limit = _max_flows(max_flows)
    limits = _limits(rpm, tpm)
    span = parse_limit(limit)
    if trusted:
        sys.path.insert(0, str(Path(runner).absolute().parent))
    loaded = as_runner(definition.read(Path(runner), trusted=trusted))
    plan = Plan(loaded)
    rows: Rows
    if input_path == STDOUT:
        rows = StdinRows(span)
    else:
        rows = FileRows(input_path, span, ItemCheck(plan, plan.variables).check)
    pool = Pool(
        loaded,
        rows,
        flow_limit,
        on_error,
        timeout=timeout,
        retries=retries,
        limits=limits,
        deadline=deadline,
        progress=_progress(quiet, output_path),
    )
    output = Output(output_path, force=force, input_path=input_path)
    total = len(rows) if isinstance(rows, FileRows) else None
    return Job(pool, rows, output, Tally(total, span.start), ordered, span.start)


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
        return _leave(job, interrupts.code)
    if isinstance(problem, InvalidInput):
        raise problem
    if problem is not None:
        print(f"flowpool: {problem}", file=sys.stderr)
        return SOME_FAILED
    return 0 if job.tally.all_done else SOME_FAILED


def _write_records(job: Job) -> Exception | None:
    """Writes records until the run ends. Returns what ended it before its time, if that can be told in a line."""
    records = job.pool.stream(ordered=job.ordered)
    try:
        for record in records:
            job.tally.add(record)
            job.output.write(record_line(record, job.offset))
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


def _leave(job: Job, code: int) -> int:
    if isinstance(job.rows, StdinRows):
        # Its thread may still hold standard input, which a tidy end of the interpreter would wait for.
        sys.stderr.flush()
        os._exit(code)
    return code


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
