"""`python -m bench rates`: the table in virtual time, the figure, and the main case on real sockets."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bench.rates.exact.cases import CASES
from bench.rates.exact.figure import draw
from bench.rates.exact.table import print_table, run_table


def main(*words: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench rates",
        description="What a pool with nothing configured reaches against each kind of limit.",
    )
    parser.add_argument("--seeds", type=int, default=200, help="runs of each case [200]")
    parser.add_argument("--quick", action="store_true", help="5 seeds, no fixed windows")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="cases whose row or group has these words")  # fmt: skip
    parser.add_argument("--figure", type=Path, metavar="FILE.svg",
                        help="throughput over time against the limit, for the cases played")  # fmt: skip
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(words)
    cases = [case for case in CASES if all(w in f"{case.group} {case.name}" for w in options.only)]
    if not cases:
        sys.exit(f"no case has {options.only}")
    seeds, fixed = (5, False) if options.quick else (options.seeds, True)
    start = time.perf_counter()
    print(f"{len(cases)} cases in virtual time, {seeds} seeds each (a tenth at 30,000 a minute).")
    if fixed:
        print("Beside them the same work by so many flows that know nothing: allowed / 429s.")
    results = print_table(run_table(cases, seeds, fixed, options.processes), fixed)
    all_hold = sum(result.held == len(result.runs) for result in results)
    calls = sum(run.sent for result in results for run in result.runs)
    cpu = sum(result.cpu for result in results)
    print(f"\n{all_hold} of {len(results)} cases hold for every seed; {calls:,} calls, "
          f"{cpu / calls * 1e6:.0f} us each; {time.perf_counter() - start:.0f} s in all.")  # fmt: skip
    if options.figure:
        options.figure.write_text(draw(cases))
        print(f"{options.figure}: one panel for each case")
