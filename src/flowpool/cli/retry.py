"""`flowpool retry`: its options, and their words."""

from __future__ import annotations

from typing import Any

import click

from flowpool.cli.resume import CHANGES


@click.command()
@click.argument("store", metavar="RUN.db")
@CHANGES
def retry(store: str, **options: Any) -> int:
    """Try again what failed in a run that a store keeps, and do what it didn't come to.

    Steps of a chain that were answered are not asked again. Exit code: as for `flowpool resume`.

    \b
    Example:
      flowpool retry run.db --max-flows 4
    """
    from flowpool.cli.going_on import go_on

    return go_on(store, retry_failed=True, **options)
