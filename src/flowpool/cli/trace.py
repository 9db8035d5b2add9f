"""`flowpool trace`: a run of a store as a file that Perfetto and Chrome open."""

from __future__ import annotations

import click

from flowpool.cli.options import FORCE, STORE, STORE_RUN

ENDING = ".trace.json.gz"


@click.command()
@STORE
@STORE_RUN
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="Where the trace goes: a .json or .json.gz file. [RUN.trace.json.gz]",
)
@FORCE
def trace(store: str, run: str | None, output: str | None, force: bool) -> int:
    """Write a run as a trace for https://ui.perfetto.dev: each call on its lane, its waits, limits and refusals.

    A process is a lane and a thread a slot; arrows lead from step to step. Drop the file onto the page, which sends
    it nowhere. No prompt and no answer is in it. It may be asked while the run is at work.

    \b
    Example:
      flowpool trace run.db -o run.trace.json.gz
    """
    from flowpool.checkpoint.checkpoint import pick_run
    from flowpool.cli.streams import say
    from flowpool.errors import InvalidInput, OutputExists
    from flowpool.folders import local_path
    from flowpool.report.trace import trace_of_store
    from flowpool.store.reading import Reader

    info = pick_run(store, run)
    path = output or str(local_path(store).with_suffix(ENDING))
    try:
        with Reader(store) as reader:
            count = trace_of_store(reader, info, path, overwrite=force)
    except OutputExists as error:
        raise InvalidInput(f"{error.problem}: name another file, or say --force.") from None
    say(f"{count:,} attempts -> {path}: open it at https://ui.perfetto.dev")
    return 0
