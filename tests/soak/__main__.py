"""`python -m tests.soak [--kills N] [--seeds N] [--seed S]`: the crash tests at length, and their figures.

Each part is left out with 0. A failing seed is printed, and plays the same again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from statistics import mean

from tests.soak import kills, seeds, shim, writes
from tests.soak.nursery import Nursery

import flowpool

os.environ["FLOWPOOL_SHARE"] = "off"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="SIGKILLs at random moments")
    parser.add_argument("--seeds", type=int, default=10_000, help="runs in virtual time")
    parser.add_argument("--power", type=int, default=20, help="runs whose disk loses power")
    parser.add_argument("--writes", type=int, default=6, help="items of the runs with a bad write")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    told = parser.parse_args()
    print(f"flowpool {flowpool.__version__}, {date.today()}, seed {told.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="flowpool-soak-") as folder:
        if told.kills:
            kill(Path(folder), told.seed, told.kills)
    # What follows plays its own disk, and needn't wait for a real one.
    with tempfile.TemporaryDirectory(prefix="flowpool-soak-", dir=fast_folder()) as folder:
        if told.power:
            lose_power(Path(folder), told.seed, told.power)
        if told.writes:
            fail_writes(Path(folder), told.writes)
        if told.seeds:
            play_seeds(Path(folder), told.seed, told.seeds)


def kill(folder: Path, seed: int, count: int) -> None:
    started = time.monotonic()

    def tell(so_far: Sequence[kills.Kill]) -> None:
        print(f"\r  {len(so_far):,} kills", end="", file=sys.stderr, flush=True)

    found = kills.soak(count, seed, folder, tell=tell)
    repeats = [one.repeats for one in found]
    in_flight = max(one.in_flight for one in found)
    answered = max(one.answered for one in found)
    print(
        f"\r{len(found):,} SIGKILLs ({time.monotonic() - started:,.0f} s): 0 items lost, each exactly once, "
        f"every store whole.\n  Calls paid again for a kill: {mean(repeats):.1f} on average, {max(repeats)} at "
        f"most; in flight were {in_flight} at most\n  (of {kills.FLOWS} that may be), answered but not yet "
        f"written {answered} at most.",
        flush=True,
    )


def lose_power(folder: Path, seed: int, count: int) -> None:
    looked_at = 0
    with Nursery(shim.build(folder)) as nursery:
        for number in range(count):
            place = folder / f"power-{number}"
            place.mkdir()
            looked_at += writes.lose_power(
                nursery, place, seed + number, steps=1 + 2 * (number % 2), most=300
            )
    print(
        f"Power lost in {count} runs, {looked_at:,} possible disks: 0 acknowledged answers lost.",
        flush=True,
    )


def fail_writes(folder: Path, count: int) -> None:
    ends: Counter[str] = Counter()
    with Nursery(shim.build(folder)) as nursery:
        for steps in (1, 3):
            found = writes.fail_each_write(nursery, folder, count=count, steps=steps)
            ends.update("done" if how == "done" else "stopped" for how in found)
    print(
        f"{ends.total():,} runs with a failing write ({ends['stopped']:,} stopped with an error, the others got "
        "through): 0 acknowledged answers lost, each run went on afterwards.",
        flush=True,
    )


def play_seeds(folder: Path, first: int, count: int) -> None:
    started = time.monotonic()
    with ProcessPoolExecutor(2) as processes:
        play = partial(seeds.play, folder=folder)
        for number, _ in enumerate(processes.map(play, range(first, first + count), chunksize=20)):
            if number % 100 == 0:
                print(f"\r  {number:,} seeds", end="", file=sys.stderr, flush=True)
    print(
        f"\r{count:,} seeds from {first} ({time.monotonic() - started:,.0f} s): every item exactly once, no slot "
        "leaked, no task left, never above the ceiling.",
        flush=True,
    )


def fast_folder() -> str | None:
    """Where virtual time need not wait for a real disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    main()
