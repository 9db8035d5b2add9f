"""What `flowpool run` and `map` do: look at everything that can be wrong, run the pool, write, and sum up."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import click
from msgspec.structs import replace

from flowpool.chain import as_runner
from flowpool.checkpoint.checkpoint import Checkpoint
from flowpool.checkpoint.keys import Keys
from flowpool.cli.closing import RunReport, progress_of
from flowpool.cli.options import is_given, option_of, with_options
from flowpool.cli.prompt_runner import runner_of
from flowpool.cli.run_store import RunStore, find_store, store_path
from flowpool.cli.running import carry_out
from flowpool.cli.streams import say
from flowpool.cli.words import of_output, with_more
from flowpool.data.rows import Rows, check_source, read
from flowpool.data.writers import WriteOptions, Writer
from flowpool.errors import ConstantPrompt, InvalidInput, MissingColumn, OutputExists
from flowpool.folders import Folders, check_beneath, folders, local_path, named_folder
from flowpool.pipeline import build
from flowpool.pipeline.spec import Input, Output, Pipeline, RunOptions
from flowpool.plan import ItemCheck, Plan
from flowpool.pool import Pool
from flowpool.printable import is_terminal
from flowpool.run.event_log import STDERR
from flowpool.values import Status

STDIN = STDOUT = "-"
# Options that can't both be meant: what goes on with a kept run, and what drops or keeps none; and other pairs.
_APART = (
    *(
        (one, other)
        for one in ("resume", "retry_errors")
        for other in ("no_cache", "no_store", "append")
    ),
    ("dry_run", "pilot"),
)


def run_file(path: str, options: Mapping[str, Any]) -> int:
    """`flowpool run`; returns the exit code. Raises `InvalidInput` when nothing was paid."""
    allowed = None
    if options["trusted"]:
        sys.path.insert(0, str(local_path(path).absolute().parent))
    else:
        named = options["path"]
        more = [] if named in (None, STDIN) else [named_folder(named)]
        allowed = folders(local_path(path).parent, *more)
    pipeline = with_options(build.read_pipeline(local_path(path), allowed), options)
    _check_named(pipeline, options, allowed)
    return _run(pipeline, options)


def _check_named(pipeline: Pipeline, options: Mapping[str, Any], allowed: Folders | None) -> None:
    """Raises `InvalidInput` for a path that the file names, not the command line, and that it may not reach."""
    if options["path"] is None and (options["sql"] is None or pipeline.input.path is not None):
        check_source(allowed, pipeline.input.path, pipeline.input.sql)
    for path, named in (
        (pipeline.output.path, options["output"]),
        (pipeline.run.store, options["store"]),
        (pipeline.run.log, options["log"]),
    ):
        if isinstance(path, str) and path != STDOUT and named is None:
            check_beneath(path, allowed)


def run_prompt(prompt: str, options: Mapping[str, Any]) -> int:
    """`flowpool map`; as `run_file`."""
    pipeline = with_options(Pipeline(runner_of(prompt, options)), options)
    if options["fetch"]:
        pipeline = replace(pipeline, input=_of_addresses(pipeline.input))
    return _run(pipeline, options)


def _check_together(options: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` for options that contradict each other, or that nothing reads beside the others."""
    for one, other in _APART:
        if is_given(options, one) and is_given(options, other):
            raise InvalidInput(f"{option_of(one)} and {option_of(other)}: say one of them.")
    has_chance = options["sample"] is not None or options["pilot"] is not None
    for name, is_read, wanted in (
        ("allow_private", options.get("fetch", True), "--fetch"),
        ("yes", options["pilot"] is not None, "--pilot"),
        ("seed", has_chance, "--sample or --pilot"),
    ):
        if is_given(options, name) and not is_read:
            raise InvalidInput(f"{option_of(name)} does nothing without {wanted}: say that too.")


def _run(pipeline: Pipeline, options: Mapping[str, Any]) -> int:
    _check_together(options)
    runner = as_runner(pipeline.runner)
    plan = Plan(runner)
    plan.check_installed()
    rows = _rows(pipeline.input, plan, pipeline.run)
    if options["dry_run"]:
        from flowpool.cli.forecast import show_plan

        path = None if options["no_cache"] else store_path(pipeline)
        key = pipeline.run.key
        kept = None if path is None else Checkpoint(path, runner, runner.name, key)
        return show_plan(plan, rows, pipeline.run, kept)
    store = find_store(
        pipeline, plan, runner.name, resume=options["resume"], anew=options["no_cache"]
    )
    if store.known is not None and not options["quiet"]:
        say(f"Going on with {store.path}: {store.words}.")
    try:
        return _run_in(store, runner, rows, pipeline, options)
    except BaseException:
        store.drop_unused()
        raise


def _run_in(
    store: RunStore, runner: Any, rows: Rows, pipeline: Pipeline, options: Mapping[str, Any]
) -> int:
    if options["pilot"] is not None:
        from flowpool.cli.forecast import check_pilot

        check_pilot(rows, store)
    pool = _pool(runner, rows, pipeline, store, options["quiet"])
    writer = _writer(pool, pipeline.output, store)
    store.begin()
    if options["pilot"] is not None:
        from flowpool.cli.forecast import run_pilot

        code = run_pilot(options["pilot"], options["yes"], runner, rows, pipeline, store)
        if code is not None:
            store.drop_unused()
            return code
    report = RunReport(rows.length, store.path)
    ordered = pipeline.output.ordered
    if ordered is None:
        ordered = pipeline.output.path != STDOUT
    try:
        code = carry_out(pool, writer, report, ordered, pipeline.run.retry_failed)
    finally:
        with suppress(OSError):  # what can't be flushed was already said to have failed
            writer.close()
    if not report.is_whole:
        if not writer.rows:  # else the output is known by it as this run's
            store.drop_unused()
        _say_how_to_go_on(store, report)
    elif others := store.drop(report.counts[Status.DONE]):
        say(
            f"{store.path} keeps {others:,} answers of other rows: say the same words with those rows to have them "
            "in the output, `flowpool export` takes them out, --no-cache drops them."
        )
    return code


def _pool(runner: Any, rows: Rows, pipeline: Pipeline, store: RunStore, quiet: bool) -> Pool:
    quiet = quiet or pipeline.run.log == STDERR  # nothing stands between its lines
    progress = progress_of(quiet, mixed=pipeline.output.path == STDOUT and is_terminal(sys.stdout))
    settings = pipeline.run.pool()
    if store.path is None:  # there is nothing to tell items apart in
        settings.pop("key", None)
    return Pool(runner, rows, store=store.path, progress=progress, **settings)


def _rows(input: Input, plan: Plan, run: RunOptions) -> Rows:
    """The rows, looked through: a bad one in a file costs no call, nor do two with one key."""
    path, format = input.path, input.format
    if path is None and input.sql is None:
        if sys.stdin is None or is_terminal(sys.stdin):
            raise InvalidInput("no rows: say --input FILE, or pipe them in.")
        path = STDIN
    if path == STDIN and format is None and _takes_lines(plan):
        format = "lines"
    rows = read(path, **{**input.reading(), "format": format})
    check = ItemCheck(plan, plan.variables, constant_prompt=run.constant_prompt)
    try:
        if rows.columns is not None:
            check.check_columns(rows.columns, rows.name)
        if not rows.once and not rows.waits:
            rows.look_through(_looking(check, run.key))
    except MissingColumn as error:
        raise InvalidInput(f"{error.problem}: {_which_column(error)}.") from None
    except ConstantPrompt as error:
        fix = "or say --constant-prompt to ask all rows the same."
        raise InvalidInput(f"{error.problem}, {fix}") from None
    return rows


def _which_column(error: MissingColumn) -> str:
    """What to say for a variable that no column is called like."""
    if error.fix:
        return error.fix
    pair = f"{error.column}={error.meant or 'COLUMN'}"
    option = f"--columns {shlex.quote(pair)}"
    if option.endswith(pair):  # in quotes it is nobody's option, whatever the column is called
        option = f"--columns '{pair}'"
    if error.meant:
        return f"if {error.meant!r} is it, say {option}"
    braces = f"\\{{{error.column}}}"
    return f"name the one that it is with {option}, or write {braces} for the braces themselves"


def _looking(check: ItemCheck, key: str | None) -> Callable[[Any, int], None]:
    """What looks at each item: whether it can be run, and has a key of its own."""
    if key is None:
        return check.check
    keys = Keys(key)

    def look(item: Any, index: int) -> None:
        check.check(item, index)
        keys.check(item, index)

    return look


def _takes_lines(plan: Plan) -> bool:
    """Whether plain lines are enough for it."""
    return plan.lacks(["line"]) is None


def _of_addresses(input: Input) -> Input:
    """With lines taken for addresses, where they come from stdin or a file of text."""
    path = input.path or STDIN
    if input.format is None and (path == STDIN or path.endswith((".txt", ".list", ".urls"))):
        input = replace(input, format="lines")
    if input.format == "lines" and not input.columns:
        input = replace(input, columns={"url": "line"})
    return input


def _writer(pool: Pool, output: Output, store: RunStore) -> Writer:
    options: WriteOptions = {
        "meta": output.meta,
        "inputs": output.inputs,
        "output": output.column,
        "append": output.append,
        "overwrite": output.overwrite or store.had_output,
        "spreadsheet_safe": output.spreadsheet_safe,
        "format": output.format,
        "delimiter": output.delimiter,
        "encoding": output.encoding,
    }
    try:
        with of_output():
            return pool.writer(output.path, **options)
    except OutputExists as error:
        fix = "name another file, overwrite it with --force, or --append."
        raise InvalidInput(f"{error.problem}: {fix}") from None


def _say_how_to_go_on(store: RunStore, report: RunReport) -> None:
    if store.path is None or not store.path.exists():
        return
    if report.ceiling is not None:
        say(
            f"{store.path} keeps the run. To go on: {with_more(click.get_current_context().obj, report.ceiling)}"
        )
        return
    more = " with --retry-errors to try the failed rows again" if report.only_failed else ""
    say(f"{store.path} keeps the run: say the same words{more or ' to go on'}.")
