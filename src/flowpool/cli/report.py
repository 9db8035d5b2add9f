"""`flowpool report`: a page about a run of a store, or about two runs beside each other."""

from __future__ import annotations

import click

from flowpool.cli.options import FORCE


@click.command()
@click.argument("stores", metavar="RUN.db [OTHER.db]", nargs=-1, required=True)
@click.option("--output", "-o", metavar="PATH", help="The page. [RUN.html beside the store]")
@click.option(
    "--run",
    "runs",
    metavar="NAME",
    multiple=True,
    help="The run of this name or number; said twice, one for each store, or two of one store. [the only one]",
)
@click.option(
    "--no-content",
    is_flag=True,
    help="Leave out prompts, variables and answers, and what errors may repeat of them.",
)
@FORCE
def report(
    stores: tuple[str, ...],
    output: str | None,
    runs: tuple[str, ...],
    no_content: bool,
    force: bool,
) -> int:
    """Write a page about a run: what held it back, its figures and charts, its errors, and each of its items.

    The page is one HTML file that asks nothing of the network. It may be written while the run is at work. Of two
    runs, it has how far their answers agree, what each cost and took, and the items that differ.

    \b
    Examples:
      flowpool report run.db
      flowpool report run.db -o report.html --no-content
      flowpool report before.db after.db -o compared.html
    """
    from flowpool.cli.streams import say
    from flowpool.errors import InvalidInput, OutputExists
    from flowpool.folders import local_path
    from flowpool.report.page import write_report
    from flowpool.report.reading import run_in_store
    from flowpool.report.target import files_in_store

    wanted = _wanted(stores, runs)
    target = output or str(local_path(stores[0]).with_suffix(".html"))
    read = [run_in_store(store, run) for store, run in wanted]
    kept = [file for store, run in wanted for file in files_in_store(store, run)]
    try:
        path = write_report(target, read, kept, content=not no_content, overwrite=force)
    except OutputExists as error:
        raise InvalidInput(f"{error.problem}: name another file, or say --force.") from None
    counted = " and ".join(f"{len(run.items):,} items" for run in read)
    say(f"{counted}, {path.stat().st_size / 1e6:,.1f} MB -> {target}")
    return 0


def _wanted(stores: tuple[str, ...], runs: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """The store and the name of each run; two runs at most."""
    if len(stores) > 2 or len(runs) > 2:
        raise click.UsageError("Name one run, or two to see them beside each other.")
    if len(stores) == 1:
        return [(stores[0], run) for run in runs or (None,)]
    names: tuple[str | None, ...] = runs if len(runs) == 2 else (runs or (None,)) * 2
    return list(zip(stores, names, strict=True))
