"""`flowpool limits`: its options, and their words. What it does is in `sounding`, which the help doesn't load."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--model", "-m", metavar="M", required=True, help="The model to ask, as in gpt-5-mini."
)
@click.option(
    "--provider",
    metavar="NAME",
    help="Whose API it speaks, where the model's name doesn't tell it. [the name's]",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Another endpoint than the provider's own. [the provider's variable]",
)
@click.option(
    "--calls",
    type=click.IntRange(0, 20),
    default=5,
    metavar="N",
    help="Small calls to make, one after another; 0 shows only what is remembered. [5]",
)
@click.option(
    "--timeout", type=float, default=60.0, metavar="S", help="Seconds a call may take. [60]"
)
def limits(
    model: str, provider: str | None, base_url: str | None, calls: int, timeout: float
) -> int:
    """Find out a provider's limits with a few small calls, and show what runs before have learned.

    The calls are a few tokens each and go one after another; the first that fails is the last. The key comes from
    the environment, as for a run. Exit code: 0 found out, 1 a call failed, 2 it can't be asked like this.

    \b
    Example:
      flowpool limits --model gpt-5-mini
    """
    from flowpool.cli.sounding import sound

    return sound(model, provider, base_url, calls, timeout)
