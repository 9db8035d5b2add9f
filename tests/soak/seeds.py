"""Whole lives of a run in virtual time: every fault of the simulator, cuts of every kind, and the same words again.

The same seed plays the same course. Checked after each life and at the end: each item once, what was finished stays
and is never asked for again, nothing held that should be given back, and no more spent than the ceiling.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.helpers import Recorder

from flowpool import Chain, Model, Pool, Skill, Spread, Status
from flowpool import prices as price_list
from flowpool.chain import as_runner
from flowpool.errors import FlowpoolError
from flowpool.plan import Plan
from flowpool.pool import Environment
from flowpool.simulator import (
    Fixed,
    Lognormal,
    Profile,
    SimTransport,
    SimulatedProvider,
    run_virtual,
)
from flowpool.simulator.profile import FAULTS

MODELS = ("gpt-5-mini", "gpt-5-nano", "gpt-4.1")
# Badly spelt JSON is repaired or asked for again elsewhere; here every answer is a text that its call is told by.
PLAYED = tuple(fault for fault in FAULTS if fault.isdecimal() or fault in (
    "quota", "reset", "cut", "stall", "slow", "empty", "not-json", "error-in-200", "truncate", "refuse", "filter",
))  # fmt: skip
_CALL = re.compile(rb"say=(out\d+ item \d+)")


class Course:
    """One seed's run, over its lives."""

    def __init__(self, seed: int, store: Path) -> None:
        self.seed = seed
        self.store = store
        self.random = random = Random(seed)
        faults = random.sample(PLAYED, random.randint(0, 6))
        profile = Profile(
            faults={name: random.choice((0.02, 0.1, 0.15)) for name in faults},
            latency=random.choice((Fixed(0.0), Fixed(0.3), Lognormal(0.3, 1.0))),
            error_latency=random.choice((0.0, 0.1)),
            slots=random.choice((None, None, 4)),
            rpm=random.choice((None, None, 600)),
            retry_after=random.choice((None, 0.3)),
        )
        self.provider = SimulatedProvider(profile, random.randrange(10**6))
        self.transport = Recorder(SimTransport(self.provider))
        self.count = random.randint(1, 20)
        self.runner_seed = random.random()
        self.ceiling = 10 ** random.uniform(-3.3, -1.5) if random.random() < 0.6 else None
        self.tokens = random.randint(1_000, 60_000) if random.random() < 0.2 else None
        self.done: dict[int, Any] = {}
        self.held: set[str] = set()
        self.asked_before: Counter[str] = Counter()

    def play(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self._live(self._life)
        self.provider.profile = self.provider.profile.replace(faults={}, rpm=None)
        self.ceiling = self.tokens = None
        self._live(self._last_life)

    def _live(self, life: Any) -> None:
        run_virtual(life())
        assert self.provider.ledger.in_flight == 0, "the provider is still asked"
        self._check_asked()
        self._read_store()

    def _pool(self, **told: Any) -> Pool:
        environment = Environment(self.transport, {}, Random(self.random.random()))
        runner = _Runners(Random(self.runner_seed)).runner()
        asks = any(isinstance(step.runner, Skill) for step in Plan(as_runner(runner)).steps())
        return Pool(
            runner,
            self._items(),
            store=self.store,
            name="soak",
            max_cost=self.ceiling if asks else None,
            max_tokens_total=self.tokens if asks else None,
            progress=False,
            environment=environment,
            **told,
        )

    def _items(self) -> Any:
        rows = [{"text": f"item {number}"} for number in range(self.count)]
        kind = self.random.choice(("list", "list", "generator", "async"))
        if kind == "list":
            return rows
        if kind == "generator":
            return iter(rows)

        async def later() -> Any:
            for row in rows:
                if self.random.random() < 0.3:
                    await asyncio.sleep(self.random.random())
                yield row

        return later()

    async def _life(self) -> None:
        random = self.random
        pool = self._pool(
            max_flows=random.choice((1, 2, 5, "auto")),
            on_error=random.choice(("collect", "collect", "stop", "raise")),
            retries=random.choice((0, 2, 5)),
            timeout=random.choice((2.0, 30.0)),
            deadline=random.choice((None, None, 3.0)),
        )
        if random.random() < 0.3:
            await self._stream(pool)
        else:
            runs = [pool.arun, pool.aretry, pool.aretry][: random.randint(1, 3)]
            for run in runs:
                await self._disturbed(pool, run())
                self._check(pool)
        await asyncio.sleep(10)  # an async source that was left in the middle of an item gives it

    async def _stream(self, pool: Pool) -> None:
        leave_after = self.random.choice((self.count // 2, self.count))
        stream = pool.astream(ordered=self.random.random() < 0.5)
        seen: set[int] = set()
        with suppress(FlowpoolError):
            async for record in stream:
                assert record.index not in seen, "an item came out twice"
                seen.add(record.index)
                self._finished(record)
                if record.index >= leave_after:
                    break
        await stream.aclose()  # type: ignore[attr-defined]
        self._check_nothing_leaked(pool)

    async def _disturbed(self, pool: Pool, run: Any) -> None:
        """A run that is stopped, cancelled, cut by its caller, or left alone."""
        running = asyncio.ensure_future(run)
        order = self.random.choice((None, None, pool.stop, pool.cancel, running.cancel))
        if order is not None:
            await asyncio.sleep(
                self.random.choice((0.0, self.random.random(), self.random.random() * 5))
            )
            order()
        with suppress(FlowpoolError, asyncio.CancelledError):
            await running

    async def _last_life(self) -> None:
        """Undisturbed, with a provider that is well: what is left is done."""
        pool = self._pool()
        await pool.arun()
        results = await pool.aretry()
        self._check(pool)
        assert [record.index for record in results.records] == [*range(self.count)], "items lost"
        assert pool.status[Status.DONE] == self.count, f"not all done: {results.errors[:1]}"

    def _check(self, pool: Pool) -> None:
        status, records = pool.status, pool.results.records
        assert status[Status.RUNNING] == 0, status
        indexes = [record.index for record in records]
        assert indexes == sorted(set(indexes)), "an item twice, or out of order"
        if isinstance(pool.items, list):
            assert sum(status.values()) == len(records) == self.count, status
        for record in records:
            assert (record.error is None) == (record.status is Status.DONE)
            self._finished(record)
        self._check_nothing_leaked(pool)

    def _finished(self, record: Any) -> None:
        if record.status is Status.DONE:
            known = self.done.setdefault(record.index, record.output)
            assert known == record.output, f"another output than before: {known!r}"

    def _check_nothing_leaked(self, pool: Pool) -> None:
        assert all(lane.in_flight == 0 for lane in pool.lanes), "a slot leaked"
        run = pool._session._run
        if run is not None and run.budget is not None:
            budget = run.budget
            assert (budget.in_flight, budget.reserved_cost, budget.reserved_tokens) == (0, 0, 0)
        worked = self.provider.ledger.worked
        if self.ceiling is not None:
            paid = sum(_cost(name, *tokens) for name, tokens in worked.items())
            assert paid <= self.ceiling + 1e-12, f"{paid} of {self.ceiling} dollars"
        if self.tokens is not None:
            assert sum(map(sum, worked.values())) <= self.tokens, "over the ceiling in tokens"

    def asked(self) -> Counter[str]:
        """How often each call was asked for."""
        found = (_CALL.search(request.body) for request in self.transport.requests)
        return Counter(call[1].decode() for call in found if call)

    def _check_asked(self) -> None:
        asked = self.asked()
        for call in self.held:
            again = asked[call] - self.asked_before[call]
            assert not again, f"{call!r} was finished and asked for again"
        self.asked_before = asked

    def _read_store(self) -> None:
        if not self.store.exists():
            return
        db = sqlite3.connect(self.store)
        try:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            stored = list(db.execute("SELECT output FROM steps"))
            ended = list(db.execute("SELECT output FROM results WHERE status = 2"))
        finally:
            db.close()
        assert len(ended) >= len(self.done), "an item that came out isn't in the store"
        for (output,) in stored + ended:
            value = msgspec.json.decode(output)
            for text in value.values() if isinstance(value, dict) else (value,):
                if isinstance(text, str):
                    self.held.add(text)


class _Runners:
    """Makes a runner, the same for the same chance."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tags = iter(range(100))

    def runner(self) -> Any:
        random = self.random
        if random.random() < 0.25:
            return self._skill()
        steps: list[Any] = []
        for number in range(random.randint(1, 3)):
            if random.random() < 0.25:
                steps.append([(self._step(), f"k{number}{side}") for side in range(2)])
            else:
                steps.append((self._step(), f"k{number}"))
        if random.random() < 0.2:
            steps[0] = (Chain(steps[:1]), "nested")
        return Chain(steps)

    def _step(self) -> Any:
        return _pause if self.random.random() < 0.15 else self._skill()

    def _skill(self) -> Skill:
        names = self.random.sample(MODELS, self.random.randint(1, 2))
        models = [
            Model(name, {"max_tokens": 100}, base_url="http://sim.test/v1", provider="openai")
            for name in names
        ]
        spread = len(models) > 1 and self.random.random() < 0.4
        prompt = f"[[sim: say=out{next(self.tags)} {{text}}]] Say it: {{text}}"
        return Skill(Spread(models) if spread else models, prompt=prompt)


async def _pause(text: str) -> str:
    await asyncio.sleep(0.2)
    return text


def _cost(model: str, sent: int, made: int) -> float:
    rates = price_list.rates("openai", model)
    assert rates is not None
    return rates.most(sent, made)


def play(seed: int, folder: Path) -> None:
    """Plays one seed; what it raises names it."""
    store = folder / f"{seed}.db"
    try:
        Course(seed, store).play()
    except BaseException as error:
        error.add_note(f"failing seed: {seed} (python -m tests.soak --seed {seed} --seeds 1)")
        raise
    finally:
        for path in _files(store):
            path.unlink()


def _files(store: Path) -> Iterator[Path]:
    return (path for path in store.parent.glob(store.name + "*") if path.is_file())
