"""`flowpool demo`: what pooling gains, measured where it runs."""

from __future__ import annotations

import click

from flowpool.cli.options import seed_option


@click.command()
@click.option(
    "--model",
    metavar="NAME",
    help="Run a small job on a real model, with the key in the environment; this costs money. "
    "[the embedded provider, which is free]",
)
@click.option(
    "--output",
    metavar="DIR",
    default="flowpool-demo",
    help="Directory for the results. [flowpool-demo]",
)
@click.option(
    "--pages",
    type=click.IntRange(1),
    metavar="N",
    help="Web pages to fetch, convert and summarise. [200; 20 with --model]",
)
@seed_option("Chooses which items fail. [0]", default=0)
def demo(model: str | None, output: str, pages: int | None, seed: int) -> int:
    """See what pooling gains, measured on this machine. Needs no key and takes under a minute.

    A provider inside flowpool serves real documents and a model's API on 127.0.0.1. The same jobs run one
    item after another and pooled; a few calls fail on purpose and are mended.
    """
    from flowpool.folders import local_path

    if model is None:
        from flowpool.demo.demo import run_demo

        return run_demo(local_path(output), pages or 200, seed)
    from flowpool.demo.live import run_live_demo

    return run_live_demo(model, local_path(output), pages or 20)
