"""Mutates policies and asks their own tests: `python -m tools.mutate [MODULE ...] [--sample N] [--seed S]`.

A mutant is the module with one small mistake: a comparison that is off at its edge, a number that is one more,
+ for -, `and` for `or`, a lost `not`, `return None`, min for max, a statement left out. One that the module's
tests don't notice survives, and is shown. `policies.toml` names the policies, the share of mutants that each
one's tests must kill, and those mutants that nobody could notice. Ends with 1 where a policy misses it.

MODULE: such as calls/retry. [all policies] --sample: mutants of each module, drawn by --seed; 0 is every one. [20]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tools.house.tree import REPOSITORY
from tools.mutate.trial import (
    PATIENCE,
    PATIENCE_SECONDS,
    Score,
    bench,
    diff,
    load,
    mutants,
    own_tests,
)

# The tests' own time on the slowest machine.
UNMUTATED_SECONDS = 600.0


def try_module(
    module: str,
    tests: list[str],
    sample: int,
    random: Random,
    say: Callable[[str], None],
    root: Path = REPOSITORY,
) -> Score:
    """How a module's tests do against a sample of its mutants; 0 is all of them. say: is given each survivor."""
    score = Score(module)
    with bench(module, tests, root) as copy:
        began = time.monotonic()
        if not copy.passes(copy.source, UNMUTATED_SECONDS):
            raise SystemExit(f"{module}: {' '.join(tests)} fail as it is")
        timeout = PATIENCE * (time.monotonic() - began) + PATIENCE_SECONDS
        chosen = mutants(module, copy.source, load())
        if 0 < sample < len(chosen):
            chosen = sorted(random.sample(chosen, sample))
        for mutation in chosen:
            score.tried += 1
            if copy.passes(mutation.applied(copy.source), timeout):
                score.survivors.append(diff(module, copy.source, mutation))
                say(score.survivors[-1])
            else:
                score.killed += 1
    return score


def main(arguments: list[str]) -> int:
    table = load()
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as calls/retry")
    parser.add_argument("--sample", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=None, metavar="S", help="[drawn anew]")
    chosen = parser.parse_args(arguments)
    seed = Random().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}")
    missed = False
    for module in chosen.modules or table.policies:
        tests = own_tests(module, table.policies.get(module, ()))
        score = try_module(module, tests, chosen.sample, Random(f"{seed} {module}"), print)
        print(f"{module}: {score.killed} of {score.tried} killed ({score.share:.0%})", flush=True)
        missed = missed or score.share < table.target
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
