"""What `flowpool run` and `map` do: look at everything that can be wrong, run the pool, write, and sum up."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowpool.chain import as_runner
from flowpool.cli.asking import runner_of
from flowpool.cli.keeping import Keeping, keeping
from flowpool.cli.report import RunReport, progress_of, say
from flowpool.cli.running import carry_out
from flowpool.cli.wishes import with_options
from flowpool.data.rows import Rows, read
from flowpool.data.writers import WriteOptions, Writer
from flowpool.errors import InvalidInput
from flowpool.pipeline import build
from flowpool.pipeline.spec import Input, Output, Pipeline
from flowpool.plan import ItemCheck, Plan
from flowpool.pool import Pool

STDIN = STDOUT = "-"


def run_file(path: str, options: Mapping[str, Any]) -> int:
    """`flowpool run`; returns the exit code. Raises `InvalidInput` when nothing was paid."""
    if options["trusted"]:
        sys.path.insert(0, str(Path(path).absolute().parent))
    pipeline = build.read_pipeline(Path(path), trusted=options["trusted"])
    return _run(with_options(pipeline, options), options)


def run_prompt(prompt: str, options: Mapping[str, Any]) -> int:
    """`flowpool map`; as `run_file`."""
    pipeline = with_options(Pipeline(runner_of(prompt, options)), options)
    if options["fetch"]:
        pipeline = _with_addresses(pipeline)
    return _run(pipeline, options)


def _run(pipeline: Pipeline, options: Mapping[str, Any]) -> int:
    runner = as_runner(pipeline.runner)
    plan = Plan(runner)
    rows = _rows(pipeline.input, plan)
    if options["dry_run"]:
        from flowpool.cli.forecast import show_plan

        return show_plan(plan, rows, pipeline.run)
    kept = keeping(pipeline, plan, runner.name, resume=options["resume"], anew=options["no_cache"])
    if kept.known is not None and not options["quiet"]:
        say(f"Going on with {kept.path}: {kept.words}.")
    pool = _pool(runner, rows, pipeline, kept, options["quiet"])
    writer = _writer(pool, pipeline.output, kept)
    if options["pilot"] is not None:
        from flowpool.cli.forecast import fly_pilot

        code = fly_pilot(options["pilot"], options["yes"], runner, rows, pipeline, kept)
        if code is not None:
            return code
    tally = RunReport(rows.length, kept.path)
    ordered = pipeline.output.ordered
    if ordered is None:
        ordered = pipeline.output.path != STDOUT
    try:
        code = carry_out(pool, writer, tally, ordered, pipeline.run.retry_failed)
    finally:
        with suppress(OSError):  # what can't be flushed was already said to have failed
            writer.close()
    if code == 0:
        kept.drop()
    elif kept.path is not None:
        _say_how_to_go_on(kept, tally)
    return code


def _pool(runner: Any, rows: Rows, pipeline: Pipeline, kept: Keeping, quiet: bool) -> Pool:
    progress = progress_of(quiet, mixed=pipeline.output.path == STDOUT and sys.stdout.isatty())
    return Pool(runner, rows, store=kept.path, progress=progress, **pipeline.run.pool())


def _rows(told: Input, plan: Plan) -> Rows:
    """The rows, looked through: a bad one in a file costs no call."""
    path, format = told.path, told.format
    if path is None and told.sql is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise InvalidInput("no rows: say --input FILE, or pipe them in.")
        path = STDIN
    if path == STDIN and format is None and _takes_lines(plan):
        format = "lines"
    rows = read(path, **{**told.reading(), "format": format})
    if rows.columns is not None:
        _check_columns(plan, rows)
    if not rows.once and not rows.waits:
        rows.look_through(ItemCheck(plan, plan.variables).check)
    return rows


def _check_columns(plan: Plan, rows: Rows) -> None:
    try:
        ItemCheck(plan, plan.variables).check_columns(rows.columns or (), rows.name)
    except InvalidInput as error:
        in_python = r"with columns=\{'(\w+)': \.\.\.\}, or pass it in run\(variables=\.\.\.\)"
        raise InvalidInput(re.sub(in_python, r"with --columns \1=COLUMN", str(error))) from None


def _takes_lines(plan: Plan) -> bool:
    """Whether plain lines are enough for it."""
    return plan.lacks(["line"]) is None


def _with_addresses(pipeline: Pipeline) -> Pipeline:
    """With lines taken for addresses, where they come from stdin or a file of text."""
    from msgspec.structs import replace

    told = pipeline.input
    path = told.path or STDIN
    if told.format is None and (path == STDIN or path.endswith((".txt", ".list", ".urls"))):
        told = replace(told, format="lines")
    if told.format == "lines" and not told.columns:
        told = replace(told, columns={"url": "line"})
    return replace(pipeline, input=told)


def _writer(pool: Pool, told: Output, kept: Keeping) -> Writer:
    options: WriteOptions = {
        "meta": told.meta,
        "inputs": told.inputs,
        "output": told.column,
        "append": told.append,
        "overwrite": told.overwrite or kept.had_output,
        "spreadsheet_safe": told.spreadsheet_safe,
        "format": told.format,
    }
    try:
        return pool.writer(told.path, **options)
    except InvalidInput as error:
        words = "or say overwrite=True or append=True"
        raise InvalidInput(
            str(error).replace(words, "overwrite it with --force, or --append")
        ) from None


def _say_how_to_go_on(kept: Keeping, tally: RunReport) -> None:
    if not kept.path or not kept.path.exists():
        return
    more = " with --retry-errors to try the failed rows again" if tally.only_failed else ""
    say(f"{kept.path} keeps the run: say the same words{more or ' to go on'}.")
