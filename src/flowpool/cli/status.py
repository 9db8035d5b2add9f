"""`flowpool status`: how the runs of a store stand. Reads the store; writes nothing but text."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowpool.cli.options import STORE

if TYPE_CHECKING:
    from flowpool.run.sample import LiveView
    from flowpool.store.reading import Reader
    from flowpool.store.rows import RunInfo
    from flowpool.values import Status

# Kinds of failures: the most frequent ones tell what to mend.
MOST_TROUBLES = 5
# A line of a log or a wide terminal; what is longer is cut.
_WIDEST = 150


@click.command()
@STORE
@click.option("--run", metavar="NAME", help="Only the run of this name or number. [all of them]")
def status(store: str, run: str | None) -> int:
    """Say how the runs of a store stand: what is done, what failed and why, what it cost, how to go on.

    Of a run that is at work it also says its rate, what holds it back and the time left. Exit code: 0 everything is
    done, 1 something failed or is still to do.

    \b
    Example:
      flowpool status run.db
    """
    from flowpool.cli.streams import show
    from flowpool.errors import StoreRefused
    from flowpool.folders import local_path
    from flowpool.store.damage import refuses_damage
    from flowpool.store.lock import holder_of
    from flowpool.store.reading import Reader
    from flowpool.values import Status

    path = local_path(store)
    with Reader(path) as reader, refuses_damage(store):
        runs = [one for one in reader.runs() if run in (None, one.name, str(one.id))]
        if not runs:
            raise StoreRefused(f"{store}: no runs in it{f' called {run}' if run else ''}.")
        holder = holder_of(path)
        size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        show(f"{store}: {len(runs)} run{'s' * (len(runs) > 1)}, {size / 1e6:,.1f} MB")
        if holder:
            show(f"At work on it now: {holder}")
        views = _views(store)
        all_done = True
        for one in runs:
            counts = reader.counts(one.id)
            show()
            show("\n".join([*_lines(reader, one, counts), *_live_lines(views.get(one.id))]))
            if not holder:
                more = _ceiling_words(reader, one)
                for line in _how_to_go_on(path, one, counts, more, several=len(runs) > 1):
                    show(f"  {line}")
            all_done &= one.complete and counts[Status.DONE] == sum(counts.values())
    return 0 if all_done else 1


def _views(store: str) -> dict[int, LiveView]:
    """How those of its runs stand that are at work, as their process tells of them."""
    from flowpool.cli.streams import show
    from flowpool.control.client import RunBusy, looks
    from flowpool.errors import InvalidInput

    try:
        return looks(store)
    except RunBusy as busy:
        show(f"{busy}; what the store has:")
    except InvalidInput as elsewhere:
        show(f"{elsewhere} What the store has:")
    return {}


def _live_lines(view: LiveView | None) -> list[str]:
    """How a run at work stands now: its rate, what holds it back, and how it was steered."""
    if view is None:
        return []
    from flowpool.limits.lane_view import BOUNDS
    from flowpool.views.words import bottleneck_words, clock, rate_words, sample_words

    now = view.sample
    figures = [f"{rate_words(now.rate)} items"] if now.rate > 0.0 else []
    figures += [f"{now.running:,} in progress"]
    figures += [f"{clock(now.eta)} left"] if now.eta is not None else []
    lines = [f"  now       {', '.join(figures)}"]
    if view.paused:
        lines.append(f"  paused    {BOUNDS['held']}")
    elif view.bottleneck is not None:
        lines.append(f"  held back {_short(bottleneck_words(view.bottleneck), _WIDEST)}")
    for lane in now.lanes:
        if lane.bound != "held":
            lines.append(f"  lane      {lane.name}: {_short(sample_words(lane), _WIDEST)}")
    return lines


def _lines(reader: Reader, run: RunInfo, counts: dict[Status, int]) -> list[str]:
    """What a run is, and how far it is."""
    from flowpool.views.runners import runner_words

    lines = [
        f"{run.name} (run {run.id})",
        f"  what      {_short(runner_words(run), _WIDEST)}",
        f"  items     {count_words(counts)}; {rest_words(run)}",
        *_time_and_spend(reader, run),
    ]
    troubles = reader.troubles(run.id)
    for trouble in troubles[:MOST_TROUBLES]:
        last = _short(" ".join(trouble.message.split()), _WIDEST)
        lines.append(f"  failed    {trouble.count:,} x {trouble.error}: {last}")
    if rest := troubles[MOST_TROUBLES:]:
        lines.append(
            f"  failed    {sum(one.count for one in rest):,} more, in {len(rest):,} other ways "
            "(flowpool export --meta --only failed)"
        )
    if run.reason:
        lines.append(f"  ended     before its end: {_short(run.reason, _WIDEST)}")
    return lines


def count_words(counts: dict[Status, int]) -> str:
    from flowpool.values import Status

    words = [f"{counts[Status.DONE]:,} done"]
    words += [f"{counts[Status.FAILED]:,} failed"] if counts[Status.FAILED] else []
    words += [f"{counts[Status.PENDING]:,} to do"] if counts[Status.PENDING] else []
    return ", ".join(words)


def rest_words(run: RunInfo) -> str:
    """Where the items are that the store doesn't have."""
    if run.complete:
        return "all items of the run stand in the store"
    if run.source is not None:
        return f"the rest is still to be read from {run.source.get('path', 'its query')}"
    return "items that its script had not handed over yet are not in the store"


def _time_and_spend(reader: Reader, run: RunInfo) -> list[str]:
    from flowpool.views.words import dollars

    timing, spent = reader.course(run.id), reader.spent(run.id)
    lines = []
    if timing.began is not None and timing.ended is not None:
        # Not how long that is: nobody was at work between two of its runs.
        first, last = (
            datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
            for at in (timing.began, timing.ended)
        )
        pace = f", {timing.rate:.1f} a second at the end" if timing.rate else ""
        lines.append(f"  time      {first} to {last}{pace}")
    cost = dollars(spent.cost)
    if spent.unpriced:
        rest = f"{spent.unpriced:,} answers are of unknown price"
        cost = f"{cost}, and {rest}" if spent.cost else rest
    unknown = f", and at most {dollars(spent.unknown_cost)} more for calls whose end nobody saw"
    lines.append(
        f"  spent     {spent.tokens:,} tokens, {cost}{unknown if spent.unknown_cost else ''}, "
        f"{timing.attempts:,} attempts"
    )
    return lines


def _ceiling_words(reader: Reader, run: RunInfo) -> str:
    """The option with which a run goes on that ended at its ceiling: twice that, or twice what is spent."""
    from flowpool.calls.budget import ceiling_in
    from flowpool.cli.options import option_of
    from flowpool.cli.words import rounded_up

    name = ceiling_in(run.reason)
    if not name:
        return ""
    spent = reader.spent(run.id)
    most = spent.tokens + spent.unknown_tokens
    least = spent.cost + spent.unknown_cost if name == "max_cost" else most
    ceiling = run.settings.get(name) or 0  # another, where it was changed while the run was at work
    return f" {option_of(name)} {rounded_up(2 * max(least, ceiling))}"


def _how_to_go_on(
    path: Path, run: RunInfo, counts: dict[Status, int], more: str, *, several: bool
) -> list[str]:
    from flowpool.values import Status

    words = f"{shlex.quote(str(path))}{f' --run {run.id}' if several else ''}"
    if run.definition is None:
        return ["go on     run its script again, with the same store"]
    lines = []
    if counts[Status.PENDING] or not run.complete:
        lines.append(f"go on     flowpool resume {words}{more}")
    if counts[Status.FAILED]:
        lines.append(f"try again flowpool retry {words}")
    return [*lines, f"take out  flowpool export {words} results.csv"]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
