"""`flowpool go`: a paused run goes on."""

from __future__ import annotations

import click

from flowpool.cli.steering import STEERED, steer


@click.command()
@STEERED
def go(store: str, run: str | None) -> int:
    """Let a paused run go on, from any shell.

    Exit code: 0 it goes on, 1 nobody is at work or the run doesn't answer.

    \b
    Example:
      flowpool go run.db
    """
    return steer(store, "go", run, "flowpool resume {} goes on with what is left")
