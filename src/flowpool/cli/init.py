"""`flowpool init`: its options, and their words."""

from __future__ import annotations

import click


@click.command()
@click.argument("path", metavar="PIPELINE.yaml", default="pipeline.yaml")
@click.option(
    "--task",
    type=click.Choice(["classify", "summarise", "extract", "scrape"]),
    default="classify",
    help="What it is to do. [classify]",
)
@click.option(
    "--model", "-m", metavar="M", default="gpt-5-mini", help="The model to ask. [gpt-5-mini]"
)
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(path: str, task: str, model: str, force: bool) -> int:
    """Write a commented pipeline file to start from, and a few rows to try it on.

    \b
    Example:
      flowpool init --task extract && flowpool run pipeline.yaml --dry-run
    """
    from flowpool.cli.starting import start

    return start(path, task, model, force)
