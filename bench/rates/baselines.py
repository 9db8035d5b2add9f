"""Two loops to be compared with: one that knows nothing, and a window that halves and doubles.

Both keep a call's place while it waits to ask again, as a worker that sleeps in its retry loop does.
"""

from __future__ import annotations

from random import Random

from bench.rates.policy import Cost, Policy, Refusal
from flowpool.values import LimitReading, Usage

FLOWS = 100
TRIES = 12
# Seconds of backoff, at most so much after the first refusal and ever. With 8 s, as OpenAI's and Anthropic's
# clients have it, the plain loop does as measured on real sockets; with 60 s it takes twice as long.
FIRST, LONGEST = 0.5, 8.0
OBEYS = 60.0  # seconds: a longer Retry-After isn't believed by those clients


class PlainLoop:
    """100 at once, 12 tries, full jitter from 0.5 s to 8 s; neither headers nor Retry-After are read."""

    def __init__(self, random: Random, flows: int = FLOWS) -> None:
        self.random = random
        self.flows = flows
        self.busy = 0

    def try_send(self, now: float, cost: Cost, attempt: int) -> object | None:
        if attempt == 0:
            if self.busy >= self.flows:
                return None
            self.busy += 1
        return True

    def next_turn(self, now: float) -> float | None:
        return None

    def answered(
        self, token: object, now: float, usage: Usage, readings: tuple[LimitReading, ...]
    ) -> None:
        self.busy -= 1

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        if attempt + 1 >= TRIES:
            self.busy -= 1
            return None
        return self.random.random() * min(LONGEST, FIRST * 2.0**attempt)


class AimdWindow:
    """A window from 20: doubled after each round without a refusal until the first one, then times 0.8 an episode
    and one more a clean round, at most 100. Calls wait as the plain loop's, or as Retry-After says, to a minute."""

    START, CEILING, CUT = 20, FLOWS, 0.8
    COOLDOWN = 15.0  # seconds after a cut in which none follows

    def __init__(self, random: Random) -> None:
        self.random = random
        self.window = float(self.START)
        self.busy = 0
        self.clean = 0  # answers since the window changed
        self.slow_start = True
        self.cut_at = -self.COOLDOWN

    def try_send(self, now: float, cost: Cost, attempt: int) -> object | None:
        if attempt == 0:
            if self.busy >= int(self.window):
                return None
            self.busy += 1
        return True

    def next_turn(self, now: float) -> float | None:
        return None

    def answered(
        self, token: object, now: float, usage: Usage, readings: tuple[LimitReading, ...]
    ) -> None:
        self.busy -= 1
        self.clean += 1
        if self.clean >= self.window:
            self.clean = 0
            grown = self.window * 2.0 if self.slow_start else self.window + 1.0
            self.window = min(float(self.CEILING), grown)

    def refused(self, token: object, now: float, refusal: Refusal, attempt: int) -> float | None:
        if refusal.kind == "limit":
            self.slow_start, self.clean = False, 0
            if now - self.cut_at >= self.COOLDOWN:
                self.cut_at = now
                self.window = max(1.0, self.window * self.CUT)
        if attempt + 1 >= TRIES:
            self.busy -= 1
            return None
        wait = self.random.random() * min(LONGEST, FIRST * 2.0**attempt)
        told = refusal.retry_after
        return max(wait, told) if told is not None and told <= OBEYS else wait


class Plain:
    """Starts plain loops."""

    name = "plain"

    def start(self, clients: int, random: Random, memory: object | None) -> list[Policy]:
        return [PlainLoop(random) for _ in range(clients)]

    def memory(self, policies: list[Policy], now: float) -> object | None:
        return None


class Aimd:
    """Starts AIMD windows."""

    name = "aimd"

    def start(self, clients: int, random: Random, memory: object | None) -> list[Policy]:
        return [AimdWindow(random) for _ in range(clients)]

    def memory(self, policies: list[Policy], now: float) -> object | None:
        return None
