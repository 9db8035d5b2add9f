"""`python -m bench rates`: the table of worlds in virtual time; `rates exact`: that of buckets and headers."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from bench.rates import rows as cases
from bench.rates.play import contender, play
from bench.rates.table import print_bars, print_table

# The half that is kept aside has seeds of its own too.
FIRST_SEED = {"tune": 0, "held": 1_000_000}


def main(*words: str) -> bool:
    """Prints the table; returns whether it was a whole one, which the cases on real sockets belong to."""
    if words[:1] == ("exact",):
        from bench.rates.exact.command import main as exact

        exact(*words[1:])
        return "--only" not in words
    options = _parser().parse_args(words)
    rows = _rows(options)
    names = _contenders(options.policy)
    judged = options.judge or ("flowpool" if "flowpool" in names else None)
    first = FIRST_SEED[options.half] if options.first is None else options.first
    start = time.perf_counter()
    print(
        f"{len(rows)} rows in virtual time, {options.seeds} seeds each, the half {options.half!r}."
    )
    results = play(rows, range(first, first + options.seeds), names, options.processes)
    count, every = print_table(results, names, judged)
    if judged is not None:
        print_bars(judged, count)
    print(f"{time.perf_counter() - start:.0f} s in all.")
    if options.runs:
        lines = (msgspec.json.encode((row.name, run)) for row, runs in every for run in runs)
        options.runs.write_bytes(b"\n".join(lines))
    if options.figure:
        from bench.rates.figure import draw

        options.figure.write_text(draw(every, names))
    return judged is not None and not (options.only or options.world)


def _rows(options: argparse.Namespace) -> list[cases.Row]:
    if options.world:
        return [
            cases.Row(group="asked for", name=spec[:60], specs=(spec,), bar=cases.SHARED)
            for spec in options.world
        ]
    rows = [
        row
        for row in cases.rows(options.half)
        if all(words in f"{row.group}: {row.name}" for words in options.only)
    ]
    if not rows:
        sys.exit(f"no row has {options.only}")
    return rows


def _contenders(text: str) -> list[str]:
    names = []
    for name in text.split(","):
        try:
            contender(name)
        except ImportError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            continue
        names.append(name)
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench rates",
        description="What a pool with nothing configured reaches in every kind of world. "
        "`python -m bench rates exact` plays buckets and headers alone, more closely.",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=200, help="runs of each row [200]")
    add("--half", choices=("tune", "held"), default="held",
        help="which half of the mixtures and parameters [held: not tuned on]")  # fmt: skip
    add("--only", action="append", default=[], metavar="WORDS",
        help="rows whose group or name has these words")  # fmt: skip
    add("--world", action="append", default=[], metavar="SPEC",
        help='a world instead of the rows, as in "cap most=20 + chance share=0.01..0.05"')  # fmt: skip
    add("--first", type=int, metavar="SEED", help="the first seed [0, or 1,000,000 of held]")
    add("--policy", default="plain,aimd,flowpool", metavar="NAMES",
        help="who plays [plain,aimd,flowpool]")  # fmt: skip
    add("--judge", metavar="NAME", help="whom the bars are held against [flowpool]")
    add(
        "--figure",
        type=Path,
        metavar="FILE.svg",
        help="each row's times of the oracle's, as a picture",
    )
    add("--runs", type=Path, metavar="FILE.jsonl", help="every run with its world, as JSON lines")
    add("--processes", type=int, default=os.cpu_count() or 1)
    return parser
