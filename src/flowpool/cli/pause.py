"""`flowpool pause`: a run at work sends no more calls until `flowpool go`."""

from __future__ import annotations

import click

from flowpool.cli.steering import STEERED, steer


@click.command()
@STEERED
def pause(store: str, run: str | None) -> int:
    """Hold a run that is at work, from any shell: calls in flight end, and no more are sent until `flowpool go`.

    Nothing times out by it. Exit code: 0 it is paused, 1 nobody is at work or the run doesn't answer.

    \b
    Example:
      flowpool pause run.db
    """
    return steer(store, "pause", run, "flowpool status {} says how it stands")
