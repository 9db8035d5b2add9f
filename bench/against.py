"""`python -m bench against TREE [ROUNDS]`: what this tree's work costs an item, against another checkout's.

Both are loaded into one process and run in turn, so that a noisy moment meets both, and what differs between two
processes neither. The figure is the median of the differences of each pair of runs, in CPU of the process.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.clients import PROMPT, TEXT
from bench.common import SERVER_CPU, Row, child
from flowpool.simulator import Fixed, SimServer

COUNT, FLOWS = 2_000, 64
PACKAGE = "flowpool"
# Microseconds of an item that a change may add to it, without a store and with one.
BARS = {"": 3.0, "store": 6.0}


def against(tree: str, rounds: str = "30") -> list[Row]:
    """A row without a store, and one with a store. tree: a checkout, such as `git worktree add` makes."""
    if not Path(tree, "src", PACKAGE).is_dir():
        sys.exit(
            f"{tree!r} is no checkout of {PACKAGE}: make one with git worktree add FOLDER COMMIT"
        )
    rows = []
    with SimServer("free", cpu=SERVER_CPU, latency=Fixed(0.0), answer_chars=200) as server:
        for mode, bar in BARS.items():
            figures = child(server.url, tree, mode, rounds, module="bench.against")
            more, before = figures["more"], figures["before"]
            rows.append(
                Row(
                    f"CPU an item more than there{', with a store' if mode else ''}",
                    f"{more:+.1f} us",
                    f"there: {before:.0f} us",
                    f"{1 + more / before:.3f}",
                    f"{bar:+.0f} us",
                    more <= bar,
                )
            )
    return rows


# The work, in a process of its own.


def _loaded() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE}


def _swap(modules: dict[str, ModuleType]) -> None:
    for name in _loaded():
        del sys.modules[name]
    sys.modules.update(modules)


class _Tree:
    """A checkout's package, loaded beside others of its name."""

    def __init__(self, tree: Path, url: str, mode: str) -> None:
        _swap({})
        sys.path.insert(0, str(tree / "src"))
        import flowpool

        assert Path(flowpool.__file__).is_relative_to(tree), flowpool.__file__
        model = flowpool.Model("bench", base_url=f"{url}/v1", api_key="bench-key")
        self._skill = flowpool.Skill(model, prompt=PROMPT + "{text}")
        self._pool: Callable[..., Any] = flowpool.Pool
        self._mode = mode
        for _ in range(2):
            self._run()  # imports what is imported late
        self._modules = _loaded()
        sys.path.pop(0)

    def cpu(self) -> float:
        """Microseconds of CPU an item."""
        _swap(self._modules)
        gc.collect()
        return self._run()

    def _run(self) -> float:
        items = [{"text": f"{number} {TEXT}"} for number in range(COUNT)]
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder, "run.db") if self._mode else None
            pool = self._pool(self._skill, items, max_flows=FLOWS, progress=False, store=store)
            began = time.process_time()
            results = pool.run()
            took = time.process_time() - began
        assert not results.failed, results.failed[0].error
        return took / COUNT * 1e6


def main(url: str, tree: str, mode: str, rounds: str) -> None:
    here = _Tree(Path(__file__).parents[1].resolve(), url, mode)
    there = _Tree(Path(tree).resolve(), url, mode)
    gc.collect()
    gc.freeze()
    pairs = []
    for number in range(int(rounds)):
        if number % 2:
            mine, theirs = here.cpu(), there.cpu()
        else:
            theirs, mine = there.cpu(), here.cpu()
        pairs.append((theirs, mine))
    more = statistics.median(mine - theirs for theirs, mine in pairs)
    before = statistics.median(theirs for theirs, _ in pairs)
    print(json.dumps({"more": more, "before": before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
