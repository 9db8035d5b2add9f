"""`flowpool run`: its options, and their words. What they do is in `run_pipeline`, which the help doesn't load."""

from __future__ import annotations

from typing import Any

import click

from flowpool.cli.options import INPUT, KEEPING, LIMITS, OUTPUT, TRUSTED, TRYING, grouped


@click.command()
@click.argument("pipeline", metavar="PIPELINE.yaml")
@grouped(INPUT, OUTPUT, LIMITS, KEEPING, TRYING, TRUSTED)
def run(pipeline: str, **options: Any) -> int:
    """Run a skill, chain or pipeline that a file describes over rows.

    The file may say input, output and run terms too (`flowpool init` writes one); options stand over them.
    Each row's columns are the variables of the prompt. Exit code: 0 all done, 1 some failed, 2 something in the
    files or options can't work (nothing was paid), 130 after Ctrl-C: once waits for the calls in flight, twice
    cancels them. What is answered is kept, and the same words again go on.

    \b
    Example:
      flowpool run summarise.yaml -i articles.csv -o summaries.csv --limit 10
    """
    from flowpool.cli.run_pipeline import run_file

    return run_file(pipeline, options)
