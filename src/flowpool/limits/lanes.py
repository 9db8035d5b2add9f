"""The lanes of a run, and the waiting at them: what a lane decides without a loop is awaited here."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from functools import partial, reduce
from ipaddress import ip_address
from itertools import count
from urllib.parse import urlsplit

from msgspec import Struct, structs

from flowpool.chain import Step
from flowpool.errors import CallError, NotFinished
from flowpool.limits.breaker import Breaker
from flowpool.limits.ceilings import tightest
from flowpool.limits.demand import Demand
from flowpool.limits.lane import Admitted, Lane
from flowpool.limits.lane_view import Bound, numbered
from flowpool.limits.limiter import Limiter
from flowpool.limits.window import AdaptiveWindow, FixedWindow, Window
from flowpool.logs import in_short, log
from flowpool.settings import Settings
from flowpool.sharing.ceilings import KeyCeilings
from flowpool.sharing.run_shares import RunShares
from flowpool.values import UNIX, Endpoint, Limits

# Where the latency window begins: the opening begins at 16, and it should be in nobody's way there. And its most.
AUTO_START, AUTO_CEILING = 64, 1000


Ticket = asyncio.Future[Admitted]
CallLane = Lane[Ticket]
Bid = tuple[CallLane, Demand]  # a lane that would do, and what the call would take from it


class _Width(Struct, frozen=True):
    """How wide a step wants its lane.

    own: the number that the step has, or its tool; None where the pool's holds. most: where that has none either,
    found within it where it `adapts`. limits: those that it has.
    """

    own: int | None
    most: int
    limits: Limits
    adapts: bool


class Lanes:
    """Every lane of a run, by what it stands for: an endpoint with its key and model, or a tool.

    paused: the seconds for which the user has paused the run so far.
    """

    def __init__(
        self,
        settings: Settings,
        shares: RunShares,
        ceilings: KeyCeilings,
        paused: Callable[[], float] = float,
    ) -> None:
        self._paused = paused
        self._settings = settings
        self._shares = shares
        self._ceilings = ceilings
        self._lanes: dict[object, CallLane] = {}
        self._loop = asyncio.get_running_loop()
        self._timers: dict[CallLane, asyncio.TimerHandle] = {}
        self._models: dict[CallLane, tuple[Endpoint, str]] = {}
        self._widths: dict[object, list[_Width]] = {}
        self._tickets: dict[Ticket, list[CallLane]] = {}  # those that wait, and where
        self._may_leave: set[Ticket] = set()  # of them those that have a fallback
        self._let_go = ""  # why nobody waits any more where nobody gets an answer

    def all(self) -> list[CallLane]:
        return list(self._lanes.values())

    def width(self) -> int:
        """How many calls may be in flight in all of them."""
        return sum(lane.window.size for lane in self._lanes.values())

    def begin(self) -> None:
        """All lanes are open: takes a member for each at the limit that others may share, and its ceilings."""
        for key, lane in self._lanes.items():
            if lane.configured is not None and lane.limiter is not None:
                shared_by = self._models.get(lane, key)
                wake = partial(self._loop.call_soon_threadsafe, self._ask_again, lane)
                lane.limiter.ceilings = self._ceilings.join(shared_by, lane.configured, wake)
        for lane, (endpoint, model) in self._models.items():
            assert lane.limiter is not None
            self._shares.take(lane.limiter, endpoint, model, partial(self._ask_again, lane))

    def close(self) -> None:
        self._shares.close()
        for lane in self._lanes.values():
            known = lane.limiter.limits() if lane.limiter is not None else {}
            if known:
                chosen = ", ".join(f"{rate:,.0f} {what}" for what, rate in known.items())
                log.info("%s: learned of its limits: %s a minute", lane.name, chosen)
            if lane.limiter is not None and lane.limiter.ceilings is not None:
                lane.limiter.ceilings.close()
        for timer in self._timers.values():
            timer.cancel()

    def open_model(
        self, endpoint: Endpoint, model: str, step: Step, limits: Limits | None
    ) -> CallLane:
        """The lane of a model at an endpoint. Steps that share one keep to the tightest of their limits."""
        key = (endpoint.base_url, endpoint.key, model)
        name = f"{endpoint.provider}/{model}"
        own = is_own(endpoint.base_url)
        lane = self._open_provider(key, name, step, AUTO_CEILING, limits, own=own)
        self._models[lane] = endpoint, model
        return lane

    def open_foreign(self, key: object, name: str, step: Step, most: int) -> CallLane:
        """The lane of another framework's object, whose provider isn't known: `most` calls wide at most."""
        return self._open_provider(key, name, step, most, self._settings.limits)

    def open_tool(
        self,
        key: object,
        name: str,
        step: Step,
        width: int | None,
        most: int,
        limits: Limits | None = None,
    ) -> CallLane:
        """The lane of a tool. `width`: its own, None where the pool's number holds, else `most`; a step that uses
        it may say otherwise.
        """
        own = step.max_flows or width
        lane = self._lane(key, name, _Width(own, most, limits or Limits(), adapts=False))
        limits = self._limits(key)
        if limits != Limits():
            lane.limiter = Limiter(eager=True, limits=limits)
            lane.configured = limits
        return lane

    def _open_provider(
        self,
        key: object,
        name: str,
        step: Step,
        most: int,
        limits: Limits | None,
        *,
        own: bool = False,
    ) -> CallLane:
        """own: the server is one's own, and refuses nobody for a rate."""
        width = _Width(step.max_flows, most, limits or Limits(), adapts=True)
        lane = self._lane(key, name, width)
        limits = self._limits(key)
        lane.limiter = Limiter(eager=own or not lane.window.adapts, limits=limits)
        lane.breaker = Breaker()
        lane.configured = limits if limits != Limits() else None
        return lane

    def _limits(self, key: object) -> Limits:
        """The tightest of those that a lane's steps have."""
        return reduce(tightest, (width.limits for width in self._widths[key]))

    def _window(self, key: object) -> Window:
        """A lane's window: as wide as its narrowest step wants it."""
        widths, pool = self._widths[key], self._settings.max_flows
        limits = self._limits(key)
        ceiling = min(width.own or pool or width.most for width in widths)
        ceiling = min(ceiling, limits.concurrent or ceiling)
        bound: Bound = "limits" if ceiling == limits.concurrent else "max_flows"
        # A number that somebody chose is kept to, and had almost at once; unasked, both are found.
        if widths[-1].adapts and not (widths[-1].own or pool):
            return AdaptiveWindow(AUTO_START, ceiling, bound)
        return FixedWindow(ceiling, bound)

    def _lane(self, key: object, name: str, width: _Width) -> CallLane:
        self._widths.setdefault(key, []).append(width)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self._own_name(name), self._window(key), wakes=self)
        else:
            lane.window = self._window(key)
        return lane

    def _own_name(self, name: str) -> str:
        """The name, or where another lane has it with its number: views tell lanes apart by it."""
        taken = {lane.name for lane in self._lanes.values()}
        return next(own for n in count(1) if (own := numbered(name, n)) not in taken)

    # What the user changes while calls go.

    def choose(self, max_flows: int | None) -> None:
        """The pool's number is another, None for one that is found: the lanes that it holds for are as wide."""
        self._settings = structs.replace(self._settings, max_flows=max_flows)
        for key, lane in self._lanes.items():
            window = self._window(key)
            if not (window.adapts and lane.window.adapts):
                lane.window = window
            self._pump(lane)

    def hold(self) -> None:
        """No call goes until `go`; those in flight end as ever."""
        for lane in self._lanes.values():
            lane.hold(self._loop.time())
            self._pump(lane)
        self._end_idle_waits()

    def go(self) -> None:
        """Calls go again."""
        for lane in self._lanes.values():
            lane.go(self._loop.time())
            self._pump(lane)

    async def enter(
        self, wants: Sequence[Bid], rank: float, *, has_fallback: bool = False
    ) -> Admitted:
        """Waits for a turn in any of the lanes; raises the last one's failure when all are broken.

        has_fallback: raises, too, when nobody is answered in any of them: the call may go elsewhere.
        """
        began, kind = self._loop.time() - self._paused(), _kind_of_wait(wants)
        while True:
            usable = [want for want in wants if want[0].broken is None]
            if not usable:
                raise _again(wants[-1][0].broken)
            if len(usable) < len(wants) and any(lane.is_well for lane, _ in usable):
                for lane, _ in wants:
                    lane.keep_asking(self._loop.time())
            if has_fallback and not any(lane.is_well for lane, _ in usable):
                raise _again(usable[-1][0].last_error)
            admitted = await self._wait(usable, rank, has_fallback)
            # One that was broken then may be asked again by now, and only by a call that has its turn.
            if admitted.lane.broken is None and not admitted.is_turned_away:
                waited = max(0.0, admitted.at - self._paused() - began)
                return structs.replace(admitted, **{kind: waited})
            admitted.lane.leave(admitted, self._loop.time())

    async def _wait(self, wants: Sequence[Bid], rank: float, has_fallback: bool) -> Admitted:
        ticket: Ticket = self._loop.create_future()
        for lane, cost in wants:
            lane.wait_for(ticket, rank, cost)
        if has_fallback:
            self._may_leave.add(ticket)
        self._tickets[ticket] = [lane for lane, _ in wants]
        for lane, _ in wants:
            self._pump(lane)
        self._end_idle_waits()
        try:
            return await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                admitted = ticket.result()  # its turn came in the same moment
                admitted.lane.leave(admitted, self._loop.time())
            raise
        finally:
            self._may_leave.discard(ticket)
            del self._tickets[ticket]

    # What the lanes tell.

    def turn_may_come(self, lane: CallLane) -> None:
        self._pump(lane)
        self._end_idle_waits()

    def fell_ill(self, lane: CallLane, error: CallError) -> None:
        """Those leave that may go elsewhere, and wait at none but ill lanes."""
        log.warning("%s: %s (%s)", lane.name, lane.illness, in_short(error))
        for ticket in self._may_leave:
            if not ticket.done() and not any(lane.is_well for lane in self._tickets[ticket]):
                ticket.set_exception(_again(error))

    def let_go(self, reason: str) -> None:
        """From now on nobody waits at lanes that are ill, or have no call in flight whose end could let one in."""
        self._let_go = reason
        self._end_idle_waits()

    def _end_idle_waits(self) -> None:
        if not self._let_go:
            return
        for ticket, lanes in self._tickets.items():
            goes_on = any(lane.in_flight and lane.is_well and not lane.is_held for lane in lanes)
            if not ticket.done() and not goes_on:
                ticket.set_exception(NotFinished(self._let_go))

    def _ask_again(self, lane: CallLane) -> None:
        if lane.queued:
            self._pump(lane)

    def _pump(self, lane: CallLane) -> None:
        """Tells those whose turn has come, and asks again when the lane says."""
        now = self._loop.time()
        while (admitted := lane.admit(now, asyncio.Future.done)) is not None:
            ticket, entered = admitted
            ticket.set_result(entered)
        timer = self._timers.pop(lane, None)
        if timer is not None:
            timer.cancel()
        turn = lane.next_turn(now)
        if turn is not None:
            # uvloop's time has steps of a millisecond: an earlier moment would be asked for again and again.
            turn = max(turn, now + 0.001)
            self._timers[lane] = self._loop.call_at(turn, self._pump, lane)


def _kind_of_wait(wants: Sequence[Bid]) -> str:
    """What a call that can't go now waits for: a slot where all are taken, else its turn within a limit."""
    is_full = all(lane.in_flight >= lane.width for lane, _ in wants)
    return "slot_wait" if is_full else "limit_wait"


def is_own(base_url: str) -> bool:
    """Whether the server stands on this machine or in a private network."""
    if base_url.startswith(f"{UNIX}:"):
        return True
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def _again(error: CallError | None) -> CallError:
    """The lane's failure for another call: without the notes that speak of an earlier item."""
    assert error is not None
    again = copy.copy(error)
    again.__dict__.pop("__notes__", None)
    return again
