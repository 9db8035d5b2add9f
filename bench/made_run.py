"""A store of a run that never was, as large as is wanted: with waits, refusals, failures, samples and changes."""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from random import Random

import msgspec

from flowpool.errors import AttemptTimeout, BadRequest, InvalidOutput, RateLimited
from flowpool.record import CallCost, Record
from flowpool.run.sample import Bottleneck, LaneSample, Sample
from flowpool.store.file import open_store
from flowpool.store.rows import AttemptRow, Batch, EventRow, ItemRow, ResultRow
from flowpool.values import Attempt, Prices, Status, Timing, Usage

MODEL = "openai/gpt-5-mini"
PRICES = Prices(input=0.25, output=2.0, cached_input=0.025)
WORDS = Path(__file__).parents[1].joinpath("LICENSE").read_text(encoding="utf-8").split()
# A moment of a day in 2026.
BEGAN = 1_790_000_000.0
DEFINITION = {"model": "gpt-5-mini", "prompt": ["Sort this ticket: {ticket}"]}
_BATCH = 5_000
# Slots that are left when somebody sets max_flows.
FEWER = 20
LEARNING = Bottleneck("learning", f"finding the limit of {MODEL}", "", MODEL)
LIMITED = Bottleneck(
    "requests",
    f"limited by requests of {MODEL} (2,500 a minute, learned)",
    "a second key would halve the time",
    MODEL,
)
HELD = Bottleneck(
    "max_flows",
    f"your max_flows of {FEWER} is full",
    "raise it: flowpool set run.db --max-flows 48",
    MODEL,
)


class MadeRun:
    """A run's slots, clock and chance; `write` puts the run into a store."""

    def __init__(
        self,
        count: int,
        *,
        slots: int = 48,
        failing: float = 0.01,
        refused: float = 0.03,
        seed: int = 7,
    ) -> None:
        self.count = count
        self.slots = slots
        self.failing = failing
        self.refused = refused
        self.chance = Random(seed)
        self._free = [(0.0, slot) for slot in range(slots)]
        self._ends: list[tuple[float, bool]] = []
        self._refusals: list[float] = []
        self.cost = 0.0
        self.changes: list[tuple[float, int, int]] = []  # when, from how many slots to how many
        self._idle: list[int] = []

    def write(self, path: Path, name: str = "tickets", *, upset: float = 0.0) -> None:
        """The run, written. upset: the part of answers that another run of the same items has otherwise."""
        with open_store(path) as store:
            values = {
                "definition": json.dumps(DEFINITION),
                "source": None,
                "obstacle": None,
                "settings": json.dumps(
                    {"variables": {}, "outputs": [], "max_flows": None, "retries": 5}
                ),
                "steps": "",
            }
            info = store.begin_run(name, name.encode().ljust(16, b"-")[:16], values, BEGAN)
            for at in range(0, self.count, _BATCH):
                batch = Batch()
                for index in range(at, min(self.count, at + _BATCH)):
                    self._add(batch, store.new_item(), index, upset)
                store.write(info.id, batch)
            store.write(info.id, Batch(events=self._events()))
            store.complete_run(info.id)

    def _add(self, batch: Batch, item: int, index: int, upset: float) -> None:
        chance, own = self.chance, Random(index)
        ticket = " ".join(own.choices(WORDS, k=own.randrange(12, 60)))
        variables = {"ticket": ticket, "customer": f"c{own.randrange(10_000):05}"}
        batch.items.append(ItemRow(item, index.to_bytes(16, "big"), msgspec.json.encode(variables)))
        self._change_slots(index)
        free, slot = heapq.heappop(self._free)
        attempts = self._attempts(free)
        batch.attempts += [AttemptRow(item, attempt) for attempt in attempts]
        end = attempts[-1].started + attempts[-1].seconds
        heapq.heappush(self._free, (end, slot))
        error = self._error(index) if attempts[-1].error else None
        usage = attempts[-1].usage
        moved = chance.random() < upset
        answer = {"team": own.choice(("billing", "network", "account"))}
        answer["urgency"] = own.choice(("low", "high")) if not moved else "medium"
        record = Record(
            index,
            variables,
            Status.FAILED if error else Status.DONE,
            None if error else answer,
            error,
            free,
            end - free,
            len(attempts),
            usage,
            MODEL,
            bills=(CallCost(MODEL, usage, PRICES),),
        )
        self.cost += record.cost or 0.0
        self._ends.append((end, error is None))
        output = None if error else msgspec.json.encode(answer)
        batch.results.append(ResultRow(item, record, output))
        for rows in (batch.attempts, batch.results):
            assert rows
        batch.epoch = BEGAN

    def _change_slots(self, index: int) -> None:
        """Somebody takes slots away for a while."""
        now = self._free[0][0]
        if index == int(0.7 * self.count):
            self._idle = [slot for _, slot in self._free if slot >= FEWER]
            self._free = [(free, slot) for free, slot in self._free if slot < FEWER]
            heapq.heapify(self._free)
            self.changes.append((now, len(self._free) + len(self._idle), len(self._free)))
        elif index == int(0.82 * self.count) and self._idle:
            self.changes.append((now, len(self._free), len(self._free) + len(self._idle)))
            for slot in self._idle:
                heapq.heappush(self._free, (now, slot))
            self._idle = []

    def _window(self, at: float) -> int:
        return next((after for when, _, after in reversed(self.changes) if when <= at), self.slots)

    def _attempts(self, start: float) -> list[Attempt]:
        chance, made, backoff = self.chance, [], 0.0
        while True:
            start += backoff
            limit = chance.expovariate(1 / 0.12) if chance.random() < 0.5 else 0.0
            start += limit
            kind = chance.random()
            status: int | None = 429 if kind < self.refused else 200
            error = "RateLimited" if status == 429 else None
            if not error and chance.random() < self.failing:
                status, error = chance.choice(
                    ((400, "BadRequest"), (None, "AttemptTimeout"), (200, "InvalidOutput"))
                )
            seconds = 0.05 if status == 429 else chance.lognormvariate(0.1, 0.5)
            connect = 0.03 if chance.random() < 0.02 else 0.0
            first = 0.0 if status is None else 0.45 * seconds
            sent = chance.randrange(60, 300)
            usage = Usage() if error else Usage(sent, chance.randrange(8, 40), sent // 2)
            made.append(
                Attempt(
                    "1.result", MODEL, start, seconds, status, error, usage, f"req_{chance.getrandbits(64):016x}",
                    PRICES, timing=Timing(chance.random() * 0.02, limit, 0.0, backoff, connect, first),
                )
            )  # fmt: skip
            if status != 429:
                return made
            self._refusals.append(start)
            start += seconds
            backoff = chance.uniform(0.5, 2.0)

    def _error(self, index: int) -> Exception:
        kind = index % 4
        if kind == 0:
            return AttemptTimeout(f"no whole answer within 60 s (request {index})")
        if kind == 1:
            return BadRequest(
                f"messages.0: string too long. Expected at most 8192, got {9000 + index}",
                status=400,
            )
        if kind == 2:
            return RateLimited(
                f"Rate limit reached for requests: try again in {index % 7} s", status=429
            )
        return InvalidOutput(f"the answer's 'urgency' is 'tier {index}', not one of low, high")

    def _events(self) -> list[EventRow]:
        last = max((end for end, _ in self._ends), default=0.0)
        events = [EventRow(BEGAN, "begin", b"{}")]
        ends, refusals = sorted(self._ends), sorted(self._refusals)
        done = failed = refused = 0
        limit, steps = 1500.0, max(1.0, last / 400)
        for tick in range(1, int(last / steps) + 1):
            now = tick * steps
            before = done + failed
            while done + failed < len(ends) and ends[done + failed][0] <= now:
                is_done = ends[done + failed][1]
                done, failed = done + is_done, failed + (not is_done)
            seen = refused
            while refused < len(refusals) and refusals[refused] <= now:
                refused += 1
            rate = (done + failed - before) / steps
            limit = limit * 0.93 if refused - seen > 2 else min(limit * 1.12, 2700.0)
            lane = LaneSample(
                MODEL, "requests", min(self._window(now), self.count - done - failed), self._window(now),
                max(0, self.count - done - failed - self.slots), refused, 1.2, limit, rate * 60,
            )  # fmt: skip
            sample = Sample(
                BEGAN + now, now, self.count, done, failed, 0, self.slots, 0, rate, None,
                self.cost * (done + failed) / max(1, self.count), 200 * done, 0.4, 0.001, (lane,),
            )  # fmt: skip
            events.append(EventRow(BEGAN + now, "sample", msgspec.json.encode(sample)))
        for when, one in [(0.0, LEARNING), (0.08 * last, LIMITED), *self._holds()]:
            said = msgspec.structs.replace(one, since=BEGAN + when)
            events.append(EventRow(BEGAN + when, "bottleneck", msgspec.json.encode(said)))
        for when, before_, after in self.changes:
            change = {"what": "max_flows", "from": before_, "to": after}
            events.append(EventRow(BEGAN + when, "change", json.dumps(change).encode()))
        return [*events, EventRow(BEGAN + last, "end", b'{"reason": ""}')]

    def _holds(self) -> list[tuple[float, Bottleneck]]:
        return [(when, HELD if after < before else LIMITED) for when, before, after in self.changes]
