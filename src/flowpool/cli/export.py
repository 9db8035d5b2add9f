"""`flowpool export`: its options, and their words."""

from __future__ import annotations

import click


@click.command()
@click.argument("store", metavar="RUN.db")
@click.argument("path", metavar="OUT", default="-")
@click.option("--run", metavar="NAME", help="The run of this name or number. [the only one]")
@click.option(
    "--meta", is_flag=True, help="Add the columns _status, _error, _attempts, _seconds, _cost, ..."
)
@click.option(
    "--attempts",
    is_flag=True,
    help="A row for each attempt instead: its times, status, tokens, cost and request id.",
)
@click.option(
    "--only",
    type=click.Choice(["done", "failed", "pending"]),
    help="Only the items that ended so. [all items]",
)
@click.option(
    "--format", metavar="KIND", help="What to write: jsonl, csv, tsv or parquet. [by the ending]"
)
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
def export(
    store: str,
    path: str,
    run: str | None,
    meta: bool,
    attempts: bool,
    only: str | None,
    format: str | None,
    force: bool,
) -> int:
    """Take a run's results out of its store, inputs beside answers, in the order of the items.

    OUT ends in .jsonl, .csv, .tsv (also .gz, .zst) or .parquet; without it, JSON lines go to stdout. It may be
    asked while the run is at work: what has no answer yet has none in the output.

    \b
    Examples:
      flowpool export run.db results.parquet --meta
      flowpool export run.db --attempts > attempts.jsonl
    """
    from flowpool.cli.taking_out import take_out

    return take_out(store, path, run, meta, attempts, only, format, force)
