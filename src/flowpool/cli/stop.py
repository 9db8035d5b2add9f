"""`flowpool stop`: a run at work comes to its end."""

from __future__ import annotations

import click

from flowpool.cli.steering import STEERED, steer


@click.command()
@STEERED
@click.option("--now", is_flag=True, help="Cut the calls in flight, too.")
def stop(store: str, run: str | None, now: bool) -> int:
    """End a run that is at work, from any shell: no more items begin, those in progress go on to their end.

    What is done is kept, and `flowpool resume` goes on with the rest. Exit code: 0 it ends, 1 nobody is at work or
    the run doesn't answer.

    \b
    Example:
      flowpool stop run.db
    """
    fix = "flowpool status {} says how it stands"
    return steer(store, "cancel" if now else "stop", run, fix)
