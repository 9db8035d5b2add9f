"""`flowpool set`: other settings for a run at work."""

from __future__ import annotations

import click

from flowpool.cli.options import flows
from flowpool.cli.steering import STEERED, steer


@click.command()
@STEERED
@click.option("--max-flows", metavar="N|auto", help="Most items in progress at once. [as it is]")
@click.option(
    "--max-cost",
    type=float,
    metavar="USD",
    help="Dollars that the run never spends more than. It must have begun with such a ceiling. [as it is]",
)
@click.option(
    "--max-tokens-total",
    type=int,
    metavar="N",
    help="Tokens that the run never uses more than. It must have begun with a ceiling. [as it is]",
)
def set(
    store: str,
    run: str | None,
    max_flows: str | None,
    max_cost: float | None,
    max_tokens_total: int | None,
) -> int:
    """Change settings of a run that is at work, from any shell; a run that is resumed later has its own again.

    Calls in flight end as they began: fewer flows are reached as they do, more at once. Exit code: 0 it is changed,
    1 nobody is at work or the run doesn't answer, 2 the run refuses it.

    \b
    Example:
      flowpool set run.db --max-flows 50 --max-cost 20
    """
    given = {
        "max_flows": flows(max_flows),
        "max_cost": max_cost,
        "max_tokens_total": max_tokens_total,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        raise click.UsageError(
            "say what to change: --max-flows, --max-cost or --max-tokens-total.",
            click.get_current_context(),
        )
    from flowpool.settings import Settings

    Settings.checked(**values)  # what can't be meant at all; the run itself knows the rest
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())
    return steer(store, "set", run, f"flowpool resume {{}} {words} goes on with that", **values)
