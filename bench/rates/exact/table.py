"""The table of cases over many seeds: how near to what is allowed, how many 429s, and whether the bar holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from statistics import fmean

from msgspec import Struct

from bench.rates.exact.case import Case
from bench.rates.exact.cases import CASES
from bench.rates.exact.lab import Outcome, play

WINDOWS = (1, 10, 100, 1_000)
BATCH = 10  # seeds that a process plays at a time
UNEVEN = 0.2  # a process's share may differ by so much
SLOWER = 1.5  # times the latency at the knee
CALLS_AN_ITEM = 1.2


class Figures(Struct, frozen=True):
    """One run in numbers. `spread`: how far a process's share is from an equal one, at most. `slow`: the latency
    in times of an idle server's. `calls`: for each item, those into a dead provider left out."""

    seed: int
    used: float
    refused: float
    spread: float = 0.0
    slow: float = 0.0
    calls: float = 0.0
    sent: int = 0
    missing: int = 0


class Result(Struct):
    """All runs of a case."""

    case: Case
    runs: list[Figures]
    fixed: dict[int, Figures] = {}
    cpu: float = 0.0

    @property
    def worst_used(self) -> Figures:
        return min(self.runs, key=lambda run: run.used)

    @property
    def worst_refused(self) -> Figures:
        return max(self.runs, key=lambda run: run.refused)

    @property
    def held(self) -> int:
        """Seeds whose run is within every bar of its case."""
        return sum(holds(self.case, run) for run in self.runs)


def holds(case: Case, run: Figures) -> bool:
    """Whether one run is within its case's bars."""
    if case.measure == "items":
        return run.missing == 0 and run.calls <= CALLS_AN_ITEM
    even = case.processes == 1 or run.spread <= UNEVEN
    quick = case.measure != "slots" or run.slow <= SLOWER
    return run.used >= case.bar and run.refused <= case.most and even and quick


def figures_of(case: Case, seed: int, outcome: Outcome) -> Figures:
    start, end = (int(moment) for moment in case.spans[-1])
    parts = [sum(calls[start:end]) for calls in outcome.admitted]
    equal = max(1.0, sum(parts) / len(parts))
    latency = sum(outcome.latency[start:end]) / max(1, sum(outcome.answers[start:end]))
    missing = (case.items or outcome.done) - outcome.done
    return Figures(
        seed,
        used=1.0 - missing / case.items if case.items else min(outcome.used),
        refused=outcome.part_refused,
        spread=max(abs(part / equal - 1.0) for part in parts),
        slow=latency / case.service if case.measure == "slots" else 0.0,
        calls=(outcome.sent - outcome.in_trouble) / max(1, outcome.done),
        sent=outcome.sent,
        missing=missing,
    )


def _batch(job: tuple[int, range, int | None]) -> tuple[int, int | None, list[Figures], float]:
    number, seeds, flows = job
    case, start = CASES[number], time.process_time()
    runs = [figures_of(case, seed, play(case, seed, flows)) for seed in seeds]
    return number, flows, runs, time.process_time() - start


def run_table(cases: Sequence[Case], seeds: int, fixed: bool, processes: int) -> Iterator[Result]:
    """Each case's result, in order. `fixed`: one run by each fixed window too."""
    jobs: list[tuple[int, range, int | None]] = []
    left: dict[int, int] = {}
    results: dict[int, Result] = {}
    for case in cases:
        number = CASES.index(case)
        count = max(1, round(seeds * case.part))
        batches = [range(i, min(count, i + BATCH)) for i in range(0, count, BATCH)]
        windows = WINDOWS if fixed and case.fixed else ()
        jobs += [(number, batch, None) for batch in batches]
        jobs += [(number, range(1), flows) for flows in windows]
        left[number] = len(batches) + len(windows)
        results[number] = Result(case, [], {})
    order = list(results)
    with get_context("fork").Pool(processes) as pool:
        for number, flows, runs, cpu in pool.imap_unordered(_batch, jobs):
            result = results[number]
            if flows is None:
                result.runs += runs
                result.cpu += cpu
            else:
                result.fixed[flows] = runs[0]
            left[number] -= 1
            while order and left[order[0]] == 0:
                yield results[order.pop(0)]


def print_table(results: Iterator[Result], fixed: bool) -> list[Result]:
    """Prints each row as it is known, a header before each group; returns all."""
    group, told = "", []
    for result in results:
        case = result.case
        if case.group != group:
            group = case.group
            print(f"\n{group}\n{_head(case, fixed)}")
        print(_row(result, fixed))
        sys.stdout.flush()
        told.append(result)
    return told


def _head(case: Case, fixed: bool) -> str:
    unit = {"allowed": "of the allowed", "slots": "of all slots", "items": "of the items"}
    windows = "".join(f"{f'{n:,} flows':>16}" for n in WINDOWS) if fixed and case.fixed else ""
    bar = f"bar {case.bar:.0%}, 429s {case.most:.1%}"
    extra = {"slots": f", latency {SLOWER} x", "items": f", {CALLS_AN_ITEM} calls an item"}
    bar = (bar if case.measure == "allowed" else f"bar {case.bar:.0%}") + extra.get(
        case.measure, ""
    )
    if case.processes > 1:
        bar += f", shares within {UNEVEN:.0%}"
    text = f"  {unit[case.measure]}; {bar}"
    return f"{text:<58}{'mean':>7}{'worst (seed)':>15}{'429s':>8}{'worst (seed)':>15}{'holds':>10}{windows}"


def _row(result: Result, fixed: bool) -> str:
    runs = result.runs
    used, refused = result.worst_used, result.worst_refused
    text = (
        f"  {result.case.name:<56}{fmean(run.used for run in runs):>7.1%}"
        f"{f'{used.used:.1%} ({used.seed})':>15}{fmean(run.refused for run in runs):>8.2%}"
        f"{f'{refused.refused:.2%} ({refused.seed})':>15}{f'{result.held}/{len(runs)}':>10}"
    )
    if result.case.processes > 1:
        text += f"  shares off by {max(run.spread for run in runs):.0%}"
    elif result.case.measure == "slots":
        text += f"  latency {fmean(run.slow for run in runs):.2f} x"
    elif result.case.measure == "items":
        text += f"  calls an item {max(run.calls for run in runs):.2f}"
    if fixed:
        text += "".join(
            f"{f'{run.used:.0%} / {run.refused:.0%}':>16}" for run in result.fixed.values()
        )
    return text.rstrip()
