"""`flowpool resume` and `flowpool retry`: the run that a store keeps goes on, with no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flowpool.cli.options import (
    DEADLINE,
    LOG,
    MAX_COST,
    MAX_FLOWS,
    MAX_TOKENS_TOTAL,
    QUIET,
    STORE,
    STORE_RUN,
    TRUSTED,
    flows,
    grouped,
)

CHANGES = grouped(
    STORE, STORE_RUN, MAX_FLOWS, MAX_COST, MAX_TOKENS_TOTAL, DEADLINE, TRUSTED, LOG, QUIET
)


@click.command()
@CHANGES
def resume(store: str, **options: Any) -> int:
    """Go on with a run that a store keeps, where it stopped: nothing that was answered is asked again.

    What failed stays failed; `flowpool retry` tries it again. Exit code: 0 all done, 1 some failed or to do, 2 it
    can't go on, 130 after Ctrl-C. `flowpool export` takes the results out.

    \b
    Example:
      flowpool resume run.db --max-cost 5
    """
    return _go_on(store, retry_failed=False, **options)


@click.command()
@CHANGES
def retry(store: str, **options: Any) -> int:
    """Try again what failed in a run that a store keeps, and do what it didn't come to.

    Steps of a chain that were answered are not asked again. Exit code: as for `flowpool resume`.

    \b
    Example:
      flowpool retry run.db --max-flows 4
    """
    return _go_on(store, retry_failed=True, **options)


def _go_on(
    store: str,
    *,
    retry_failed: bool,
    run: str | None,
    max_flows: str | None,
    max_cost: float | None,
    max_tokens_total: int | None,
    deadline: float | None,
    trusted: bool,
    log: str | None,
    quiet: bool,
) -> int:
    """Goes on with a run of a store; returns the exit code."""
    import shlex
    import sys

    from flowpool.checkpoint.checkpoint import pick_run
    from flowpool.cli.closing import RunReport, progress_of
    from flowpool.cli.running import Nowhere, carry_out
    from flowpool.cli.streams import say
    from flowpool.cli.words import with_more
    from flowpool.errors import InvalidInput
    from flowpool.folders import local_path
    from flowpool.pool import Pool

    info = pick_run(store, run)
    if info.definition is None:
        raise InvalidInput(
            f"{store}: {info.obstacle} Run its script again with the same store, or load it there with "
            f"Pool.load({store!r}, runner)."
        )
    if trusted:
        sys.path.insert(0, str(Path.cwd()))
    given = {
        "max_flows": flows(max_flows),
        "max_cost": max_cost,
        "max_tokens_total": max_tokens_total,
        "deadline": deadline,
        "log": log,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes["progress"] = progress_of(quiet, mixed=False)
    pool = Pool.load(store, run=str(info.id), trusted=trusted, **changes)
    if not info.complete and info.source is None:
        say(
            f"{store} has only the items that were handed over before the run ended: its script has the rest. "
            "These are gone on with; run the script again for the others."
        )
    report = RunReport(None, local_path(store))
    code = carry_out(pool, Nowhere(), report, ordered=False, retry_failed=retry_failed)
    if report.ceiling is not None:
        say(f"To go on: {with_more(click.get_current_context().obj, report.ceiling)}")
    if not quiet:
        which = "" if run is None else f" --run {info.id}"
        say(f"Take the results out: flowpool export {shlex.quote(store)} results.csv{which}")
    return code
