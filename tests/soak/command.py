"""`flowpool map` over many rows, killed at random, run again with the same words: `python -m tests.soak.command`.

Prints what was asked by the simulator's own ledger; fails unless the output has each row once, in order.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from flowpool.simulator import Fixed, SimServer


def main() -> int:
    """Runs it; 0 when every row is there once, in order, and no kill cost more than the calls in flight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--max-flows", type=int, default=100)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, SimServer(latency=Fixed(0.2)) as sim:
        kills = _run(asked, Path(folder), sim)
        requests = sim.ledger()["requests"]
        with Path(folder, "out.csv").open(newline="") as file:
            rows = [(row["id"], row["output"]) for row in csv.DictReader(file)]
    whole = rows == [(str(i), f"Row {i}.") for i in range(asked.rows)]
    repeats = requests - asked.rows
    print(
        f"{asked.rows:,} rows, {kills} kills: {'each once, in order' if whole else 'NOT WHOLE'}; "
        f"{repeats:,} calls repeated, {repeats / max(1, kills):.1f} a kill of {asked.max_flows} in flight at most"
    )
    return 0 if whole and repeats <= kills * 2 * asked.max_flows else 1


def _run(asked: argparse.Namespace, folder: Path, sim: SimServer) -> int:
    """Starts and kills it so many times, and lets it end; how many kills came before its end."""
    text = "id,text\n" + "".join(f"{i},Row {i}.\n" for i in range(asked.rows))
    Path(folder, "rows.csv").write_text(text)
    words = [sys.executable, "-m", "flowpool.cli", "map", "Repeat this:\n\n{text}", "--quiet"]
    words += ["-m", "gpt-5-mini", "-i", "rows.csv", "-o", "out.csv"]
    words += ["--max-flows", str(asked.max_flows)]
    env = os.environ | {"OPENAI_BASE_URL": f"{sim.url}/v1", "OPENAI_API_KEY": "none"}
    chance, kills = random.Random(asked.seed), 0
    while True:
        process = subprocess.Popen(words, cwd=folder, env=env)
        try:
            process.wait(chance.uniform(0.5, 5) if kills < asked.kills else None)
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1


if __name__ == "__main__":
    sys.exit(main())
