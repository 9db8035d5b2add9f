"""Plays lanes against the simulator's limits, event by event: minutes of calls in a fraction of a second.

No loop and no sockets: what an engine awaits is here a heap of moments. The parts that decide (Lane, Limiter,
Window, Breaker, Member) are the real ones.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from bench.rates.exact.case import Case
from flowpool.calls.retry import RetryBudget, RetryPolicy
from flowpool.errors import CallError, RateLimited, ServerError, Verdict
from flowpool.limits.breaker import Breaker
from flowpool.limits.lane import Admitted, Lane
from flowpool.limits.lanes import AUTO_CEILING, AUTO_START
from flowpool.limits.limiter import Limiter
from flowpool.limits.window import AdaptiveWindow, FixedWindow
from flowpool.sharing import Sharing
from flowpool.sharing.run_shares import TICK, SharedLimit
from flowpool.simulator.limits import ProviderLimit, Refusal
from flowpool.simulator.limits import ProviderLimits as Meters
from flowpool.values import LimitReading, Usage

TRANSIT = 0.002  # seconds to the provider, on average and exponentially spread
TIMER = 0.001  # seconds: a loop's timers have no finer steps
BODY = 180  # bytes of a request beside its text, at four a token
DIMENSIONS = {"input-tokens": "input", "output-tokens": "output"}
FIRST = -1.0  # the rank of what was begun before


class Item(Struct):
    """One item's call. `sent`: how often it was."""

    input: int
    output: int
    began: float = -1.0
    sent: int = 0
    failures: int = 0


class Outcome(Struct):
    """What a run saw. Counts by second since the start: units by dimension, answers of 429, answers."""

    seconds: float
    taken: dict[str, list[float]]
    refused: list[int]
    answers: list[int]
    sent: int = 0
    done: int = 0
    lost: int = 0
    in_trouble: int = 0  # calls sent while nobody was answered
    admitted: list[list[int]] = []  # for each process, calls by second
    latency: list[float] = []  # the sum by second of answering
    allowed: list[float] = []  # for each span, in the dimension that binds
    used: list[float] = []  # for each span, the part of it
    flights: int = 0
    ended: float = 0.0

    @property
    def part_refused(self) -> float:
        return sum(self.refused) / max(1, self.sent)


class Provider:
    """Limits, slots and troubles of one simulated provider, with the headers that it sends."""

    def __init__(self, case: Case, random: Random, start: float) -> None:
        self.case = case
        self.profile = case.profile
        self.random = random
        self.start = start
        self.meters = Meters(case.profile, start)
        self.first = [(m.bucket.rate, m.bucket.capacity) for m in self.meters.meters]
        self.free = case.profile.slots or 0
        self.queue: deque[tuple[float, Any]] = deque()

    def change(self, now: float, factor: float) -> None:
        """Limits that are `factor` times the first ones; what the buckets hold stays, as far as it fits."""
        for meter in self.meters.meters:
            for bucket in filter(None, (meter.bucket, meter.hidden)):
                bucket.refill(now)
        scaled = self.profile.replace(
            **{
                name: value * factor
                for name in ("rpm", "tpm", "input_tpm", "output_tpm")
                if (value := getattr(self.case.profile, name)) is not None
            }
        )
        for meter, new in zip(self.meters.meters, Meters(scaled, now).meters, strict=True):
            new.bucket.level = min(new.bucket.capacity, meter.bucket.level)
            meter.bucket, meter.limit = new.bucket, new.limit
            if meter.hidden is not None and new.hidden is not None:
                new.hidden.level = min(new.hidden.capacity, meter.hidden.level)
                meter.hidden = new.hidden

    def trouble(self, now: float) -> int:
        """The status of the error that a call meets now, or 0."""
        passed = now - self.start
        for trouble in self.case.troubles:
            if trouble.start <= passed < trouble.end and self.random.random() < trouble.share:
                return trouble.status
        return 0

    def is_dead(self, now: float) -> bool:
        passed = now - self.start
        return any(t.share == 1.0 and t.start <= passed < t.end for t in self.case.troubles)

    def readings(self, received: float) -> list[tuple[ProviderLimit, float, float]]:
        return [(meter, *meter.state()[2:]) for meter in self.meters.meters]

    def tell(
        self, states: list[tuple[ProviderLimit, float, float]], received: float, now: float
    ) -> tuple[LimitReading, ...]:
        """What the headers say, as the wire's reader hands it on."""
        flavour = self.profile.headers
        if flavour == "openai":
            return tuple(
                LimitReading(m.dimension, m.limit, left, round(reset, 3))
                for m, left, reset in states
            )
        if flavour == "anthropic":
            return tuple(
                LimitReading(
                    DIMENSIONS.get(m.dimension, m.dimension),
                    m.limit,
                    left if m.dimension == "requests" else round(left, -3),
                    max(0.0, math.ceil(received + reset) - math.floor(now)),
                    True,
                )
                for m, left, reset in states
            )
        if flavour == "mistral":
            return tuple(LimitReading(m.dimension, m.limit, left) for m, left, _ in states)
        return ()

    def retry_after(self, refusal: Refusal) -> float | None:
        flavour = self.profile.headers
        if flavour == "none" or refusal.wait == math.inf:
            return None
        if flavour == "anthropic":
            return float(math.ceil(refusal.wait))
        return math.ceil(refusal.wait * 1000) / 1000


class Client:
    """One run: a lane, and its member among the others'."""

    def __init__(
        self, case: Case, max_flows: int | None, place: Callable[[Limiter], SharedLimit] | None
    ):
        ceiling = max_flows or AUTO_CEILING
        window = FixedWindow(ceiling) if max_flows else AdaptiveWindow(AUTO_START, ceiling)
        self.limiter = Limiter(eager=max_flows is not None)
        self.lane: Lane[Item] = Lane("lab", window, self.limiter, Breaker())
        self.place = place(self.limiter) if place is not None else None
        self.budget = RetryBudget()
        self.wakes = 0
        self.admitted: list[int] = []


class Lab:
    """One run of a case with one seed. `max_flows` as a user may set it, None for nothing configured."""

    def __init__(self, case: Case, seed: int, max_flows: int | None = None) -> None:
        self.case = case
        self.random = random = Random(seed)
        self.now = self.start = 1000.0 + random.random() * 100.0
        self.provider = Provider(case, random, self.start)
        self.policy = RetryPolicy()
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.count = 0
        self.left = case.items if case.items is not None else math.inf
        seconds = math.ceil(case.seconds) + 1
        self.outcome = Outcome(
            case.seconds,
            {m.dimension: [0.0] * seconds for m in self.provider.meters.meters},
            [0] * seconds,
            [0] * seconds,
            latency=[0.0] * seconds,
        )
        self.clients = self._clients(max_flows)
        for client in self.clients:
            client.admitted = [0] * seconds
        self.outcome.admitted = [client.admitted for client in self.clients]

    def _clients(self, max_flows: int | None) -> list[Client]:
        if self.case.processes == 1:
            return [Client(self.case, max_flows, None)]
        sharing = Sharing(None)
        clients = []
        for _ in range(self.case.processes):
            client = Client(
                self.case, max_flows, lambda limiter: SharedLimit(limiter, "lab", sharing, self.now)
            )
            clients.append(client)
            self.at(self.now + TICK * self.random.random(), self.tick, client)
        return clients

    def run(self) -> Outcome:
        case, events = self.case, self.events
        for at, factor in case.changes:
            self.at(self.start + at, self.change, factor)
        for start, end in case.spans:
            self.at(self.start + start, self.open_span, start, end)
        for client in self.clients:
            self.pump(client)
        end = self.start + case.seconds
        while events and (case.items is None or self.outcome.done < case.items):
            when, _, event, arguments = heapq.heappop(events)
            if when > end:
                break
            self.now = when
            event(*arguments)
        self.outcome.ended = self.now - self.start
        self.outcome.flights = sum(client.lane.in_flight for client in self.clients)
        self.close_spans()
        return self.outcome

    def at(self, when: float, event: Callable[..., None], *arguments: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, event, arguments))

    def second(self) -> int:
        return int(self.now - self.start)

    # The client's side.

    def pump(self, client: Client) -> None:
        """Sends what may go now, and asks again when the lane says."""
        lane = client.lane
        while True:
            if not lane.queued:
                if self.left <= 0:
                    return
                self.left -= 1
                self.wait(client, self.draw(), 0.0)
            admitted = lane.admit(self.now, _never)
            if admitted is None:
                break
            if lane.broken is not None:
                self.outcome.lost += 1
                lane.leave(admitted[1], self.now)
                return
            self.send(client, *admitted)
        turn = lane.next_turn(self.now)
        if turn is not None:
            client.wakes += 1
            self.at(max(turn, self.now + TIMER), self.wake, client, client.wakes)

    def wake(self, client: Client, number: int) -> None:
        if number == client.wakes:
            self.pump(client)

    def tick(self, client: Client) -> None:
        assert client.place is not None
        client.place.publish(self.now)
        self.pump(client)
        self.at(self.now + TICK, self.tick, client)

    def draw(self) -> Item:
        work, random = self.case.work, self.random
        tokens = work.tokens * work.spread ** (2.0 * random.random() - 1.0)
        output = work.output * work.spread ** (2.0 * random.random() - 1.0)
        return Item(max(1, round(tokens)), max(1, round(output)))

    def wait(self, client: Client, item: Item, rank: float) -> None:
        cost = client.limiter.estimates.of("lab", 4 * item.input + BODY, self.case.work.max_tokens)
        client.lane.wait_for(item, rank, cost)

    def send(self, client: Client, item: Item, entered: Admitted) -> None:
        outcome = self.outcome
        outcome.sent += 1
        item.sent += 1
        if item.began < 0.0:
            item.began = self.now
        if self.provider.is_dead(self.now):
            outcome.in_trouble += 1
        self.at(
            self.now + self.random.expovariate(1.0 / TRANSIT), self.arrive, client, item, entered
        )

    # The provider's side.

    def arrive(self, client: Client, item: Item, entered: Admitted) -> None:
        provider, now = self.provider, self.now
        profile = provider.profile
        status = provider.trouble(now)
        if status:
            error = ServerError("the simulator shows an error", status=status)
            self.at(now + max(0.02, profile.error_latency), self.fail, client, item, entered, error,
                    (), now)  # fmt: skip
            return
        max_tokens = self.case.work.max_tokens
        refusal = provider.meters.admit(now, item.input, max_tokens)
        states = provider.readings(now)
        if refusal is not None:
            self.outcome.refused[self.second()] += 1
            refused = RateLimited("over the limit", status=429)
            refused.retry_after = provider.retry_after(refusal)
            self.at(now + 0.02, self.fail, client, item, entered, refused, states, now)
            return
        client.admitted[self.second()] += 1
        self.charge(item, max_tokens)
        if profile.slots is None:
            self.serve(client, item, entered, states, now)
        elif provider.free > 0:
            provider.free -= 1
            self.serve(client, item, entered, states, now)
        else:
            provider.queue.append((now, (client, item, entered, states, now)))

    def serve(self, client: Client, item: Item, entered: Admitted, states: Any, at: float) -> None:
        latency = self.provider.profile.latency.sample(self.random, item.output)
        self.at(self.now + latency, self.answer, client, item, entered, states, at)

    def charge(self, item: Item, max_tokens: int | None) -> None:
        meters, second = self.provider.meters, self.second()
        for meter in meters.meters:
            name = meter.dimension
            units = 1.0 if name == "requests" else float(item.input)
            if name == "output-tokens":
                units = 0.0
            elif name == "tokens" and meters.reserved:
                units = max(max_tokens or 0.0, units)
            self.outcome.taken[name][second] += units

    def answer(self, client: Client, item: Item, entered: Admitted, states: Any, at: float) -> None:
        provider, outcome, now = self.provider, self.outcome, self.now
        provider.meters.produced(now, item.output)
        if not provider.meters.reserved:
            for name in ("tokens", "output-tokens"):
                if name in outcome.taken:
                    outcome.taken[name][self.second()] += item.output
        if provider.profile.slots is not None:
            if provider.queue:
                self.serve(*provider.queue.popleft()[1])
            else:
                provider.free += 1
        outcome.done += 1
        outcome.answers[self.second()] += 1
        outcome.latency[self.second()] += now - entered.at
        self.answered(client, item, entered, states, at)

    def answered(
        self, client: Client, item: Item, entered: Admitted, states: Any, at: float
    ) -> None:
        provider, now = self.provider, self.now
        client.budget.answered()
        readings = provider.tell(states, at, now)
        client.lane.answered(entered, now, Usage(item.input, item.output), readings)
        self.pump(client)

    def fail(
        self,
        client: Client,
        item: Item,
        entered: Admitted,
        error: CallError,
        states: Any,
        at: float,
    ) -> None:
        lane, now = client.lane, self.now
        lane.failed(entered, error, now, self.provider.tell(states, at, now))
        if error.verdict is Verdict.OUTAGE:
            item.failures += lane.blames(item.failures + 1)
        self.retry(client, item, error)
        self.pump(client)

    def retry(self, client: Client, item: Item, error: CallError) -> None:
        if error.verdict is Verdict.THROTTLE:
            self.wait(client, item, FIRST)
            return
        wait = self.policy.wait(error, item.failures, self.now - item.began, self.random.random())
        if wait is None:
            self.outcome.lost += 1
            return
        self.at(self.now + wait, self.retry_now, client, item)

    def retry_now(self, client: Client, item: Item) -> None:
        if client.lane.rations_retries() and not client.budget.take(self.now):
            self.at(self.now + client.budget.ASK_AGAIN, self.retry_now, client, item)
            return
        self.wait(client, item, FIRST)
        self.pump(client)

    # The books.

    def change(self, factor: float) -> None:
        self.provider.change(self.now, factor)

    def open_span(self, start: float, end: float) -> None:
        """What may be taken in the span: what the buckets hold now, and the refill."""
        self.outcome.allowed.append(math.inf)
        self.outcome.used.append(0.0)
        index = len(self.outcome.used) - 1
        holds: dict[str, float] = {}
        rates: dict[str, float] = {}
        for meter in self.provider.meters.meters:
            levels = []
            for bucket in filter(None, (meter.bucket, meter.hidden)):
                bucket.refill(self.now)
                levels.append((bucket.level, bucket.rate))
            holds[meter.dimension], rates[meter.dimension] = min(levels)
        before = {name: sum(units) for name, units in self.outcome.taken.items()}
        self.at(self.start + end - 1e-6, self.close_span, index, end - start, holds, rates, before)

    def close_span(
        self,
        index: int,
        seconds: float,
        holds: dict[str, float],
        rates: dict[str, float],
        before: dict[str, float],
    ) -> None:
        for name, units in self.outcome.taken.items():
            allowed = max(0.0, holds[name]) + rates[name] * seconds
            used = (sum(units) - before[name]) / allowed
            if used > self.outcome.used[index]:
                self.outcome.used[index], self.outcome.allowed[index] = used, allowed

    def close_spans(self) -> None:
        """Where there is no limit, what was used is a matter of answers."""
        if self.case.measure == "slots":
            start, end = (int(moment) for moment in self.case.spans[-1])
            answers = sum(self.outcome.answers[start:end]) / (end - start)
            self.outcome.used = [answers / self.case.slots_give()]


class FixedLab(Lab):
    """The same work by so many flows that know nothing: what most programs do today.

    Each sends its next call when it has an answer. After a 429 it waits 0.5 s, then twice as long up to 8 s (a
    quarter less by chance) and at least as long as it is told, as good clients do; but it never gives up.
    """

    FIRST, LONGEST, JITTER = 0.5, 8.0, 0.25

    def __init__(self, case: Case, seed: int, flows: int) -> None:
        super().__init__(case, seed)
        for _ in range(flows):
            self.go_on(self.clients[0])

    def pump(self, client: Client) -> None:
        """Nothing waits for a turn."""

    def go_on(self, client: Client) -> None:
        if self.left > 0:
            self.left -= 1
            self.send(client, self.draw(), Admitted(client.lane, self.now, 0, None))

    def answered(
        self, client: Client, item: Item, entered: Admitted, states: Any, at: float
    ) -> None:
        self.go_on(client)

    def fail(
        self,
        client: Client,
        item: Item,
        entered: Admitted,
        error: CallError,
        states: Any,
        at: float,
    ) -> None:
        item.failures += 1
        backoff = min(self.LONGEST, self.FIRST * 2.0 ** min(item.failures - 1, 10))
        backoff *= 1.0 - self.JITTER * self.random.random()
        self.at(self.now + max(error.retry_after or 0.0, backoff), self.again, client, item)

    def again(self, client: Client, item: Item) -> None:
        self.send(client, item, Admitted(client.lane, self.now, 0, None))


def play(case: Case, seed: int, flows: int | None = None) -> Outcome:
    """One run of a case: by a pool with nothing configured, or by a fixed number of flows."""
    return (Lab(case, seed) if flows is None else FixedLab(case, seed, flows)).run()


def _never(item: Item) -> bool:
    return False
