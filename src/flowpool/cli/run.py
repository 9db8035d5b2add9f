"""`flowpool run`: its options, and their words. What they do is in `job`, which the help doesn't load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import click


@dataclass(frozen=True)
class Request:
    """The options as they were written; None is what wasn't. Seconds, and rates a minute."""

    runner: str
    input_path: str
    output_path: str
    max_flows: str | None
    limit: str | None
    timeout: float | None
    retries: int | None
    deadline: float | None
    rpm: float | None
    tpm: float | None
    on_error: Literal["collect", "stop", "raise"]
    ordered: bool
    trusted: bool
    quiet: bool
    force: bool


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
    from flowpool.cli.job import run_job

    return run_job(Request(**options))
