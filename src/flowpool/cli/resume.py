"""`flowpool resume`: its options, and their words."""

from __future__ import annotations

from typing import Any

import click

from flowpool.cli.options import DEADLINE, MAX_COST, MAX_FLOWS, QUIET, STORE_RUN, TRUSTED, grouped

CHANGES = grouped(STORE_RUN, MAX_FLOWS, MAX_COST, DEADLINE, TRUSTED, QUIET)


@click.command()
@click.argument("store", metavar="RUN.db")
@CHANGES
def resume(store: str, **options: Any) -> int:
    """Go on with a run that a store keeps, where it stopped: nothing that was answered is asked again.

    What failed stays failed; `flowpool retry` tries it again. Exit code: 0 all done, 1 some failed or to do, 2 it
    can't go on, 130 after Ctrl-C. `flowpool export` takes the results out.

    \b
    Example:
      flowpool resume run.db --max-cost 5
    """
    from flowpool.cli.going_on import go_on

    return go_on(store, retry_failed=False, **options)
