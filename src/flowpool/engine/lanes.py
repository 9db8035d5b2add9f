"""The lanes of a run, and the waiting at them: what a lane decides without a loop is awaited here."""

from __future__ import annotations

import asyncio
import copy

from flowpool.chain import Step
from flowpool.engine.bucket import Cost, Quota, tightest
from flowpool.engine.lane import Lane
from flowpool.engine.settings import Settings
from flowpool.engine.window import AdaptiveWindow, FixedWindow, Window
from flowpool.errors import CallError
from flowpool.values import NO_USAGE, Limits, Usage

AUTO_START, AUTO_CEILING = 64, 1000
Ticket = asyncio.Future[None]
CallLane = Lane[Ticket]


class Lanes:
    """Every lane of a run, by what it stands for: an endpoint with its key and model, or a tool."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lanes: dict[object, CallLane] = {}
        self._loop = asyncio.get_running_loop()
        self._timers: dict[CallLane, asyncio.TimerHandle] = {}
        self._told: dict[object, tuple[int, Limits]] = {}

    def all(self) -> list[CallLane]:
        return list(self._lanes.values())

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def open(
        self, key: object, name: str, step: Step, limits: Limits | None, width: int | None
    ) -> CallLane:
        """The lane of `key`. Steps that share one keep to the tightest of what was told of it."""
        limits = limits or Limits()
        ceilings = [n for n in (limits.concurrent, step.max_flows) if n is not None]
        if width is None:
            ceilings.append(self._settings.max_flows or AUTO_CEILING)
        elif step.max_flows is None:
            ceilings.append(width)
        ceiling = min(ceilings)
        if key in self._told:
            known, known_limits = self._told[key]
            ceiling, limits = min(known, ceiling), tightest(known_limits, limits)
        self._told[key] = ceiling, limits
        window: Window = FixedWindow(ceiling)
        if width is None:
            window = AdaptiveWindow(self._settings.max_flows or AUTO_START, ceiling)
        quota = Quota(limits)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(name, window)
        lane.window, lane.quota = window, quota if quota else None
        return lane

    async def enter(self, lane: CallLane, rank: float, cost: Cost) -> None:
        """Waits for a turn in the lane; raises the lane's failure if it is broken."""
        if lane.broken is None:
            ticket: Ticket = self._loop.create_future()
            lane.wait_for(ticket, rank, cost)
            self._pump(lane)
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self.left(lane)  # its turn came in the same moment
                raise
            if lane.broken is None:
                return
            lane.leave()
        error = copy.copy(lane.broken)
        error.__dict__.pop("__notes__", None)  # those speak of another item
        raise error

    def _pump(self, lane: CallLane) -> None:
        """Tells those whose turn has come, and asks again when the lane says."""
        now = self._loop.time()
        for ticket in lane.admit(now, asyncio.Future.done):
            ticket.set_result(None)
        timer = self._timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        turn = lane.next_turn(now)
        if turn is not None:
            self._timers[lane] = self._loop.call_at(turn, self._pump, lane)

    def left(self, lane: CallLane) -> None:
        lane.leave()
        if lane.queued:
            self._pump(lane)

    def answered(self, lane: CallLane, cost: Cost, usage: Usage, size: int) -> None:
        lane.answered()
        if lane.quota is not None:
            lane.quota.settle(cost, usage, size)
        if lane.queued:
            self._pump(lane)

    def failed(self, lane: CallLane, error: CallError, sent: float, cost: Cost, size: int) -> None:
        lane.failed(error, sent, self._loop.time())
        if lane.quota is not None and error.usage is not NO_USAGE:
            lane.quota.settle(cost, error.usage, size)
        if lane.queued:
            self._pump(lane)
