"""SIGKILLs at random moments: a child runs a pool with a store against a real server, and is killed many times.

Checked after each kill: the store is whole; whatever came out of the stream is in it; and no call that it holds is
ever made again. At the end: each item is there exactly once. All by the provider's own books.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.soak.nursery import Child, Nursery
from tests.soak.work import output_of, prompts_of, texts

from flowpool.simulator import Lognormal, SimServer
from flowpool.simulator.ledger import digest_of

FLOWS = 16
COUNT = 240
MEDIAN = 0.02  # seconds that a call takes


class Kill(msgspec.Struct):
    """What one kill cost: calls in flight, and answers that weren't written yet. Both will be paid again."""

    in_flight: int
    answered: int
    acknowledged: int

    @property
    def repeats(self) -> int:
        return self.in_flight + self.answered


class Wrong(AssertionError):
    """A promise that didn't hold."""


class Campaign:
    """One run, from its start over many kills to its end."""

    def __init__(self, nursery: Nursery, server: SimServer, store: Path, seed: int) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.steps = self.random.choice((1, 3))
        self.store = store
        self.kills: list[Kill] = []
        self._nursery = nursery
        self._server = server
        self._job = {
            "url": server.url,
            "store": str(store),
            "prefix": f"s{seed}",
            "count": COUNT,
            "steps": self.steps,
            "flows": FLOWS,
        }
        self._texts = texts(f"s{seed}", COUNT)
        self._acknowledged: set[int] = set()
        self._calls = {
            digest_of(prompt): (text, step)
            for text in self._texts
            for step, prompt in enumerate(prompts_of(text, self.steps))
        }
        self._asked: dict[str, int] = dict.fromkeys(self._calls, 0)
        self._answered: dict[str, int] = dict.fromkeys(self._calls, 0)
        self._held: set[str] = set()  # calls that the store holds

    def play(self) -> None:
        """Kills until the run gets through; raises `Wrong` with the seed for what isn't as promised."""
        try:
            while True:
                child = self._nursery.spawn("tests.soak.work", "work", self._job)
                child.read(self.random.uniform(0.0, 0.7))
                if child.ended:
                    return self._check_end(child)
                child.kill()
                self._check_kill(child)
        except AssertionError as error:
            raise Wrong(f"seed {self.seed}, after {len(self.kills)} kills: {error}") from error

    def _check_kill(self, child: Child) -> None:
        said = [msgspec.json.decode(line) for line in child.lines]
        assert not any("crash" in line for line in said), said[-1]
        if any("end" in line for line in said):  # it was through, and killed at its last breath
            return
        time.sleep(0.02)  # what it had sent arrives
        before_asked, before_answered = self._asked, self._answered
        self._look_at_books()
        done = self._read_store()
        for line in said:
            assert line["output"] in done, f"acknowledged and lost: {line}"
            self._acknowledged.add(line["index"])
        new = [d for d in self._calls if self._asked[d] > before_asked[d] and d not in self._held]
        answered = sum(self._answered[d] > before_answered[d] for d in new)
        self.kills.append(Kill(len(new) - answered, answered, len(said)))
        assert len(new) - answered <= FLOWS, f"{len(new) - answered} calls were in flight"

    def _check_end(self, child: Child) -> None:
        said = [msgspec.json.decode(line) for line in child.lines]
        assert said[-1:] == [{"end": True}], said[-1:]
        expected = [output_of(text, self.steps) for text in self._texts]
        ended = sorted(said[:-1], key=lambda line: line["index"])
        assert [line["output"] for line in ended] == expected, "an item is lost or there twice"
        self._look_at_books()
        done = self._read_store()
        assert sorted(done) == sorted(expected), "the store doesn't hold each item once"
        assert all(self._answered.values()), "an item came out that was never answered"

    def _look_at_books(self) -> None:
        """What was asked and answered by now; nothing that the store held may be among it anew."""
        before, books = self._asked, self._server.ledger()
        self._asked = {digest: books["requested"].get(digest, 0) for digest in self._calls}
        self._answered = {digest: books["answered"].get(digest, 0) for digest in self._calls}
        for digest in self._held:
            again = self._asked[digest] - before[digest]
            assert not again, f"a call that the store held was made again: {self._calls[digest]}"

    def _read_store(self) -> list[str]:
        """The outputs that it has; `_held` is then what it holds of the calls."""
        outputs, held = read_store(self.store)
        for text, step in list(held):
            held |= {(text, earlier) for earlier in range(step)}
        finished = {output.partition(" ")[2] for output in outputs}
        self._held = {
            digest
            for digest, (text, step) in self._calls.items()
            if text in finished or (text, step) in held
        }
        return outputs


def read_store(path: Path) -> tuple[list[str], set[tuple[str, int]]]:
    """The outputs of finished items, and the steps (text, number) that are answered; raises if it isn't whole."""
    if not path.exists():
        return [], set()
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "results" not in tables:  # killed before its tables were made
            return [], set()
        items = [item for (item,) in db.execute("SELECT item FROM results WHERE status = 2")]
        assert len(items) == len(set(items))
        outputs = list(_texts(db, "SELECT output FROM results WHERE status = 2"))
        answers = list(_texts(db, "SELECT output FROM steps"))
    finally:
        db.close()
    numbers = {"one": 0, "two": 1, "three": 2}
    words = (answer.partition(" ") for answer in answers)
    return outputs, {(text, numbers[number]) for number, _, text in words}


def _texts(db: sqlite3.Connection, query: str) -> Iterator[str]:
    for (text,) in db.execute(query):
        yield msgspec.json.decode(text)


def soak(kills: int, seed: int, folder: Path, at_once: int = 2, tell: Any = None) -> list[Kill]:
    """Plays campaigns, some at once, until there were so many kills; gives what each cost."""
    found: list[Kill] = []
    seeds = iter(range(seed, seed + 1_000_000))

    def one() -> None:
        while len(found) < kills:
            mine = next(seeds)
            campaign = Campaign(nursery, server, folder / f"{mine}.db", mine)
            campaign.play()
            found.extend(campaign.kills)
            for path in folder.glob(f"{mine}.db*"):
                path.unlink()
            if tell is not None:
                tell(found)

    latency = Lognormal(MEDIAN, 0.5)
    with (
        SimServer("free", latency=latency) as server,
        Nursery() as nursery,
        ThreadPoolExecutor() as threads,
    ):
        for running in [threads.submit(one) for _ in range(at_once)]:
            running.result()
    return found
