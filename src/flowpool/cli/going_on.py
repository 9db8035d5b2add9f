"""What `flowpool resume` and `retry` do: the pool of a store goes on, with no script."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from flowpool.checkpoint.checkpoint import pick_run
from flowpool.cli.report import RunReport, progress_of, say
from flowpool.cli.running import Nowhere, carry_out
from flowpool.cli.wishes import flows
from flowpool.errors import InvalidInput
from flowpool.pool import Pool


def go_on(
    store: str,
    *,
    retry_failed: bool,
    run: str | None,
    max_flows: str | None,
    max_cost: float | None,
    deadline: float | None,
    trusted: bool,
    quiet: bool,
) -> int:
    """Goes on with a run of a store; returns the exit code."""
    info = pick_run(store, run)
    if info.definition is None:
        raise InvalidInput(
            f"{store}: {info.obstacle} Run its script again with the same store, or load it there with "
            f"Pool.load({store!r}, runner)."
        )
    if trusted:
        sys.path.insert(0, str(Path.cwd()))
    told = {"max_flows": flows(max_flows), "max_cost": max_cost, "deadline": deadline}
    changes: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    changes["progress"] = progress_of(quiet, mixed=False)
    pool = Pool.load(store, run=str(info.id), trusted=trusted, **changes)
    if not info.complete and info.source is None:
        say(
            f"{store} has only the items that were handed over before the run ended: its script has the rest. "
            "These are gone on with; run the script again for the others."
        )
    tally = RunReport(None, Path(store))
    code = carry_out(pool, Nowhere(), tally, ordered=False, retry_failed=retry_failed)
    if not quiet:
        say(f"Take the results out: flowpool export {shlex.quote(store)} results.csv")
    return code
