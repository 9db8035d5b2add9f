"""What `--dry-run` and `--pilot` say: the prompts, and what the whole will take."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from flowpool.checkpoint.checkpoint import Checkpoint
from flowpool.checkpoint.identity import Identity
from flowpool.cli.closing import RunReport, progress_of
from flowpool.cli.run_store import RunStore
from flowpool.cli.running import Nowhere, carry_out
from flowpool.cli.streams import say, show
from flowpool.data.rows import Rows
from flowpool.errors import InvalidInput
from flowpool.estimate import Forecast, Range, StepEstimate, estimate, forecast
from flowpool.pipeline.spec import Pipeline, RunOptions
from flowpool.plan import Plan
from flowpool.pool import Pool
from flowpool.printable import is_terminal
from flowpool.results import Record
from flowpool.values import Limits, Status
from flowpool.views.words import dollars, duration

# Characters of a prompt that is shown: three of them fit a screen.
_LONGEST_PROMPT = 600


def show_plan(plan: Plan, rows: Rows, run: RunOptions, checkpoint: Checkpoint | None) -> int:
    """Prints what a run would ask and take; asks nothing itself. checkpoint: where it may have been begun."""
    if rows.once:
        raise InvalidInput(
            "--dry-run reads the rows, and stdin can be read once only: name a file."
        )
    known = 0
    if checkpoint is not None:
        identity = Identity(plan, {}, run.version)
        known = checkpoint.known(identity, rows, retry_failed=run.retry_failed)
    expected = estimate(plan, rows, run.limits, known)
    for number, prompt in enumerate(expected.prompts, 1):
        more = len(prompt) - _LONGEST_PROMPT
        shown = prompt if more <= 0 else f"{prompt[:_LONGEST_PROMPT]}… and {more:,} characters more"
        show(f"--- prompt {number}\n{shown}")
    show("---")
    items = "an unknown number of" if expected.items is None else f"{expected.items:,}"
    show(f"rows      {items}, from {rows.name}")
    if known and checkpoint is not None:
        show(
            f"kept      {known:,} of them have ended in {checkpoint.path}; the rest is counted below"
        )
    for name, count in expected.empty.items():
        show(
            f"empty     {count:,} of {expected.looked_at:,} that were looked at have nothing in {name!r} "
            "(--on-empty)"
        )
    for step in expected.steps:
        show(f"calls     {_of_step(step, expected.left)}")
    if expected.input_tokens is not None:
        show(f"tokens    about {expected.input_tokens:,} of input in all")
    show(f"cost      {_cost(expected.cost, expected.most_cost, expected.steps)}")
    least = (
        expected.seconds and f"at least {duration(expected.seconds)}, by the limits that you set"
    )
    show(f"time      {least or _NO_LIMITS}")
    show("Nothing was asked of the provider.")
    return 0


_NO_LIMITS = "unknown: no limits are set (--rpm, --tpm); `--pilot 20` measures a few rows"


def _of_step(step: StepEstimate, items: int | None) -> str:
    count = "" if items is None else f"{items * step.calls:,} to "
    part = "" if step.is_whole else " (without what steps before it bring)"
    longest = None if step.most_output is None else step.most_output // step.calls
    most = "any length" if longest is None else f"at most {longest:,} tokens"
    each = step.input_tokens / step.calls
    return f"{count}{step.model}: about {each:,.0f} tokens of input each{part}, answers of {most}"


def _cost(low: float | None, high: float | None, steps: Sequence[StepEstimate]) -> str:
    if low is None:
        return "unknown: no price is known for the model"
    if all(step.is_whole for step in steps) and high is not None:
        return f"{dollars(low)} for the input, at most {dollars(high)} with the longest answers"
    if not all(step.is_whole for step in steps):
        return f"{dollars(low)} for what is known of the input; what steps bring and answers come on top"
    return f"{dollars(low)} for the input; answers come on top, unless max_tokens bounds them"


def check_pilot(rows: Rows, store: RunStore) -> None:
    """Raises `InvalidInput` where no pilot can be run."""
    if store.path is None:
        raise InvalidInput(
            "--pilot keeps its answers in a store: name an output file, or --store PATH."
        )
    if rows.once or not rows.length:
        raise InvalidInput("--pilot needs to know the number of rows: name a file.")


def run_pilot(
    size: int, is_confirmed: bool, runner: Any, rows: Rows, pipeline: Pipeline, store: RunStore
) -> int | None:
    """Runs some of the rows, forecasts all, and asks; the exit code where the run ends here, else None."""
    assert rows.length is not None
    some = rows.sampled(size, pipeline.input.seed)
    progress = progress_of(False, mixed=False)
    pool = Pool(runner, some, store=store.path, progress=progress, **pipeline.run.pool())
    answers = _Answers()
    code = carry_out(
        pool, answers, RunReport(some.length, store.path), ordered=False, retry_failed=False
    )
    if code > 1:
        return code
    if not answers.any_done:
        say("No row of the pilot was answered: nothing is known of the rest.")
        return code
    for line in _forecast_words(pool, answers.ended, rows.length, pipeline.run):
        say(line)
    if is_confirmed:
        return None
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        say(
            "The pilot's answers are kept: say the same words with --yes, or without --pilot, to run all."
        )
        return code
    if click.confirm(f"Run all {rows.length:,} rows?", err=True):
        return None
    say("The pilot's answers are kept: the same words without --pilot go on with them.")
    return code


class _Answers(Nowhere):
    """Keeps a pilot's records."""

    def __init__(self) -> None:
        self.ended: list[Record] = []

    def write(self, record: Record) -> None:
        if record.status in (Status.DONE, Status.FAILED):
            self.ended.append(record)

    @property
    def any_done(self) -> bool:
        return any(record.status is Status.DONE for record in self.ended)


def _forecast_words(pool: Pool, some: Sequence[Record], total: int, run: RunOptions) -> list[str]:
    limits = run.limits or Limits()
    chosen = [n for n in (run.max_flows, limits.concurrent) if isinstance(n, int)]
    seen = forecast(some, total, pool.snapshot, min(chosen, default=None))
    lines = [f"All {total:,} rows, by {len(some):,} of them (9 times in 10 within the range):"]
    lines.append(f"  tokens  about {_range(seen.tokens, lambda number: f'{number:,.0f}')}")
    cost = "no price is known" if seen.cost is None else f"about {_range(seen.cost, dollars)}"
    lines.append(f"  cost    {cost}")
    return (
        [*lines, f"  time    {time}"]
        if (time := _time(seen, total, min(chosen, default=0)))
        else lines
    )


def _time(seen: Forecast, total: int, at_once: int) -> str:
    """How long all rows take, as far as some of them tell; empty where none was asked."""
    limited = "by the known limits"
    if seen.seconds is not None:
        beside = f", and {limited}" if seen.least else ""
        return f"about {_range(seen.seconds, duration)}, at {at_once:,} at once{beside}"
    if not seen.pace:
        return ""
    longest = total / seen.pace
    if seen.least >= longest:
        return f"about {duration(seen.least)}, {limited}"
    least = f"at least {duration(seen.least)} {limited}, " if seen.least else ""
    return f"{least}about {duration(longest)} at the pilot's pace, less where more at once is taken"


def _range(span: Range, words: Any) -> str:
    if span.low == span.high:
        return str(words(span.expected))
    return f"{words(span.expected)} ({words(span.low)} to {words(span.high)})"
