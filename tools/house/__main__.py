"""Measures the house and says which bars it passes: `python -m tools.house [--check | --record] [-v]`.

    figure                                       now    bar
    modules of one warm item                      22     22  ok
    ...

Each figure, and how it is counted:

- *modules* and *moves of one warm item*, without a store and with one: the distinct modules whose functions run
  for one item in the middle of a run, and how often a call is in another module than the call before it. All
  threads; real sockets to a simulated provider; one item at a time; see `path.py`.
- *functions over 45 lines*: from the first statement of the body to the last, without the docstring.
- *functions of complexity over 14*: 1, and 1 for each if, loop, except, case, conditional expression, `for` of a
  comprehension, `and` and `or`: as radon counts, which is stricter than ruff's C901.
- *import circles*: groups of modules that import each other, counting imports inside functions and leaving out
  those for type checkers. Importing a module isn't counted as importing its package's `__init__`.
- *class names in two modules*: public classes at the top of modules.
- *`told` and `place`*: as words or parts of snake_case names, plurals too, in the whole text of the package's
  files, comments and docstrings included. In identifiers alone they are about two thirds of that.
- *the biggest folder*: the share of the package's lines, in percent, rounded.
- *files to read*: see `questions.py`.

On the tree of 24 November these ways of counting give 31 modules and 64 moves (41 and 90 with a store), 3 long
and 16 complex functions, 5 circles, 21 class names, 679 words, 23 %, and 10, 10, 9, 6 and 8 files.

--check ends with 1 where a figure is worse than the floor in `floor.toml`, or an answer names what isn't there:
so nothing slides back. --record lowers the floor to the figures that are better; only an edit of the file
raises it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from tools.house import shape
from tools.house.questions import load, read
from tools.house.tree import Tree

FLOOR = Path(__file__).with_name("floor.toml")


class Figure(NamedTuple):
    """One figure of the house: fewer is better. parts: what it counts, for who wants to mend it."""

    name: str
    now: int
    bar: int
    parts: tuple[str, ...] = ()


def figures(tree: Tree, *, trace: bool = True) -> list[Figure]:
    """All figures. trace: those of a warm item too, for which the pool is run."""
    found = _of_the_path(tree) if trace else []
    circles = [" <-> ".join(group) for group in shape.circles(tree.graph())]
    folders = shape.folders(tree)
    words = [f"{name}: {count}" for name, count in shape.words(tree).most_common()]
    sources = (
        ("functions over 45 lines", shape.long_functions(tree), 0),
        ("functions of complexity over 14", shape.complex_functions(tree), 3),
        ("import circles", circles, 1),
        ("class names in two modules", shape.shared_class_names(tree), 0),
    )
    found += [Figure(name, len(parts), bar, tuple(parts)) for name, parts, bar in sources]
    count = sum(shape.words(tree).values())
    found.append(Figure("`told` and `place`", count, 40, tuple(words)))
    shares = tuple(f"{name}: {share:.1%}" for name, share in folders.items())
    found.append(Figure("biggest folder, %", round(100 * max(folders.values())), 12, shares))
    return found


def _of_the_path(tree: Tree) -> list[Figure]:
    from tools.house import path

    ways = path.measure(tree.root)
    found = []
    for trace, store, most, moves in (
        (ways.plain, "", 22, 45),
        (ways.stored, ", with a store", 28, 60),
    ):
        way = trace.warm()
        parts = tuple(trace.module_names())
        found.append(Figure(f"modules of one warm item{store}", way.modules, most, parts))
        found.append(Figure(f"moves of one warm item{store}", way.moves, moves))
    return found


def answers(tree: Tree) -> tuple[list[Figure], list[str]]:
    """The files to read for each question, and what the answers name that isn't there."""
    questions = load()
    found = []
    missing: list[str] = []
    for question in questions.question:
        reading = read(tree, question, questions.onlookers)
        found.append(Figure(f"files: {question.ask}", len(reading.files), 3, reading.files))
        missing += reading.missing
    return found, missing


def table(found: list[Figure], *, parts: bool) -> str:
    """The figures as a page. parts: with what each counts."""
    width = max(len(figure.name) for figure in found)
    lines = [f"{'figure':{width}} {'now':>5} {'bar':>5}"]
    for figure in found:
        holds = "ok" if figure.now <= figure.bar else "over"
        lines.append(f"{figure.name:{width}} {figure.now:5} {figure.bar:5}  {holds}")
        if parts:
            lines += [f"    {part}" for part in figure.parts]
    return "\n".join(lines)


def worse(found: list[Figure], floor: dict[str, int]) -> list[str]:
    """What is above its floor, or has none."""
    return [
        f"{figure.name}: {figure.now}, and was {floor.get(figure.name, 'not recorded')}"
        for figure in found
        if figure.now > floor.get(figure.name, -1)
    ]


def lowered(found: list[Figure], floor: dict[str, int]) -> str:
    """The text of the floor that these figures allow: each where it is better, and as it was where it isn't."""
    lines = (f'"{name}" = {min(now, floor.get(name, now))}\n' for name, now, *_ in found)
    return "# `python -m tools.house --record` lowers these.\n" + "".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.house", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="end with 1 where it slid back")
    parser.add_argument("--record", action="store_true", help="make these figures the floor")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what each figure counts")
    chosen = parser.parse_args(arguments)
    os.environ["FLOWPOOL_SHARE"] = "off"  # share no limit with the user's own runs
    tree = Tree()
    found = figures(tree)
    of_questions, missing = answers(tree)
    found += of_questions
    print(table(found, parts=chosen.verbose))
    wrong = [f"questions.toml: there is no {entry}" for entry in missing]
    floor = tomllib.loads(FLOOR.read_text(encoding="utf-8"))
    if chosen.record:
        FLOOR.write_text(lowered(found, floor), encoding="utf-8")
    elif chosen.check:
        wrong += worse(found, floor)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
