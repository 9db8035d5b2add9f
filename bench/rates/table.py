"""The table: for each row the times over the oracle's and the refusals, and whether the bars hold."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Sequence

from msgspec import Struct

from bench.rates.play import Figures, Run
from bench.rates.rows import Row

# Every kind, every seed: the time over the plain loop's and seconds more, and points of refusals more than it has.
SLOWER, LATER, MORE = 1.1, 1.0, 0.01
# A calm run with a memory may take so much longer than one without.
MEMORY_COSTS = 1.0
NAME = 62  # columns


class Summary(Struct, frozen=True):
    """One contender over all seeds of a row. refused: calls an item's run, on average; share: of the items."""

    median: float
    worst: float
    seed: int
    refused: float
    share: float
    most: int
    lost: int
    pace: float
    latency: float


def summary(runs: Sequence[Run], name: str) -> Summary:
    figures = [(run.figures[name], run) for run in runs]
    worst, at = max(figures, key=lambda pair: pair[0].ratio)
    return Summary(
        statistics.median(figure.ratio for figure, _ in figures),
        worst.ratio,
        at.seed,
        statistics.fmean(figure.refused for figure, _ in figures),
        statistics.fmean(figure.refused / run.items for figure, run in figures),
        max(figure.refused for figure, _ in figures),
        sum(figure.lost for figure, _ in figures),
        statistics.fmean(figure.pace for figure, _ in figures),
        statistics.median(figure.latency for figure, _ in figures),
    )


def holds(row: Row, runs: Sequence[Run], name: str) -> tuple[bool, bool]:
    """Whether a contender is within a row's bars: for time, and for refusals (on average, beside chance's)."""
    bar, told = row.bar, summary(runs, name)
    granted = statistics.fmean(run.figures[name].granted for run in runs)
    allowed = granted + statistics.fmean(bar.refused * run.items + bar.calls for run in runs)
    few = told.refused <= allowed + 1e-9
    if row.measure == "after":
        return all(_remembers_well(run.figures[name]) for run in runs), True
    if row.measure == "share":
        few = all(run.figures[name].refused <= bar.refused * run.figures[name].sent for run in runs)
    if bar.seconds is not None:
        return max(run.figures[name].time for run in runs) <= bar.seconds, few
    timely = told.median <= bar.median + 1e-9 and told.worst <= bar.worst + 1e-9
    if bar.plain < math.inf and "plain" in runs[0].figures:
        beside = [run.figures[name].time / run.figures["plain"].time for run in runs]
        timely = timely and statistics.median(beside) <= bar.plain
    return timely, few


def _remembers_well(figures: Figures) -> bool:
    return figures.time <= figures.time / figures.ratio + MEMORY_COSTS


def beside_plain(run: Run, name: str) -> tuple[bool, bool]:
    """Whether a run is hardly ever slower than the plain loop's, and draws hardly more refusals."""
    mine, plain = run.figures[name], run.figures["plain"]
    quick = mine.time <= SLOWER * plain.time + LATER
    return quick, mine.refused <= plain.refused + MORE * run.items


def out_of_reach(run: Run) -> bool:
    """Whether not even the oracle is as quick as `beside_plain` asks for: it leaves the neighbours theirs."""
    return run.pushy and run.oracle > SLOWER * run.figures["plain"].time + LATER


def _latency(runs: Sequence[Run], name: str) -> float:
    """A contender's median latency, in times of the oracle's."""
    return statistics.median(run.figures[name].latency / run.latency for run in runs)


class Count(Struct):
    """How much of a table holds."""

    rows: int = 0
    held: int = 0
    seeds: int = 0
    quick: int = 0
    out_of_reach: int = 0
    polite: int = 0


def print_table(
    results: Iterable[tuple[Row, list[Run]]], names: Sequence[str], judged: str | None
) -> tuple[Count, list[tuple[Row, list[Run]]]]:
    """Prints each row as it is known, a header before each group; returns how much holds, and all rows."""
    group, count, every = "", Count(), []
    for row, runs in results:
        if row.group != group:
            group = row.group
            print(f"\n{group}\n{_head(names, judged)}")
        print(_line(row, runs, names, judged, count))
        sys.stdout.flush()
        every.append((row, runs))
    return count, every


def _head(names: Sequence[str], judged: str | None) -> str:
    text = f"  {'times of the oracle: median, worst (seed); refusals':<{NAME}}{'oracle':>8}"
    for name in names:
        text += f" |{name:>9}{'':>{_width(name, judged) - 9}}"
    return text + (" | bar                  time refused   plain's time refusals" if judged else "")


def _width(name: str, judged: str | None) -> int:
    """Columns of a contender: the worst seed is told of who is judged, or of all."""
    return 32 if judged in (None, name) else 24


def _line(
    row: Row, runs: Sequence[Run], names: Sequence[str], judged: str | None, count: Count
) -> str:
    oracle = statistics.median(run.oracle for run in runs)
    text = f"  {row.name:<{NAME}}{oracle:>7.1f}s"
    for name in names:
        told = summary(runs, name)
        seed = f" {f'({told.seed})':<{9}}" if judged in (None, name) else " "
        text += f" |{_times(told.median):>6}{_times(told.worst):>6}{seed}{told.share:>6.1%}{told.refused:>5.0f}"
    if judged is None:
        return text
    timely, few = holds(row, runs, judged)
    count.rows += 1
    count.held += timely and few
    text += f" | {row.bar!s:<20}{_word(timely):>6}{_word(few):>8}"
    if "plain" in names and row.measure == "items":
        beside = [beside_plain(run, judged) for run in runs]
        quick, polite = (sum(part) for part in zip(*beside, strict=True))
        count.seeds += len(runs)
        count.quick += quick
        count.out_of_reach += sum(out_of_reach(run) for run in runs)
        count.polite += polite
        text += f"{f'{quick}/{len(runs)}':>15}{f'{polite}/{len(runs)}':>9}"
    if row.tells_latency:
        text += f"  latency {_latency(runs, judged):.2f} of the oracle's"
    return text


def _times(ratio: float) -> str:
    return "never" if ratio == math.inf else f"{ratio:.2f}"


def _word(holds: bool) -> str:
    return "holds" if holds else "NOT"


def print_bars(judged: str, count: Count) -> None:
    """The last lines: how many rows hold, and the bars that every seed of every row has."""
    print(f"\n{judged}: {count.held} of {count.rows} rows hold.")
    if count.seeds:
        print(
            f"Every kind, every seed: at most {SLOWER:g} x the plain loop's time + {LATER:g} s in "
            f"{count.quick} of {count.seeds} runs; at most its refusals + {MORE:.0%} in {count.polite}."
        )
        if count.out_of_reach:
            print(
                f"In {count.out_of_reach} runs the oracle isn't: the plain loop takes that from others."
            )
