"""`flowpool status`: its options, and their words."""

from __future__ import annotations

import click


@click.command()
@click.argument("store", metavar="RUN.db")
@click.option("--run", metavar="NAME", help="Only the run of this name or number. [all of them]")
def status(store: str, run: str | None) -> int:
    """Say how the runs of a store stand: what is done, what failed and why, what it cost, how to go on.

    It may be asked while a run is at work. Exit code: 0 everything is done, 1 something failed or is still to do.

    \b
    Example:
      flowpool status run.db
    """
    from flowpool.cli.standing import show

    return show(store, run)
